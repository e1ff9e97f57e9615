{# For every `by`, the sum of `part` over this model equals the sum of `total` over the model `whole`, in the turns in
   scope. `part_where` and `whole_where` narrow either side. #}
{% test parts_add_up(model, part, whole, total, by, part_where="true", whole_where="true") %}
with parts as (
    select {{ by | join(", ") }}, sum({{ part }}) as added
    from {{ model }}
    where {{ in_scope() }} and {{ part_where }}
    group by {{ by | join(", ") }}
),

wholes as (
    select {{ by | join(", ") }}, sum({{ total }}) as total
    from {{ whole }}
    where {{ in_scope() }} and {{ whole_where }}
    group by {{ by | join(", ") }}
)

select {{ by | join(", ") }}, parts.added, wholes.total
from parts
full outer join wholes using ({{ by | join(", ") }})
where abs(coalesce(parts.added, 0) - coalesce(wholes.total, 0)) > 0.000001 * (1 + abs(coalesce(wholes.total, 0)))
{% endtest %}
