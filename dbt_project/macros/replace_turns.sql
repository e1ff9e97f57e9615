{# Incremental strategy: delete the turns in scope, insert what was computed for them. Unlike delete+insert on a
   unique key, a turn whose rows are all gone is emptied too. Refuses rows of other turns: working tables hold the turns
   of the last build, so a mart that is built without them would be filled with the wrong ones. #}
{% macro get_incremental_replace_turns_sql(arguments) -%}
    {%- set target = arguments["target_relation"] -%}
    {%- set source = arguments["temp_relation"] -%}
    {%- set columns = get_quoted_csv(arguments["dest_columns"] | map(attribute="name")) -%}
    {%- set strays = run_query("select distinct turn from " ~ source ~ " where not (" ~ in_scope() ~ ")") -%}
    {%- if strays | length > 0 -%}
        {% do exceptions.raise_compiler_error(
            "Working tables hold turn " ~ strays.columns[0].values() | join(", ") ~ ", which is not in turn_scope: "
            ~ "build " ~ target.identifier ~ " with what it reads, --select +" ~ target.identifier
        ) %}
    {%- endif -%}
    delete from {{ target }} where {{ in_scope() }};
    insert into {{ target }} ({{ columns }}) select {{ columns }} from {{ source }}
{%- endmacro %}
