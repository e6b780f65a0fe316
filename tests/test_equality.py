"""bt against the oracle: the same strategies over the same files give the same fills, orders, trades, equity, positions."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from crosses import Cross, Dice, MultiInterval, Stubborn, VolumeSurge
from judge import Entry, Market, assert_equal

PLAIN = {"commission_per_share": 0.005}
RICH = {"cash": 1e9}


@pytest.fixture(scope="module")
def spy(shared_data: Path) -> Market:
    files = sorted((shared_data / "us-equity-spy-2024").glob("*.parquet"))
    return Market(files, "XNYS", date(2024, 3, 26), date(2024, 11, 29))


@pytest.mark.parametrize("tif", ["day", "gtc"])
@pytest.mark.parametrize("strategy", [Cross, MultiInterval, VolumeSurge])
def test_spy_2024(spy: Market, strategy: type, tif: str) -> None:
    mine = assert_equal(
        spy, [Entry("s", lambda: strategy(spy.flat_us))], execution={**PLAIN, "time_in_force": tif}, account=RICH
    )
    assert mine.run.fills.height > 1000
    assert mine.run.summary["open_positions"] == 0


def etf(shared_data: Path, every: int) -> Market:
    """Every `every`-th of the ETFs in order of their bars, so the thinnest and the most liquid alike."""
    folder = shared_data / "us-etf-universe-2019-12"
    bars: Counter[str] = Counter()
    with (folder / "coverage.csv").open() as file:
        for row in csv.DictReader(file):
            bars[row["symbol"]] += int(row["bars"])
    symbols = tuple(sorted(symbol for symbol, _ in bars.most_common()[::every]))
    return Market(sorted(folder.glob("*.parquet")), "XNYS", date(2019, 12, 16), date(2020, 1, 17), symbols)


@pytest.fixture(scope="module")
def some_etfs(shared_data: Path) -> Market:
    return etf(shared_data, 6)


@pytest.fixture(scope="module")
def all_etfs(shared_data: Path) -> Market:
    return etf(shared_data, 1)


def play_etfs(market: Market, strategy: type, tif: str) -> None:
    mine = assert_equal(
        market, [Entry("s", lambda: strategy(market.flat_us))], execution={**PLAIN, "time_in_force": tif}, account=RICH
    )
    assert mine.run.fills.height > 5000
    assert mine.run.summary["expired" if tif == "day" else "open_orders"] > 0


@pytest.mark.parametrize(
    ("strategy", "tif"), [(Cross, "day"), (Cross, "gtc"), (MultiInterval, "gtc"), (VolumeSurge, "day")]
)
def test_some_etfs(some_etfs: Market, strategy: type, tif: str) -> None:
    assert len(some_etfs.symbols or ()) == 160
    play_etfs(some_etfs, strategy, tif)


@pytest.mark.slow  # minutes each: `just equality-full`
@pytest.mark.parametrize("tif", ["day", "gtc"])
@pytest.mark.parametrize("strategy", [Cross, MultiInterval, VolumeSurge])
def test_all_etfs(all_etfs: Market, strategy: type, tif: str) -> None:
    assert len(all_etfs.symbols or ()) == 956
    play_etfs(all_etfs, strategy, tif)


# ---------------------------------------------------------------------------------------------------------- by chance

MARKETS = {
    "es": ("futures-lean-minute", "*.parquet", "CME_EQUITY", date(2013, 10, 7), date(2013, 10, 30), None),
    "hk": ("intl-equity-minute", "9988.HK.parquet", "XHKG", date(2024, 2, 5), date(2024, 2, 16), None),
    "btc": ("crypto-btcperp-2022", "*.parquet", "24/7", date(2022, 1, 2), date(2022, 1, 5), None),
    "etf": (
        "us-etf-universe-2019-12", "*.parquet", "XNYS", date(2019, 12, 19), date(2019, 12, 30),
        ("AADR", "DBB", "DBV", "FUT", "QLS", "SCIX", "SPY", "USDU"),
    ),
    "half": ("us-equity-spy-2024", "*.parquet", "XNYS", date(2024, 6, 27), date(2024, 7, 10), None),
    "outage": ("us-equity-spy-2024-ext", "*.parquet", "XNYS", date(2024, 5, 31), date(2024, 7, 16), None),
}  # fmt: skip
"""Overnight sessions with a halt and days without any bar; lunch breaks and a half day; no break at all; thin symbols with a
half day; half days with rows after them and closing prints; an outage, extended hours, and a last session without bars."""


@pytest.fixture(scope="module")
def market(request: pytest.FixtureRequest, shared_data: Path) -> Market:
    folder, files, calendar, start, end, symbols = MARKETS[request.param]
    return Market(sorted((shared_data / folder).glob(files)), calendar, start, end, symbols)


SETTINGS = {
    "costs, money short": {
        "execution": {"slippage_bps": 1.3, "commission_per_share": 0.0035},
        "account": {"cash": 30_000.0, "leverage": 1.0},
    },
    "gtc, closing print, closed at the end": {
        "execution": {"time_in_force": "gtc", "close_price": "closing_print", "at_end": "close", "slippage_bps": 1.3},
        "account": {"cash": 60_000.0, "leverage": 1.5},
    },
    "gated by quality": {
        "execution": {"commission_per_share": 0.0035, "at_end": "close"},
        "account": {"cash": 1e6, "leverage": 0.0},
        "quality": {"minimum": 97.0, "after_minutes": 20},
    },
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("market", MARKETS, indirect=True)
def test_by_chance(market: Market, settings: str) -> None:
    seed = sorted(SETTINGS).index(settings) * 100
    known = sorted({b.symbol for b in market.bars})
    entries = [
        Entry("b", lambda: Dice(seed + 1, busy=2, known=known)),
        Entry("a", lambda: Dice(seed + 2, busy=6, shares=15, notes=False), cash=12_345.67),
    ]
    assert_equal(market, entries, **SETTINGS[settings])


@pytest.mark.parametrize("market", ["etf"], indirect=True)
@pytest.mark.parametrize("seed", range(8))
def test_before_anything_is_known(market: Market, seed: int) -> None:
    known = market.symbols or ()
    entries = [Entry("s", lambda: Dice(seed, busy=9, known=known[seed:] + known[:seed], notes=False), cash=9_000.0)]
    gate = {"minimum": 40.0, "after_minutes": 10}
    assert_equal(market, entries, account={"leverage": 2.0}, quality=gate, execution={"commission_per_share": 0.0035})


@pytest.mark.parametrize("market", ["etf", "hk"], indirect=True)
def test_ordering_when_told(market: Market) -> None:
    mine = assert_equal(market, [Entry("s", lambda: Stubborn(market.flat_us))], account=RICH)
    assert mine.run.orders.filter(pl.col("reason") == "no_bar").height > 0


@pytest.mark.parametrize("market", ["hk", "half"], indirect=True)
@pytest.mark.parametrize("when", ["start", "fill", "state", "end"])
def test_stopped(market: Market, when: str) -> None:
    session = [d.name for d in market.days if d.name >= market.start][2]
    entries = [Entry("b", lambda: Dice(1, busy=9, stop=f"{when} {session}")), Entry("a", lambda: Dice(2, busy=9))]
    mine = assert_equal(market, entries, execution={"at_end": "close"})
    assert mine.run.finish_reason == "stopped"
    assert mine.run.stop_reason == f"{when} {session}"
