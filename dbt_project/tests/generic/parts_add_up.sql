{# For every `by`, the sum of `part` over this model equals the sum of `total` over the model `whole`, in the turns in
   scope. `part_where` and `whole_where` narrow either side. `also` names a model that holds further parts, narrowed by
   `also_where`. With `each`, the parts that share a value of that column add up to the whole by themselves. #}
{% test parts_add_up(model, part, whole, total, by, part_where="true", whole_where="true", also=none, also_where="true", each=none) %}
{%- set keys = by | join(", ") -%}
with parts as (
    select {{ keys }}, sum(added) as added
    from (
        select {{ keys }}, {{ each or "0" }} as each_of, {{ part }} as added
        from {{ model }}
        where {{ in_scope() }} and {{ part_where }}
        {%- if also %}

        union all

        select {{ keys }}, {{ each or "0" }} as each_of, {{ part }} as added
        from {{ also }}
        where {{ in_scope() }} and {{ also_where }}
        {%- endif %}
    ) as listed
    group by {{ keys }}, each_of
),

wholes as (
    select {{ keys }}, sum({{ total }}) as total
    from {{ whole }}
    where {{ in_scope() }} and {{ whole_where }}
    group by {{ keys }}
)

select {{ keys }}, parts.added, wholes.total
from parts
full outer join wholes using ({{ keys }})
where abs(coalesce(parts.added, 0) - coalesce(wholes.total, 0)) > 0.000001 * (1 + abs(coalesce(wholes.total, 0)))
{% endtest %}
