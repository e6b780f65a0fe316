"""The sample market: the same bytes everywhere, the same as what the repository holds, and what its README says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from bt import sample
from bt.errors import CalendarError, UsageError
from bt.model import Schedule
from bt.schema import FAULT_REASONS, OK, fault_code

EMBEDDED = Path(__file__).resolve().parents[1] / "data"
HALF_DAY = date(2024, 11, 29)
# written by hand from the exchange's published hours: weekdays but Thanksgiving, winter time from 2024-11-03
DAYS = [
    day
    for day in (date(2024, 10, 25) + timedelta(days=i) for i in range(43))
    if day.weekday() < 5 and day != date(2024, 11, 28)
]


def schedule(days: list[date] = DAYS) -> Schedule:
    utc_hours = [4 if day < date(2024, 11, 3) else 5 for day in days]
    opens = [datetime(d.year, d.month, d.day, 9 + h, 30, tzinfo=UTC) for d, h in zip(days, utc_hours, strict=True)]
    closes = [
        datetime(d.year, d.month, d.day, (13 if d == HALF_DAY else 16) + h, tzinfo=UTC)
        for d, h in zip(days, utc_hours, strict=True)
    ]
    instant = pl.Datetime("us", "UTC")
    frame = pl.DataFrame(
        {
            "session": days,
            "segment": pl.Series([0] * len(days), dtype=pl.Int32),
            "open": pl.Series(opens, dtype=instant),
            "close": pl.Series(closes, dtype=instant),
            "early_close": [d == HALF_DAY for d in days],
        }
    )
    return Schedule("XNYS", "America/New_York", frame)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    sample.write_sample(folder, schedule=schedule())
    return folder


@pytest.fixture(scope="module")
def rows(made: Path) -> pl.DataFrame:
    """Every row with its session, the session's open and close, and whether it lies inside."""
    files = sorted((made / "sample").glob("*.parquet"))
    frames = [pl.read_parquet(f).with_columns(session=pl.lit(f.stem).str.to_date()) for f in files]
    hours = schedule().frame.select("session", starts="open", ends="close")
    inside = (pl.col("open_time") >= pl.col("starts")) & (pl.col("open_time") < pl.col("ends"))
    return pl.concat(frames).join(hours, on="session", maintain_order="left").with_columns(inside=inside)


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_second_generation_has_the_same_bytes(made: Path, tmp_path: Path):
    sample.write_sample(tmp_path, schedule=schedule())
    assert names(tmp_path) == names(made)
    assert all((tmp_path / n).read_bytes() == (made / n).read_bytes() for n in names(made))


def test_a_wider_schedule_changes_nothing(made: Path, tmp_path: Path):
    sample.write_sample(tmp_path, schedule=schedule([date(2024, 10, 24), *DAYS, date(2024, 12, 9)]))
    assert all((tmp_path / n).read_bytes() == (made / n).read_bytes() for n in names(made))


def test_the_repository_holds_what_is_generated(made: Path):
    written = names(made)
    assert {n for n in names(EMBEDDED) if n.split("/")[0] in {m.split("/")[0] for m in written}} >= written
    for name in sorted(written):
        here, there = made / name, EMBEDDED / name
        if name.endswith(".parquet") and pq.read_metadata(here).created_by != pq.read_metadata(there).created_by:
            assert pl.read_parquet(here).equals(pl.read_parquet(there)), f"{name}: run `just sample`"
        else:
            assert here.read_bytes() == there.read_bytes(), f"{name}: run `just sample`"


def test_files_are_a_store(made: Path):
    files = sorted((made / "sample").glob("*"))
    assert [f.name for f in files] == [f"{day}.parquet" for day in DAYS]
    assert sum(f.stat().st_size for f in made.rglob("*") if f.is_file()) < 4_000_000
    for file in files:
        frame = pl.read_parquet(file)
        assert dict(frame.schema) == {
            "symbol": pl.String,
            "open_time": pl.Datetime("us", "UTC"),
            **dict.fromkeys(("open", "high", "low", "close"), pl.Float64),
            "volume": pl.Int64,
        }
        assert frame.equals(frame.sort("symbol", "open_time", maintain_order=True))


def test_prices_are_whole_cents(rows: pl.DataFrame):
    for name in ("open", "high", "low", "close"):
        value = rows.filter(pl.col(name).is_finite())[name]
        assert ((value * 100).round() / 100 - value).abs().max() < 1e-12


