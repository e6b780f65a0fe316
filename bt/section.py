"""The cross-section: one moment of the session's universe as arrays, symbols always in the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from bt.jit import IntArray, read_only
from bt.playback import Feed, Tape, constant, find_rows, lay_out
from bt.schema import MINUTE

CELLS = 1 << 20
"""So many numbers of a cross-section are laid out at a time, eight megabytes: a symbol's bars are read one behind the other, and the fewer of them at a time the more it costs to begin
with each."""


class LastBars(Protocol):
    """A session's minute bars: (symbols, minutes) the row of each symbol's last bar when a minute ends, -1 before its first."""

    @property
    def last(self) -> npt.NDArray[np.int64]:
        """The table."""

    def ends(self, rows: IntArray) -> IntArray:
        """The ends of some bars, UTC microseconds."""


class Ends:
    """When each symbol's last bar ended, as of the moment at which `end` minutes are over; `before` is what it was at the session's open.

    It looks into the session's bars when asked, until `settle`: rows that a strategy keeps must not hold a whole session.
    """

    __slots__ = ("__weakref__", "_bars", "_before", "_end")

    def __init__(self, bars: LastBars, end: int, before: IntArray) -> None:
        self._bars: LastBars | None = bars
        self._end, self._before = end, before

    def of(self, code: IntArray) -> IntArray:
        """UTC microseconds for some symbols, 0 before the first bar."""
        found: IntArray = self._before[code]
        if self._end and self._bars is not None:
            rows = self._bars.last[code, self._end - 1]
            has = rows >= 0
            found[has] = self._bars.ends(rows[has].astype(np.int64))
        return found

    def settle(self) -> None:
        """Look everything up, and let go of the session's bars."""
        self._before, self._bars = self.of(np.arange(len(self._before))), None


class Moment(NamedTuple):
    """What is the same for every symbol of some rows: where `block` has each field, constant fields, the present (UTC microseconds)."""

    fields: Mapping[str, int]
    constants: Mapping[str, Any]
    now: int
    ends: Ends


class MinuteRows:
    """One moment of the universe: the `Rows` handed to on_minute and timers. See `bt.strategy.Rows`. `rows_of` makes them with their fields.

    Parameters
    ----------
    names : tuple of str and array
        The symbols and their codes.
    fresh, position, block : array
        An entry a symbol; of `block` (fields, symbols). They become read-only; the codes are.
    moment : Moment
    """

    __slots__ = ("_block", "_moment", "code", "fresh", "position", "symbol")

    def __init__(
        self,
        names: tuple[tuple[str, ...], IntArray],
        *,
        fresh: npt.NDArray[np.bool_],
        position: IntArray,
        block: npt.NDArray[np.float64],
        moment: Moment,
    ) -> None:
        self.symbol, self.code = names
        self.fresh = fresh
        self.position = position
        self._block = block
        self._moment = moment
        for array in (fresh, position, block):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.symbol)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._moment.constants:
            return self._moment.constants[name]
        raise AttributeError(
            f"rows: a column must be one of {', '.join(self._known())}, was {name!r}; add it to the row type"
        )

    def _known(self) -> tuple[str, ...]:
        return ("symbol", "code", "fresh", "age", "position", *self._moment.fields, *self._moment.constants)

    def __reduce__(self) -> tuple[Any, ...]:
        names = (self.symbol, self.code)
        return _remade, (names, self.fresh, self.position, self._block, self._moment)

    @property
    def age(self) -> npt.NDArray[np.float64]:
        """Minutes since the end of each symbol's last bar, by the clock; NaN where there was none yet."""
        ends = self._moment.ends.of(self.code)
        minutes = (self._moment.now - ends) / MINUTE
        minutes[ends == 0] = np.nan
        minutes.flags.writeable = False
        return np.asarray(minutes)

    def take(self, which: Sequence[str] | npt.ArrayLike) -> MinuteRows:
        """The rows of some symbols: their names, their positions, or a boolean mask over all of them."""
        rows = np.asarray(which)
        if rows.dtype.kind == "b" and rows.shape != (len(self),):
            raise ValueError(f"rows.take: a mask must have one entry a symbol, {len(self)}, was {rows.shape}")
        if rows.dtype.kind == "U":
            rows = self._places(rows.tolist())
        at = np.flatnonzero(rows) if rows.dtype.kind == "b" else rows.astype(np.int64)
        names = tuple([self.symbol[i] for i in at.tolist()]), self.code[at]
        names[1].setflags(write=False)
        return type(self)(
            names, fresh=self.fresh[at], position=self.position[at], block=self._block[:, at], moment=self._moment
        )

    def _places(self, symbols: Sequence[str]) -> IntArray:
        place = {symbol: i for i, symbol in enumerate(self.symbol)}
        for symbol in symbols:
            if symbol not in place:
                near = get_close_matches(symbol, self.symbol, 1, 0.0) or ["none"]
                raise ValueError(
                    f"rows.take: symbol must be one of the {len(place)} rows, was {symbol!r}; the nearest is {near[0]!r}"
                )
        return np.array([place[symbol] for symbol in symbols], dtype=np.int64)

    def matrix(self, *names: str) -> npt.NDArray[np.float64]:
        """The columns `names` side by side, (symbols, names); a copy that is yours to change."""
        for name in names:
            if name not in self._moment.fields:
                known = ", ".join(self._moment.fields) or "(none)"
                raise AttributeError(f"rows.matrix: a column must be one of {known}, was {name!r}")
        return np.ascontiguousarray(self._block[[self._moment.fields[n] for n in names]].T)


