"""The minute: match, move time, show, collect.

For every minute of a session with a bar, every end of a coarser bin that a strategy asked for and every timer:

1. orders given earlier are matched against the bars that open in the minute, and fills are told (`_match`);
2. the clock moves to the minute's end, and the closes become the last ones known (`bt.book.Market` looks them up when asked); with `next_close` (1) is done now;
3. signals are decided symbol by symbol (`bt.engine.signalling`), then rows are shown: minute rows in symbol order, then coarser ones, then the
   cross-section, then timers go off (`_show`);
4. what strategies order then is live from the next minute; refusals are told (`_tell`). With `same_close` it fills now.

Minutes in which no order waits and nobody is shown anything are passed over.

At the close exits fill, the strategy is told the session's end, and day orders expire (`_close`).

The room is long because the order of these steps is one thing, to be read in one place.
"""

from __future__ import annotations

import time as wall
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bt.book import Curve, Desk, Market, StrategyBook
from bt.engine.opening import Opened, nothing, opened
from bt.engine.players import Player, PlayerOutcome
from bt.engine.signalling import plays_whole
from bt.engine.stage import Stage, Step, alone, visible_codes
from bt.errors import BtError, StrategyError, StrategyRaised
from bt.execution import layout
from bt.model import Clock, PreparedSession, Session, instant
from bt.playback import Feed, Withheld
from bt.schema import MINUTE
from bt.section import Ends, MinuteRows
from bt.strategy import check_state, hours

ALL: npt.NDArray[np.bool_] = np.zeros(0, dtype=bool)
"""Marks no symbol: the moment is everybody's."""

LEFT, AT_END = "left_universe", "at_end"
"""The tags of orders that sell what left the universe, and what is held as the run ends."""


@dataclass(frozen=True)
class SessionOutcome:
    """What happened in a session. `minutes` of it were played (all, unless the run was stopped). `moments` are those stepped through, twice
    their UTC microseconds, and 1 more where a minute ends; `bars_of` counts the session's bars by code. `ranking` are the codes of the
    universe by rank, None without one; `visible` marks the codes of which anything could be shown, None for all."""

    session: Session
    players: Sequence[PlayerOutcome]
    bars: int
    iterations: int
    minutes: int
    stopped: str | None
    moments: npt.NDArray[np.int64]
    bars_of: npt.NDArray[np.int64]
    ranking: npt.NDArray[np.int64] | None = None
    visible: npt.NDArray[np.bool_] | None = None


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


