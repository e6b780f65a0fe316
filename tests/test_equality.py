"""bt against the oracle: the same strategies over the same files give the same fills, orders, trades, equity, positions."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from crosses import Cross, Dice, MultiInterval, VolumeSurge
from judge import Entry, Market, assert_equal

COSTS = {"commission_per_share": 0.005}
RICH = {"cash": 1e9, "leverage": 0.0}


@pytest.fixture(scope="module")
def spy(shared_data: Path) -> Market:
    files = sorted((shared_data / "us-equity-spy-2024").glob("*.parquet"))
    return Market(files, "XNYS", date(2024, 3, 26), date(2024, 11, 29))


@pytest.mark.parametrize("tif", ["day", "gtc"])
@pytest.mark.parametrize("strategy", [Cross, MultiInterval, VolumeSurge])
def test_spy_2024(spy: Market, strategy: type, tif: str) -> None:
    mine = assert_equal(
        spy, [Entry("s", lambda: strategy(spy.flat_us))], execution={**COSTS, "time_in_force": tif}, account={"cash": 1e9}
    )
    assert mine.run.fills.height > 1000
