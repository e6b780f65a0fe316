"""The minute: match, move time, show, collect.

For every minute of a session with a bar, and every end of a coarser bin that a strategy asked for:

1. orders given earlier are matched against the bars that open in the minute, and fills are told (`_match`);
2. the clock moves to the minute's end, and the closes become the last ones known (`_advance`);
3. rows are shown: minute rows in symbol order, then coarser ones, then the cross-section (`_show`);
4. what strategies order then is live from the next minute; refusals are told (`_tell`).

At the close exits fill, the strategy is told the session's end, and day orders expire (`_close`).
"""

from __future__ import annotations

import time as wall
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bt.book import Account, FillRecord, Market, Output, StrategyBook, close_all, close_exits, match
from bt.errors import BtError, StrategyError, StrategyRaised
from bt.execution import to_units, units
from bt.ledger import Curve, Marks, Trade
from bt.model import Clock, PreparedSession, Session, instant, slot_times
from bt.playback import CrossFeed, Feed, Tape, Withheld, feed
from bt.schema import MINUTE
from bt.strategy import Declaration, hours


@dataclass
class Player:
    """A strategy in the run: what it declared, its book, and the column behind each field of each row type."""

    declaration: Declaration
    account: Account
    book: StrategyBook
    ids: Sequence[dict[str, str]]
    failed: str = ""

    @property
    def instance(self) -> Any:
        """The strategy itself."""
        return self.declaration.instance

    def has(self, callback: str) -> bool:
        """Whether the strategy has the callback and is still running."""
        return not self.failed and callback in self.declaration.callbacks


@dataclass(frozen=True)
class PlayerOutcome:
    """What one strategy did in a session: its book's output, equity curve, trades and positions at the close."""

    output: Output
    curve: Curve
    trades: Sequence[Trade]
    positions: Sequence[tuple[int, int, int, int]]  # code, shares, price and value in units
    withheld: Sequence[Withheld]


@dataclass(frozen=True)
class SessionOutcome:
    """What happened in a session. `minutes` of it were played (all, unless the run was stopped); `volume` is that of each
    bar that filled an order, by (slot, code)."""

    session: Session
    players: Sequence[PlayerOutcome]
    bars: int
    iterations: int
    minutes: int
    stopped: str | None
    volume: Mapping[tuple[int, int], float]


@dataclass
class Pace:
    """Speed: 0 as fast as possible, k > 0 k times real time. `stop` ends the run; waiting ends with it."""

    speed: float
    stop: Event = field(default_factory=Event)

    def wait(self, began: float, elapsed_us: int) -> None:
        """Sleep until `elapsed_us` of session time have passed at this speed since wall time `began`."""
        due = began + elapsed_us / 1e6 / self.speed
        while not self.stop.is_set() and (left := due - wall.monotonic()) > 0:
            self.stop.wait(min(left, 1.0))


