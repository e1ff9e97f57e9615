{# Sum of amounts that does not depend on the order of the rows, so that a re-run gives the same bytes. #}
{% macro exact_sum(expression) -%}
    cast(sum(cast({{ expression }} as decimal(30, 6))) as double)
{%- endmacro %}

{# A number whose last digits may depend on the order of a sum, cut before they show. #}
{% macro repeatable(expression) -%} round({{ expression }}, 10) {%- endmacro %}

{# Quotient, null where there is nothing to divide by. #}
{% macro ratio(numerator, denominator) -%}
    (cast({{ numerator }} as double) / nullif({{ denominator }}, 0))
{%- endmacro %}
