"""What one row type shows of a session, as Python rows. Nothing handed out is a view of more than its own minute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import repeat
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bt.errors import StrategyError
from bt.jit import IntArray, read_only
from bt.model import EPOCH, Column, Session
from bt.playback.tape import Tape
from bt.resample import CLOSED_BY
from bt.schema import MINUTE
from bt.strategy import RowField, RowType

Array = npt.NDArray[Any]


class Withheld(NamedTuple):
    """Rows a strategy was not shown because a field it requires is not known yet."""

    field: str
    code: IntArray
    begin: IntArray


@dataclass(frozen=True)
class Feed:
    """What one row type shows of one session.

    `tape` has its rows, `columns` what is behind the fields that differ by symbol, by field number, both in canonical order; the symbol is found by its code, and
    the other fields are constants of the moment. `start` is as in Tape.
    """

    row: RowType
    tape: Tape
    start: list[int]
    zone: ZoneInfo
    names: npt.NDArray[np.object_]
    columns: Mapping[int, Column]
    withheld: Sequence[Withheld]
    times: IntArray

    @property
    def session(self) -> Session:
        """Its session."""
        return self.tape.session

    @cached_property
    def code(self) -> IntArray:
        """By row the symbol, in playback order."""
        return self.tape.turns.code

    @cached_property
    def arrays(self) -> Mapping[int, Array]:
        """The fields' Python values, in playback order."""
        order = self.tape.turns.order
        return {k: _listed(self.row.fields[k], column, order) for k, column in self.columns.items()}

    def numbers(self, field: int) -> npt.NDArray[np.float64]:
        """A field in canonical order as numbers that are not to be written, NaN where it is not known."""
        values, null = self.columns[field]
        made = values.astype(np.float64, order="C", copy=False)
        return read_only(made if null is None else np.where(null, np.nan, made))

    @cached_property
    def _sources(self) -> list[tuple[RowField, Array | None]]:
        """Every field, and its values in playback order; None where they are the same for all that is shown at a moment."""
        return [
            (item, self.names[self.code] if item.source == "symbol" else self.arrays.get(number))
            for number, item in enumerate(self.row.fields)
        ]

    def rows(self, end: int) -> tuple[Iterator[Any], Any, IntArray]:
        """The rows that end at slot count `end`, the iterator whose progress tells which row is out, and their codes."""
        a, b = self.start[end], self.start[end + 1]
        sources: list[Any] = []
        progress: Any = None
        for item, array in self._sources:
            if array is None:
                sources.append(repeat(constant(item, self, self.tape.began[end], end, self.close_time(end))))
                continue
            made = iter(array[a:b].tolist())
            sources.append(made)
            if progress is None:
                progress = made
        if progress is None:
            progress = iter(range(b - a))
            made_rows = (row for row, _ in zip(map(self.row.cls, *sources), progress, strict=False))
            return iter(made_rows), progress, self.code[a:b].copy()
        return map(self.row.cls, *sources), progress, self.code[a:b].copy()

    def close_time(self, end: int) -> int:
        """The instant at which slot count `end` is reached, UTC microseconds."""
        return int(self.times[end - 1]) + MINUTE if end else self.session.open


def constant(item: RowField, feed: Feed, begin: int, end: int, now: int) -> Any:
    """The value of a field that is the same for every bar shown at the moment `now`, UTC microseconds."""
    if item.name == "session":
        return feed.session.name
    if item.name == "minute":
        return end - 1
    if item.name == "minutes_left":
        return feed.session.minutes - end
    if item.name == "interval":
        return feed.row.label
    us = int(feed.times[begin]) if item.name == "open_time" else now
    if item.type == "int":
        return us
    moment = EPOCH + timedelta(microseconds=us)
    return moment if item.name != "local_time" else moment.astimezone(feed.zone).time()


def _typed(item: RowField, column: Column, owner: str) -> Column:
    """A column with values of the field's type."""
    values, null = column
    kind = values.dtype.kind
    if item.type == "float" and kind != "f":
        values = values.astype(np.float64)
    elif item.type == "int" and kind == "f":
        known = values if null is None else values[~null]
        if not np.equal(known, np.rint(known)).all():
            bad = known[np.not_equal(known, np.rint(known))][0]
            raise StrategyError(f"{owner}, field {item.name!r}: an int must be whole, was {bad}; annotate it float")
        values = np.nan_to_num(values).astype(np.int64)
    elif item.type == "bool" and kind != "b":
        raise StrategyError(f"{owner}, field {item.name!r}: a bool must come from a boolean feature")
    return Column(values, null)


def _listed(item: RowField, column: Column, order: IntArray) -> Array:
    """A column's rows in an `order`, as the array whose slices' ``tolist()`` gives the field's Python values."""
    values = np.take(column.values, order)
    if item.name == "closed_by":
        named: Array = np.array(CLOSED_BY, dtype=object)[values]
        return named
    if column.null is not None and column.null.any():
        values = values.astype(object)
        values[np.take(column.null, order)] = None
    return values


def _by_code(opened: Mapping[str, Column] | None, item: RowField, tape: Tape) -> Column:
    """What at_open gave each row's symbol."""
    assert opened is not None
    values, null = opened[item.name]
    unknown = None if null is None else null[tape.code]
    return Column(values[tape.code], unknown if unknown is not None and unknown.any() else None)


def feed(
    tape: Tape, columns: Mapping[str, Column], row: RowType, ids: Mapping[str, str], *,
    names: npt.NDArray[np.object_], zone: ZoneInfo, times: IntArray,
    keep: npt.NDArray[np.bool_] | None = None, opened: Mapping[str, Column] | None = None,
) -> Feed:  # fmt: skip
    """What `row` shows of the bars of a tape and their `columns`.

    `ids` maps field names to the columns' names; `keep` marks the rows that are shown, None all; `opened` has, by field, what
    at_open gave each code.
    """
    owner = f"row type {row.cls.__name__}"
    found: dict[int, Column] = {}
    withheld: list[Withheld] = []
    for number, item in enumerate(row.fields):
        if item.source in ("symbol", "constant"):
            continue
        column = _by_code(opened, item, tape) if item.source == "opened" else columns[ids[item.name]]
        if item.optional:
            column = column.nan_as_null()
        found[number] = column
        if column.null is not None and not item.optional:
            shown = np.ones(len(tape.code), dtype=bool) if keep is None else keep
            hidden = column.null & shown
            if hidden.any():
                withheld.append(Withheld(item.name, tape.code[hidden], tape.begin[hidden]))
                keep = shown & ~hidden
    if keep is not None:
        tape = tape.only(keep)
        found = {k: column.pick(keep) for k, column in found.items()}
    found = {k: _typed(row.fields[k], column, owner) for k, column in found.items()}
    return Feed(row, tape, tape.start, zone, names, found, withheld, times)
