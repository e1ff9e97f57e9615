{# 97.5 % point of the standard normal distribution: all intervals are two-sided 95 %. #}
{% macro z95() -%} 1.959963984540054 {%- endmacro %}

{# One end of the interval of a mean reward; `sign` is '+' or '-'. Rewards of 0 or 1: Wilson (1927), which stays
   within [0, 1] and has a width at rates of 0 and 1. Amounts and weighted sums: normal, from the sum of squares.
   Null without units. #}
{% macro rate_end(sign, reward, squares, units, is_amount) -%}
    case
        when {{ units }} = 0 then null
        when {{ is_amount }}
            then {{ ratio(reward, units) }} {{ sign }} {{ z95() }} * sqrt({{ variance(reward, squares, units) }} / {{ units }})
        else
            least(1, greatest(0,
                (
                    {{ ratio(reward, units) }} + {{ z95() }} * {{ z95() }} / (2.0 * {{ units }})
                    {{ sign }} {{ z95() }} * sqrt(
                        ({{ ratio(reward, units) }} * (1 - {{ ratio(reward, units) }})
                        + {{ z95() }} * {{ z95() }} / (4.0 * {{ units }})) / {{ units }}
                    )
                ) / (1 + {{ z95() }} * {{ z95() }} / {{ units }})
            ))
    end
{%- endmacro %}

{# Variance of a reward over units, from its sum and the sum of its squares. #}
{% macro variance(reward, squares, units) -%}
    greatest({{ ratio(squares, units) }} - power({{ ratio(reward, units) }}, 2), 0)
{%- endmacro %}

{# Variance of the logarithm of a mean reward by the delta method: var(mean) / mean^2. #}
{% macro log_mean_variance(reward, squares, units) -%}
    ({{ variance(reward, squares, units) }} / nullif({{ units }} * power({{ ratio(reward, units) }}, 2), 0))
{%- endmacro %}
