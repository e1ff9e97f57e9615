"""How a stage's table reaches the warehouse: the turn's partition, replaced as a whole.

Here: the Dagster resource and I/O manager over `warehouse.duckdb_file`, and what a table shows in the UI.
Not here: SQL and connections (warehouse.duckdb_file) and column meanings (tables).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.tables import TABLES, Table
from orchestration.warehouse.duckdb_file import Warehouse

if TYPE_CHECKING:
    import polars as pl

PREVIEW_ROWS = 5
PREVIEW_WIDTH = 160


class WarehouseResource(dg.ConfigurableResource):
    """The warehouse file, shared by every asset, sensor and check."""

    path: str
    lock_timeout_s: float = 60.0

    def create_resource(self, context: dg.InitResourceContext) -> Warehouse:  # noqa: ARG002
        return Warehouse(Path(self.path), self.lock_timeout_s)


class TurnTables(dg.ConfigurableIOManager):
    """Writes what an asset returns into its table's partition of the turn, and reads it for the next stage.

    A frame or a SELECT takes the place of the partition's rows; None leaves them as they are.
    """

    path: str
    lock_timeout_s: float = 60.0

    def handle_output(self, context: dg.OutputContext, obj: "pl.DataFrame | str | None") -> None:
        metadata = context.definition_metadata
        table, loop, turn = table_of(metadata), metadata.get("loop"), context.partition_key
        if obj is None:
            context.add_output_metadata({"released_already": True})
            return
        rows = self._warehouse.replace(table, obj, turn=turn, loop=loop)
        context.add_output_metadata({"dagster/row_count": rows})
        if not isinstance(obj, str):
            context.add_output_metadata({"preview": dg.MarkdownMetadataValue(as_markdown(obj.head(PREVIEW_ROWS)))})

    def load_input(self, context: dg.InputContext) -> "pl.DataFrame":
        upstream = context.upstream_output
        if upstream is None:
            raise ValueError(f"{context.name} has no upstream asset to load.")
        metadata = upstream.definition_metadata
        return self._warehouse.rows(table_of(metadata), turn=context.partition_key, loop=metadata.get("loop"))

    @property
    def _warehouse(self) -> Warehouse:
        return Warehouse(Path(self.path), self.lock_timeout_s)


def table_of(metadata: Any) -> Table:
    return TABLES[metadata["table"]]


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns as the Dagster UI shows them."""
    return dg.TableSchema(
        columns=[dg.TableColumn(name, kind, description=meaning) for name, (kind, meaning) in table.columns.items()]
    )


def as_markdown(rows: "pl.DataFrame") -> str:
    """A frame as a Markdown table, long values cut."""
    if rows.is_empty():
        return "*no rows*"
    lines = ["| " + " | ".join(rows.columns) + " |", "|" + " --- |" * rows.width]
    for row in rows.iter_rows():
        lines.append("| " + " | ".join(_cell(value) for value in row) + " |")
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    text = text.replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= PREVIEW_WIDTH else text[: PREVIEW_WIDTH - 1] + "…"