class Engine:
    """Plays prepared sessions to strategies.

    Parameters
    ----------
    market : Market
        The run's symbols and last closes.
    players : sequence of Player
        In configured order.
    zone : ZoneInfo
        The exchange's, for `local_time`.
    isolate : bool
        A strategy that raises is stopped and the others go on; otherwise StrategyRaised ends the run.
    """

    def __init__(self, market: Market, players: Sequence[Player], zone: ZoneInfo, *, pace: Pace, isolate: bool) -> None:
        self.market = market
        self.players = players
        self.pace = pace
        self._zone = zone
        self._isolate = isolate
        self._played = self._iterations = 0
        self.raised: StrategyRaised | None = None
        self._names = np.array(market.symbols, dtype=object)

    def play(self, prepared: PreparedSession, number: int, *, last: bool, at_end: str) -> SessionOutcome:
        """One session from its open to its close (or to where the run is stopped). `last` is the run's last session."""
        session, market = prepared.session, self.market
        clock = Clock(session.open, session.close)
        market.session, market.number, market.now, market.elapsed = session, number, session.open, 0
        market.seen_at_open = market.seen.copy()
        prior = market.last.copy()
        for player in self.players:
            player.account.begin()
        stage = _Stage.of(prepared, self.players, self._names, self._zone)
        self._played = self._iterations = 0
        try:
            self._live(stage, clock, last=last, at_end=at_end)
        except StrategyRaised as error:
            self.raised = error
        played, stopped = self._played, self.stopped()
        market.last_end[stage.tape.code] = stage.ends()
        marks = Marks(stage.index, stage.closes, prior)
        players = [self._outcome(p, i, stage, marks, played) for i, p in enumerate(self.players)]
        volume = stage.volume([f for p in self.players for f in p.account.output.fills])
        bars = stage.tape.start[played + 1]
        return SessionOutcome(session, players, bars, self._iterations, played, stopped, volume)

    def stopped(self) -> str | None:
        """Why the run must end now: a strategy raised, Ctrl-C, or book.stop; None if it goes on."""
        if self.raised is not None:
            return str(self.raised)
        if self.pace.stop.is_set():
            return "interrupted"
        for player in self.players:
            if player.book.stop_reason is not None:
                return player.book.stop_reason
        return None

    def _live(self, stage: _Stage, clock: Clock, *, last: bool, at_end: str) -> None:
        """Tell the session's start, play its minutes, and unless the run is stopped in one of them, close it."""
        session, market = stage.session, self.market
        empty = len(stage.tape.code) == 0  # a session without any bar is not shown
        for player in self.players:
            if not empty:
                self._call(player, "on_session_start", hours(session))
                self._tell(player)
        if self.stopped() is None:
            self._stream(stage, clock)
        if self.stopped() is None:
            clock.advance(session.close)
            market.now, market.elapsed, self._played = clock.now, session.minutes, session.minutes
            self._close(stage, last=last, at_end=at_end, empty=empty)

    # ------------------------------------------------------------------------------------------------------- the minute

    def _stream(self, stage: _Stage, clock: Clock) -> None:
        """Step through the session's minutes, as far as the run goes."""
        began = wall.monotonic()
        speed, session, stop = self.pace.speed, stage.session, self.pace.stop
        start, books = stage.tape.start, [p.book for p in self.players]
        for end in stage.steps:
            self._played = end
            self._iterations += 1
            if start[end] < start[end + 1]:
                self._match(stage, clock, end)
            self._advance(stage, clock, end)
            if speed > 0:
                self.pace.wait(began, clock.now - session.open)
            for player, show in zip(self.players, stage.shows, strict=True):
                if not player.failed:
                    self._show(player, show, end)
            if stop.is_set() or any(b.stop_reason is not None for b in books):
                return

    def _match(self, stage: _Stage, clock: Clock, end: int) -> None:
        opened = stage.times[end - 1]
        clock.advance(opened)
        self.market.now, self.market.elapsed = opened, end - 1
        for player in self.players:
            account = player.account
            if account.waiting:
                fills = match(account, stage.index[end - 1], stage.opens, opened, end - 1)
                account.decide_at(opened + MINUTE)
                self._tell_fills(player, fills)

    def _advance(self, stage: _Stage, clock: Clock, end: int) -> None:
        market = self.market
        clock.advance(stage.times[end - 1] + MINUTE)
        market.now, market.elapsed = clock.now, end
        a, b = stage.tape.start[end], stage.tape.start[end + 1]
        if a < b:
            here = stage.tape.code[a:b]
            market.last[here] = stage.closes[a:b]
            market.seen[here] += 1
            market.version += 1

    def _show(self, player: Player, show: _Show, end: int) -> None:
        book = player.book
        player.account.decide_at(self.market.now)
        try:
            if show.on_bar is not None:
                on_bar = show.on_bar
                for rows_feed in show.feeds:
                    if rows_feed.start[end] < rows_feed.start[end + 1]:
                        rows, progress, codes = rows_feed.rows(end)
                        book.shown = (progress, codes)
                        for row in rows:
                            on_bar(row, book)
                        _check_whole(progress, rows_feed)
                book.shown = None
            cross = show.cross
            if cross is not None and cross.feed.start[end] < cross.feed.start[end + 1]:
                show.on_minute(cross.rows(end, player.account.shares), book)
        except Exception as error:  # noqa: BLE001 - a strategy may raise anything; it is noted and told
            self._raised(player, error)
        if player.account.has_events:
            self._tell(player)

    def _close(self, stage: _Stage, *, last: bool, at_end: str, empty: bool) -> None:
        for player in self.players:
            account = player.account
            account.decide_at(stage.session.close)
            self._tell_fills(player, close_exits(account, stage.close_price))
            account.expire()
            self._tell(player)
            if not empty:
                self._call(player, "on_session_end", hours(stage.session))
                account.expire()
            if last and at_end == "close":
                self._tell_fills(player, close_all(account, stage.close_price))
            self._tell(player)
            account.expire()  # day orders given on being told of it come after the close too; they are told next

    # ------------------------------------------------------------------------------------------------------- callbacks

    def _tell(self, player: Player) -> None:
        """Tell a strategy of the orders that ended since it was last told; what that causes is told next time."""
        for order in player.account.events():
            self._call(player, "on_order", order)

    def _tell_fills(self, player: Player, fills: Sequence[FillRecord]) -> None:
        if player.has("on_fill"):
            for fill in fills:
                self._call(player, "on_fill", player.book.told_fill(fill))

    def _call(self, player: Player, callback: str, value: Any) -> None:
        if player.has(callback):
            try:
                getattr(player.instance, callback)(value, player.book)
            except Exception as error:  # noqa: BLE001 - as above
                self._raised(player, error)

    def _raised(self, player: Player, error: Exception) -> None:
        """A strategy's own exception: noted with session, minute and symbol; then isolated or raised."""
        market, book = self.market, player.book
        assert market.session is not None
        where = f"session {market.session.name}, minute {max(market.elapsed - 1, 0)}, {instant(market.now):%Y-%m-%d %H:%M} UTC"
        code = book.current_code
        if code is not None:
            where += f", symbol {market.symbols[code]}"
        book.shown = None
        text = f"strategy {player.declaration.name}: {type(error).__name__}: {error} ({where})"
        if not isinstance(error, BtError):
            error.add_note(where)
        if self._isolate:
            player.failed = text
            book.log(text)
            player.account.give_up()
            return
        raise StrategyRaised(text) from error

    def _outcome(self, player: Player, number: int, stage: _Stage, marks: Marks, played: int) -> PlayerOutcome:
        curve, trades = player.account.settle(marks)
        if played < stage.session.minutes:
            curve = Curve(curve.equity[:played], curve.cash[:played], curve.gross[:played], curve.net[:played])
        withheld = [
            Withheld(w.field, w.code[w.begin < played], w.begin[w.begin < played]) for w in stage.shows[number].withheld
        ]
        return PlayerOutcome(player.account.output, curve, trades, player.account.held(), withheld)


