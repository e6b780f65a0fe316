"""The DuckDB side of a store: one connection, a cursor a call, and the SQL that reads bars.

Every query is a scan with filters and projections and nothing else: DuckDB 2.0 keeps the files' row order for those, but
not through a join, nor through a long ``IN`` that its optimizer turns into one (duckdb issue 24398; switched off here).
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from bt.cores import usable_cores
from bt.errors import DataError
from bt.model import instant
from bt.schema import MINUTE, PRICES, QUOTES
from bt.store.footers import Layout

MEMORY_LIMIT = "512MB"
"""What DuckDB may hold at once; a result handed over is not part of it."""

FILES, TABLE = "read_parquet($files, hive_partitioning = false)", "bars_in_memory"
"""What a query reads from: files, or a table registered under this name."""

_FEW = 16
"""Up to so many symbols are looked for by DuckDB, which takes about 1 ns a row for each; more are sifted afterwards."""

_LOCAL_MARGIN = timedelta(hours=3)
"""More than any change of a zone's offset: local bounds this wide hold every row of a UTC range."""


class Connection:
    """An in-memory DuckDB that reads Parquet. Safe to use from several threads.

    Parameters
    ----------
    threads : int
        0 means every core this process may use.
    table : Table, optional
        What is read instead of files.

    Attributes
    ----------
    source : str
        What queries select from: `FILES` or `TABLE`.
    """

    def __init__(self, threads: int = 0, table: pa.Table | None = None) -> None:
        self._table = table
        self.source = FILES if table is None else TABLE
        if threads == 0:
            threads = usable_cores()
        self._duckdb = duckdb.connect(
            config={
                "threads": threads,
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": str(Path(tempfile.gettempdir(), f"bt-duckdb-{secrets.token_hex(8)}")),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                # the system caches files already; a second copy would grow with the run
                "enable_external_file_cache": False,
            }
        )
        self._duckdb.execute("SET GLOBAL TimeZone = 'UTC'")
        # a notebook without ipywidgets cannot set it, and has none
        with suppress(duckdb.InvalidInputException):
            self._duckdb.execute("SET enable_progress_bar = false")
        self._duckdb.execute("SET GLOBAL disabled_optimizers = 'in_clause'")

    def hashes(self, texts: Sequence[str]) -> npt.NDArray[np.uint64]:
        """DuckDB's ``hash`` of each text; another version of DuckDB may give others."""
        with self._duckdb.cursor() as cursor:
            table = cursor.sql("SELECT hash(unnest($texts::VARCHAR[])) AS h", params={"texts": list(texts)})
            # not pyarrow's to_numpy, which imports pandas: a quarter of a second and 40 MB
            return cast("npt.NDArray[np.uint64]", pl.DataFrame(table.to_arrow_table())["h"].to_numpy())

    def frame(self, sql: str, files: Sequence[str]) -> pl.DataFrame:
        """The result of `sql`, in which ``$files`` stands for the files; in DuckDB's own chunks, nothing copied.

        Raises
        ------
        DataError
            DuckDB could not read a file; it names the file.
        """
        with _translated(self, sql, files), self._cursor() as cursor:
            table = cursor.sql(sql, params=self._parameters(files)).to_arrow_table()
        return cast("pl.DataFrame", pl.from_arrow(table, rechunk=False))

    def batches(self, sql: str, files: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The result of `sql` in batches of about `rows` rows, read as they are taken. Raises DataError."""
        with _translated(self, sql, files), self._cursor() as cursor:
            yield from cursor.sql(sql, params=self._parameters(files)).to_arrow_reader(rows)

    def explain(self, sql: str, files: Sequence[str]) -> str:
        """What DuckDB did for `sql`: files and row groups read, filters and projections pushed down."""
        with _translated(self, sql, files), self._cursor() as cursor:
            return str(cursor.sql(sql, params=self._parameters(files)).explain("analyze"))

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._duckdb.cursor()
        if self._table is not None:  # a cursor does not see what others have registered
            cursor.register(TABLE, self._table)
        return cursor

    def _parameters(self, files: Sequence[str]) -> dict[str, Any]:
        # a listed path is a pattern too
        escaped = ["".join(f"[{c}]" if c in "[*?" else c for c in path) for path in files]
        return {"files": escaped} if self._table is None else {}

    def close(self) -> None:
        """Release the database; reading afterwards is an error."""
        self._duckdb.close()


@contextmanager
def _translated(connection: Connection, sql: str, files: Sequence[str]) -> Iterator[None]:
    """Turn DuckDB's errors into ours, and an interrupted query into the KeyboardInterrupt it was."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error
    except duckdb.Error as error:
        raise _unreadable(connection, sql, files, error) from error
    except RuntimeError as error:
        if "interrupted" in str(error).lower():
            raise KeyboardInterrupt from error
        raise
    except (OSError, pa.ArrowException) as error:  # DuckDB's, told by a stream of batches
        if "interrupt" in str(error).lower():
            raise KeyboardInterrupt from error
        raise _unreadable(connection, sql, files, error) from error


def _unreadable(connection: Connection, sql: str, files: Sequence[str], error: Exception) -> DataError:
    path, reason = _culprit(connection, sql, files, str(error)), str(error).splitlines()[0]
    return DataError(f"{path}: file must be readable Parquet, was refused by DuckDB ({reason}); copy or write it again")


def _culprit(connection: Connection, sql: str, files: Sequence[str], message: str) -> str:
    """The file that DuckDB's message names or that fails by itself, else all of them."""
    named = [path for path in files if path in message]
    if len(named) == 1 or len(files) == 1:
        return (named or list(files))[0]
    for path in files:
        try:
            connection.frame(sql, [path])
        except DataError:
            return path
    return f"one of {len(files)} files from {files[0]} to {files[-1]}"


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def column_sql(layout: Layout, name: str, *, integer_volume: bool) -> str:
    """The SQL of our column `name`: prices DOUBLE, volume BIGINT or DOUBLE, extras as they are.

    A volume that is no integer in a store of integer volumes is a fault (NaN): it becomes null.
    """
    theirs, kind = f"b.{quoted(layout.columns[name])}", layout.types[name]
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    if (name == "volume" and integer_volume) or name == "n_trades":
        return theirs if pa.types.is_int64(kind) else f"TRY_CAST({theirs} AS BIGINT)"
    if name in PRICES or name in ("vwap", "volume", *QUOTES) or (number and not pa.types.is_integer(kind)):
        return theirs if pa.types.is_float64(kind) else f"CAST({theirs} AS DOUBLE)"
    return theirs


def read_sql(
    layout: Layout,
    columns: Sequence[str],
    *,
    code: str,
    bounds: tuple[int, int],
    symbols: Sequence[str],
    integer_volume: bool,
    source: str = FILES,
) -> str:
    """The query for one window: ``code`` (the SQL `code`), ``time`` as the files spell it and `columns`, in file order.

    `bounds` are UTC microseconds of start-stamped bars, half-open; naive local times get wider ones, which
    `start_stamped` makes exact. Rows of other symbols than `symbols` may come back if there are many; none means all.
    """
    time = f"b.{quoted(layout.time)}"
    low, high = _bounds(layout, *bounds)
    chosen = [f"{code} AS code", f"{time} AS time"]
    chosen += [f"{column_sql(layout, name, integer_volume=integer_volume)} AS {quoted(name)}" for name in columns]
    where = f"{time} >= {low} AND {time} < {high}"
    if layout.symbol and symbols:
        name, texts = f"b.{quoted(layout.symbol)}", [_text(symbol) for symbol in (*symbols, min(symbols), max(symbols))]
        few = len(symbols) <= _FEW
        where += (
            f" AND {name} IN ({', '.join(texts[:-2])})" if few else f" AND {name} BETWEEN {texts[-2]} AND {texts[-1]}"
        )
    # nothing in it is a user's text but names, which are quoted
    return f"SELECT {', '.join(chosen)} FROM {source} b WHERE {where}"  # noqa: S608


def _bounds(layout: Layout, start: int, end: int) -> tuple[str, str]:
    shift = MINUTE if layout.end_stamped else 0
    low, high = instant(start + shift), instant(end + shift)
    if layout.zone:
        zone = ZoneInfo(layout.zone)
        low = low.astimezone(zone).replace(tzinfo=None) - _LOCAL_MARGIN
        high = high.astimezone(zone).replace(tzinfo=None) + _LOCAL_MARGIN
    kind = ("TIMESTAMP" if layout.zone else "TIMESTAMPTZ") + ("_NS" if layout.nanoseconds else "")
    return f"{kind} '{low.isoformat(' ')}'", f"{kind} '{high.isoformat(' ')}'"


def start_stamped(layout: Layout, time: pl.Expr) -> pl.Expr:
    """Int64 UTC microseconds of the bar's open from the files' time column; null where a local time is not one.

    A time between two microseconds is the odd one of them: off the grid as it is, which the even one may not be.
    """
    if layout.zone:
        time = time.dt.replace_time_zone(layout.zone, ambiguous="null", non_existent="null")
    microseconds = time.dt.epoch("us")
    if layout.nanoseconds:
        microseconds |= (time.dt.epoch("ns") % 1000 != 0).cast(pl.Int64)
    return microseconds - MINUTE if layout.end_stamped else microseconds
