"""Bad input: what stops an ingest, what is refused row by row, and what the report says about it."""

from __future__ import annotations

import gzip
import json
import re
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bt.errors import DataError, UsageError
from bt.ingest import IngestOptions, Sample, ingest_files
from bt.model import Schedule

HEADER = "symbol,open_time,open,high,low,close,volume\n"
GOOD = "A,2024-07-01T13:30:00Z,10,10.5,9.5,10.25,100\n"


def source(tmp_path: Path, text: str | bytes, name: str = "x.csv") -> Path:
    path = tmp_path / "in" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


ROWS = {
    "unparseable": ("A,2024-07-01T13:31:00Z,10,abc,9.5,10,100", "high", "abc"),
    "bad_time": ("A,yesterday,10,10,10,10,100", "open_time", "yesterday"),
    "no_symbol": (",2024-07-01T13:31:00Z,10,10,10,10,100", "open_time", "2024-07-01T13:31:00Z"),
    "off_grid": ("A,2024-07-01T13:31:05Z,10,10,10,10,100", "open_time", "2024-07-01T13:31:05Z"),
    "non_finite": ("A,2024-07-01T13:31:00Z,10,10,10,NaN,100", "close", "NaN"),
    "non_finite empty": ("A,2024-07-01T13:31:00Z,10,10,,10,100", "low", ""),
    "non_finite inf": ("A,2024-07-01T13:31:00Z,10,inf,10,10,100", "high", "inf"),
    "non_positive": ("A,2024-07-01T13:31:00Z,10,10,0,10,100", "low", "0"),
    "non_positive negative": ("A,2024-07-01T13:31:00Z,-1,10,9,10,100", "open", "-1"),
    "inconsistent": ("A,2024-07-01T13:31:00Z,10,9,8,10,100", "high", "open=10 high=9 low=8 close=10 volume=100"),
    "inconsistent volume": (
        "A,2024-07-01T13:31:00Z,10,10,10,10,-5",
        "volume",
        "open=10 high=10 low=10 close=10 volume=-5",
    ),
    "too_large": ("A,2024-07-01T13:31:00Z,10,10,10,10,1e20", "volume", "1e20"),
    "too_large by one": ("A,2024-07-01T13:31:00Z,10,10,10,10,9007199254740992", "volume", "9007199254740992"),
    "non_finite volume": ("A,2024-07-01T13:31:00Z,10,10,10,10,inf", "volume", "inf"),
    "wrong_fields": ("A,2024-07-01T13:31:00Z,10,10", "line", "A,2024-07-01T13:31:00Z,10,10"),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_is_refused_and_shown_with_line_column_and_value(case, tmp_path):
    text, column, value = ROWS[case]
    path = source(tmp_path, HEADER + GOOD + text + "\n" + GOOD.replace("13:30", "13:32"))
    report = ingest_files([path], tmp_path / "store", IngestOptions())
    reason = case.split()[0]
    assert report.refused == {reason: 1}
    sample = report.sources[0].refused[0].samples[0]
    assert (sample.line, sample.column, sample.value) == (3, column, value)
    assert pl.read_parquet(tmp_path / "store" / "**/*.parquet")["open_time"].dt.minute().to_list() == [30, 32]
    told = json.loads((tmp_path / "store" / "_report.json").read_text())["sources"][0]["refused"]
    assert told[0]["reason"] == reason
    assert told[0]["samples"][0]["line"] == 3


@pytest.mark.parametrize("case", ROWS)
def test_on_bad_raise_stops_at_the_first_with_nothing_written(case, tmp_path):
    path = source(tmp_path, HEADER + GOOD + ROWS[case][0] + "\n")
    with pytest.raises(DataError, match=rf"x\.csv:3: row.* must be a sound bar, was {case.split()[0]}"):
        ingest_files([path], tmp_path / "store", IngestOptions(on_bad="raise"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


WHOLE = st.integers(0, 2**64 - 1) | st.integers(2**53 - 3, 2**53 + 3) | st.integers(2**63 - 3, 2**63 + 3)


@settings(deadline=None)
@given(volumes=st.lists(WHOLE, min_size=1, max_size=5))
def test_whole_volumes_are_stored_as_they_are_or_refused(volumes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    times = [datetime(2024, 7, 1, 13, 30 + i, tzinfo=UTC) for i in range(len(volumes) + 1)]
    whole = pl.Series([7, *volumes], dtype=pl.UInt64)
    prices = dict.fromkeys(("open", "high", "low", "close"), 1.0)
    bars = pl.DataFrame({"symbol": "A", "open_time": times, **prices, "volume": whole, "n_trades": whole})
    bars.write_parquet(folder / "x.parquet")
    report = ingest_files([folder / "x.parquet"], folder / "store", IngestOptions())
    got = pl.read_parquet(folder / "store" / "**/*.parquet")
    kept = [7, *(v for v in volumes if v < 2**53)]
    assert got["volume"].to_list() == got["n_trades"].to_list() == kept
    assert report.refused.get("too_large", 0) == len(volumes) + 1 - len(kept)


def test_lines_are_counted_past_broken_and_empty_ones(tmp_path):
    path = source(tmp_path, HEADER + "broken\n\n" + GOOD + "A,1\n\nA,2024-07-01T13:31:00Z,10,10,0,10,100\n")
    samples = {r.reason: r.samples for r in ingest_files([path], tmp_path / "s", IngestOptions()).sources[0].refused}
    assert [s.line for s in samples["wrong_fields"]] == [2, 5]
    assert samples["non_positive"] == (Sample(7, "A", "2024-07-01T13:31:00+00:00", "low", "0"),)


def test_local_times_that_were_skipped_or_repeated_are_refused(tmp_path):
    stamps = ["2024-03-10 01:59", "2024-03-10 02:30", "2024-03-10 03:00", "2024-11-03 00:59", "2024-11-03 01:30"]
    path = source(tmp_path, HEADER + "".join(f"A,{s},10,10,10,10,1\n" for s in stamps))
    report = ingest_files([path], tmp_path / "s", IngestOptions(tz="America/New_York"))
    assert report.refused == {"nonexistent_time": 1, "ambiguous_time": 1}
    assert report.bars == 3


FILES = {
    "missing column": (HEADER.replace("close,", "") + GOOD, "a column for close must be there, was not among the columns"),
    "no volume": ("open_time,open,high,low,close\n2024-07-01T13:30:00Z,1,1,1,1\n", r"--column volume=0"),
    "no header": ("1719840600000,1,1,1,1,1\n", "columns without a header; say which it is, e.g. --column open_time=2"),
    "naive": (HEADER + GOOD.replace("Z", ""), "open_time must carry an offset or come with a zone, was '2024-07-01T13:30:00'"),
    "dates only": (HEADER + GOOD.replace("T13:30:00Z", ""), "must be a date with a time of day"),
    "day before month": (HEADER + GOOD.replace("2024-07-01T13:30:00Z", "31/7/2024 13:30"), "say how it is written with --time-format"),
    "column twice": (HEADER.replace("low", "high") + GOOD, "column names must differ, was 'high' twice"),
    "empty": ("", "content must be of a known format .*, was empty"),
    "prose": ("once upon a time\n", "content must be of a known format"),
    "every row bad": (HEADER + GOOD.replace("9.5", "0"), "no row was kept; refused: 1 non_positive"),
    "five minutes apart": (
        HEADER + "".join(GOOD.replace("13:30", f"13:{m}") for m in range(15, 60, 5)),
        "bars must be one minute long, all stamps lie 5 minutes apart",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_file_fault_stops_before_anything_is_written(case, tmp_path):
    text, message = FILES[case]
    with pytest.raises(DataError, match=message):
        ingest_files([source(tmp_path, text)], tmp_path / "store", IngestOptions())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def dated(*days: str, rows: int = 1) -> str:
    clock = [f"14:{30 + i % 20}" for i in range(rows)]
    return HEADER + "".join(f"A,{day} {c},10,10.5,9.5,10.25,100\n" for day in days for c in clock)


DAY_FIRST = [f"{day:02d}/12/2024" for day in range(2, 14)]
DATES = {
    "day first, past the first rows": (
        dated(*DAY_FIRST, rows=100), "must have the month before the day in every row, was '13/12/2024 14:30'",
    ),
    "both orders": (dated("12/13/2024", "13/12/2024"), "must have the month before the day in every row, was '13/12"),
    "days of one month": (
        dated("02/12/2024", "03/12/2024", "04/12/2024"),
        "must have the month before the day, was '02/12/2024 14:30' and others of 3 months and 1 days, none after the 12th; say which it is: --time-format '%m/%d/%Y %H:%M' or '%d/%m/%Y %H:%M'",
    ),
    "a day that no month has": (dated("02/12/2024", "03/12/2024", "02/45/2024", "45/02/2024"), "must have the month before the day, was"),
    "years of two digits": (dated("11/25/24"), "must be a date with a time of day"),
}  # fmt: skip


@pytest.mark.parametrize("case", DATES)
def test_dates_that_can_be_read_two_ways_are_asked_about(case, tmp_path):
    text, message = DATES[case]
    with pytest.raises(DataError, match=re.escape(message)):
        ingest_files([source(tmp_path, text)], tmp_path / "store", IngestOptions(tz="UTC"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize(
    "days", [("02/12/2024",), ("12/02/2024", "12/03/2024", "12/04/2024"), ("11/29/2024", "12/02/2024")]
)
def test_dates_are_read_with_the_month_first_and_what_shows_it_not_is_told(days, tmp_path):
    report = ingest_files([source(tmp_path, dated(*days, rows=3))], tmp_path / "store", IngestOptions(tz="UTC"))
    assert [day.name for day in sorted((tmp_path / "store" / "2024").rglob("*.parquet"))] != []
    told = [warning for warning in report.warnings if "dates are read with the month first" in warning]
    assert len(told) == ("29" not in days[0])


@pytest.mark.parametrize(("said", "month"), [("%m/%d/%Y %H:%M", 2), ("%d/%m/%Y %H:%M", 12)])
def test_said_dates_are_read_as_said(said, month, tmp_path):
    path = source(tmp_path, dated("02/12/2024"))
    ingest_files([path], tmp_path / "store", IngestOptions(tz="UTC", time_format=said))
    assert pl.read_parquet(tmp_path / "store" / "**/*.parquet")["open_time"].dt.month().to_list() == [month]


EPOCHS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@pytest.mark.parametrize("unit", EPOCHS)
@pytest.mark.parametrize("at", [0, 2, 5], ids=["first", "middle", "last"])
@pytest.mark.parametrize("odd", ["", "0", "NaN", "x", *EPOCHS])
def test_an_epoch_that_is_none_or_of_another_unit_refuses_its_row(unit, at, odd, tmp_path):
    if odd == unit:
        return
    cells = [str((1719840600 + 60 * i) * EPOCHS[unit]) for i in range(5)]
    cells.insert(at, str(1719840600 * EPOCHS[odd]) if odd in EPOCHS else odd)
    path = source(tmp_path, HEADER + "".join(f"A,{cell},10,10.5,9.5,10.25,100\n" for cell in cells))
    report = ingest_files([path], tmp_path / "store", IngestOptions())
    assert (report.bars, report.refused) == (5, {"bad_time": 1})
    assert report.sources[0].refused[0].samples[0].line == at + 2
    assert pl.read_parquet(tmp_path / "store" / "**/*.parquet")["open_time"].dt.minute().to_list() == [
        30,
        31,
        32,
        33,
        34,
    ]


@pytest.mark.parametrize("bad", [0, None, -1, 2**62, 1719840600_000_000, 1719840600_000_000_000])
def test_a_whole_number_that_is_no_epoch_refuses_its_row(bad, tmp_path):
    times = [1719840600_000, 1719840660_000, bad]
    bars = {"symbol": "A", "open_time": times, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1}
    pl.DataFrame(bars).write_parquet(tmp_path / "x.parquet")
    report = ingest_files([tmp_path / "x.parquet"], tmp_path / "store", IngestOptions())
    assert (report.bars, report.refused) == (2, {"bad_time": 1})


@pytest.mark.parametrize("bad", [datetime(1, 1, 1), datetime(1899, 12, 31, 23, 59), datetime(9999, 12, 31)])  # noqa: DTZ001
def test_a_moment_of_a_year_that_no_bar_is_of_refuses_its_row(bad, tmp_path):
    times = [datetime(2024, 7, 1, 13, 30), datetime(2024, 7, 1, 13, 31), bad]  # noqa: DTZ001
    bars = {"symbol": "A", "open_time": times, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1}
    pl.DataFrame(bars).write_parquet(tmp_path / "x.parquet")
    report = ingest_files([tmp_path / "x.parquet"], tmp_path / "store", IngestOptions(tz="America/New_York"))
    assert (report.bars, report.refused) == (2, {"bad_time": 1})


def test_a_year_that_no_bar_is_of_refuses_its_row(tmp_path):
    path = source(tmp_path, dated("12/13/2024", "12/13/24"))
    report = ingest_files([path], tmp_path / "store", IngestOptions(tz="UTC"))
    assert (report.bars, report.refused) == (1, {"bad_time": 1})


def test_a_map_to_a_missing_column_names_those_there(tmp_path):
    with pytest.raises(DataError, match=r"column 'Last' \(for close\) must be one of symbol, open_time"):
        ingest_files([source(tmp_path, HEADER + GOOD)], tmp_path / "s", IngestOptions(columns={"close": "Last"}))


def many(rows: int) -> str:
    start = datetime(2024, 7, 1, 13, 30, tzinfo=UTC)
    stamps = [(start + timedelta(minutes=i)).isoformat() for i in range(rows)]
    return HEADER + "".join(f"A,{s},10,10,10,10,{i}\n" for i, s in enumerate(stamps))


@pytest.mark.parametrize("folder", [True, False], ids=["folder", "file"])
def test_a_truncated_gzip_is_a_fault_also_in_a_folder(folder, tmp_path):
    whole = gzip.compress(many(20_000).encode())
    path = source(tmp_path, whole[: len(whole) // 2], "x.csv.gz")
    with pytest.raises(DataError, match=r"x\.csv\.gz: file must be readable to its end"):
        ingest_files([path.parent if folder else path], tmp_path / "store", IngestOptions())


def test_a_damaged_zip_member_is_a_fault(tmp_path):
    path = tmp_path / "equity" / "usa" / "minute" / "spy" / "20240701_trade.zip"
    path.parent.mkdir(parents=True)
    with ZipFile(path, "w") as archive:
        archive.writestr("20240701_spy_minute_trade.csv", "34200000,100000,100000,100000,100000,1\n")
    data = bytearray(path.read_bytes())
    data[data.index(b"34200000")] = ord("9")
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"20240701_spy_minute_trade\.csv: file must be readable"):
        ingest_files([path], tmp_path / "store", IngestOptions())


@pytest.mark.parametrize("keep", [100, 2000])
def test_a_truncated_zip_or_parquet_is_a_fault(keep, tmp_path):
    pl.read_csv(many(3000).encode()).with_columns(pl.col("open_time").str.to_datetime(time_zone="UTC")).write_parquet(
        tmp_path / "x.parquet"
    )
    (tmp_path / "x.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:keep])
    with pytest.raises(DataError, match=r"x\.parquet: file must be readable to its end"):
        ingest_files([tmp_path / "x.parquet"], tmp_path / "store", IngestOptions())


def test_json_that_was_cut_short_is_a_fault(tmp_path):
    path = source(tmp_path, "[[1719840600000,1,1,1,1,1],[1719840660000,1,1", "A.json")
    with pytest.raises(DataError, match="was cut short"):
        ingest_files([path], tmp_path / "store", IngestOptions())


def test_dbn_without_its_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "databento", None)
    with pytest.raises(DataError, match=r"pip install 'minute-bt\[databento\]'"):
        ingest_files([source(tmp_path, b"DBN\x01", "x.dbn")], tmp_path / "store", IngestOptions())


def test_nothing_to_read_is_a_usage_error(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("nowhere.csv", "*.csv", "empty"):
        with pytest.raises(UsageError, match="found nothing"):
            ingest_files([tmp_path / name], tmp_path / "store", IngestOptions())


def test_a_date_for_a_name_is_no_symbol(tmp_path):
    text = HEADER.removeprefix("symbol,") + GOOD.removeprefix("A,")
    with pytest.raises(DataError, match="a symbol must be in a column or in the file's name"):
        ingest_files([source(tmp_path, text, "2024-07-01.csv")], tmp_path / "store", IngestOptions())


def schedule() -> Schedule:
    days = [date(2024, 7, 1), date(2024, 7, 2)]
    noon = [datetime(d.year, d.month, d.day, 12, tzinfo=UTC) for d in days]
    rows = [(d, 0, n + timedelta(hours=1.5), n + timedelta(hours=8), False) for d, n in zip(days, noon, strict=True)]
    frame = pl.DataFrame(
        rows, schema=["session", "segment", "open", "close", "early_close"], orient="row"
    ).with_columns(pl.col("segment").cast(pl.Int32))
    return Schedule("TEST", "America/New_York", frame)


def session_csv(first: str, minutes: int) -> str:
    start = datetime.fromisoformat(first).replace(tzinfo=UTC)
    return HEADER + "".join(f"A,{(start + timedelta(minutes=i)).isoformat()},10,10,10,10,1\n" for i in range(minutes))


@pytest.mark.parametrize(
    ("first", "minutes", "stamp", "looks", "outside"),
    [
        ("2024-07-01 13:30", 390, "start", "", 0),
        ("2024-07-01 13:30", 391, "start", "", 1),  # with a closing print
        ("2024-07-01 13:31", 390, "start", "end", 1),  # 13:31 to 20:00: end stamps
        ("2024-07-01 13:31", 390, "end", "", 0),
        ("2024-07-01 13:30", 390, "end", "start", 1),
        ("2024-07-01 08:00", 960, "start", "", 570),  # extended hours prove nothing
    ],
)
def test_a_calendar_tells_stamps_unlike_what_was_declared(first, minutes, stamp, looks, outside, tmp_path):
    path = source(tmp_path, session_csv(first, minutes))
    report = ingest_files([path], tmp_path / "store", IngestOptions(stamp=stamp), schedule=schedule())
    assert (report.sources[0].looks, report.sources[0].outside) == (looks, outside)
    assert report.bars == minutes
    assert len(report.warnings) == bool(looks)
    if looks:
        assert f"try --stamp {looks}" in report.warnings[0]


def test_without_a_calendar_nothing_is_said_about_sessions(tmp_path):
    report = ingest_files([source(tmp_path, HEADER + GOOD)], tmp_path / "store", IngestOptions())
    assert report.sources[0].outside is None
