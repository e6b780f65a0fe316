"""A session set up for the minute loop: its bars, the moments to step through, what each strategy is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bt.engine.market import Market
from bt.engine.opening import Opened
from bt.engine.players import Player
from bt.engine.signalling import Bars as Signalling
from bt.engine.signalling import Signalled
from bt.model import Instruments, PreparedBars, PreparedSession, Session, slot_times
from bt.playback import Feed, Tape, Withheld, feed
from bt.schema import MINUTE
from bt.section import CrossFeed
from bt.strategy import Declaration, RowType, ends_a_minute, slots_ended

Callback = Callable[[Any, Any], Any]
IntArray = npt.NDArray[np.int64]


class Step(NamedTuple):
    """A moment of the session, UTC microseconds: `end` minutes are over; `minute` is False where none ends just then (at the
    open, when a break is over). `timers` are the methods to call, for each strategy that has some."""

    time: int
    end: int
    minute: bool
    timers: dict[int, list[Callback]]


class Moments(NamedTuple):
    """The moments of a session in order: `key` is twice their UTC microseconds, and 1 more where a minute ends just then; `end` minutes are over. `timers` are as of
    `Step`, by place, where there are some."""

    key: IntArray
    end: IntArray
    timers: Mapping[int, dict[int, list[Callback]]]

    def steps(self) -> list[Step]:
        """Each of them."""
        timers = (
            [self.timers.get(place, _NO_TIMERS) for place in range(len(self.key))]
            if self.timers
            else repeat(_NO_TIMERS)
        )
        minutes = (self.key % 2 == 1).tolist()
        return list(map(Step, (self.key // 2).tolist(), self.end.tolist(), minutes, timers))


_NO_TIMERS: dict[int, list[Callback]] = {}


@dataclass(frozen=True)
class Show:
    """What one strategy is shown in a session, and what its signals say."""

    feeds: Sequence[Feed]
    cross: CrossFeed | None
    on_bar: Callback | None
    on_minute: Callback | None
    withheld: Sequence[Withheld]
    signalled: Signalled | None = None

    def at(self, minutes: int) -> npt.NDArray[np.bool_]:
        """By how many of the `minutes` of the session are over whether it has something to show or decide, timers apart."""
        found = np.zeros(minutes + 1, dtype=bool)
        if self.signalled is not None:
            found |= self.signalled.decides
        feeds = list(self.feeds) if self.on_bar is not None else []
        if self.on_minute is not None and self.cross is not None:
            feeds.append(self.cross.feed)
        for one in feeds:
            found |= np.diff(one.start) > 0
        return found

    def shows_minute(self, end: int) -> bool:
        """Whether a row of the cross-section ends then."""
        return self.cross is not None and self.cross.feed.start[end] < self.cross.feed.start[end + 1]


def visible_codes(prepared: PreparedSession, players: Sequence[Player], symbols: int) -> npt.NDArray[np.bool_] | None:
    """Marks the members of a session that begins now and what anybody holds; None without a universe."""
    if prepared.members is None:
        return None
    seen = np.zeros(symbols, dtype=bool)
    seen[prepared.members] = True
    for player in players:
        seen[player.visible(prepared.members)] = True
    return seen


def alone(prepared: PreparedSession, seen: npt.NDArray[np.bool_] | None) -> PreparedSession:
    """The session with the bars of marked symbols; the others were only read along."""
    return prepared if seen is None else prepared.only(seen)


class Own(NamedTuple):
    """Where one of several strategies has moments of its own, by how many minutes are over: `bars`, where a minute bar that it sees ends,
    and `ends`, where any bar of its intervals does."""

    bars: npt.NDArray[np.bool_]
    ends: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Stage:
    """One session, set up for the minute loop. `tapes` are of every interval that some strategy is shown; `owns` are the moments of each strategy, nothing where there is one: all are its own."""

    session: Session
    market: Market
    moments: Moments
    shows: Sequence[Show]
    tapes: Mapping[int, Tape]
    owns: Sequence[Own] = ()

    @cached_property
    def steps(self) -> list[Step]:
        """Every moment, to step through."""
        return self.moments.steps()

    @cached_property
    def shown(self) -> list[bool]:
        """By how many minutes are over whether anybody is shown or decides something, timers apart."""
        minutes = self.session.minutes
        found = [show.at(minutes) for show in self.shows]
        return list(np.logical_or.reduce([np.zeros(minutes + 1, dtype=bool), *found]).tolist())

    def is_own(self, number: int, step: Step) -> bool:
        """Whether strategy `number` would have the moment were it alone."""
        if not self.owns or number in step.timers:
            return True
        return step.minute and bool(self.owns[number].ends[step.end])

    def sees(self, number: int, end: int) -> bool:
        """Whether a minute bar that strategy `number` sees ends when `end` minutes are over."""
        return bool(self.owns[number].bars[end]) if self.owns else self.market.count[end - 1] > 0

    def is_empty(self, number: int) -> bool:
        """Whether strategy `number` sees no bar in the session: then the session is not shown to it."""
        return not (self.owns[number].bars.any() if self.owns else any(self.market.count))

    def has_bar(self, code: int, step: Step, rows: Sequence[RowType]) -> bool:
        """Whether a bar of a symbol ends now that a strategy with these row types sees: of minutes or of their intervals."""
        if not step.minute:
            return False
        end = step.end
        return bool(self.market.bar(end - 1)[code] >= 0) or any(
            code in tape.turns.code[tape.start[end] : tape.start[end + 1]] for tape in self._of(rows)
        )

    def having_bars(self, step: Step, rows: Sequence[RowType]) -> npt.NDArray[np.bool_]:
        """Marks the symbols of which `has_bar` is true."""
        if not step.minute:
            return np.zeros(len(self.market.last), dtype=bool)
        marks = self.market.bar(step.end - 1) >= 0
        for tape in self._of(rows):
            marks[tape.turns.code[tape.start[step.end] : tape.start[step.end + 1]]] = True
        return marks

    def _of(self, rows: Sequence[RowType]) -> list[Tape]:
        """Not those of other strategies: no strategy's moments are another's."""
        return [self.tapes[row.interval] for row in rows if row.interval in self.tapes]

    @staticmethod
    def of(
        prepared: PreparedSession, players: Sequence[Player], names: npt.NDArray[np.object_], zone: ZoneInfo,
        *, opened: Mapping[int, Opened], prior: npt.NDArray[np.int64], several: bool, instruments: Instruments | None = None,
    ) -> Stage:  # fmt: skip
        """Make what is shown; `opened` is by number of the player, `prior` as in `Market.of`; `several` says that each has moments of its own."""
        market = Market.of(prepared, prior, instruments)
        showing = _Showing(prepared, names, zone, market)
        bars = Signalling(prepared, market.tape, len(names), instruments)
        shows = [
            replace(showing.to(player, opened.get(i)), signalled=Signalled.of(prepared, player, bars))
            for i, player in enumerate(players)
        ]
        ended = np.zeros(prepared.session.minutes + 1, dtype=bool)
        ended[1:] = np.array(market.count) > 0
        for tape in showing.tapes.values():
            ended |= np.diff(tape.start) > 0
        for unseen in prepared.unseen.values():
            ended[unseen.end] = True
        owns = _owns(prepared, players, len(names)) if several else []
        moments = _moments(prepared.session, np.flatnonzero(ended), players, zone)
        return Stage(prepared.session, market, moments, shows, showing.tapes, owns)


def _owns(prepared: PreparedSession, players: Sequence[Player], symbols: int) -> list[Own]:
    """The moments of each strategy; those that see the same have the same."""
    made: dict[tuple[bytes, tuple[int, ...]], Own] = {}
    owns = []
    for player in players:
        codes = player.visible(prepared.members)
        intervals = tuple(row.interval for row in player.declaration.rows)
        key = codes.tobytes(), intervals
        if key not in made:
            made[key] = _own(prepared, codes, intervals, symbols)
        owns.append(made[key])
    return owns


def _own(prepared: PreparedSession, codes: npt.NDArray[np.int64], intervals: Sequence[int], symbols: int) -> Own:
    """The moments of one strategy among several, which sees `codes` at these intervals."""
    seen = np.zeros(symbols, dtype=bool)
    seen[codes] = True

    def ending(bars: PreparedBars) -> npt.NDArray[np.bool_]:
        ends = np.zeros(prepared.session.minutes + 1, dtype=bool)
        ends[bars.end[seen[bars.code]]] = True
        return ends

    minutes = ending(prepared.minutes)
    coarse = [
        ending(some[interval])
        for interval in intervals
        for some in (prepared.shown, prepared.unseen)
        if interval != 1 and interval in some
    ]
    return Own(minutes, np.logical_or.reduce([minutes, *coarse]))


BARE = RowType(object, 1, "1m", ())
"""What a timer of a strategy without a row type is shown: who has a bar this minute."""


class _View(NamedTuple):
    """What of the bars one strategy is shown: the sorted codes it sees, the slot counts at which it has rows (None: all), and
    what its at_open gave."""

    codes: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64] | None
    opened: Opened | None

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal views; columns of at_open are nobody else's."""
        return self.codes.tobytes(), None if self.ends is None else self.ends.tobytes(), id(self.opened or None)

    def marks(self, tape: Tape, symbols: int) -> npt.NDArray[np.bool_] | None:
        """Marks the bars of a tape that it shows; None where it shows all."""
        shown = []
        if len(self.codes) < symbols:
            shown.append(np.isin(np.arange(symbols), self.codes)[tape.code])
        if self.ends is not None:
            shown.append(np.isin(np.arange(len(tape.start)), self.ends)[tape.end])
        marks: npt.NDArray[np.bool_] | None = np.logical_and.reduce(shown) if shown else None
        return None if marks is None or marks.all() else marks


