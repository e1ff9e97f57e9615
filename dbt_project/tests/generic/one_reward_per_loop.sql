{# A loop learns from exactly one outcome. #}
{% test one_reward_per_loop(model) %}
select loop, count(*) as outcomes, sum(case when is_reward then 1 else 0 end) as rewards
from {{ model }}
group by loop
having sum(case when is_reward then 1 else 0 end) <> 1
{% endtest %}
