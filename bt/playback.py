"""From a prepared session's columns to what callbacks are handed: Python rows, and a minute's cross-section.

A prepared session is in canonical order (symbol, slot). A `Tape` turns it once into playback order (slot, symbol), so that a
minute is a slice. Nothing handed out is a view of more than its own minute. The cross-section is in `bt.section`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import repeat
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bt.errors import StrategyError
from bt.model import EPOCH, Column, PreparedBars, Session
from bt.resample import CLOSED_BY
from bt.schema import MINUTE
from bt.strategy import RowField, RowType

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tape:
    """The bars of one interval in playback order: `start[e]` to `start[e + 1]` are the rows that end at slot count e."""

    session: Session
    order: IntArray
    code: IntArray
    begin: IntArray
    start: list[int]
    columns: Mapping[str, Column]

    @staticmethod
    def of(session: Session, bars: PreparedBars) -> Tape:
        """Sort canonical bars by (end, code)."""
        end = bars.end
        order = np.argsort(end.astype(np.uint16), kind="stable")  # uint16: a radix sort
        count = np.bincount(end, minlength=session.minutes + 1)
        start = [0, *np.cumsum(count).tolist()]
        code, begin = (np.take(values, order).astype(np.int64, copy=False) for values in (bars.code, bars.begin))
        return Tape(session, order, code, begin, start, bars.columns)

    def at(self, ends: IntArray) -> Tape:
        """Only the rows that end at one of the slot counts `ends`."""
        count = np.diff(self.start)
        keep = np.zeros(len(count), dtype=bool)
        keep[ends] = True
        if not count[~keep].any():
            return self
        rows = np.repeat(keep, count)
        start = [0, *np.cumsum(count * keep).tolist()]
        return Tape(self.session, self.order[rows], self.code[rows], self.begin[rows], start, self.columns)

    def bare(self) -> Tape:
        """Which symbols' bars end when, and nothing else: a session's columns are much to keep."""
        nothing = np.zeros(0, dtype=np.int64)
        return Tape(self.session, nothing, self.code, nothing, self.start, {})

    def take(self, name: str) -> Column:
        """A column in playback order."""
        column = self.columns[name]
        return Column(
            np.take(column.values, self.order), None if column.null is None else np.take(column.null, self.order)
        )


class Withheld(NamedTuple):
    """Rows a strategy was not shown because a field it requires is not known yet."""

    field: str
    code: IntArray
    begin: IntArray


@dataclass(frozen=True)
class Feed:
    """What one row type shows of one session: columns in playback order, by minute.

    `start` is as in Tape; `arrays` are those behind the fields that differ by symbol, by field number; the symbol is found by its code, and the other
    fields are constants of the moment.
    """

    row: RowType
    session: Session
    zone: ZoneInfo
    names: npt.NDArray[np.object_]
    code: IntArray
    begin: IntArray
    start: list[int]
    arrays: Mapping[int, Array]
    withheld: Sequence[Withheld]
    times: IntArray

    def rows(self, end: int) -> tuple[Iterator[Any], Any, IntArray]:
        """The rows that end at slot count `end`, the iterator whose progress tells which row is out, and their codes."""
        a, b = self.start[end], self.start[end + 1]
        begin = int(self.begin[a])
        sources: list[Any] = []
        progress: Any = None
        for number, item in enumerate(self.row.fields):
            array = self.names[self.code[a:b]] if item.source == "symbol" else self.arrays.get(number)
            if array is None:
                sources.append(repeat(constant(item, self, begin, end, self.close_time(end))))
            else:
                made = iter((array if item.source == "symbol" else array[a:b]).tolist())
                progress = progress if progress is not None else made
                sources.append(made)
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


def _listed(item: RowField, column: Column, owner: str) -> Array:
    """A column as the array whose slices' ``tolist()`` gives the field's Python values."""
    values, null = column
    if item.name == "closed_by":
        named: Array = np.array(CLOSED_BY, dtype=object)[values]
        return named
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
    if null is not None and null.any():
        values = values.astype(object)
        values[null] = None
    return values


def _by_code(opened: Mapping[str, Column] | None, item: RowField, tape: Tape) -> Column:
    """What at_open gave each row's symbol."""
    assert opened is not None
    values, null = opened[item.name]
    unknown = None if null is None else null[tape.code]
    return Column(values[tape.code], unknown if unknown is not None and unknown.any() else None)


def feed(
    tape: Tape, row: RowType, ids: Mapping[str, str], *, names: npt.NDArray[np.object_], zone: ZoneInfo, times: IntArray,
    visible: npt.NDArray[np.bool_] | None = None, opened: Mapping[str, Column] | None = None,
) -> Feed:  # fmt: skip
    """What `row` shows of a tape.

    `ids` maps field names to the tape's column names; `visible` marks the codes that are shown, None all; `opened` has, by field, what
    at_open gave each code.
    """
    owner = f"row type {row.cls.__name__}"
    found: dict[int, Column] = {}
    keep = None if visible is None or visible.all() else visible[tape.code]
    withheld: list[Withheld] = []
    for number, item in enumerate(row.fields):
        if item.source in ("symbol", "constant"):
            continue
        column = found[number] = _by_code(opened, item, tape) if item.source == "opened" else tape.take(ids[item.name])
        if column.null is not None and not item.optional:
            shown = np.ones(len(tape.code), dtype=bool) if keep is None else keep
            hidden = column.null & shown
            if hidden.any():
                withheld.append(Withheld(item.name, tape.code[hidden], tape.begin[hidden]))
                keep = shown & ~hidden
    code, begin, start = tape.code, tape.begin, tape.start
    if keep is not None:
        code, begin = code[keep], begin[keep]
        start = np.concatenate([[0], np.cumsum(keep)])[start].tolist()
        found = {k: Column(c.values[keep], None if c.null is None else c.null[keep]) for k, c in found.items()}
    arrays = {k: _listed(row.fields[k], c, owner) for k, c in found.items()}
    return Feed(row, tape.session, zone, names, code, begin, start, arrays, withheld, times)
