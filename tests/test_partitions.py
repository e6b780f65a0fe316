"""Results never depend on how the work was cut: windows, threads, speed, where a run starts, which symbols it has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from crosses import Cross, VolumeSurge
from judge import Entry, Market, ours
from witness import Onlooker, Witness

import bt

ROOT = Path(__file__).resolve().parents[1]
PREFETCH = (1, 2, 5, 30)
ETFS = ("AADR", "BWZ", "CANE", "DBB", "DBV", "ECNS", "FUT", "GLD", "IHY", "QQQ", "SCIX", "SPY", "USDU", "ZROZ")
RULES = {"slippage_bps": 1.3, "commission_per_share": 0.0035, "time_in_force": "gtc"}
"""Liquid, thin and nearly empty symbols; some have no bar in some sessions."""

MARKETS = {
    "etf": ("us-etf-universe-2019-12", "XNYS", date(2019, 12, 18), date(2020, 1, 10), ETFS),
    "es": ("futures-lean-minute", "CME_EQUITY", date(2013, 10, 8), date(2013, 10, 30), None),
    "btc": ("crypto-btcperp-2022", "24/7", date(2022, 1, 3), date(2022, 1, 7), None),
}


@pytest.fixture(scope="module", params=MARKETS)
def market(request: pytest.FixtureRequest, shared_data: Path) -> Market:
    folder, calendar, start, end, symbols = MARKETS[request.param]
    return Market(sorted((shared_data / folder).glob("*.parquet")), calendar, start, end, symbols)


def settings(market: Market, **session: Any) -> dict[str, Any]:
    return {**market.given, "execution": RULES, "cash": 2e6, **session}


def files(folder: Path) -> dict[str, bytes]:
    """The bytes of what must not differ."""
    made = {p.name: p.read_bytes() for p in sorted(folder.glob("*.parquet"))}
    assert len(made) == 12
    return {**made, "metrics.json": (folder / "metrics.json").read_bytes()}


def assert_same_files(one: Path, other: Path) -> None:
    mine, others = files(one), files(other)
    assert mine.keys() == others.keys()
    for name, content in mine.items():
        assert content == others[name], f"{name} of {other} differs"


def test_windows_speed_and_again(market: Market, tmp_path: Path) -> None:
    runs = {}
    for name, how in {
        **{f"prefetch {n}": {"prefetch_days": n} for n in PREFETCH},
        "again": {"prefetch_days": 5},
        "fast": {"prefetch_days": 5, "speed": 1e9},
    }.items():
        runs[name] = bt.replay(strategy=Witness, out=tmp_path / name, **settings(market, **how))
        assert_same_files(tmp_path / "prefetch 1", tmp_path / name)
    whole = runs["prefetch 1"]
    assert whole.fills.height > 100
    with_bars = whole.by_session.filter(pl.col("bars") > 0)
    assert whole.log.height == with_bars.height
    assert whole.log["message"].n_unique() == with_bars.height
    manifests = {name: json.loads((tmp_path / name / "manifest.json").read_text()) for name in runs}
    assert manifests["again"] == manifests["prefetch 5"]
    first, other = manifests["prefetch 1"], manifests["prefetch 30"]
    assert {k for k in first if first[k] != other[k]} == {"spec"}  # the hash names results, and the window is none


def test_threads(market: Market, tmp_path: Path) -> None:
    for threads in (1, 2):
        given = settings(market, engine={"threads": threads}, prefetch_days=3)
        out = tmp_path / f"{threads}"
        environment = {
            **os.environ, "POLARS_MAX_THREADS": str(threads), "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, str(ROOT / "tests" / "witness.py"), str(out), json.dumps(given, default=str)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["polars"] == threads
    assert_same_files(tmp_path / "1", tmp_path / "2")
    bt.replay(strategy=Witness, out=tmp_path / "here", **settings(market))
    assert_same_files(tmp_path / "1", tmp_path / "here")


def test_where_a_run_starts(market: Market) -> None:
    def rows_by_session(start: date, **how: Any) -> dict[date, tuple[str, str]]:
        run = bt.replay(strategy=Onlooker, save=False, **{**settings(market, **how), "start": start})
        shown = run.by_session.filter(pl.col("bars") > 0)["session"].to_list()
        return dict(zip(shown, run.log.select("message", "fields").rows(), strict=True))

    whole = rows_by_session(market.start)
    names = sorted(whole)
    for late in names[1:4] + names[-1:]:
        for days in (1, 4):
            later = rows_by_session(late, prefetch_days=days)
            assert later == {name: rows for name, rows in whole.items() if name >= late}


@pytest.mark.parametrize("strategy", [Cross, VolumeSurge])
def test_halves_of_the_symbols_add_up(shared_data: Path, strategy: type) -> None:
    folder, calendar, start, end, symbols = MARKETS["etf"]
    assert symbols is not None
    whole = Market(sorted((shared_data / folder).glob("*.parquet")), calendar, start, end, symbols)
    halves = [replace(whole, symbols=symbols[::2]), replace(whole, symbols=symbols[1::2])]

    def play(market: Market) -> dict[str, pl.DataFrame]:
        entries = [Entry("s", lambda: strategy(whole.flat_us))]
        return dict(ours(market, entries, execution=RULES, account={"cash": 1e9}).units)

    together, *apart = (play(m) for m in (whole, *halves))
    assert together["fills"].height > 400
    fills = (
        pl.concat([t["fills"] for t in apart]).drop("order_id").sort("session", "time", "symbol", maintain_order=True)
    )
    assert fills.equals(together["fills"].drop("order_id"))
    for column in ("equity", "cash", "gross", "net"):
        start_of = 10**17 if column in ("equity", "cash") else 0
        changes: Sequence[pl.Series] = [t["equity"][column] - start_of for t in (together, *apart)]
        assert (changes[0] == changes[1] + changes[2]).all(), column
