"""Prices on a tick grid tie exactly: on made-up markets the number of trades and the profit are known to the cent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from crosses import Cross, MultiInterval

import bt
from benchmarks.peers_data import Made, write

PREFETCH = (1, 2, 5, 30)
ANSWERS = {
    ("S", Cross): (1889, 11_524.00),
    ("M", Cross): (37_346, 1_489.00),
    ("S", MultiInterval): (828, 9_500.00),
    ("M", MultiInterval): (16_661, 8_099.00),
}
"""Trades and net profit, computed with whole cents outside this project."""


class Store:
    """A made-up market on disk."""

    def __init__(self, folder: Path, size: str) -> None:
        self.size, self.folder = size, folder
        self.made: Made = write(folder, size)

    def play(self, strategy: type, **how: Any) -> bt.Run:
        return bt.replay(
            bars=self.folder / "*.parquet", columns={"open_time": "ts"}, calendar="XNYS", start=self.made.first,
            end=self.made.last, strategy=strategy(self.made.flat_us), cash=1e9, save=False,
            execution={"time_in_force": "gtc", "commission_per_share": 0.005}, **how,
        )  # fmt: skip

    def check(self, strategy: type, **how: Any) -> bt.Run:
        run = self.play(strategy, **how)
        assert (run.trades.height, run.summary["net_pnl"]) == ANSWERS[self.size, strategy]
        assert run.trades["net_pnl"].sum() == pytest.approx(
            ANSWERS[self.size, strategy][1], rel=1e-12
        )  # a sum of floats
        assert run.summary["open_positions"] == run.summary["open_orders"] == 0
        return run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("peers") / "S", "S")


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("peers") / "M", "M")


def test_the_market_is_the_one_that_was_answered(small: Store) -> None:
    assert small.made.rows == 96_785
    assert (small.made.first, small.made.last) == ("2024-01-02", "2024-12-31")
    assert len(list(small.folder.glob("*.parquet"))) == 252
    found = bt.load_bars(small.folder / "*.parquet", "XNYS", "2024-01-02", "2024-12-31", columns={"open_time": "ts"})
    assert found["1m"].height == small.made.rows


@pytest.mark.parametrize("strategy", [Cross, MultiInterval])
@pytest.mark.parametrize(
    "how", [*({"prefetch_days": n} for n in PREFETCH), {"speed": 1e9}, {"engine": {"threads": 1}}, {"engine": {"threads": 2}}],
    ids=str,
)  # fmt: skip
def test_small(small: Store, strategy: type, how: dict[str, Any]) -> None:
    small.check(strategy, **how)


@pytest.mark.parametrize("strategy", [Cross, MultiInterval])
def test_medium(medium: Store, strategy: type) -> None:
    medium.check(strategy)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [Cross, MultiInterval])
@pytest.mark.parametrize("how", [*({"prefetch_days": n} for n in PREFETCH), {"speed": 1e9}], ids=str)
def test_medium_however_it_is_cut(medium: Store, strategy: type, how: dict[str, Any]) -> None:
    medium.check(strategy, **how)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [Cross, MultiInterval])
def test_halves_of_the_symbols_add_up(medium: Store, strategy: type) -> None:
    apart = [medium.play(strategy, symbols=medium.made.symbols[half::2]) for half in (0, 1)]
    trades, net = ANSWERS["M", strategy]
    assert sum(run.trades.height for run in apart) == trades
    assert sum(run.summary["net_pnl"] for run in apart) == pytest.approx(net, abs=1e-6)