def test_only_dirt_has_faulty_rows(rows: pl.DataFrame):
    judged = rows.with_columns(pl.col("open_time").to_physical().alias("time")).with_columns(fault_code())
    bad = judged.filter(pl.col("fault") != OK)
    assert bad.select("symbol", "session").unique().rows() == [("DIRT", sample.DIRTY)]
    assert sorted(FAULT_REASONS[i - 1] for i in bad["fault"]) == [
        "inconsistent",
        "non_finite",
        "non_positive",
        "off_grid",
    ]
    twice = judged.filter(pl.struct("symbol", "open_time").is_duplicated())
    assert twice.select("symbol", "session").unique().rows() == [("DIRT", sample.DIRTY)]
    kinds = twice.group_by("open_time", maintain_order=True).agg(
        pl.struct("open", "close", "volume").n_unique().alias("n")
    )
    assert kinds["n"].to_list() == [1, 2]  # one identical copy, one conflict


def test_twenty_symbols_thirty_sessions(rows: pl.DataFrame):
    inside = rows.filter("inside")
    assert inside["symbol"].n_unique() == 20
    assert inside["session"].n_unique() == 30
    liquid = inside.filter(symbol="ASHB").group_by("session", maintain_order=True).len()["len"]
    expected = [210 if d == HALF_DAY else 370 if d == sample.FEED_DOWN else 390 for d in DAYS]
    assert liquid.to_list() == expected


def test_the_feed_is_down_for_everyone(rows: pl.DataFrame):
    local = pl.col("open_time").dt.convert_time_zone("America/New_York").dt.time()
    day = rows.filter(pl.col("session") == sample.FEED_DOWN).with_columns(local=local.cast(pl.String).str.slice(0, 5))
    assert day.filter(pl.col("local").is_between(pl.lit("11:05"), pl.lit("11:24"))).is_empty()
    assert day.filter(local="11:04").height > 10
    assert day.filter(local="11:25").height > 10


def test_late_gaps_and_thin(rows: pl.DataFrame):
    inside = rows.filter("inside")
    assert rows.filter(symbol="LATE")["session"].min() == sample.LISTED
    gaps = inside.filter(symbol="GAPS").group_by("session").len()
    assert sample.GAPS_AWAY not in gaps["session"].to_list()
    assert 8 <= gaps.filter((pl.col("len") < 380) & (pl.col("session") != HALF_DAY)).height <= 12
    assert 0.2 < inside.filter(symbol="THIN").height / inside.filter(symbol="ASHB").height < 0.3


def test_rows_outside_the_session(rows: pl.DataFrame):
    before = rows.filter(pl.col("open_time") < pl.col("starts"))
    assert before["symbol"].unique().to_list() == ["DAWN"]
    after = rows.filter(pl.col("open_time") >= pl.col("ends"))
    late = after.filter(pl.col("open_time") > pl.col("ends"))
    assert late["session"].unique().to_list() == [HALF_DAY]
    assert sorted(late["symbol"].unique()) == sorted(sample.AFTER_HOURS)
    prints = after.filter(pl.col("open_time") == pl.col("ends"))
    traded = rows.filter("inside").select("symbol", "session").unique().height
    assert prints.height == traded == 20 * 30 - 1 - 15  # GAPS is away once, LATE lists after 15 sessions


def test_the_vendor_file_is_ashbs_half_day(made: Path, rows: pl.DataFrame):
    text = pl.read_csv(made / "vendor" / "minutes.csv", try_parse_dates=True)
    twin = rows.filter("inside", symbol="ASHB", session=HALF_DAY)
    local = (
        (twin["open_time"] + timedelta(minutes=1)).dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
    )
    assert text["ended"].to_list() == local.to_list()
    for theirs, ours in (("o", "open"), ("h", "high"), ("l", "low"), ("c", "close"), ("v", "volume")):
        assert text[theirs].to_list() == twin[ours].to_list()


def test_it_writes_over_nothing_of_the_users(tmp_path: Path):
    first = sample.write_sample(tmp_path, schedule=schedule())
    assert sample.write_sample(tmp_path, schedule=schedule()) == first == sorted(first)
    edited = tmp_path / "strategies" / "sma_cross.py"
    edited.write_text("mine = 1\n")
    (tmp_path / "README.md").unlink()
    with pytest.raises(UsageError, match=r"sma_cross\.py: the file must be absent or as the sample has it"):
        sample.write_sample(tmp_path, schedule=schedule())
    assert edited.read_text() == "mine = 1\n"
    assert not (tmp_path / "README.md").exists()


def test_a_schedule_without_its_sessions_is_refused(tmp_path: Path):
    with pytest.raises(CalendarError, match="30 sessions of XNYS from 2024-10-25 to 2024-12-06, was XNYS with 29"):
        sample.write_sample(tmp_path, schedule=schedule(DAYS[1:]))
    assert not list(tmp_path.iterdir())
