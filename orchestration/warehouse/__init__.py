"""The warehouse room: tables, dbt, and the gates over them. No raw connection leaves it."""
