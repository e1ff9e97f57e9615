{{ config(materialized='view') }}

select cast(date_day as date) as day
from ({{ dbt.date_spine('day', "cast('2024-01-01' as date)", "cast('2034-01-01' as date)") }}) as days
