"""Daily aggregates: remembered by the content of the session's files, forgotten when it changes."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from store_bars import DAY, bars, spec, three_days, us, write

from bt.store import DailyCache, Store

NAMES = [date(2024, 1, 2) + timedelta(days=i) for i in range(4)]
BOUNDS = {
    name: (us(DAY + timedelta(days=i, hours=-8)), us(DAY + timedelta(days=i, hours=16))) for i, name in enumerate(NAMES)
}


def cache(folder: Path, calendar: str = "XNYS", **changes: object) -> DailyCache:
    return DailyCache(Store.open(spec(folder, **changes), threads=1), calendar)


def frame(*rows: tuple[date, int, float]) -> pl.DataFrame:
    return pl.DataFrame(rows, {"session": pl.Date, "code": pl.UInt16, "close": pl.Float64}, orient="row")


def some(*names: date) -> dict[date, tuple[int, int]]:
    return {name: BOUNDS[name] for name in names}


ROWS = frame((NAMES[0], 0, 1.5), (NAMES[0], 1, 2.5), (NAMES[1], 1, 3.5))


def test_nothing_is_known_at_first(tmp_path: Path) -> None:
    assert cache(three_days(tmp_path)).known("close", BOUNDS) == (None, NAMES)


def test_what_was_added_is_known_also_where_there_was_no_row(tmp_path: Path) -> None:
    cache(three_days(tmp_path)).add("close", some(*NAMES[:3]), ROWS)
    found, missing = cache(tmp_path).known("close", BOUNDS)
    assert found is not None
    assert found.equals(ROWS)
    assert missing == [NAMES[3]]
    found, missing = cache(tmp_path).known("close", some(NAMES[1]))
    assert found is not None
    assert found.equals(ROWS.tail(1))
    assert missing == []


def test_kinds_calendars_and_mappings_are_apart(tmp_path: Path) -> None:
    cache(three_days(tmp_path)).add("close", BOUNDS, ROWS)
    assert cache(tmp_path).known("open", BOUNDS) == (None, NAMES)
    assert cache(tmp_path, "XLON").known("close", BOUNDS) == (None, NAMES)
    assert cache(tmp_path, stamp="end").known("close", BOUNDS) == (None, NAMES)
    assert cache(tmp_path, symbols=("AAA",)).known("close", BOUNDS) == (None, NAMES)


def test_a_session_whose_file_changed_is_stale_and_only_it(tmp_path: Path) -> None:
    cache(three_days(tmp_path)).add("close", some(*NAMES[:3]), ROWS)
    bars(day=1, n=4).write_parquet(tmp_path / "b.parquet")
    found, missing = cache(tmp_path).known("close", some(*NAMES[:3]))
    assert found is not None
    assert found.equals(ROWS.head(2))
    assert missing == [NAMES[1]]
    fresh = frame((NAMES[1], 0, 7.0))
    cache(tmp_path).add("close", some(NAMES[1]), fresh)
    found, missing = cache(tmp_path).known("close", some(*NAMES[:3]))
    assert found is not None
    assert found.equals(pl.concat([ROWS.head(2), fresh]))
    assert missing == []


def test_a_new_file_makes_its_session_stale(tmp_path: Path) -> None:
    cache(three_days(tmp_path)).add("close", BOUNDS, ROWS)
    write(tmp_path, {"late.parquet": bars(("NEW",), day=3)})
    assert cache(tmp_path).known("close", BOUNDS)[1] == [NAMES[3]]


def test_other_bounds_are_other_sessions(tmp_path: Path) -> None:
    cache(three_days(tmp_path)).add("close", BOUNDS, ROWS)
    low, high = BOUNDS[NAMES[0]]
    assert cache(tmp_path).known("close", {NAMES[0]: (low, high - 1)})[1] == [NAMES[0]]


def test_codes_follow_the_symbols(tmp_path: Path) -> None:
    cache(three_days(tmp_path)).add("close", some(*NAMES[:3]), ROWS)
    write(tmp_path, {"late.parquet": bars(("AAB",), day=3)})
    found, missing = cache(tmp_path).known("close", some(*NAMES[:3]))
    assert missing == []
    assert found is not None
    assert found["code"].to_list() == [0, 2, 2]
    assert found.schema == ROWS.schema


def test_other_columns_start_anew(tmp_path: Path) -> None:
    cache(three_days(tmp_path)).add("close", BOUNDS, ROWS)
    cache(tmp_path).add("close", some(NAMES[0]), ROWS.head(1).rename({"close": "value"}))
    found, missing = cache(tmp_path).known("close", BOUNDS)
    assert found is not None
    assert found.columns == ["session", "code", "value"]
    assert missing == NAMES[1:]


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_damaged_file_is_forgotten(tmp_path: Path, content: bytes) -> None:
    daily = cache(three_days(tmp_path))
    daily.add("close", BOUNDS, ROWS)
    next((tmp_path / ".bt").glob("daily-*")).write_bytes(content)
    assert daily.known("close", BOUNDS) == (None, NAMES)
    daily.add("close", BOUNDS, ROWS)
    assert daily.known("close", BOUNDS)[1] == []
