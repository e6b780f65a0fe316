"""Orders meet prices: whose do at a moment, and what came of it is told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bt.engine.players import Player
from bt.engine.stage import Stage, Step
from bt.engine.telling import Teller
from bt.execution.matching import AT_CLOSES, AT_LAST, AT_OPENS, SAME_CLOSE
from bt.schema import MINUTE

ALL: npt.NDArray[np.bool_] = np.zeros(0, dtype=bool)
"""Marks no symbol: the moment is everybody's."""


class Meeting:
    """Matches the orders of players, by those that share their money; what is filled is told by `teller`."""

    def __init__(self, players: Sequence[Player], teller: Teller) -> None:
        self._groups = _by_desk(players)
        self._desks = [group[0].account.desk for group in self._groups]
        self._number = {id(player): number for number, player in enumerate(players)}
        self._teller = teller
        self._untold: dict[int, int] = {}  # by desk, from which fill on

    @property
    def has_resting(self) -> bool:
        """Whether any live order may have to do with bars otherwise than a market order."""
        for desk in self._desks:  # noqa: SIM110 - asked at every minute, where any() of a generator costs more than the answer
            if desk.has_resting:
                return True
        return False

    def end_minuted(self, now: int, *, limits_only: bool = False) -> None:
        """Orders for one minute that was over `now` end, or those with a limit."""
        for desk in self._desks:
            if desk.has_minuted:
                desk.end_minuted(now, limits_only=limits_only)

    def opens(self, stage: Stage, step: Step) -> None:
        """Orders meet the opens of the minute that ends with a moment: market orders with `next_open`, what waits for a price with every
        rule. With `same_close` it is told when the bars have ended."""
        opened, end = step.time - MINUTE, step.end
        for group in self._seeing(stage, end):
            desk = group[0].account.desk
            if self._waits(group) and (desk.rule == AT_OPENS or desk.has_resting):
                before = desk.fills
                desk.match(AT_OPENS, opened, opened, end - 1, at_close=False)
                if desk.rule == SAME_CLOSE:
                    self._untold[id(desk)] = before
                else:
                    self._tell(group, before, opened + MINUTE)

    def closes(self, stage: Stage, step: Step) -> None:
        """What orders meet within the bars that end now, then with `next_close` at their closes those that were given before them."""
        opened = step.time - MINUTE
        for group in self._seeing(stage, step.end):
            desk = group[0].account.desk
            rests = desk.has_resting
            before = self._untold.pop(id(desk), desk.fills)
            if self._waits(group):
                if rests:
                    desk.within(opened, step.end - 1)
                if desk.rule == AT_CLOSES:
                    desk.match(AT_CLOSES, step.time, opened, step.end - 1, at_close=True)
            if desk.fills > before:
                self._tell(group, before, step.time)

    def last_closes(self, stage: Stage, step: Step) -> None:
        """`same_close`: orders meet the last closes shown. An independent strategy's have their moments where their own symbol has a bar."""
        slot = step.end - 1 if step.minute else step.end
        for group in self._groups:
            if not any(stage.is_own(self._number[id(p)], step) for p in group) or not self._waits(group):
                continue
            only = stage.having_bars(step, group[0].declaration.rows) if group[0].declaration.independent else ALL
            desk = group[0].account.desk
            before = desk.fills
            desk.match(AT_LAST, step.time, step.time, slot, at_close=step.minute, only=only)
            self._tell(group, before, step.time)
        if step.minute:
            self.end_minuted(step.time)

    def _seeing(self, stage: Stage, end: int) -> list[list[Player]]:
        """Those who share their money, of whom one sees a bar that ends now: what others hold is no moment of theirs."""
        if not stage.owns:
            return self._groups if stage.market.count[end - 1] > 0 else []
        return [g for g in self._groups if any(stage.sees(self._number[id(p)], end) for p in g)]

    @staticmethod
    def _waits(group: Sequence[Player]) -> bool:
        """Whether any order of those who share their money could fill."""
        if group[0].over is not None:
            return False
        for player in group:  # noqa: SIM110 - as above
            if player.account.waiting:
                return True
        return False

    def _tell(self, group: Sequence[Player], before: int, decided: int) -> None:
        """Those who share their money are told the fills from number `before` on; orders given meanwhile count as decided at `decided`."""
        for player in group:
            player.account.decide_at(decided)
        for player in group:
            self._teller.fills(player, before)


def _by_desk(players: Sequence[Player]) -> list[list[Player]]:
    """Players in their order, those that share their money together."""
    groups: dict[int, list[Player]] = {}
    for player in players:
        groups.setdefault(id(player.account.desk), []).append(player)
    return list(groups.values())
