"""What a run leaves: eleven tables, three documents, one folder that appears whole or not at all.

The rooms: `tables` says what each table is, `rows` is what the engine tells of one, and its order, `writers` streams them to
Parquet in bounded memory, `folder` makes the run's folder, or keeps the same in memory, with its `manifest`; `reading` reads it back,
`catalog` lists the runs in a folder.
"""

from __future__ import annotations

from bt.results.catalog import CATALOG, Catalog, catalog
from bt.results.folder import MemoryResults, Results, RunFolder
from bt.results.manifest import manifest, versions
from bt.results.orders import OrdersWriter
from bt.results.reading import damage_named, is_part, is_run, open_documents, open_tables
from bt.results.rows import GAP, Deferred, Rows, coded, frame_of, joined, order_of, repeated, rows_of
from bt.results.tables import MONEY, ORDER, SCHEMAS, conform, currency, empty
from bt.results.writers import TableWriter

__all__ = [
    "CATALOG",
    "GAP",
    "MONEY",
    "ORDER",
    "SCHEMAS",
    "Catalog",
    "Deferred",
    "MemoryResults",
    "OrdersWriter",
    "Results",
    "Rows",
    "RunFolder",
    "TableWriter",
    "catalog",
    "coded",
    "conform",
    "currency",
    "damage_named",
    "empty",
    "frame_of",
    "is_part",
    "is_run",
    "joined",
    "manifest",
    "open_documents",
    "open_tables",
    "order_of",
    "repeated",
    "rows_of",
    "versions",
]
