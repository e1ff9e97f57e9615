"""dbt's sources, written from the tables that Python declares, so that neither can drift from the other.

Here: the text of dbt_project/models/sources.yml; `python -m orchestration.warehouse.dbt_sources` writes it.
Not here: the tables themselves (tables) and running dbt (warehouse.dbt).
"""

from orchestration.tables import SCHEMA, TABLES, Table
from orchestration.warehouse.dbt_project import PROJECT

SOURCES = PROJECT / "models" / "sources.yml"
_HEAD = (
    "# Written by `python -m orchestration.warehouse.dbt_sources` from orchestration/tables.py; a test compares them.\n"
)


def sources_yaml() -> str:
    """Every declared table as a dbt source: grain, key, columns, types, meanings."""
    import yaml

    source = {
        "name": SCHEMA,
        "schema": SCHEMA,
        "description": "What the flywheel's stages wrote: facts, and the control table of a build.",
        "tables": [_source(table) for table in TABLES.values()],
    }
    return _HEAD + yaml.safe_dump({"sources": [source]}, sort_keys=False, width=120, allow_unicode=True)


def _source(table: Table) -> dict[str, object]:
    return {
        "name": table.name,
        "description": f"{table.grain[0].upper()}{table.grain[1:]}.",
        "meta": {"key": list(table.key)},
        "columns": [
            {"name": name, "data_type": kind.lower(), "description": meaning}
            for name, (kind, meaning) in table.columns.items()
        ],
    }


if __name__ == "__main__":
    SOURCES.write_text(sources_yaml(), encoding="utf-8")
