"""Which engine keeps the warehouse: a DuckDB file in the home, or the database that FLYWHEEL_WAREHOUSE names.

Here: the choice, in one place. Not here: the engines (duckdb_file, postgres).
"""

from orchestration.settings import Settings
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.warehouse.protocol import Warehouse


def open_warehouse(settings: Settings, lock_timeout_s: float | None = None) -> Warehouse:
    """The warehouse of these settings. Nothing is opened yet: whoever asks something of it opens it.

    Raises WarehouseUnreachableError, without the address, when FLYWHEEL_WAREHOUSE is none.
    """
    patience = settings.lock_timeout_s if lock_timeout_s is None else lock_timeout_s
    if settings.warehouse is None:
        return DuckDBWarehouse(settings.warehouse_path, patience)
    from orchestration.warehouse.postgres import PostgresWarehouse

    return PostgresWarehouse(settings.warehouse, patience)
