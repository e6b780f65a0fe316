"""The laws that `conftest.lawful` holds every run to are seen to be broken where they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import oracle as o
import polars as pl
import pytest
from conservation import Audit

import bt
from bt.book import Desk
from bt.engine import Engine, SessionOutcome
from bt.execution import layout as at

DAYS = [date(2024, 7, 2), date(2024, 7, 3), date(2024, 7, 5)]


def bars() -> pl.DataFrame:
    """Two symbols over three sessions, the second a half day; B has a bar every seventh minute."""
    rows = []
    for number, day in enumerate(DAYS):
        hours = "09:30-13:00" if day == date(2024, 7, 3) else "09:30-16:00"
        for m, t in enumerate(o.regular_day(day, "America/New_York", hours).minutes):
            for symbol, every in (("A", 1), ("B", 7)):
                price = 20 + number + (m * 7 % 31) / 100
                if m % every == 0:
                    rows.append((symbol, o.instant(t), price, price + 0.05, price - 0.05, price + 0.01, 100 + m))
    columns = ["symbol", "open_time", "open", "high", "low", "close", "volume"]
    return pl.DataFrame(rows, schema=columns, orient="row")


class Minute(bt.Row):
    symbol: str
    minute: int


class Busy:
    """Turns its positions over, short too, and holds some overnight."""

    row = Minute

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        if row.minute % 5 == 0:
            book.target(row.symbol, (7, -3, 2, 0)[row.minute // 5 % 4])
        if row.minute == 200:
            book.exit_at_close("A")


def play(folder: Path) -> bt.Run:
    bars().write_parquet(folder / "bars.parquet")
    return bt.replay(
        bars=folder / "bars.parquet", calendar="XNYS", start=DAYS[0], end=DAYS[-1], strategy=Busy, save=False,
        execution={"slippage_bps": 1.7, "commission_per_share": 0.0035},
    )  # fmt: skip


def test_a_lawful_run_is_audited(lawful: Audit, tmp_path: Path) -> None:
    run = play(tmp_path)
    assert run.fills.height > 100
    assert run.trades.height > 50
    assert lawful.sessions == len(DAYS)
    assert not lawful.broken


def spoiled(change: Callable[[SessionOutcome], SessionOutcome]) -> Callable[..., SessionOutcome]:
    """`Engine.play` with its outcome changed."""
    play_ = Engine.play

    def playing(*args: Any, **keywords: Any) -> SessionOutcome:
        return change(play_(*args, **keywords))

    return playing


def with_player(outcome: SessionOutcome, **changes: Any) -> SessionOutcome:
    return replace(outcome, players=[replace(outcome.players[0], **changes)])


def double_first_fill(outcome: SessionOutcome) -> SessionOutcome:
    output = outcome.players[0].output
    output.fills = np.concatenate([output.fills, output.fills[-1:]])
    return outcome


def fill_at_the_close_instead(outcome: SessionOutcome) -> SessionOutcome:
    outcome.players[0].output.fills[3, at.F_REFERENCE] += 1_000_000
    return outcome


def outside_the_session(outcome: SessionOutcome) -> SessionOutcome:
    fills = outcome.players[0].output.fills
    fills[-1, [at.F_TIME, at.F_BAR]] = outcome.session.close + 60_000_000, 0
    return outcome


def another_equity(outcome: SessionOutcome) -> SessionOutcome:
    curve = outcome.players[0].curve
    changed = curve.equity.copy()
    changed[-1] += 1
    return with_player(outcome, curve=replace(curve, equity=changed))


def lost_position(outcome: SessionOutcome) -> SessionOutcome:
    return with_player(outcome, positions=outcome.players[0].positions[:-1])


def better_trade(outcome: SessionOutcome) -> SessionOutcome:
    outcome.players[0].output.trades[0, at.T_GROSS] += 1
    return outcome


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (double_first_fill, "its fills add up to"),
        (fill_at_the_close_instead, "the bar that opens then has"),
        (outside_the_session, "outside every segment"),
        (another_equity, "equity at minutes"),
        (lost_position, "by the fills"),
        (better_trade, "gross P&L"),
    ],
)
def test_a_broken_law_is_seen(change: Any, message: str, tmp_path: Path) -> None:
    audit = Audit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "play", spoiled(change))
        audit.install(patch)
        with pytest.raises(AssertionError, match=message):
            play(tmp_path)
    assert len(audit.broken) == 1


def test_a_commission_that_is_not_charged_is_seen(lawful: Audit, tmp_path: Path) -> None:
    settings = Desk._write_terms

    def free(self: Desk, *given: Any) -> None:
        settings(self, *given)
        self.fixed[at.FEE_UP] = 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Desk, "_write_terms", free)
        with pytest.raises(AssertionError, match=r"by the schedule its commission is"):
            play(tmp_path)
    assert len(lawful.broken) == 1
    lawful.broken.clear()  # this test wanted it


def test_cash_that_does_not_follow_the_fills_is_seen(lawful: Audit, tmp_path: Path) -> None:
    match = Desk.match

    def generous(self: Desk, *args: Any, **keywords: Any) -> int:
        before = match(self, *args, **keywords)
        self.account[0, at.CASH] += 1
        return before

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Desk, "match", generous)
        with pytest.raises(AssertionError, match="cash at minutes"):
            play(tmp_path)
    lawful.broken.clear()
