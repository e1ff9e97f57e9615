{# The condition is true in every row of the turns in scope; null does not count as true. #}
{% test holds(model, condition) %}
select *
from {{ model }}
where {{ in_scope() }} and ({{ condition }}) is not true
{% endtest %}
