{# The shares of a release sum to 1, it has one control, and its loop declares one holdout in a turn. #}
{% test sound_releases(model) %}
select turn, loop, subject_id
from {{ model }}
where {{ in_scope() }}
group by turn, loop, subject_id
having abs(sum(share) - 1) > 0.000001
    or sum(case when is_control then 1 else 0 end) <> 1

union all

select turn, loop, null
from {{ model }}
where {{ in_scope() }}
group by turn, loop
having max(holdout) - min(holdout) > 0.000001
{% endtest %}
