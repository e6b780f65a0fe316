"""`load_quality`: the same table as a run's, the longest gaps, whatever the windows."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
import small
from cli_runs import market
from polars.testing import assert_frame_equal
from small import FRIDAY, TUESDAY, WEDNESDAY, bars
from store_bars import write

import bt
from bt.errors import CalendarError, DataError, UsageError
from bt.research import load_quality


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return market(tmp_path_factory.mktemp("market")) / "sample"


def test_the_table_is_that_of_a_run(store: Path):
    found = load_quality(store, "XNYS", intervals=["1m", "15m"])
    run = bt.replay(
        store.parent / "run.toml", start="2024-12-03", save=False, set={"streams.intervals": ["15m"]}
    )  # fmt: skip
    assert_frame_equal(found.table, run.quality)
    by_reason = found.guards.group_by("reason").agg(pl.col("rows").sum())
    assert dict(by_reason.iter_rows()) == run.summary["guards"]
    assert [s.name for s in found.sessions] == [date(2024, 12, d) for d in (3, 4, 5, 6)]


def test_the_worst_gaps_are_the_longest_of_all(store: Path):
    found = load_quality(store, "XNYS", worst=7)
    gaps = found.table.filter(pl.col("present") > 0).explode("gaps").drop_nulls("gaps").unnest("gaps")
    assert found.worst["minutes"].to_list() == gaps["minutes"].sort(descending=True).head(7).to_list()
    spans = found.worst.select((pl.col("end") - pl.col("start")).dt.total_minutes()).to_series()
    assert spans.to_list() == found.worst["minutes"].to_list()
    first = found.worst.row(0, named=True)
    bars = pl.read_parquet(store / "*.parquet").filter(
        pl.col("symbol") == first["symbol"], pl.col("open_time").is_between(first["start"], first["end"], closed="left")
    )
    assert bars.is_empty()


def test_a_session_without_any_row_is_zero_and_no_gap_inside(store: Path, tmp_path: Path):
    frame = pl.read_parquet(store / "*.parquet").filter(pl.col("symbol").is_in(["ASHB", "DUNE"]))
    away = (pl.col("symbol") == "DUNE") & (pl.col("open_time").dt.date() == date(2024, 12, 4))
    frame.filter(~away).write_parquet(tmp_path / "a.parquet")
    found = load_quality(tmp_path, "XNYS")
    row = found.table.row(
        by_predicate=(pl.col("symbol") == "DUNE") & (pl.col("session") == date(2024, 12, 4)), named=True
    )
    assert (row["present"], row["expected"], row["quality"], row["longest_gap_minutes"]) == (0, 390, 0.0, 390)
    assert found.worst.is_empty()


def test_ranges_symbols_and_progress(store: Path):
    told: list[tuple[int, int, int]] = []
    found = load_quality(
        store, "XNYS", "2024-12-04", date(2024, 12, 5), symbols=["THIN"], gap_lists=False,
        progress=lambda *figures: told.append(figures),
    )  # fmt: skip
    assert "gaps" not in found.table.columns
    assert found.table.select("session", "symbol").rows() == [(date(2024, 12, 4), "THIN"), (date(2024, 12, 5), "THIN")]
    assert told == [(2, 2, int(found.table["present"].sum()))]


def test_what_cannot_be_asked(store: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="start: it must be a date like 2024-11-25 or .-60 sessions., was 'soon'"):
        load_quality(store, "XNYS", "soon")
    with pytest.raises(UsageError, match="each must be like 1m, 5m, 4h or 1d, was '90s'"):
        load_quality(store, "XNYS", intervals=["90s"])
    with pytest.raises(UsageError, match="each must be like 1m, 5m, 4h or 1d, was '90s'"):
        bt.load_bars(store, "XNYS", "2024-12-03", "2024-12-04", intervals=["90s"])
    with pytest.raises(CalendarError, match="start must be <= end"):
        load_quality(store, "XNYS", "2024-12-05", "2024-12-04")
    with pytest.raises(DataError, match="the range must hold bars"):
        load_quality(store, "XNYS", "2022-12-05", "2022-12-06")
    for day in (date(1, 1, 1), date(9999, 12, 31)):
        stray = pl.read_parquet(store / "2024-12-06.parquet")[:9].with_columns(
            pl.col("open_time").dt.replace(year=day.year)
        )
        where = write(
            tmp_path / f"{day.year}",
            {"sound.parquet": pl.read_parquet(store / "2024-12-05.parquet"), "stray.parquet": stray},
        )
        told = rf"{day.year}/stray.parquet: a row must lie within XNYS, 19.* to .*, was 0*{day.year}-12-06 .* UTC in ASHB; drop"
        with pytest.raises(DataError, match=told):
            load_quality(where, "XNYS")
        assert load_quality(where, "XNYS", "2024-12-05", "2024-12-05").table["present"].sum() > 0
    night = pl.read_parquet(store / "2024-12-06.parquet").with_columns(pl.col("open_time") + timedelta(days=1))
    night.write_parquet(tmp_path / "night" / "saturday.parquet", mkdir=True)
    with pytest.raises(DataError, match="bars must lie in sessions of XNYS"):
        load_quality(tmp_path / "night", "XNYS")


def test_rows_outside_sessions_are_counted_at_the_ends_of_a_store_too(tmp_path: Path):
    """They belong to sessions of which there is no bar, and these are not judged; a run of them withholds the same rows."""
    night = bars("A", [1.0] * 30, day=WEDNESDAY, first=570 - 1440)  # 00:00 to 00:29 UTC: after Tuesday's close
    morning = bars("A", [1.0] * 40, day="2024-01-08", first=-60)
    inside = [bars("A", [1.0] * 390, day=day) for day in (WEDNESDAY, FRIDAY)]
    where = small.store(tmp_path, night, *inside, morning)
    found = load_quality(where, "XNYS")
    assert dict(found.guards.select("reason", "rows").iter_rows()) == {"after_close": 30, "before_open": 40}
    run = bt.replay(bars=where, strategy=small.Script(), calendar="XNYS", start=TUESDAY, end="2024-01-08", save=False)
    assert run.summary["guards"] == {"after_close": 30, "before_open": 40}
    assert [s.name.day for s in found.sessions] == [3, 4, 5]
    assert found.table.select(pl.col("session").dt.day(), "quality").rows() == [(3, 100), (4, 0), (5, 100)]
    assert [s.name.day for s in load_quality(where, "XNYS", TUESDAY).sessions] == [2, 3, 4, 5]
    assert [s.name.day for s in load_quality(where, "XNYS", end="2024-01-08").sessions] == [3, 4, 5, 8]
