"""Outside tables (earnings, ratings, signals made elsewhere), shown on rows as they were known.

`open_outside` looks at the columns, so that a strategy can be refused before anything is read; `OutsideTable` are the rows,
sorted by symbol and by when they became known; `OutsideTable.columns` joins them as-of: a row of bars shows the last row of the
table that was known at its close_time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.datatypes import DataTypeClass

from bt.errors import DataError
from bt.model import Column, MemoryBars, Schedule, Session, TableSpec, instant, slot_times
from bt.schema import MINUTE
from bt.strategy import TableColumns

IntArray = npt.NDArray[np.int64]

NEVER = np.iinfo(np.int64).max
"""When a row becomes known that no session of the run is late enough for."""


@dataclass(frozen=True)
class OpenedTable:
    """A table whose columns have been looked at. `source` is its file, `hash` its content's."""

    name: str
    spec: TableSpec
    source: str
    schema: pl.Schema
    hash: str

    @property
    def columns(self) -> TableColumns:
        """What rows may show of it."""
        return TableColumns(self.source, {name: _kind(dtype) for name, dtype in self.schema.items()})

    def rows(self, columns: Sequence[str]) -> pl.DataFrame:
        """The columns, rows in the order of the file.

        Raises
        ------
        DataError
            The file cannot be read.
        """
        if isinstance(self.spec.path, MemoryBars):
            return self.spec.path.frame.select(columns)
        try:
            return pl.read_parquet(self.spec.path, columns=list(columns), glob=False)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(self.name, self.source, error) from error


def open_outside(specs: Mapping[str, TableSpec]) -> dict[str, OpenedTable]:
    """Every outside table of a run, its columns checked.

    Raises
    ------
    DataError
        A file cannot be read, lacks the column that says when a row became known (or of which symbol it is), or has it in
        a type that does not say so.
    """
    return {name: _checked(_opened(name, spec)) for name, spec in specs.items()}


