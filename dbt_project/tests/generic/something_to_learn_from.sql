{# A loop learns from at least one outcome: one of them has a weight. #}
{% test something_to_learn_from(model) %}
select loop, count(*) as outcomes, sum(case when is_reward then 1 else 0 end) as rewards
from {{ model }}
group by loop
having sum(case when is_reward then 1 else 0 end) = 0
{% endtest %}
