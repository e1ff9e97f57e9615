{# No two rows of the turns in scope share these columns: the grain that the description promises. #}
{% test unique_combination(model, columns, by_turn=true) %}
select {{ columns | join(", ") }}, count(*) as rows_found
from {{ model }}
{% if by_turn %} where {{ in_scope() }} {% endif %}
group by {{ columns | join(", ") }}
having count(*) > 1
{% endtest %}
