"""Past sessions: read once, cached beside the store, read again when their files change."""

from __future__ import annotations

import gc
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

import bt
from bt.features import Kernels, Ordered
from bt.model import PreparedSession
from bt.prepare.window import Minutes
from bt.sessions import TimeManager
from bt.store import Store

NEW_YORK = ZoneInfo("America/New_York")


def write_day(folder: Path, day: datetime, price: float) -> None:
    """One symbol, the first ten minutes of a session, every price `price`."""
    times = [day.replace(hour=9, minute=30 + i) for i in range(10)]
    prices = [price] * 10
    pl.DataFrame(
        {
            "symbol": ["AAA"] * 10,
            "open_time": pl.Series(times).dt.convert_time_zone("UTC").dt.cast_time_unit("us"),
            "open": prices, "high": prices, "low": prices, "close": prices,
            "volume": pl.Series([100] * 10, dtype=pl.Int64),
        }
    ).write_parquet(folder / f"{day:%Y-%m-%d}.parquet")  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Sessions 2024-01-02 to 2024-03-28, the n-th at price 10 + n."""
    folder = tmp_path / "store"
    folder.mkdir()
    first, last = date(2024, 1, 2), date(2024, 3, 28)
    for n, name in enumerate(TimeManager("XNYS").sessions(first, last)):
        write_day(folder, datetime(name.year, name.month, name.day, tzinfo=NEW_YORK), 10.0 + n)
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The time range of every query."""
    asked: list[tuple[int, int]] = []
    real = Store.read

    def read(self: Store, start: int, end: int, *args: object, **keywords: object) -> pl.DataFrame:
        asked.append((start, end))
        return real(self, start, end, *args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "read", read)
    return asked


DAY = 86_400_000_000
MARCH_27 = int(datetime(2024, 3, 27, 17, tzinfo=UTC).timestamp()) * 1_000_000


def average(store: Path, start: str = "2024-03-27", period: str = "2m") -> float:
    features = {"avg": bt.trailing("avg", "close", period)}
    found = bt.load_bars(store, "XNYS", start, start, features=features)["1m"]["avg"].unique()
    assert len(found) == 1
    return float(found[0])


def test_daily_values_are_read_once(store: Path, reads: list[tuple[int, int]]) -> None:
    first = average(store)
    history = [(a, b) for a, b in reads if b < MARCH_27]  # the session itself apart
    assert sum(b - a for a, b in history) > 50 * DAY  # two months of minutes
    reads.clear()
    assert average(store) == first
    assert len(reads) == 1  # the session itself
    reads.clear()
    average(store, "2024-03-28")
    assert len(reads) == 2  # one more session of history


def test_a_changed_file_is_read_again(store: Path, reads: list[tuple[int, int]]) -> None:
    before = average(store, period="5d")
    write_day(store, datetime(2024, 3, 25, tzinfo=NEW_YORK), 1000.0)
    reads.clear()
    after = average(store, period="5d")
    assert len(reads) == 2
    assert after > before + 100


def test_values_are_those_of_the_period(store: Path) -> None:
    names = TimeManager("XNYS").sessions(date(2024, 1, 2), date(2024, 3, 26))
    prices = {name: 10.0 + n for n, name in enumerate(names)}
    assert average(store, period="5d") == sum(list(prices.values())[-5:]) / 5
    since = date(2024, 3, 27) - timedelta(weeks=3)
    inside = [p for name, p in prices.items() if name >= since]
    assert average(store, period="3w") == sum(inside) / len(inside)
    assert average(store, period="1y") == sum(prices.values()) / len(prices)


class Means(bt.Row):
    close: float
    mean: float | None
    spread: float | None
    day: float | None


class Watches:
    row = Means

    def features(self) -> dict[str, bt.Feature]:
        return {
            "mean": bt.sma("close", 3),
            "spread": bt.feature(pl.col("high") - pl.col("low"), 0),
            "day": bt.trailing("avg", "close", "5d"),
        }

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None: ...


def held() -> list[Any]:
    """What a window is kept in, as far as it is alive."""
    return [o for o in gc.get_objects() if type(o) in {Ordered, Kernels, Minutes, PreparedSession}]


def test_a_window_is_freed_without_the_garbage_collector(store: Path):
    """A cycle around a window's columns would keep them until the collector comes, which it hardly does while a run lasts."""
    gc.collect()
    kept = held()  # of other tests, by an exception that somebody keeps
    gc.disable()
    try:
        bt.replay(bars=store, calendar="XNYS", strategy=Watches(), start="2024-01-08", end="2024-03-28", save=False)
        left = [type(o).__name__ for o in held() if not any(o is other for other in kept)]
    finally:
        gc.enable()
    assert left == []
