"""The minute: match, move time, show, collect.

For every minute of a session with a bar, every end of a coarser bin that a strategy asked for and every timer:

1. orders given earlier are matched against the bars that open in the minute, and fills are told (`bt.engine.meeting`); with `next_close` and `same_close`
   only those that wait for a price, or for an open;
2. the clock moves to the minute's end, and the closes become the last ones known (`bt.book.Market` looks them up when asked); what fills within the bars
   does, and with `next_close` what meets their closes;
3. signals are decided symbol by symbol (`bt.engine.signalling`), then rows are shown: minute rows in symbol order, then coarser ones, then the
   cross-section, then timers go off (`bt.engine.telling`);
4. what strategies order then is live from the next minute; refusals are told. With `same_close` it fills now.

Minutes in which no order waits and nobody is shown anything are passed over.

At the close exits fill, the strategy is told the session's end, and day orders expire (`_close`).
"""

from __future__ import annotations

import time as wall
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np

from bt.book import Desk, Market, StrategyBook, act, meet_calls, tell_calls
from bt.engine.meeting import Meeting
from bt.engine.opening import Opened, nothing, opened
from bt.engine.outcomes import Played, SessionOutcome, session_outcome
from bt.engine.overflowing import explained
from bt.engine.players import Player
from bt.engine.signalling import plays_whole
from bt.engine.stage import Stage, Step, alone, visible_codes
from bt.engine.telling import Teller
from bt.errors import MoneyError, StrategyRaised
from bt.model import Clock, PreparedSession
from bt.schema import MINUTE
from bt.strategy import hours

