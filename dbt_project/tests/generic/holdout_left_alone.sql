{# Turns whose holdout met something else than the control, with how much of it, per mille. A stray few are excluded and
   counted, and warned of; more than 1 % fail. #}
{% test holdout_left_alone(model) %}
select turn, loop, treated_units, holdout_units, ceil(1000.0 * treated_units / holdout_units) as treated_per_mille
from {{ model }}
where {{ in_scope() }} and treated_units > 0
{% endtest %}
