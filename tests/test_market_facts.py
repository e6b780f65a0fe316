"""Facts of real markets that a run must report: half days, rows after the close, an outage, coverage."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import bt

HALF_DAYS = {date(2024, 7, 3): 139, date(2024, 11, 29): 135}
"""Half days of us-equity-spy-2024 with their rows after the close."""


class Minute(bt.Row):
    symbol: str
    open_time: datetime
    close_time: datetime


class Quarter(bt.Row):
    interval = "15m"

    symbol: str
    open_time: datetime
    close_time: datetime


class Watch:
    """Notes when rows were shown."""

    row = (Minute, Quarter)

    def __init__(self) -> None:
        self.shown: list[tuple[datetime, datetime, datetime]] = []
        self.ends: dict[date, datetime] = {}

    def on_bar(self, row: Minute | Quarter, book: bt.Book) -> None:
        self.shown.append((row.open_time, row.close_time, book.now))

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        self.shown.append((rows.open_time, rows.close_time, book.now))

    def on_session_end(self, session: date, book: bt.Book) -> None:
        self.ends[date(session.year, session.month, session.day)] = book.now


class Idle:
    """Trades nothing."""

    def on_session_end(self, session: date, book: bt.Book) -> None:
        pass


def spy(shared_data: Path, name: str, strategy: Any, start: str, end: str) -> bt.Run:
    return bt.replay(
        bars=shared_data / name / "*.parquet", columns={"open_time": "ts"}, calendar="XNYS", start=start, end=end,
        strategy=strategy, save=False, streams={"intervals": ["5m"]},
    )  # fmt: skip


def test_spy_2024_half_days_and_guards(shared_data: Path) -> None:
    watch = Watch()
    run = spy(shared_data, "us-equity-spy-2024", watch, "2024-03-26", "2024-11-29")
    one = {
        d: datetime(d.year, d.month, d.day, 17 if d.month == 7 else 18, tzinfo=UTC) for d in HALF_DAYS
    }  # 13:00 there
    for day, close in one.items():
        of_day = [times for times in watch.shown if times[2].date() == day]
        assert len(of_day) == 210 + 14 + 210
        assert max(max(times) for times in of_day) == close == watch.ends[day]
    counts: dict[str, dict[date, int]] = {}
    for row in run.guards.iter_rows(named=True):
        counts.setdefault(row["reason"], {})[row["session"]] = row["rows"]
    assert counts.keys() == {"after_close", "closing_print"}
    assert counts["after_close"] == HALF_DAYS
    assert sum(counts["closing_print"].values()) == len(counts["closing_print"]) == 171
    assert not counts["closing_print"].keys() & HALF_DAYS.keys()
    assert run.summary["guards"] == {"after_close": 139 + 135, "closing_print": 171}


def test_the_outage_of_june_2024(shared_data: Path) -> None:
    run = spy(shared_data, "us-equity-spy-2024-ext", Idle(), "2024-05-31", "2024-06-05")
    (row,) = run.quality.filter(session=date(2024, 6, 3), interval="1m").to_dicts()
    gap = {
        "start": datetime(2024, 6, 3, 14, 26, tzinfo=UTC),
        "end": datetime(2024, 6, 3, 15, 38, tzinfo=UTC),
        "minutes": 72,
    }
    assert row["gaps"] == [gap]  # 10:26 to 11:38 in New York
    assert (row["longest_gap_start"], row["longest_gap_minutes"]) == (gap["start"], 72)
    assert (row["present"], row["expected"], row["quality"]) == (318, 390, 100 * 318 / 390)
    (row,) = run.quality.filter(session=date(2024, 6, 3), interval="5m").to_dicts()
    # 10:25 lacks four minutes, 11:35 three, and the 13 between all
    assert (row["present"], row["expected"]) == (78 - 15, 78)


CALENDARS = {
    "equity-india-lean-minute": "XBOM",
    "us-index-spx-2019": "XNYS",
    "us-equity-24sym-2019": "XNYS",
    "us-equity-2sym-2016": "XNYS",
    "us-equity-3sym-2023-ext": "XNYS",
    "us-equity-9sym-2022-ext": "XNYS",
    "us-equity-lean-minute": "XNYS",
    "us-equity-spy-2011-ext": "XNYS",
    "us-equity-spy-2024": "XNYS",
    "us-equity-spy-2024-ext": "XNYS",
    "us-equity-thin-etf": "XNYS",
    "us-etf-universe-2019-12": "XNYS",
    "intl-equity-minute/9988.HK": "XHKG",
    "intl-equity-minute/00632R.TW": "XTAI",
    "intl-equity-minute/069500.KS": "XKRX",
    "intl-equity-minute/MSFT": "XNYS",
}
"""Every set whose coverage.csv has rth_expected, with its calendar; one symbol of a set of several exchanges."""


def covered(folder: Path) -> bool:
    with (folder / "coverage.csv").open() as file:
        return "rth_expected" in next(csv.reader(file))


def test_every_coverage_is_looked_at(shared_data: Path) -> None:
    found = {folder.name for folder in shared_data.iterdir() if (folder / "coverage.csv").exists() and covered(folder)}
    assert found == {name.partition("/")[0] for name in CALENDARS}


@pytest.mark.parametrize("name", CALENDARS)
def test_coverage(shared_data: Path, name: str) -> None:
    folder, _, only = name.partition("/")
    expected: dict[tuple[date, str], tuple[int, int, int]] = {}
    with (shared_data / folder / "coverage.csv").open() as file:
        for row in csv.DictReader(file):
            if only in ("", row["symbol"]):
                numbers = int(row["rth_present"]), int(row["rth_expected"]), int(row["longest_gap_min"])
                expected[date.fromisoformat(row["date"]), row["symbol"]] = numbers
    run = bt.replay(
        bars=shared_data / folder / f"{only or '*'}.parquet", columns={"open_time": "ts"}, calendar=CALENDARS[name],
        start=min(d for d, _ in expected), end=max(d for d, _ in expected), strategy=Idle, save=False,
    )  # fmt: skip
    found = {
        (r["session"], r["symbol"]): (r["present"], r["expected"], r["longest_gap_minutes"])
        for r in run.quality.filter(interval="1m").iter_rows(named=True)
    }
    assert {key: found.get(key) for key in expected} == expected
    assert all(present == 0 for key, (present, _, _) in found.items() if key not in expected)
    sessions = {session for session, _ in found}
    assert len(found) == len(sessions) * run.summary["symbols"]
