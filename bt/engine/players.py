"""Who plays: a strategy in the run, and what it did in a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bt.book import Account, Curve, Output, Recall, StrategyBook
from bt.execution import IntArray
from bt.model import PreparedSession
from bt.playback import Withheld
from bt.prepare import PastBars
from bt.strategy import Declaration


@dataclass
class Player:
    """A strategy in the run: what it declared, its book, and the column behind each field of each row type; `past` is what its
    `at_open` is told from. It is shown sessions from number `begins` on, and its orders are taken from `trades` on; `asleep` is
    a session before, or after its run was over: after `over` minutes of a session, where its run may end before those of others.
    `number` is its place among the strategies that were prepared for, of whom only some may play here."""

    declaration: Declaration
    account: Account
    book: StrategyBook
    ids: Sequence[dict[str, str]]
    failed: str = ""
    past: PastBars | None = None
    begins: int = 0
    trades: int = 0
    asleep: bool = False
    over: int | None = None
    number: int = 0

    @property
    def name(self) -> str:
        """The strategy's."""
        return self.declaration.name

    @property
    def start_cash(self) -> int:
        """Cash at the start, units."""
        return self.account.start_cash

    @property
    def instance(self) -> Any:
        """The strategy itself."""
        return self.declaration.instance

    def has(self, callback: str) -> bool:
        """Whether the strategy has the callback and is still running."""
        return self.awake and callback in self.declaration.callbacks

    @property
    def awake(self) -> bool:
        """Whether it plays: it has not failed, and its sessions have begun and are not over."""
        return not self.failed and not self.asleep and self.over is None

    def remember(self, prepared: PreparedSession, number: int) -> None:
        """Let its book reach what was there before session number `number`, and the session's own bars as they end."""
        visible = None
        if prepared.members is not None:
            visible = np.zeros(len(self.account.market.symbols), dtype=bool)
            visible[self.visible(prepared.members)] = True
        owner = f"strategy {self.declaration.name}"
        self.book.recall = Recall(owner, self.declaration.history, prepared.histories, number, visible)

    def visible(self, members: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64]:
        """Sorted codes of what it is shown in a session that begins now: the universe and what it holds."""
        if members is None:
            return np.arange(len(self.account.market.symbols), dtype=np.int64)
        return np.union1d(members, np.flatnonzero(self.account.shares))

    def left(self, opened: int) -> Left:
        """What it leaves if the run ends now, after a session that `opened` then."""
        held = self.account.held()[:, 0]
        ended = self.account.market.last_end[held]
        stale = {code: end for code, end in zip(held.tolist(), ended.tolist(), strict=True) if end <= opened}
        return Left(self.account.abandon(), len(held), stale)


@dataclass(frozen=True)
class Left:
    """What a strategy leaves where the run ends: the records of its live orders (columns R_ of bt.execution.layout), how many positions, and of those that had no bar in the last
    session when their last bar ended, by code, UTC microseconds."""

    orders: IntArray
    positions: int
    stale: Mapping[int, int]


@dataclass(frozen=True)
class PlayerOutcome:
    """What one strategy did in a session: its account's output, equity curve and positions at the close; `traded` is the volume of the
    bar behind each fill, 0 where none is; `given` counts its orders, refused ones included."""

    output: Output
    curve: Curve
    positions: IntArray  # by code: code, shares, price and value in units
    withheld: Sequence[Withheld]
    traded: npt.NDArray[np.float64]
    given: int