class _Showing:
    """Makes what strategies are shown; what is equal for two of them is made once."""

    def __init__(
        self, prepared: PreparedSession, names: npt.NDArray[np.object_], zone: ZoneInfo, market: Market
    ) -> None:
        self._members = prepared.members
        self.tapes = {interval: Tape.of(prepared.session, bars) for interval, bars in prepared.shown.items()}
        self._columns = {interval: bars.columns for interval, bars in prepared.shown.items()}
        self._session, self._minutes = prepared.session, prepared.minutes
        self._names, self._zone, self._times = names, zone, market.times
        self._feeds: dict[Any, Feed] = {}
        self._cross: dict[Any, CrossFeed] = {}

    def to(self, player: Player, opened: Opened | None) -> Show:
        """What a strategy is shown; `opened` is what its at_open gave, which makes its feeds its own."""
        declared, instance = player.declaration, player.instance
        if player.asleep or (not {"on_bar", "on_minute"} & declared.callbacks and not declared.timers):
            return Show((), None, None, None, ())
        view = _View(player.visible(self._members), self._ends(declared) if declared.timers_alone else None, opened)
        pairs = list(zip(declared.rows, player.ids, strict=False)) or [(BARE, {})]
        keys = [(row.cls, row.interval, tuple(sorted(ids.items())), view.key) for row, ids in pairs]
        feeds = [self._feed(key, row, ids, view) for key, (row, ids) in zip(keys, pairs, strict=True)]
        cross = None
        if "on_minute" in declared.callbacks or declared.timers:
            cross = self._cross.get(keys[0])
            if cross is None:
                cross = self._cross[keys[0]] = CrossFeed.of(feeds[0], view.codes)
        on_bar, on_minute = (getattr(instance, n, None) for n in ("on_bar", "on_minute"))
        return Show(feeds, cross, on_bar, on_minute, [w for f in feeds for w in f.withheld])

    def _ends(self, declared: Declaration) -> npt.NDArray[np.int64]:
        """The slot counts at which its timers go off as a minute ends: a strategy with timers alone has rows only there."""
        moments = {us for timer in declared.timers for us in timer.instants(self._session, self._zone)}
        ends = {slots_ended(self._session, us) for us in moments if ends_a_minute(self._session, us)}
        return np.array(sorted(ends), dtype=np.int64)

    def _feed(self, key: Any, row: RowType, ids: dict[str, str], view: _View) -> Feed:
        if key not in self._feeds:
            if row is BARE:
                tape, columns = Tape.of(self._session, self._minutes), self._minutes.columns
            else:
                tape, columns = self.tapes[row.interval], self._columns[row.interval]
            self._feeds[key] = feed(
                tape, columns, row, ids,
                names=self._names, zone=self._zone, times=self._times, keep=view.marks(tape, len(self._names)), opened=view.opened,
            )  # fmt: skip
        return self._feeds[key]


def _moments(session: Session, ends: IntArray, players: Sequence[Player], zone: ZoneInfo) -> Moments:
    """Every moment at which a bar ends (`ends` minutes are over) or a timer goes off."""
    keys = 2 * (slot_times(session) + MINUTE)[ends - 1] + 1
    timers: dict[int, dict[int, list[Callback]]] = {}
    for number, player in enumerate(players):
        for timer in () if player.asleep else player.declaration.timers:
            for us in timer.instants(session, zone):
                due = timers.setdefault(2 * us + ends_a_minute(session, us), {}).setdefault(number, [])
                if (method := getattr(player.instance, timer.method)) not in due:  # once, however many timers go off
                    due.append(method)
    if not timers:
        return Moments(keys, ends, {})
    every = np.union1d(keys, np.array(list(timers), dtype=np.int64))
    over = np.array([slots_ended(session, key // 2) for key in every.tolist()], dtype=np.int64)
    over[np.searchsorted(every, keys)] = ends
    return Moments(every, over, {place: timers[key] for place, key in enumerate(every.tolist()) if key in timers})
