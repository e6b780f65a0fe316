"""Shares by what is at risk until a stop (decision 0030)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small import Script, bars, play, store

from bt.errors import StrategyRaised


def market(folder: Path) -> Path:
    """A at 100, in the third minute down to 97 and in the fourth up to 104; B has no bar but the last."""
    prices: Any = [100.0, 100.0, (100.0, 97.0), (97.0, 104.0), 104.0]
    return store(folder, bars("A", prices), bars("B", [50.0], first=4))


@pytest.mark.parametrize(
    ("fraction", "stop", "made"),
    [
        (0.01, 98.0, [("target", 50), ("stop_loss", -50)]),  # 1 % of 10,000 is 100, at 2 a share
        (0.01, 98.03, [("target", 50), ("stop_loss", -50)]),  # 50.76
        (0.01, 103.0, [("target", -33), ("stop_loss", 33)]),  # 33.33
        (0.0001, 97.0, []),  # a third of a share
        (0.0, 97.0, []),
    ],
)
def test_the_stop_loses_that_part_of_equity(
    tmp_path: Path, fraction: float, stop: float, made: list[tuple[str, int]]
) -> None:
    script = Script({("A", 0): lambda b: b.target_risk("A", fraction, stop, tag="r")})
    run = play(market(tmp_path), script, cash=1e4)
    assert run.orders.sort("id").select("type", "shares").rows() == made
    assert set(run.orders["tag"]) <= {"r"}
    if made:
        gross = run.trades["gross_pnl"].item()
        assert gross == pytest.approx(-abs(made[0][1]) * abs(100 - stop))
        assert -1e4 * fraction <= gross


def test_a_level_of_nothing_sells_what_is_held(tmp_path: Path) -> None:
    script = Script({("A", 0): lambda b: b.order("A", 10), ("A", 1): lambda b: b.target_risk("A", 0.0, 90.0)})
    run = play(market(tmp_path), script, cash=1e4)
    assert run.fills["shares"].to_list() == [10, -10]


def test_the_same_level_again_leaves_its_leg_alone(tmp_path: Path) -> None:
    script = Script({("A", minute): lambda b: b.target_risk("A", 0.01, 90.0) for minute in (0, 1)})
    run = play(market(tmp_path), script, cash=1e4)
    assert run.orders.sort("id").select("type", "status").rows() == [("target", "filled"), ("stop_loss", "open")]


def test_a_symbol_without_a_close_is_refused(tmp_path: Path) -> None:
    script = Script({("A", 0): lambda b: (b.target_risk("B", 0.01, 40.0), b.target_risk("B", 0.0, 40.0))})
    run = play(market(tmp_path), script, cash=1e4)
    assert run.orders.select("symbol", "type", "status", "reason").rows() == [("B", "target", "rejected", "no_price")]


@pytest.mark.parametrize(
    ("fraction", "stop", "message"),
    [
        (-0.01, 98.0, "a fraction at risk must be a finite number >= 0, was -0.01"),
        (float("nan"), 98.0, "a fraction at risk must be a finite number >= 0, was nan"),
        ("1 %", 98.0, "a fraction at risk must be a finite number >= 0, was '1 %'"),
        (0.01, 100.0, "stop must not be the last close shown, was 100.0"),
        (0.01, -1.0, "stop must be finite and above 0, was -1.0"),
        (0.01, None, "target_risk must have a stop, was None"),
    ],
)
def test_what_is_no_risk_is_the_strategys_mistake(tmp_path: Path, fraction: Any, stop: Any, message: str) -> None:
    script = Script({("A", 0): lambda b: b.target_risk("A", fraction, stop)})
    with pytest.raises(StrategyRaised) as raised:
        play(market(tmp_path), script, cash=1e4)
    assert message in str(raised.value)
