{# Condition that a row belongs to a turn that this build is for: those that Python wrote into turn_scope, which
   keeps variables, and with them a full parse, out of every turn. A full refresh takes all turns. #}
{% macro in_scope(column="turn") -%}
    {%- set scope = source("flywheel", "turn_scope") -%}
    {%- if flags.FULL_REFRESH -%} true {%- else -%} {{ column }} in (select turn from {{ scope }}) {%- endif -%}
{%- endmacro %}
