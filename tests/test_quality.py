from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from small import HALF_DAY, TUESDAY, Bar, Script, at, bars, play, store

import bt


def rows(run: bt.Run, symbol: str, interval: str = "1m") -> dict[str, object]:
    return run.quality.filter(pl.col("symbol") == symbol, pl.col("interval") == interval).row(0, named=True)


def test_gaps_are_half_open_runs_of_missing_minutes(tmp_path: Path):
    where = store(tmp_path, bars("A", [None, 1.0, 1.0, None, None, 1.0]), bars("B", [1.0] * 390))
    found = rows(play(where, Script()), "A")
    assert (found["present"], found["expected"]) == (3, 390)
    assert found["quality"] == 100 * 3 / 390
    assert found["gaps"] == [
        {"start": at(0), "end": at(1), "minutes": 1},
        {"start": at(3), "end": at(5), "minutes": 2},
        {"start": at(6), "end": at(390), "minutes": 384},
    ]
    assert (found["longest_gap_start"], found["longest_gap_minutes"]) == (at(6), 384)


def test_a_whole_session_and_none_of_it(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0] * 390), bars("B", [1.0], day="2024-01-03"))
    run = play(where, Script())
    assert rows(run, "A")["quality"] == 100.0
    assert rows(run, "A")["gaps"] == []
    assert rows(run, "A")["longest_gap_start"] is None
    assert rows(run, "B")["quality"] == 0.0
    assert rows(run, "B")["gaps"] == [{"start": at(0), "end": at(390), "minutes": 390}]


def test_coarser_intervals_count_complete_bins(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0] * 14 + [None] + [1.0] * 375), bars("B", [1.0] * 10, first=15))
    run = play(where, Script(), streams={"intervals": ["5m", "1h"]})
    five, hour = rows(run, "A", "5m"), rows(run, "A", "1h")
    two = [{"start": at(0), "end": at(15), "minutes": 15}, {"start": at(25), "end": at(390), "minutes": 365}]
    assert rows(run, "B", "5m")["gaps"] == rows(run, "B")["gaps"] == two
    assert (five["present"], five["expected"]) == (77, 78)
    assert five["gaps"] == [{"start": at(10), "end": at(15), "minutes": 5}]
    assert (hour["present"], hour["expected"], hour["longest_gap_minutes"]) == (6, 7, 60)


def test_a_half_day_expects_its_own_minutes(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0] * 390, day=HALF_DAY))
    run = play(where, Script(), HALF_DAY)
    assert (rows(run, "A")["present"], rows(run, "A")["expected"]) == (210, 210)


def test_no_gap_runs_through_a_break(tmp_path: Path):
    """Hong Kong rests from 04:00 to 05:00 UTC."""
    frame = pl.DataFrame(bars("A", [1.0])).with_columns(pl.lit(at(0).replace(hour=1)).alias("ts"))
    (tmp_path / "bars").mkdir()
    frame.write_parquet(tmp_path / "bars" / "a.parquet")
    found = rows(play(tmp_path / "bars", Script(), calendar="XHKG"), "A")
    spans = [(f"{g['start']:%H:%M}", f"{g['end']:%H:%M}", g["minutes"]) for g in found["gaps"]]
    assert spans == [("01:31", "04:00", 149), ("05:00", "08:00", 180)]


class Quality(Bar):
    quality: float


@pytest.mark.parametrize(
    ("minimum", "after", "refused"), [(50.0, 0, [2]), (50.0, 3, [2]), (50.0, 4, []), (33.0, 0, []), (0.0, 0, [])]
)
def test_the_gate_judges_by_the_quality_as_of_now(tmp_path: Path, minimum, after, refused):
    """Of the first 3 minutes one is missing in each symbol but C, which lacks two."""

    class Buys(Script):
        row = Quality

        def on_bar(self, row: Quality, book: bt.Book) -> None:
            seen.append((row.symbol, row.minute, row.quality))
            book.order(row.symbol, 1)

    seen: list[tuple[str, int, float]] = []
    where = store(tmp_path, bars("C", [None, None, 1.0]), bars("A", [1.0, None, 1.0]))
    run = play(where, Buys(), quality={"minimum": minimum, "after_minutes": after}, account={"leverage": 0.0})
    assert seen == [("A", 0, 100.0), ("A", 2, 100 * 2 / 3), ("C", 2, 100 / 3)]
    rejected = run.orders.filter(pl.col("status") == "rejected")
    assert rejected["reason"].to_list() == ["quality"] * len(refused)
    assert rejected["symbol"].to_list() == ["C"] * len(refused)


def test_the_gate_never_stops_an_exit(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 1.0, *[None] * 5, 1.0, 1.0]))
    script = Script({("A", 0): lambda book: book.order("A", 5), ("A", 7): lambda book: book.order("A", -8)})
    run = play(where, script, quality={"minimum": 90.0, "after_minutes": 1})
    assert run.fills["position_after"].to_list() == [5, 0]
    assert run.orders.sort("id")["reason"].to_list() == ["", "quality"]
    assert run.orders.sort("id")["shares"].to_list() == [5, -5]
    assert run.orders["session"][0].isoformat() == TUESDAY
