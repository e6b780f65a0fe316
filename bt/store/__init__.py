"""A store of minute bars: Parquet files, checked once, read by one DuckDB query a window.

::

    memory       bars handed over as a table instead of files
    files        which files, who they are (content hashes), where the cache folder is
    footers      every file's columns and types, all faults at once     -> Layout
    reading      the DuckDB connection and the SQL
    checks       verdicts: faulty rows, decimals, spans; cached by content
    codes        symbol strings to codes, inside DuckDB
    spans        what each file holds of which symbol
    bars         Store: all of that opened, and its `read`
    aggregates   DailyCache: per-session rows remembered by the content of the session's files
"""

from bt.store.aggregates import DailyCache
from bt.store.bars import Store
from bt.store.files import ACTIONS, INSTRUMENTS
from bt.store.memory import in_memory

__all__ = ["ACTIONS", "INSTRUMENTS", "DailyCache", "Store", "in_memory"]
