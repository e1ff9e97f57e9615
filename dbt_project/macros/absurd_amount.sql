{# What an amount must exceed, by that which the percentile of the loop cuts it to, for its unit to count nowhere. #}
{% macro absurd_amount(cut_to) -%} (50 * {{ cut_to }}) {%- endmacro %}
