{# Sum of amounts that does not depend on the order of the rows, so that a re-run gives the same bytes. #}
{% macro exact_sum(expression) -%}
    cast(sum(cast({{ expression }} as decimal(30, 6))) as double precision)
{%- endmacro %}

{# A number whose last digits may depend on the order of a sum, cut before they show. #}
{% macro repeatable(expression, places=10) -%}
    {{ return(adapter.dispatch("repeatable", "flywheel")(expression, places)) }}
{%- endmacro %}

{% macro default__repeatable(expression, places) -%} round({{ expression }}, {{ places }}) {%- endmacro %}

{# Only a numeric can be rounded to a place. #}
{% macro postgres__repeatable(expression, places) -%}
    cast(round(cast({{ expression }} as numeric), {{ places }}) as double precision)
{%- endmacro %}

{# Exponential of a number; of one beyond what a double holds, Postgres would break off. #}
{% macro exponential(expression) -%}
    {{ return(adapter.dispatch("exponential", "flywheel")(expression)) }}
{%- endmacro %}

{% macro default__exponential(expression) -%} exp({{ expression }}) {%- endmacro %}

{% macro postgres__exponential(expression) -%} 
    exp(case when {{ expression }} > 700 then 700 when {{ expression }} < -700 then -700 else {{ expression }} end)
{%- endmacro %}

{# Quotient, null where there is nothing to divide by. #}
{% macro ratio(numerator, denominator) -%}
    (cast({{ numerator }} as double precision) / nullif({{ denominator }}, 0))
{%- endmacro %}