# ------------------------------------------------------------------------------------------------------------- the stage


@dataclass(frozen=True)
class _Show:
    """What one strategy is shown in a session."""

    feeds: Sequence[Feed]
    cross: CrossFeed | None
    on_bar: Callable[[Any, Any], Any] | None
    on_minute: Callable[[Any, Any], Any]
    withheld: Sequence[Withheld]


@dataclass(frozen=True)
class _Stage:
    """One session's bars, set up for the minute loop."""

    session: Session
    times: list[int]
    tape: Tape
    steps: list[int]
    opens: npt.NDArray[np.float64]
    closes: npt.NDArray[np.int64]
    index: npt.NDArray[np.int32]
    shows: Sequence[_Show]
    closing: dict[int, float]

    @staticmethod
    def of(
        prepared: PreparedSession, players: Sequence[Player], names: npt.NDArray[np.object_], zone: ZoneInfo
    ) -> _Stage:
        """Sort every interval into playback order and make the feeds; equal row types share one."""
        session = prepared.session
        times = slot_times(session)
        tapes = {interval: Tape.of(session, bars) for interval, bars in prepared.bars.items()}
        tape = tapes[1]
        index = np.full((session.minutes, len(names)), -1, dtype=np.int32)
        index[tape.begin, tape.code] = np.arange(len(tape.code), dtype=np.int32)
        made: dict[Any, Any] = {}
        shows, wanted = [], set(np.flatnonzero(np.diff(tape.start)).tolist())
        for player in players:
            feeds, cross = [], None
            rows = player.declaration.rows if {"on_bar", "on_minute"} & player.declaration.callbacks else ()
            for row, ids in zip(rows, player.ids, strict=False):
                key = (row.cls, tuple(sorted(ids.items())))
                if key not in made:
                    made[key] = feed(tapes[row.interval], row, ids, names=names, zone=zone, times=times)
                feeds.append(made[key])
                wanted.update(np.flatnonzero(np.diff(tapes[row.interval].start)).tolist())
            if feeds and "on_minute" in player.declaration.callbacks:
                finest = feeds[0]
                if id(finest) not in made:
                    made[id(finest)] = CrossFeed.of(finest, tuple(names.tolist()))
                cross = made[id(finest)]
            on_bar = getattr(player.instance, "on_bar", None)
            shows.append(
                _Show(feeds, cross, on_bar, getattr(player.instance, "on_minute", None) or _nothing,
                      [w for f in feeds for w in f.withheld])
            )  # fmt: skip
        return _Stage(
            session, times.tolist(), tape, sorted(wanted), tape.take("open").values,
            units(tape.take("close").values), index, shows, dict(prepared.closing),
        )  # fmt: skip

    def ends(self) -> npt.NDArray[np.int64]:
        """The end of every bar, UTC microseconds, in playback order."""
        return np.asarray(self.times, dtype=np.int64)[self.tape.begin] + MINUTE

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


def _check_whole(progress: Any, rows_feed: Feed) -> None:
    """Every row was made: `map` takes a StopIteration that a row's own code raises for the end."""
    if progress.__length_hint__():
        raise StrategyError(
            f"row type {rows_feed.row.cls.__name__}: making a row must not raise StopIteration, but did"
        )


def _nothing(rows: Any, book: Any) -> None:
    """A strategy without on_minute."""