def _remade(
    names: tuple[tuple[str, ...], IntArray], fresh: npt.NDArray[np.bool_], position: IntArray, block: npt.NDArray[np.float64],
    moment: Moment,
) -> MinuteRows:  # fmt: skip
    """Rows that were pickled or copied."""
    names[1].setflags(write=False)
    return rows_of(tuple(moment.fields))(names, fresh=fresh, position=position, block=block, moment=moment)


@lru_cache
def rows_of(fields: tuple[str, ...]) -> type[MinuteRows]:
    """Rows whose `fields` are found as properties: to be asked for one that is none, and to look then, takes several times as long."""

    def column(number: int) -> property:
        return property(lambda rows: rows._block[number])  # noqa: SLF001 - its own

    own = {name: column(number) for number, name in enumerate(fields) if name not in dir(MinuteRows)}
    return type("MinuteRows", (MinuteRows,), {"__slots__": (), "__module__": __name__, **own})


def _moments(tape: Tape) -> tuple[Sequence[int], IntArray]:
    """The moments at which bars end, numbered: by slot count, and by row."""
    ends = np.diff(tape.start) > 0
    if ends[1:].all():  # then they are the slot counts
        return range(len(ends)), tape.end
    number = np.cumsum(ends) - 1
    return number.tolist(), read_only(number[tape.end])


@dataclass
class CrossFeed:
    """The cross-section of one row type: its number fields by minute and symbol.

    `codes` and `symbols` are what it always holds, `fields` has the place of each field, `values` its numbers in the feed's canonical order. A symbol's rows are
    there from its `since` on, and before its `over`. The moments at which rows end are laid out some at a time, in a table as wide as the universe.
    """

    feed: Feed
    symbols: tuple[str, ...]
    codes: IntArray
    fields: Mapping[str, int]
    values: Sequence[npt.NDArray[np.float64]]
    since: IntArray
    over: IntArray

    def __post_init__(self) -> None:
        symbols, fields = len(self.symbols), len(self.values)
        self._number, self._moment = _moments(self.feed.tape)
        count = min(max(1, CELLS // max(1, symbols * (fields + 1))), self._number[-1] + 1)
        self._first = self._stop = 0  # of the moments that are laid out
        self._block = np.empty((count, fields, symbols))
        self._fresh = np.empty((count, symbols), dtype=bool)
        self._begin, self._end = self.since.copy(), self.since.copy()  # the rows that are
        self._made = rows_of(tuple(self.fields))
        self._constants = [f for f in self.feed.row.fields if f.source == "constant"]

    @staticmethod
    def of(feed: Feed, codes: IntArray) -> CrossFeed:
        """From the feed of what is visible, over the sorted `codes`; text fields are left out, unknown values become NaN."""
        numbers = [k for k in feed.columns if feed.row.fields[k].type in ("float", "int", "bool")]
        fixed = np.frombuffer(codes.astype(np.int64).tobytes(), dtype=np.int64)  # nobody can make it writeable
        named = {feed.row.fields[k].name: i for i, k in enumerate(numbers)}
        since = np.searchsorted(feed.tape.code, fixed)
        over = np.append(since[1:], len(feed.tape.code))
        return CrossFeed(
            feed, tuple(feed.names[fixed].tolist()), fixed, named, [feed.numbers(k) for k in numbers], since, over
        )

    def _lay_out(self, first: int) -> None:
        """The moments from number `first` on as a table, as many as fit."""
        if first < self._first:
            self._end[:] = self.since
        self._first, self._stop = first, first + len(self._block)
        moment, begin, stop = self._moment, self._begin, self._end
        find_rows(moment, read_only(self.over), first, begin, stop, self._fresh)
        for field, values in enumerate(self.values):
            lay_out(values, moment, first, read_only(begin), read_only(stop), field, self._block)

    def rows(self, end: int, now: int, position: IntArray, ends: Ends, *, fresh: bool = True) -> MinuteRows:
        """The moment `now` at slot count `end`, with the bars that end then (`fresh`), or none.

        `position` is by code and copied; `ends` answers when somebody asks for ages.
        """
        start = self.feed.start
        a, b = start[end], start[end + 1]
        if not fresh:
            b = a
        if b > a:
            number = self._number[end]
            if not self._first <= number < self._stop:
                self._lay_out(number)
            place = number - self._first
            block, has = self._block[place].copy(), self._fresh[place].copy()
        else:
            block = np.full((len(self.values), len(self.symbols)), np.nan)
            has = np.zeros(len(self.symbols), dtype=bool)
        constants: dict[str, Any] = {}
        if self._constants:
            begin = self.feed.tape.began[end] if b > a else max(end - 1, 0)
            constants = {f.name: constant(f, self.feed, begin, end, now) for f in self._constants}
        held = position.copy() if len(self.codes) == len(position) else position[self.codes]
        return self._made(
            (self.symbols, self.codes), fresh=has, position=held, block=block,
            moment=Moment(self.fields, constants, now, ends),
        )  # fmt: skip
