"""The only code that does I/O: warehouse, landed files, language model, tracking, dbt."""
