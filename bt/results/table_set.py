"""Every table of a run, streamed to files in one folder."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from bt.results.orders import OrdersWriter
from bt.results.rows import NO_MULTIPLIERS, Days, Deferred, Multipliers, Rows
from bt.results.tables import SCHEMAS
from bt.results.writers import TableWriter


class TableSet:
    """Every table of a run, streamed to files in one folder.

    Parameters
    ----------
    folder : Path
        Where ``<table>.parquet`` are made.
    multipliers : mapping
        As of `bt.results.rows.settled`.
    """

    def __init__(self, folder: Path, multipliers: Multipliers = NO_MULTIPLIERS) -> None:
        self._writers: dict[str, TableWriter] = {}
        try:
            for table in SCHEMAS:
                if table != "orders":
                    self._writers[table] = TableWriter(folder / f"{table}.parquet", table, multipliers)
            self._orders = OrdersWriter(folder / "orders.parquet", multipliers)
        except OSError:
            for writer in self._writers.values():
                writer.abort()
            raise

    def append(self, table: str, rows: Rows | Deferred, *, ordered: bool = False, sessions: Days | None = None) -> None:
        """Rows of the open session; for orders those that ended in it, decided in `sessions`."""
        if table == "orders":
            self._orders.append(rows, ordered=ordered, sessions=sessions)
        else:
            self._writers[table].append(rows, ordered=ordered)

    def end_session(self, session: date) -> None:
        """`session` is complete in every table."""
        self._orders.end_session(session)
        for writer in self._writers.values():
            writer.end_session()

    def close(self) -> None:
        """Finish every file."""
        self._orders.close()
        for writer in self._writers.values():
            writer.close()

    def abort(self) -> None:
        """Let go of every file."""
        self._orders.abort()
        for writer in self._writers.values():
            writer.abort()
