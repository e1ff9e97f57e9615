{# A decision has a pool and a probability, its holdout and nobody else is the control, whoever is not held out was given
   an option, and its loop declares one holdout in a turn. #}
{% test sound_decisions(model) %}
select turn, loop, decision_id
from {{ model }}
where {{ in_scope() }}
    and (
        stratum is null
        or propensity is null or propensity <= 0 or propensity > 1.000001
        or is_control <> in_holdout
        or (option is null and not in_holdout)
    )

union all

select turn, loop, null
from {{ model }}
where {{ in_scope() }}
group by turn, loop
having max(holdout) - min(holdout) > 0.000001
{% endtest %}