def _opened(name: str, spec: TableSpec) -> OpenedTable:
    if isinstance(spec.path, MemoryBars):
        return OpenedTable(name, spec, f"tables.{name}", spec.path.frame.schema, spec.path.digest)
    try:
        content = _content(spec.path)
        schema = pl.Schema(pl.read_parquet_schema(spec.path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(name, spec.path, error) from error
    return OpenedTable(name, spec, spec.path, schema, content)


def _content(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unreadable(name: str, path: str, error: Exception) -> DataError:
    why = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return DataError(f"{path}: tables.{name}.path must be a readable Parquet file, was not: {why}; write it as Parquet")


def _checked(table: OpenedTable) -> OpenedTable:
    spec, schema = table.spec, table.schema
    must = {"known_at": "say when each row became known"} | ({"by": "say of which symbol a row is"} if spec.by else {})
    for key, what in must.items():
        column = getattr(spec, key)
        if column not in schema:
            raise DataError(
                f"{table.source}: column {column!r} (tables.{table.name}.{key}) must be there to {what}, was missing among "
                f"{', '.join(schema)}; add it, or name the column that does"
            )
    known = schema[spec.known_at]
    if known != pl.Date and not (isinstance(known, pl.Datetime) and known.time_zone):
        naive = isinstance(known, pl.Datetime)
        hint = '.dt.replace_time_zone("America/New_York")' if naive else "pl.Datetime or pl.Date"
        raise DataError(
            f"{table.source}: column {spec.known_at!r} (tables.{table.name}.known_at) must be a timestamp with a time zone, or "
            f"a date, was {_kind(known)}; write it so, in Polars with {hint}"
        )
    if spec.by and schema[spec.by] not in (pl.String, pl.Categorical, pl.Enum):
        raise DataError(
            f"{table.source}: column {spec.by!r} (tables.{table.name}.by) must be text, was {schema[spec.by]}; cast it"
        )
    return table


def _kind(dtype: pl.DataType | DataTypeClass) -> str:
    """The annotation that fits a column, or what it is where none does."""
    if isinstance(dtype, pl.Datetime):
        return "datetime" if dtype.time_zone else "a timestamp without a time zone"
    if dtype.is_integer():
        return "int"
    if dtype.is_float() or dtype.is_decimal():
        return "float"
    for kind, name in ((pl.Boolean, "bool"), (pl.Date, "date")):
        if dtype == kind:
            return name
    return "str" if dtype in (pl.String, pl.Categorical, pl.Enum) else str(dtype)


class OutsideTable:
    """The rows of one table that the run's symbols can be shown, sorted by symbol, when they became known, and file order.

    Parameters
    ----------
    wanted : sequence of str
        The columns to show.
    symbols : tuple of str
        The run's.
    schedule : Schedule
        Up to the run's last session.

    Raises
    ------
    DataError
        A row has no symbol or does not say when it became known, or a whole number does not fit 64 bits.
    """

    def __init__(self, table: OpenedTable, wanted: Sequence[str], symbols: Sequence[str], schedule: Schedule) -> None:
        spec = table.spec
        keys = [spec.known_at, *([spec.by] if spec.by else [])]
        rows = table.rows(tuple(dict.fromkeys((*keys, *wanted))))
        for key in keys:
            if empty := rows[key].null_count():
                raise DataError(
                    f"{table.source}: column {key!r} must have a value in every row, was empty in {empty:,} of {rows.height:,}; "
                    "fill it in, or leave those rows out"
                )
        code = pl.Series(np.zeros(rows.height, dtype=np.int64))
        if spec.by:
            code = rows[spec.by].cast(pl.String).replace_strict(
                {s: i for i, s in enumerate(symbols)}, default=None, return_dtype=pl.Int64
            )  # fmt: skip
            rows, code = rows.filter(code.is_not_null()), code.drop_nulls()
        order = np.lexsort((np.arange(rows.height), rows[spec.known_at].to_physical().to_numpy(), code.to_numpy()))
        rows, self._code = rows[order], code.to_numpy()[order]
        self._known = _known(rows[spec.known_at], schedule)
        self._values = {name: _values(rows[name], table.source) for name in wanted}
        self._by_symbol = bool(spec.by)
        self._first = np.searchsorted(self._code, np.arange(len(symbols) if spec.by else 1))

    def columns(self, session: Session, code: IntArray, end: IntArray) -> dict[str, Column]:
        """Each column for bars of a session: symbols' codes, and the slot counts at which they end."""
        code = code if self._by_symbol else np.zeros(len(code), dtype=np.int64)
        symbols = len(self._first)
        at_open = np.bincount(self._code[self._known <= session.open], minlength=symbols)
        known = at_open[code]
        today = (self._known > session.open) & (self._known <= session.close)
        if today.any():  # counted in slots: a row is known from the first bar that ends then or later
            ends = slot_times(session) + MINUTE
            stride = session.minutes + 1
            keys = self._code[today] * stride + np.searchsorted(ends, self._known[today]) + 1
            before = np.searchsorted(keys, code * stride)
            known = known + np.searchsorted(keys, code * stride + end, side="right") - before
        none = known == 0
        at = np.where(none, 0, self._first[code] + known - 1)
        return {name: _shown(values, at, none) for name, values in self._values.items()}


def _shown(values: Column, at: IntArray, none: npt.NDArray[np.bool_]) -> Column:
    """The values of rows `at`, unknown where there is `none` or the row's own value is empty."""
    if not len(values.values):
        return Column(np.zeros(len(at), dtype=values.values.dtype), none)
    null = none if values.null is None else none | values.null[at]
    return Column(values.values[at], null if null.any() else None)


def _known(values: pl.Series, schedule: Schedule) -> IntArray:
    """UTC microseconds from which rows are known: of a date, the open of the first session after it."""
    if values.dtype == pl.Date:
        names = pl.Series(schedule.names, dtype=pl.Date).to_physical().to_numpy()
        following = np.searchsorted(names, values.to_physical().to_numpy(), side="right")
        return np.append(schedule.open, NEVER)[following]
    assert isinstance(values.dtype, pl.Datetime)
    units = values.to_physical().to_numpy().astype(np.int64)
    if values.dtype.time_unit == "ns":
        return np.asarray(-(-units // 1000))  # not a nanosecond too early
    return np.asarray(units * (1000 if values.dtype.time_unit == "ms" else 1))


def _values(values: pl.Series, source: str) -> Column:
    """A column as NumPy values, Python objects for text, dates and times, and a mask of the empty ones."""
    null = values.is_null().to_numpy() if values.null_count() else None
    kind = _kind(values.dtype)
    made: npt.NDArray[Any]
    if kind == "int":
        try:
            made = values.fill_null(0).cast(pl.Int64).to_numpy()
        except pl.exceptions.PolarsError:
            raise DataError(
                f"{source}: column {values.name!r} must fit whole numbers of 64 bits, was up to {values.max()!r}; cast it"
            ) from None
    elif kind in ("float", "bool"):
        made = (
            values.cast(pl.Float64).fill_null(np.nan).to_numpy()
            if kind == "float"
            else values.fill_null(value=False).to_numpy()
        )
    else:
        made = np.empty(len(values), dtype=object)
        if kind == "datetime":
            made[:] = [None if us is None else instant(us) for us in values.dt.cast_time_unit("us").to_physical()]
        else:
            made[:] = values.cast(pl.String).to_list() if kind == "str" else values.to_list()
    return Column(made, null)


class Tables:
    """The outside tables that rows of a run show, by interval.

    Parameters
    ----------
    fields : mapping of int to sequence of str
        The fields `<table>_<column>` that rows of each interval (in minutes) show.
    """

    def __init__(
        self, opened: Mapping[str, OpenedTable], fields: Mapping[int, Sequence[str]], symbols: Sequence[str],
        schedule: Schedule,
    ) -> None:  # fmt: skip
        every = {name for names in fields.values() for name in names}
        self._fields = fields
        self._tables: dict[str, OutsideTable] = {}
        for name, table in opened.items():
            wanted = [column for column in table.schema if f"{name}_{column}" in every]
            if wanted:
                self._tables[name] = OutsideTable(table, wanted, symbols, schedule)

    def columns(self, interval: int, session: Session, code: IntArray, end: IntArray) -> dict[str, Column]:
        """The fields of bars of an interval in a session."""
        asked = self._fields.get(interval, ())
        found: dict[str, Column] = {}
        for name, table in self._tables.items() if asked else ():
            found |= {f"{name}_{column}": made for column, made in table.columns(session, code, end).items()}
        return {field: found[field] for field in asked}
