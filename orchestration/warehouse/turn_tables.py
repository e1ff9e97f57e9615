"""How a stage's table reaches the warehouse: the turn's partition, replaced as a whole.

Here: Dagster's I/O manager over the warehouse, and what a table shows in the UI.
Not here: SQL and connections (the engines) and column meanings (tables).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.tables import TABLES, Table
from orchestration.warehouse.protocol import Query, Warehouse

if TYPE_CHECKING:
    import polars as pl

PREVIEW_ROWS = 5
PREVIEW_WIDTH = 160


class TurnTables(dg.IOManager):
    """Writes what an asset returns into its table's partition of the turn, and reads it for the next stage.

    A frame or a query takes the place of the partition's rows; None leaves them as they are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def handle_output(self, context: dg.OutputContext, obj: "pl.DataFrame | Query | None") -> None:
        metadata = context.definition_metadata
        table, loop, turn = table_of(metadata), metadata.get("loop"), context.partition_key
        if obj is None:
            context.add_output_metadata({"released_already": True})
            return
        rows = self.warehouse.replace(table, obj, turn=turn, loop=loop)
        context.add_output_metadata({"dagster/row_count": rows})
        if not isinstance(obj, Query):
            context.add_output_metadata({"preview": dg.MarkdownMetadataValue(as_markdown(obj.head(PREVIEW_ROWS)))})

    def load_input(self, context: dg.InputContext) -> "pl.DataFrame":
        upstream = context.upstream_output
        if upstream is None:
            raise ValueError(f"{context.name} has no upstream asset to load.")
        metadata = upstream.definition_metadata
        return self.warehouse.rows(table_of(metadata), turn=context.partition_key, loop=metadata.get("loop"))


def kept_for_a_run(warehouse: Warehouse) -> dg.ResourceDefinition:
    """The warehouse as a resource that a run keeps from its first step to its last."""

    @contextmanager
    def kept(_: dg.InitResourceContext) -> Iterator[Warehouse]:
        with warehouse.kept():
            yield warehouse

    return dg.ResourceDefinition(kept, description=f"The warehouse {warehouse.name}.")


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