class Listener(Protocol):
    """Hears what strategies print and log (`bt.engine.hearing`)."""

    def end_session(self) -> None:
        """The session's lines are complete."""


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
    leave : bool
        What is held of a symbol that left the universe is sold at the next open.
    lots : sequence of sequences of Player
        Players whose runs are one, where several runs are played together: a strategy that stops ends the run of its lot alone.
    several : bool, optional
        Whether the run has several strategies, by default whether `players` are: then each has moments of its own.
    """

    def __init__(
        self,
        market: Market,
        players: Sequence[Player],
        zone: ZoneInfo,
        *,
        pace: Pace,
        isolate: bool,
        leave: bool = False,
        lots: Sequence[Sequence[Player]] = (),
        several: bool | None = None,
    ) -> None:
        self.market = market
        self._several = len(players) > 1 if several is None else several
        self.players = players
        self.pace = pace
        self._zone = zone
        self._isolate = isolate
        self._leave = leave
        self._lots = lots
        self._played = self._iterations = 0
        self.raised: StrategyRaised | None = None
        self._names = np.array(market.symbols, dtype=object)
        self._fill = players[0].account.execution.fill if players else "next_open"
        self._groups = _by_desk(players)
        self._desks: list[Desk] = [group[0].account.desk for group in self._groups]
        self._number = {id(player): number for number, player in enumerate(players)}
        self._markets = [market]  # of those who play; the run's own is that of who began first
        self._carried: set[int] = set()  # numbers of players whose state has been checked
        self._ends: weakref.ref[Ends] | None = None  # of the rows that were handed out last
        self.speaking: Player | None = None
        self.ear: Listener | None = None

    def play(self, prepared: PreparedSession, number: int, *, last: bool, at_end: str) -> SessionOutcome:
        """One session from its open to its close (or to where the run is stopped). `last` is the run's last session."""
        session, market = prepared.session, self.market
        clock = Clock(session.open, session.close)
        self._begin(prepared, number)
        prior = market.last.copy()
        visible = visible_codes(prepared, self.players, len(self._names))
        prepared = alone(prepared, visible)
        for player in self.players:
            if player.awake:
                player.account.desk.review(player.account.number, leave=self._leave, tag=LEFT)
        for player in self.players:
            player.remember(prepared, number)
        self._played = self._iterations = 0
        given = self._open(prepared, number)
        stage = Stage.of(
            prepared, self.players, self._names, self._zone, opened=given, prior=prior, several=self._several
        )
        for desk in self._desks:
            desk.play(stage.market.tape)
        for known in self._markets:
            known.play(stage.market)
        try:
            if self.raised is None:
                self._live(stage, clock, last=last, at_end=at_end)
        except StrategyRaised as error:
            self.raised = error
        for known in self._markets:
            known.end(self._played)
        self.speaking = None
        if self.ear is not None:
            self.ear.end_session()
        played, stopped = self._played, self.stopped()
        curves = {id(desk): desk.finish(session.minutes) for desk in self._desks}
        players = [self._outcome(p, i, stage, curves[id(p.account.desk)], played) for i, p in enumerate(self.players)]
        bars = sum(stage.market.count[:played])
        return SessionOutcome(
            session, players, bars, self._iterations, played, stopped,
            moments=np.array([2 * s.time + s.minute for s in stage.steps[: self._iterations]], dtype=np.int64),
            bars_of=np.bincount(prepared.minutes.code, minlength=len(self._names)),
            ranking=prepared.ranking, visible=visible,
        )  # fmt: skip

    def _begin(self, prepared: PreparedSession, number: int) -> None:
        """Who plays in a session, and what everybody knows at its open; strategies that began later know less."""
        session, members = prepared.session, prepared.members
        for player in self.players:
            player.asleep = number < player.begins or player.over is not None
            player.account.trading = number >= player.trades
        markets = {id(p.account.market): p.account.market for p in self.players if not p.asleep}
        self._markets = list({id(self.market): self.market, **markets}.values())
        for market in self._markets:
            market.begin(session, number)
            market.usual = prepared.usual
            market.member = None if members is None else np.isin(np.arange(len(self._names)), members)
        for player in self.players:
            if player.account.market is not self.market:  # the run's own knows what anybody is shown
                player.account.market.visible = visible_codes(prepared, [player], len(self._names))
        for desk in self._desks:
            desk.begin(session, number)
        for player in self.players:
            player.account.begin()

    def _set_clock(self, now: int, elapsed: int) -> None:
        """It is `now`, UTC microseconds, and so many minutes of the session are over."""
        for market in self._markets:
            market.now, market.elapsed = now, elapsed

    def stopped(self) -> str | None:
        """Why the run must end now: a strategy raised, Ctrl-C, or book.stop; None if it goes on."""
        if self.raised is not None:
            return str(self.raised)
        if self.pace.stop.is_set():
            return "interrupted"
        if self._lots:
            return "every run stopped" if all(p.over is not None for p in self.players) else None
        for player in self.players:
            if player.book.stop_reason is not None:
                return player.book.stop_reason
        return None

    def _open(self, prepared: PreparedSession, number: int) -> dict[int, Opened]:
        """Every strategy's at_open, unless no bar will be shown; by its number what it gave."""
        found = {}
        for i, player in enumerate(self.players):
            if "at_open" not in player.declaration.callbacks:
                continue
            found[i] = nothing(player)
            if self.raised is None and player.awake and _sees_any(player, prepared):
                self.speaking = player
                try:
                    found[i] = opened(player, prepared.session, number, prepared.members)
                except Exception as error:  # noqa: BLE001 - as in _show
                    try:
                        self._raised(player, error)
                    except StrategyRaised as raised:
                        self.raised = raised
        return found

    def _live(self, stage: Stage, clock: Clock, *, last: bool, at_end: str) -> None:
        """Tell the session's start, play its minutes, and unless the run is stopped in one of them, close it."""
        session = stage.session
        for number, player in enumerate(self.players):
            if not stage.is_empty(number):  # a session without any bar that it sees is not shown
                self._call(player, "on_session_start", hours(session))
                self._tell(player, stage.market.has)
        self._part(0)
        try:
            if self.stopped() is None and not self._play_whole(stage):
                self._stream(stage, clock)
        finally:
            self._settle()
        if self.stopped() is None:
            clock.advance(session.close)
            self._set_clock(clock.now, session.minutes)
            self._played = session.minutes
            self._close(stage, last=last, at_end=at_end)
            self._part(session.minutes)

    def _any_stops(self, books: list[StrategyBook], end: int) -> bool:
        """Whether the run ends here because a strategy stops it; of several runs, whether all have. `books` keeps those that play."""
        if not any(book.stop_reason is not None for book in books):
            return False
        if not self._lots:
            return True
        self._part(end)
        books[:] = [p.book for p in self.players if p.over is None]
        return not books

    def _part(self, played: int) -> None:
        """Where several runs are played together, those of which a strategy has stopped are over."""
        for lot in self._lots:
            if lot[0].over is None and any(p.book.stop_reason is not None for p in lot):
                for player in lot:
                    player.over = played

    # ------------------------------------------------------------------------------------------------------- the minute

    def _stream(self, stage: Stage, clock: Clock) -> None:
        """Step through the session's moments, as far as the run goes."""
        began = wall.monotonic()
        speed, session, stop = self.pace.speed, stage.session, self.pace.stop
        count, books = stage.market.count, [p.book for p in self.players if p.over is None]
        for step in stage.steps:
            end = self._played = step.end
            self._iterations += 1
            waiting = any(p.account.waiting or p.account.has_events for p in self.players)
            shown = step.timers or any(s.at(end) for s in stage.shows)
            if not (waiting or shown or speed > 0):
                if stop.is_set():
                    break
                continue
            meets = waiting and step.minute and count[end - 1] > 0
            if meets and self._fill == "next_open":
                self._match_opens(stage, clock, end)
            clock.advance(step.time)
            self._set_clock(step.time, end)
            if meets and self._fill == "next_close":
                self._match_closes(stage, step)
            if speed > 0:
                self.pace.wait(began, clock.now - session.open)
            for number, player in enumerate(self.players):
                if player.awake and stage.is_own(number, step):
                    self._show(stage, number, step)
                    if player.account.has_events:
                        self._tell(player, partial(stage.has_bar, step=step))
            if self._fill == "same_close":
                self._match_last_closes(stage, step)
            if stop.is_set() or self._any_stops(books, end):
                break

    def _play_whole(self, stage: Stage) -> bool:
        """Play the session to strategies of signals alone, each by itself; False where it has to be played minute by minute."""
        playing = [(p, stage.shows[i].signalled) for i, p in enumerate(self.players) if p.awake]
        signalled = [s for _, s in playing if s is not None]
        if self.pace.speed > 0 or len(signalled) < len(playing) or not all(plays_whole(p) for p, _ in playing):
            return False
        if len(playing) > 1 and not all(s.is_sure for s in signalled):
            return False  # who stops when matters to the others
        failures = [
            (p, failed) for (p, _), s in zip(playing, signalled, strict=True) if (failed := s.play(p)) is not None
        ]
        for player, (end, error) in failures:
            self._played = end
            self._set_clock(int(stage.market.times[end - 1]) + MINUTE, end)
            self._iterations = sum(step.end <= end for step in stage.steps)
            self.speaking = player
            self._raised(player, error)
        self._iterations = len(stage.steps)
        self._played = stage.steps[-1].end if stage.steps else 0
        return True

    def _match_opens(self, stage: Stage, clock: Clock, end: int) -> None:
        opened = int(stage.market.times[end - 1])
        clock.advance(opened)
        self._set_clock(opened, end - 1)
        for group in self._meeting(stage, end):
            self._match(group, opened, opened, end - 1, at_close=False, decided=opened + MINUTE)

    def _meeting(self, stage: Stage, end: int) -> list[Sequence[Player]]:
        """Those who share their money, of whom one sees a bar that ends now: what others hold is no moment of theirs."""
        return [g for g in self._groups if any(stage.sees(self._number[id(p)], end) for p in g)]

    def _match_closes(self, stage: Stage, step: Step) -> None:
        due = int(stage.market.times[step.end - 1])
        for group in self._meeting(stage, step.end):
            self._match(group, step.time, due, step.end - 1, at_close=True, decided=step.time)

    def _match_last_closes(self, stage: Stage, step: Step) -> None:
        """An independent strategy's orders have their moments where their own symbol has a bar."""
        slot = step.end - 1 if step.minute else step.end
        for group in self._groups:
            if not any(stage.is_own(self._number[id(p)], step) for p in group):
                continue
            only = stage.having_bars(step) if group[0].declaration.independent else ALL
            self._match(group, step.time, step.time, slot, at_close=step.minute, decided=step.time, only=only)

    def _match(
        self, group: Sequence[Player], time: int, due: int, slot: int, *, at_close: bool, decided: int,
        only: npt.NDArray[np.bool_] = ALL,
    ) -> None:  # fmt: skip
        """Fill what finds a price, of those who share their money, and tell it; orders given meanwhile count as decided at `decided`."""
        if group[0].over is None and any(p.account.waiting for p in group):
            before = group[0].account.desk.match(time, due, slot, at_close=at_close, only=only)
            for player in group:
                player.account.decide_at(decided)
            for player in group:
                self._tell_fills(player, before)

    def _show(self, stage: Stage, number: int, step: Step) -> None:
        player, show = self.players[number], stage.shows[number]
        book, end = player.book, step.end
        self.speaking = player
        player.account.decide_at(self.market.now)
        try:
            if show.signalled is not None and step.minute:
                show.signalled.decide(end, player)
            if show.on_bar is not None and step.minute:
                on_bar = show.on_bar
                for rows_feed in show.feeds:
                    if rows_feed.start[end] < rows_feed.start[end + 1]:
                        rows, progress, codes = rows_feed.rows(end)
                        book.shown = (progress, codes)
                        for row in rows:
                            on_bar(row, book)
                        _check_whole(progress, rows_feed)
                book.shown = None
            if show.on_minute is not None and step.minute and show.shows_minute(end):
                show.on_minute(self._section(stage, number, step), book)
            for timer in step.timers.get(number, ()):
                timer(self._section(stage, number, step), book)
            player.account.flush()
        except Exception as error:  # noqa: BLE001 - a strategy may raise anything; it is noted and told
            self._raised(player, error)

    def _section(self, stage: Stage, number: int, step: Step) -> MinuteRows:
        """The cross-section of the moment, made afresh for each callback."""
        player, cross = self.players[number], stage.shows[number].cross
        assert cross is not None
        self._settle()
        ends = Ends(stage.market, step.end, player.account.market.ended_at_open)
        self._ends = weakref.ref(ends)
        return cross.rows(step.end, step.time, player.account.shares, ends, fresh=step.minute)

    def _settle(self) -> None:
        """Rows that a strategy has kept let go of the session's bars."""
        kept = None if self._ends is None else self._ends()
        if kept is not None:
            kept.settle()
        self._ends = None

    def _close(self, stage: Stage, *, last: bool, at_end: str) -> None:
        """Each step of the close is done for every strategy before the next one: they may share their money."""
        players = [p for p in self.players if not p.asleep and p.over is None]
        for player in players:
            player.account.decide_at(stage.session.close)
        exits = [p.account.desk.close_exits(p.account.number) for p in players]
        for player, fills in zip(players, exits, strict=True):
            self._tell_fills(player, fills)
        for player in players:
            player.account.expire()
            self._tell(player)
        ends = last and at_end == "close"
        for player in players:
            empty = stage.is_empty(self._number[id(player)])
            if not empty:
                self._call(player, "on_session_end", hours(stage.session))
                player.account.expire()
            if not (empty and ends):
                self._tell(player)
        self._check_states(players)
        if ends:
            closed = [p.account.desk.close_all(p.account.number, AT_END) for p in players]
            for player, fills in zip(players, closed, strict=True):
                self._tell_fills(player, fills)
            for player in players:
                self._tell(player)
        for player in players:
            player.account.expire()  # day orders given on being told of it come after the close too; they are told next

    def _check_states(self, players: Sequence[Player]) -> None:
        """At the end of the first session a strategy was shown: what its attributes have become must pickle."""
        for player in players:
            number = self._number[id(player)]
            if player.awake and number not in self._carried:
                self._carried.add(number)
                try:
                    check_state(player.instance, f"strategy {player.declaration.name}")
                except StrategyError as error:
                    self._raised(player, error)

    # ------------------------------------------------------------------------------------------------------- callbacks

    def _tell(self, player: Player, at_hand: Callable[[int], bool] | None = None) -> None:
        """Tell a strategy of the orders that ended since it was last told; what that causes is told next time.

        An independent one is told of the symbols `at_hand` only, so that no symbol's moments are another's.
        """
        for order in player.account.events(at_hand if player.declaration.independent else None):
            player.book.about = self.market.index.get(order.symbol)  # None: an order about every symbol
            self._call(player, "on_order", order)
        player.book.about = None

    def _tell_fills(self, player: Player, before: int) -> None:
        """Tell a strategy its fills from number `before` of its desk's on."""
        if player.has("on_fill"):
            for code, fill in player.account.fills_since(before):
                player.book.about = code
                self._call(player, "on_fill", fill)
            player.book.about = None

    def _call(self, player: Player, callback: str, value: Any) -> None:
        if player.has(callback):
            self.speaking = player
            try:
                getattr(player.instance, callback)(value, player.book)
                player.account.flush()
            except Exception as error:  # noqa: BLE001 - as above
                self._raised(player, error)

    def _raised(self, player: Player, error: Exception) -> None:
        """A strategy's own exception: noted with session, minute and symbol; then isolated or raised."""
        market, book = self.market, player.book
        assert market.session is not None
        player.account.flush()
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

    def _outcome(
        self, player: Player, number: int, stage: Stage, curves: npt.NDArray[np.int64], played: int
    ) -> PlayerOutcome:
        output, curve = player.account.settle(curves)
        fills = output.fills
        played = played if player.over is None else player.over
        if played < stage.session.minutes:
            curve = Curve(curve.equity[:played], curve.cash[:played], curve.gross[:played], curve.net[:played])
        withheld = [
            Withheld(w.field, w.code[w.begin < played], w.begin[w.begin < played]) for w in stage.shows[number].withheld
        ]
        traded = stage.market.traded(fills[:, layout.F_CODE], fills[:, layout.F_BAR])
        return PlayerOutcome(output, curve, player.account.held(), withheld, traded)


def _sees_any(player: Player, prepared: PreparedSession) -> bool:
    """Whether a strategy is shown any bar of a session."""
    code = prepared.minutes.code
    return bool(len(code) and (prepared.members is None or np.isin(code, player.visible(prepared.members)).any()))


def _by_desk(players: Sequence[Player]) -> list[list[Player]]:
    """Players in their order, those that share their money together."""
    groups: dict[int, list[Player]] = {}
    for player in players:
        groups.setdefault(id(player.account.desk), []).append(player)
    return list(groups.values())


def _check_whole(progress: Any, rows_feed: Feed) -> None:
    """Every row was made: `map` takes a StopIteration that a row's own code raises for the end."""
    if progress.__length_hint__():
        raise StrategyError(
            f"row type {rows_feed.row.cls.__name__}: making a row must not raise StopIteration, but did"
        )
