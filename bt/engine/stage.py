"""A session set up for the minute loop: its bars in playback order, the moments to step through, what each strategy is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bt.book import FillRecord
from bt.engine.players import Player
from bt.execution import to_units, units
from bt.model import PreparedSession, Session, slot_times
from bt.playback import Feed, Tape, Withheld, feed
from bt.schema import MINUTE
from bt.section import CrossFeed
from bt.strategy import RowType, ends_a_minute, slots_ended

Callback = Callable[[Any, Any], Any]


class Step(NamedTuple):
    """A moment of the session, UTC microseconds: `end` minutes are over; `minute` is False where none ends just then (at the
    open, when a break is over). `timers` are the methods to call, for each strategy that has some."""

    time: int
    end: int
    minute: bool
    timers: dict[int, list[Callback]]


@dataclass(frozen=True)
class Show:
    """What one strategy is shown in a session."""

    feeds: Sequence[Feed]
    cross: CrossFeed | None
    on_bar: Callback | None
    on_minute: Callback | None
    withheld: Sequence[Withheld]

    def at(self, end: int) -> bool:
        """Whether it has something to show when `end` minutes are over, timers apart."""
        if self.on_bar is not None and any(f.start[end] < f.start[end + 1] for f in self.feeds):
            return True
        return self.on_minute is not None and self.shows_minute(end)

    def shows_minute(self, end: int) -> bool:
        """Whether a row of the cross-section ends then."""
        return self.cross is not None and self.cross.feed.start[end] < self.cross.feed.start[end + 1]


@dataclass(frozen=True)
class Stage:
    """One session's bars, set up for the minute loop.

    `tape` holds every minute bar, `index` (minutes, symbols) the row of each in it, -1 where there is none.
    """

    session: Session
    times: list[int]
    tape: Tape
    steps: list[Step]
    opens: npt.NDArray[np.float64]
    closes: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    index: npt.NDArray[np.int32]
    shows: Sequence[Show]
    closing: dict[int, float]

    @staticmethod
    def of(
        prepared: PreparedSession, players: Sequence[Player], names: npt.NDArray[np.object_], zone: ZoneInfo
    ) -> Stage:
        """Sort every interval into playback order and make the feeds."""
        session = prepared.session
        times = slot_times(session)
        tape = Tape.of(session, prepared.minutes)
        index = np.full((session.minutes, len(names)), -1, dtype=np.int32)
        index[tape.begin, tape.code] = np.arange(len(tape.code), dtype=np.int32)
        showing = _Showing(prepared, names, zone, times, tape)
        shows = [showing.to(player) for player in players]
        return Stage(
            session, times.tolist(), tape, _steps(session, [tape, *showing.tapes.values()], players, zone), tape.take("open").values,
            units(tape.take("close").values), times[tape.begin] + MINUTE, index, shows, dict(prepared.closing),
        )  # fmt: skip

    def volume(self, fills: Sequence[FillRecord]) -> dict[tuple[int, int], float]:
        """The volume of each bar at whose open there was a fill, by (slot, code)."""
        at = sorted({(f.slot, f.code) for f in fills if f.time != self.session.close})
        values = self.tape.columns["volume"].values
        return {key: float(values[self.tape.order[self.index[key]]]) for key in at}

    def close_price(self, code: int) -> tuple[int, int] | None:
        """(price in units, minutes stale) at which a symbol's exit at the close fills; None without a bar today."""
        present = np.flatnonzero(self.index[:, code] >= 0)
        if not len(present):
            return None
        if code in self.closing:
            return to_units(self.closing[code]), 0
        slot = int(present[-1])
        stale = (self.session.close - self.times[slot] - MINUTE) // MINUTE
        return int(self.closes[self.index[slot, code]]), int(stale)


BARE = RowType(object, 1, "1m", ())
"""What a timer of a strategy without a row type is shown: who has a bar this minute."""


class _Showing:
    """Makes what strategies are shown; what is equal for two of them is made once."""

    def __init__(
        self, prepared: PreparedSession, names: npt.NDArray[np.object_], zone: ZoneInfo, times: npt.NDArray[np.int64], tape: Tape
    ) -> None:  # fmt: skip
        self._members = prepared.members
        self.tapes = {interval: Tape.of(prepared.session, bars) for interval, bars in prepared.shown.items()}
        self._bare = tape
        self._names, self._zone, self._times = names, zone, times
        self._feeds: dict[Any, Feed] = {}
        self._cross: dict[Any, CrossFeed] = {}

    def to(self, player: Player) -> Show:
        """What a strategy is shown."""
        declared, instance = player.declaration, player.instance
        if not {"on_bar", "on_minute"} & declared.callbacks and not declared.timers:
            return Show((), None, None, None, ())
        codes = player.visible(self._members)
        pairs = list(zip(declared.rows, player.ids, strict=False)) or [(BARE, {})]
        keys = [(row.cls, row.interval, tuple(sorted(ids.items())), codes.tobytes()) for row, ids in pairs]
        feeds = [self._feed(key, row, ids, codes) for key, (row, ids) in zip(keys, pairs, strict=True)]
        cross = None
        if "on_minute" in declared.callbacks or declared.timers:
            cross = self._cross.get(keys[0])
            if cross is None:
                cross = self._cross[keys[0]] = CrossFeed.of(feeds[0], codes)
        on_bar, on_minute = (getattr(instance, n, None) for n in ("on_bar", "on_minute"))
        return Show(feeds, cross, on_bar, on_minute, [w for f in feeds for w in f.withheld])

    def _feed(self, key: Any, row: RowType, ids: dict[str, str], codes: npt.NDArray[np.int64]) -> Feed:
        if key not in self._feeds:
            visible = None
            if len(codes) < len(self._names):
                visible = np.zeros(len(self._names), dtype=bool)
                visible[codes] = True
            tape = self._bare if row is BARE else self.tapes[row.interval]
            self._feeds[key] = feed(
                tape, row, ids, names=self._names, zone=self._zone, times=self._times, visible=visible
            )
        return self._feeds[key]


def _steps(session: Session, tapes: Sequence[Tape], players: Sequence[Player], zone: ZoneInfo) -> list[Step]:
    """Every moment at which a minute bar or a shown bar ends or a timer goes off, in order."""
    times = slot_times(session)
    ends = {end for tape in tapes for end in np.flatnonzero(np.diff(tape.start)).tolist()}
    moments: dict[tuple[int, bool], dict[int, list[Callback]]] = {
        (int(times[end - 1]) + MINUTE, True): {} for end in ends
    }
    for number, player in enumerate(players):
        for timer in player.declaration.timers:
            for us in timer.instants(session, zone):
                at = moments.setdefault((us, ends_a_minute(session, us)), {})
                at.setdefault(number, []).append(getattr(player.instance, timer.method))
    return [
        Step(us, slots_ended(session, us), minute, timers)
        for (us, minute), timers in sorted(moments.items(), key=lambda m: m[0])
    ]
