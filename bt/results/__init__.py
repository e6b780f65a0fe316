"""What a run leaves: eleven tables, three documents, one folder that appears whole or not at all.

The rooms: `tables` says what each table is, `writers` streams them to Parquet in bounded memory, `folder` makes the
run's folder, or keeps the same in memory, and reads it back.
"""

from __future__ import annotations

from bt.results.folder import (
    MemoryResults,
    Results,
    RunFolder,
    is_run,
    manifest,
    open_documents,
    open_tables,
    versions,
)
from bt.results.tables import MONEY, ORDER, SCHEMAS, conform, currency, empty
from bt.results.writers import OrdersWriter, TableWriter

__all__ = [
    "MONEY",
    "ORDER",
    "SCHEMAS",
    "MemoryResults",
    "OrdersWriter",
    "Results",
    "RunFolder",
    "TableWriter",
    "conform",
    "currency",
    "empty",
    "is_run",
    "manifest",
    "open_documents",
    "open_tables",
    "versions",
]