LEFT, AT_END = "left_universe", "at_end"
"""The tags of orders that sell what left the universe, and what is held as the run ends."""


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
    groups : sequence of sequences of Player
        Players whose runs are one, where several runs are played together: a strategy that stops ends the run of its group alone.
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
        groups: Sequence[Sequence[Player]] = (),
        several: bool | None = None,
    ) -> None:
        self.market = market
        self._several = len(players) > 1 if several is None else several
        self.players = players
        self.pace = pace
        self._zone = zone
        self._leave = leave
        self._groups = groups
        self._played = self._iterations = 0
        self.raised: StrategyRaised | None = None
        self._names = np.array(market.symbols, dtype=object)
        self._fill = players[0].account.execution.fill if players else "next_open"
        self._desks: list[Desk] = list({id(p.account.desk): p.account.desk for p in players}.values())
        self._markets = [market]  # of those who play; the run's own is that of who began first
        self.teller = Teller(market, isolate=isolate)
        self._meeting = Meeting(players, self.teller)
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
        meet_calls([p.account for p in self.players if not p.asleep])
        for player in self.players:
            player.remember(prepared, number)
        self._played = self._iterations = 0
        given = self._open(prepared, number)
        stage = Stage.of(
            prepared, self.players, self._names, self._zone, opened=given, prior=prior, several=self._several,
            instruments=self._desks[0].instruments if self._desks else None,
        )  # fmt: skip
        prepared = replace(prepared, shown={}, unseen={}, decided={})  # the stage has what it needs of them
        for desk in self._desks:
            desk.play(stage.market.tape, lambda rests: stage.market.wide if rests else stage.market.measured)
        for known in self._markets:
            known.play(stage.market)
        try:
            self._play_through(stage, clock, last=last, at_end=at_end)
            for known in self._markets:
                known.end(self._played)
            self.teller.speaking = None
            if self.ear is not None:
                self.ear.end_session()
            played = Played(self._played, self._iterations, market.now, self.stopped())
            return session_outcome(stage, prepared, self.players, played, visible)
        except MoneyError as error:
            raise explained(error, market, self.players) from error
        finally:  # whatever came of it, nobody keeps its bars
            for desk in self._desks:
                desk.let_go()
            for known in self._markets:
                known.let_go()

    def _play_through(self, stage: Stage, clock: Clock, *, last: bool, at_end: str) -> None:
        """The session, unless a strategy has ended the run, and until one does."""
        try:
            if self.raised is None:
                self._live(stage, clock, last=last, at_end=at_end)
        except StrategyRaised as error:
            self.raised = error

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
            # those that are only read along come last
            market.usual = None if prepared.usual is None else prepared.usual[:, : len(market.symbols)]
            market.member = None if members is None else np.isin(np.arange(len(self._names)), members)
        for player in self.players:
            if player.account.market is not self.market:  # the run's own knows what anybody is shown
                player.account.market.visible = visible_codes(prepared, [player], len(self._names))
        for desk in self._desks:
            desk.begin(session, number)
        for player in self.players:
            player.account.begin()
        for desk in {id(p.account.desk): p.account.desk for p in self.players if p.over is None}.values():
            desk.pay_night(session)
        if prepared.actions:
            act([p.account for p in self.players if not p.asleep], self._markets, prepared.actions)

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
        if self._groups:
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
                self.teller.speaking = player
                try:
                    found[i] = opened(player, prepared.session, number, prepared.members)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - as in bt.engine.telling
                    try:
                        self.teller.raised(player, error)
                    except StrategyRaised as raised:
                        self.raised = raised
        return found

    def _live(self, stage: Stage, clock: Clock, *, last: bool, at_end: str) -> None:
        """Tell the session's start, play its minutes, and unless the run is stopped in one of them, close it."""
        session = stage.session
        for number, player in enumerate(self.players):
            self.teller.fills(player, 0)  # what corporate actions have closed
            if not stage.is_empty(number):  # a session without any bar that it sees is not shown
                self.teller.call(player, "on_session_start", hours(session))
                self.teller.orders(player, stage.market.has)
        self._part(0)
        try:
            if self.stopped() is None and not self._play_whole(stage):
                self._stream(stage, clock)
        finally:
            self.teller.settle()
        if self.stopped() is None:
            clock.advance(session.close)
            self._set_clock(clock.now, session.minutes)
            self._played = session.minutes
            self._close(stage, last=last, at_end=at_end)
            self._part(session.minutes)

    def _any_stops(self, books: list[StrategyBook], end: int) -> bool:
        """Whether the run ends here because a strategy stops it; of several runs, whether all have. `books` keeps those that play."""
        for book in books:  # at every minute, where any() of a generator costs more than the answer
            if book.stop_reason is not None:
                break
        else:
            return False
        if not self._groups:
            return True
        self._part(end)
        books[:] = [p.book for p in self.players if p.over is None]
        return not books

    def _part(self, played: int) -> None:
        """Where several runs are played together, those of which a strategy has stopped are over."""
        for group in self._groups:
            if group[0].over is None and any(p.book.stop_reason is not None for p in group):
                for player in group:
                    player.over = played

    # ------------------------------------------------------------------------------------------------------- the minute

    def _stream(self, stage: Stage, clock: Clock) -> None:
        """Step through the session's moments, as far as the run goes."""
        began = wall.monotonic()
        speed, session, stop = self.pace.speed, stage.session, self.pace.stop
        books = [p.book for p in self.players if p.over is None]
        shown = stage.shown
        for step in stage.steps:
            end = self._played = step.end
            self._iterations += 1
            waiting = self._waits()
            if not (waiting or shown[end] or step.timers or speed > 0):
                if stop.is_set():
                    break
                continue
            self._meet(stage, step, clock, any_waits=waiting)
            if speed > 0:
                self.pace.wait(began, clock.now - session.open)
            for number, player in enumerate(self.players):
                if player.awake and stage.is_own(number, step):
                    self.teller.show(player, stage.shows[number], stage, step, step.timers.get(number, ()))
                    if player.account.has_events:
                        at_hand = partial(stage.has_bar, step=step, rows=player.declaration.rows)
                        self.teller.orders(player, at_hand)
            if self._fill == "same_close":
                self._meeting.last_closes(stage, step)
            if stop.is_set() or self._any_stops(books, end):
                break

    def _waits(self) -> bool:
        """Whether any order could fill, or somebody has to be told of one."""
        for player in self.players:
            account = player.account
            if account.waiting or account.has_events:
                return True
        return False

    def _meet(self, stage: Stage, step: Step, clock: Clock, *, any_waits: bool) -> None:
        """Orders given earlier meet the bars of the minute that ends, while the clock moves through it; those that were for one minute end."""
        meeting, end = self._meeting, step.end
        meets = any_waits and step.minute and stage.market.count[end - 1] > 0
        if any_waits:
            meeting.end_minuted(step.time - MINUTE if step.minute else step.time)
        rests = meets and meeting.has_resting
        if meets and (self._fill == "next_open" or rests):
            opened = step.time - MINUTE
            clock.advance(opened)
            self._set_clock(opened, end - 1)
            meeting.opens(stage, step)
        clock.advance(step.time)
        self._set_clock(step.time, end)
        if meets and (self._fill == "next_close" or rests or meeting.has_resting):
            meeting.closes(stage, step)
        if any_waits and step.minute:
            meeting.end_minuted(step.time, limits_only=self._fill == "same_close")

    def _play_whole(self, stage: Stage) -> bool:
        """Play the session to strategies of signals alone, each by itself; False where it has to be played minute by minute."""
        playing = [(p, stage.shows[i].signalled) for i, p in enumerate(self.players) if p.awake]
        signalled = [s for _, s in playing if s is not None]
        if self.pace.speed > 0 or len(signalled) < len(playing) or not all(plays_whole(p) for p, _ in playing):
            return False
        if any(p.account.waiting for p in self.players if p.failed):
            return False  # orders that meet a margin call
        if len(playing) > 1 and not all(s.is_sure for s in signalled):
            return False  # who stops when matters to the others
        failures = [
            (p, failed) for (p, _), s in zip(playing, signalled, strict=True) if (failed := s.play(p)) is not None
        ]
        for player, (end, error) in failures:
            self._played = end
            self._set_clock(int(stage.market.times[end - 1]) + MINUTE, end)
            self._iterations = int((stage.moments.end <= end).sum())
            self.teller.speaking = player
            self.teller.raised(player, error)
        self._iterations = len(stage.moments.end)
        self._played = int(stage.moments.end[-1]) if self._iterations else 0
        return True

    def _close(self, stage: Stage, *, last: bool, at_end: str) -> None:
        """Each step of the close is done for every strategy before the next one: they may share their money."""
        numbers = [n for n, p in enumerate(self.players) if not p.asleep and p.over is None]
        players = [self.players[n] for n in numbers]
        for player in players:
            player.account.decide_at(stage.session.close)
        self._meeting.end_minuted(stage.session.close)
        exits = [p.account.desk.close_exits(p.account.number) for p in players]
        for player, fills in zip(players, exits, strict=True):
            self.teller.fills(player, fills)
        for player in players:
            player.account.expire()
            self.teller.orders(player)
        ends = last and at_end == "close"
        self._retire(players)
        for number, player in zip(numbers, players, strict=True):
            empty = stage.is_empty(number)
            if not empty:
                self.teller.call(player, "on_session_end", hours(stage.session))
                player.account.expire(
                    traded=player.declaration.independent
                )  # for a symbol alone the session had no end
            if not (empty and ends):
                self.teller.orders(player, stage.market.has if ends else None)
        self.teller.check_states(players)
        if ends:
            closed = [p.account.desk.close_all(p.account.number, AT_END) for p in players]
            for player, fills in zip(players, closed, strict=True):
                self.teller.fills(player, fills)
            for player in players:
                self.teller.orders(player)
        for player in players:
            player.account.expire()  # day orders given on being told of it come after the close too; they are told next
        tell_calls([p.account for p in players], stage.session.close)

    def _retire(self, players: Sequence[Player]) -> None:
        """What had its last session ends."""
        if not any(desk.ends_any for desk in self._desks):
            return
        retired = [p.account.desk.retire(p.account.number) for p in players]
        for player, fills in zip(players, retired, strict=True):
            self.teller.fills(player, fills)
        for player in players:
            self.teller.orders(player)


def _sees_any(player: Player, prepared: PreparedSession) -> bool:
    """Whether a strategy is shown any bar of a session."""
    code = prepared.minutes.code
    return bool(len(code) and (prepared.members is None or np.isin(code, player.visible(prepared.members)).any()))
