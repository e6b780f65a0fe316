from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small import HALF_DAY, TUESDAY, Script, at, bars, play, store

import bt
from bt.schema import FAULT_REASONS, OK, fault_code

SOUND = {"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 5.0}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"volume": 0.0}, None),
        ({"open": 10.0, "high": 10.0, "low": 10.0, "close": 10.0}, None),
        ({"time": 60_000_001}, "off_grid"),
        ({"time": 60_000_001, "close": math.nan, "low": -1.0}, "off_grid"),
        ({"close": math.nan}, "non_finite"),
        ({"high": math.inf}, "non_finite"),
        ({"volume": math.nan, "low": 0.0}, "non_finite"),
        ({"volume": None}, "non_finite"),
        ({"open": None}, "non_finite"),
        ({"low": 0.0}, "non_positive"),
        ({"open": -1.0, "volume": -1.0}, "non_positive"),
        ({"high": 8.0}, "inconsistent"),
        ({"high": 10.4}, "inconsistent"),
        ({"low": 10.1}, "inconsistent"),
        ({"high": 9.2e10}, None),
        ({"high": math.nextafter(9.2e10, math.inf)}, "inconsistent"),
        ({"volume": -1.0}, "inconsistent"),
    ],
)
def test_the_first_fault_that_matches_counts(changes: dict[str, Any], reason: str | None):
    frame = pl.DataFrame([{"time": 60_000_000, **SOUND, **changes}])
    code = frame.select(fault_code()).item()
    assert (FAULT_REASONS[code - 1] if code != OK else None) == reason


def counted(run: bt.Run) -> dict[str, int]:
    return dict(run.summary["guards"])


def moved(rows: list[dict[str, Any]], when: datetime) -> list[dict[str, Any]]:
    return [{**row, "ts": when} for row in rows]


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        (at(-1), "before_open"),
        (at(390), "closing_print"),
        (at(391), "after_close"),
        (datetime(2024, 1, 3, 4, 59, tzinfo=UTC), "after_close"),  # 23:59 in New York
        (datetime(2024, 1, 1, 18, 0, tzinfo=UTC), "no_session"),  # New Year's Day, nearer to the 2nd than to the 29th
    ],
)
def test_rows_outside_the_segments(tmp_path: Path, when: datetime, reason: str):
    where = store(tmp_path, bars("A", [1.0, 1.0]), moved(bars("A", [2.0]), when))
    script = Script()
    run = play(where, script)
    assert [h for h in script.happened if h[0] == "bar"] == [("bar", "A", 0), ("bar", "A", 1)]
    assert counted(run) == {reason: 1}
    assert run.guards.row(0, named=True) == {
        "session": datetime(2024, 1, 2).date(), "symbol": "A", "reason": reason, "rows": 1,  # noqa: DTZ001
        "first_time": when, "last_time": when, "sample": [when],
    }  # fmt: skip


def test_a_row_at_the_close_is_a_closing_print_only_if_it_is_alone(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0]), bars("A", [2.0, 2.0], first=390), bars("B", [2.0], first=390))
    run = play(where, Script())
    assert {tuple(r) for r in run.guards.select("symbol", "reason", "rows").rows()} == {
        ("A", "after_close", 2),
        ("B", "closing_print", 1),
    }


def test_nothing_after_an_early_close_is_shown(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0] * 390, day=HALF_DAY))
    script = Script()
    run = play(where, script, HALF_DAY)
    assert sum(h[0] == "bar" for h in script.happened) == 210
    assert counted(run) == {"after_close": 180}
    row = run.guards.row(0, named=True)
    assert (row["first_time"], row["last_time"]) == (at(210, HALF_DAY), at(389, HALF_DAY))
    assert row["sample"] == [at(210 + i, HALF_DAY) for i in range(3)]


def test_copies_of_a_row(tmp_path: Path):
    """Identical copies keep one, conflicting ones none; a faulty copy takes no part."""
    row = bars("A", [1.0, 2.0, 3.0])
    conflict = {**row[1], "volume": 7}
    broken = {**row[2], "high": 0.5}
    where = store(tmp_path, [row[0], row[0], row[0], row[1], row[1], conflict, row[2], broken])
    script = Script()
    run = play(where, script)
    assert [h for h in script.happened if h[0] == "bar"] == [("bar", "A", 0), ("bar", "A", 2)]
    assert counted(run) == {"conflict": 3, "duplicate": 2, "inconsistent": 1}


def test_copies_beside_each_other_in_rows_that_are_else_in_order(tmp_path: Path):
    first, second, third = bars("A", [10.0, 11.0, 12.0])
    frame = bt.load_bars(store(tmp_path, [first, second, dict(second), third]), "XNYS", TUESDAY, TUESDAY)["1m"]
    assert frame["close"].to_list() == [10.0, 11.0, 12.0]


def test_an_off_grid_row_after_a_midpoint_belongs_to_the_later_session(tmp_path: Path):
    """Between 21:00 on Tuesday and 14:30 on Wednesday the midpoint is 05:45; half a minute later is Wednesday's, in
    whatever windows the run is cut."""
    late = datetime(2024, 1, 3, 5, 45, 30, tzinfo=UTC)
    both = [*bars("A", [1.0]), *bars("A", [1.0], day="2024-01-03")]
    where = store(tmp_path, both, moved(bars("A", [2.0]), late), moved(bars("A", [2.0]), late - timedelta(seconds=30)))
    for days in (1, 2):
        run = play(where, Script(), TUESDAY, "2024-01-03", prefetch_days=days)
        found = run.guards.select(pl.col("session").cast(pl.String), "reason").rows()
        assert found == [("2024-01-02", "after_close"), ("2024-01-03", "before_open")]
    run = play(where, Script(), "2024-01-03")
    assert counted(run) == {"before_open": 1}


@pytest.mark.parametrize("price", [9.3e10, 1e12, 1e300])
def test_a_price_that_money_cannot_count_is_withheld_and_the_run_goes_on(tmp_path: Path, price: float):
    where = store(tmp_path, bars("A", [1.0, 1.0, 3.0]), bars("B", [2.0, price, 2.0]), bars("C", [9.2e10]))
    script = Script({("A", 0): lambda book: book.order("A", 1), ("B", 0): lambda book: book.order("B", 1)})
    run = play(where, script)
    assert run.guards.select("symbol", "reason", "rows").rows() == [("B", "inconsistent", 1)]
    assert run.fills.select("symbol", "price").rows() == [("A", 1.0), ("B", 2.0)]
    assert ("bar", "C", 0) in script.happened
    assert run.equity["equity"][-1] == 1_000_002
