"""Strategies are called: rows are shown, fills and orders told; what one raises is noted, and stops it or the run.

While a strategy is told something its book knows of which symbol it is: a common one's by how far the iterator of the rows has come (that
costs nothing until somebody asks), an independent one's by a number that is set before every row, for its every question is judged by it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from bt.book import Market
from bt.engine.players import Player
from bt.engine.stage import Show, Stage, Step
from bt.errors import BtError, StrategyError, StrategyRaised
from bt.model import instant
from bt.playback import Feed
from bt.section import Ends, MinuteRows
from bt.strategy import check_state, meant


class Teller:
    """Calls the strategies of a run.

    Parameters
    ----------
    market : Market
        What anybody is shown.
    isolate : bool
        A strategy that raises is stopped and the others go on; otherwise StrategyRaised ends the run.

    Attributes
    ----------
    speaking : Player or None
        Who is or was called last, in this session.
    """

    def __init__(self, market: Market, *, isolate: bool) -> None:
        self._market, self._isolate = market, isolate
        self._checked: set[int] = set()  # players whose state has been looked at
        self._ends: weakref.ref[Ends] | None = None  # of the rows that were handed out last
        self.speaking: Player | None = None

    # ------------------------------------------------------------------------------------------------------------ rows

    def show(self, player: Player, show: Show, stage: Stage, step: Step, timers: Sequence[Callable[..., Any]]) -> None:
        """What a strategy is shown at a moment: its signals decide, rows, the cross-section, and its `timers` that go off."""
        end = step.end
        self.speaking = player
        player.account.decide_at(self._market.now)
        try:
            if show.signalled is not None and step.minute:
                show.signalled.decide(end, player)
            if show.on_bar is not None and step.minute:
                for feed in show.feeds:
                    if feed.start[end] < feed.start[end + 1]:
                        _show_rows(player, show.on_bar, feed, end)
            if show.on_minute is not None and step.minute and show.shows_minute(end):
                show.on_minute(self._section(player, show, stage, step), player.book)
            for timer in timers:
                timer(self._section(player, show, stage, step), player.book)
            player.account.flush()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a strategy may raise anything; it is noted and told
            self.raised(player, error)

    def _section(self, player: Player, show: Show, stage: Stage, step: Step) -> MinuteRows:
        """The cross-section of the moment, made afresh for each callback."""
        assert show.cross is not None
        self.settle()
        ends = Ends(stage.market, step.end, player.account.market.ended_at_open)
        self._ends = weakref.ref(ends)
        return show.cross.rows(step.end, step.time, player.account.shares, ends, fresh=step.minute)

    def settle(self) -> None:
        """Rows that a strategy has kept let go of the session's bars."""
        kept = None if self._ends is None else self._ends()
        if kept is not None:
            kept.settle()
        self._ends = None

    # ------------------------------------------------------------------------------------------------ fills and orders

    def orders(self, player: Player, at_hand: Callable[[int], bool] | None = None) -> None:
        """Tell a strategy of the orders that ended since it was last told; what that causes is told next time.

        An independent one is told of the symbols `at_hand` only, so that no symbol's moments are another's.
        """
        for order in player.account.events(at_hand if player.declaration.independent else None):
            player.book.about = self._market.index.get(order.symbol)  # None: an order about every symbol
            self.call(player, "on_order", order)
        player.book.about = None

    def fills(self, player: Player, before: int) -> None:
        """Tell a strategy its fills from number `before` of its desk's on."""
        if player.has("on_fill"):
            for code, fill in player.account.fills_since(before):
                player.book.about = code
                self.call(player, "on_fill", fill)
            player.book.about = None

    def call(self, player: Player, callback: str, value: Any) -> None:
        """Call one of a strategy's methods, if it has it and is still running."""
        if player.has(callback):
            self.speaking = player
            try:
                getattr(player.instance, callback)(value, player.book)
                player.account.flush()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
                self.raised(player, error)

    # --------------------------------------------------------------------------------------------------------- raising

    def check_states(self, players: Sequence[Player]) -> None:
        """At the end of the first session a strategy was shown: what its attributes have become must pickle."""
        for player in players:
            if player.awake and id(player) not in self._checked:
                self._checked.add(id(player))
                try:
                    check_state(player.instance, f"strategy {player.declaration.name}")
                except StrategyError as error:
                    self.raised(player, error)

    def raised(self, player: Player, error: Exception | SystemExit) -> None:
        """A strategy's own exception: noted with session, minute and symbol; then isolated or raised."""
        market, book = self._market, player.book
        assert market.session is not None
        player.account.flush()
        where = f"session {market.session.name}, minute {max(market.elapsed - 1, 0)}, {instant(market.now):%Y-%m-%d %H:%M} UTC"
        code = book.current_code
        if code is not None:
            where += f", symbol {market.symbols[code]}"
        if book.shown is not None:
            book.shown = book.about = None
        hint = meant(error)
        said = f": {error}" if str(error) else ""
        told = f"{type(error).__name__}{said}{'; ' if hint else ''}{hint}"
        text = f"strategy {player.declaration.name}: {told} ({where})"
        if not isinstance(error, BtError):
            error.add_note(where)
        if self._isolate:
            player.failed = text
            book.log(text)
            player.account.give_up()
            return
        raise StrategyRaised(text) from error


def _show_rows(player: Player, on_bar: Callable[[Any, Any], Any], feed: Feed, end: int) -> None:
    """Call on_bar with every row that ends when `end` minutes are over."""
    book = player.book
    rows, progress, codes = feed.rows(end)
    book.shown = (progress, codes)
    if player.declaration.independent:
        make = rows.__next__
        for book.about in codes.tolist():  # before the row is made: its type may have code of its own
            on_bar(make(), book)
        book.about = None
    else:
        for row in rows:
            on_bar(row, book)
        if progress.__length_hint__():  # `map` takes a StopIteration that a row's own code raises for the end
            raise StrategyError(f"row type {feed.row.cls.__name__}: making a row must not raise StopIteration, but did")
    book.shown = None
