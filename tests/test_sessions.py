"""TimeManager against answer tables, laws, a brute-force minute table, and everything that can be wrong with its input."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bt.errors import CalendarError, DataError
from bt.model import Schedule, Session, instant
from bt.schema import OUTSIDE_REASONS
from bt.sessions import (
    SLOT_AFTER_CLOSE,
    SLOT_BEFORE_OPEN,
    SLOT_IN_BREAK,
    SLOT_NO_SESSION,
    TimeManager,
    cached,
    manager,
    xcals,
)
from bt.sessions.minutes import midnights

ANSWERS = Path(__file__).parent / "answers"
MINUTE = 60_000_000
CALENDARS = ["XNYS", "XHKG", "XTKS", "CMES", "24/7", "XLON", "CME_EQUITY"]


@cache
def times(name: str) -> TimeManager:
    return TimeManager(name)


def us(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


# ------------------------------------------------------------------------------------------------------ answer tables


def answer_rows() -> list[pytest.param]:
    rows = []
    for path in sorted(ANSWERS.glob("*.csv")):
        with path.open(newline="") as file:
            rows += [pytest.param(path.stem, row, id=f"{path.stem}-{row['session']}") for row in csv.DictReader(file)]
    return rows


@pytest.mark.parametrize(("table", "row"), answer_rows())
def test_answer_tables(table: str, row: dict[str, str]) -> None:
    calendar = times("24/7" if table == "24-7" else table)
    day = date.fromisoformat(row["session"])
    if row["open"] == "closed":
        with pytest.raises(CalendarError, match=f"must be a session, was {day}"):
            calendar.session(day)
        assert calendar.sessions(day, day) == []
        return

    def clock(at: int) -> str:
        return f"{instant(at):%Y-%m-%dT%H:%MZ}"

    session = calendar.session(day)
    assert session.name == day
    assert clock(session.open) == row["open"]
    assert clock(session.close) == row["close"]
    breaks = " ".join(f"{clock(a[1])}/{clock(b[0])}" for a, b in pairwise(session.segments))
    assert breaks == row["breaks"]
    assert session.early_close == (row["early_close"] == "yes")
    assert session.minutes == int(row["minutes"])


def test_answer_tables_are_all_there() -> None:
    sizes = {path.stem: len(path.read_text().splitlines()) - 1 for path in ANSWERS.glob("*.csv")}
    assert set(sizes) == {"XNYS", "XHKG", "XTKS", "CMES", "24-7", "XLON", "CME_EQUITY"}
    assert all(n >= 20 for n in sizes.values()), sizes


# --------------------------------------------------------------------------------------------------------------- laws

days = st.dates(date(2001, 1, 1), date(2028, 12, 31))
calendars = st.sampled_from(CALENDARS)
law = settings(deadline=None)  # the first use of a calendar builds its schedule


@law
@given(calendars, days)
def test_next_and_previous_are_neighbours(name: str, day: date) -> None:
    calendar = times(name)
    after, before = calendar.next(day), calendar.previous(day)
    assert before < day < after
    between = calendar.sessions(before, after)
    assert between in ([before, after], [before, day, after])
    assert calendar.next(before) == between[1]
    assert calendar.previous(after) == between[-2]


@law
@given(calendars, days, st.integers(-300, 300))
def test_offset_walks_and_comes_back(name: str, day: date, n: int) -> None:
    calendar = times(name)
    start = calendar.next(day)
    end = calendar.offset(start, n)
    assert calendar.offset(end, -n) == start
    assert len(calendar.sessions(min(start, end), max(start, end))) == abs(n) + 1
    if n > 0:
        assert calendar.offset(start, n) == calendar.next(calendar.offset(start, n - 1))
    if n < 0:
        assert calendar.offset(start, n) == calendar.previous(calendar.offset(start, n + 1))


@law
@given(calendars, days, st.floats(0, 1, exclude_max=True))
def test_at_holds_the_instant(name: str, day: date, part: float) -> None:
    calendar = times(name)
    session = calendar.session(calendar.next(day))
    inside = session.open + int(part * (session.close - session.open))
    for moment in (session.open, session.close - 1, inside, instant(inside)):
        assert calendar.at(moment) == session
    following = calendar.session(calendar.next(session.name))
    assert calendar.at(session.close) == (following if following.open == session.close else None)
    if following.open > session.close:
        gap = session.close + int(part * (following.open - session.close))
        assert calendar.at(gap) is None


@law
@given(calendars, days)
def test_sessions_are_sound(name: str, day: date) -> None:
    calendar = times(name)
    session = calendar.session(calendar.next(day))
    edges = [edge for segment in session.segments for edge in segment]
    assert edges == sorted(set(edges))
    assert all(edge % MINUTE == 0 for edge in edges)
    assert (session.open, session.close) == (edges[0], edges[-1])
    assert session.minutes * MINUTE == sum(b - a for a, b in session.segments)
    assert calendar.session(calendar.next(session.name)).open >= session.close
    local = instant(session.close - 1).astimezone(ZoneInfo(calendar.zone))
    assert local.date() == session.name


@law
@given(calendars, days, st.integers(0, 40))
def test_a_schedule_is_its_sessions(name: str, day: date, length: int) -> None:
    calendar = times(name)
    end = calendar.next(day) + timedelta(days=length)
    schedule = calendar.schedule(day, end)
    assert schedule.names == calendar.sessions(day, end)
    assert [schedule.session(i) for i in range(len(schedule))] == [calendar.session(d) for d in schedule.names]


@pytest.mark.parametrize("name", CALENDARS)
def test_schedule_frame_contract(name: str) -> None:
    calendar = times(name)
    schedule = calendar.schedule(date(2012, 10, 1), date(2024, 12, 31))
    utc = pl.Datetime("us", "UTC")
    assert dict(schedule.frame.schema) == {
        "session": pl.Date,
        "segment": pl.Int32,
        "open": utc,
        "close": utc,
        "early_close": pl.Boolean,
    }
    assert schedule.frame.null_count().sum_horizontal().item() == 0
    assert schedule.frame.equals(schedule.frame.sort("session", "segment"))
    assert (schedule.segment_close > schedule.segment_open).all()
    assert (schedule.segment_open[1:] >= schedule.segment_close[:-1]).all()
    assert schedule.names[0] >= date(2012, 10, 1)
    assert schedule.names[-1] <= date(2024, 12, 31)
    assert (schedule.calendar, schedule.zone) == (calendar.calendar, calendar.zone)


def test_zones_and_sessions_a_year() -> None:
    assert times("XNYS").zone == "America/New_York"
    assert times("CME_EQUITY").zone == "America/Chicago"
    assert times("24/7").sessions_a_year() == 365.25
    # 2015-2024 by the NYSE's holiday lists: 252 252 251 251 252 253 252 251 250 252
    assert times("XNYS").sessions_a_year() == pytest.approx(2516 / 3653 * 365.25, rel=1e-12)


# ------------------------------------------------------------------------------------------------------- minute table


def brute_force(calendar: TimeManager, names: list[date]) -> tuple[int, list[int], list[int]]:
    """Minute by minute, as docs/decisions/0003 says it: start, session offsets, slots."""
    zone = ZoneInfo(calendar.zone)
    before, after = calendar.session(calendar.previous(names[0])), calendar.session(calendar.next(names[-1]))
    around: list[Session] = [before, *(calendar.session(name) for name in names), after]
    start, owners, slots = None, [], []
    for t in range(before.close - MINUTE, after.open + MINUTE, MINUTE):
        inside = [k for k, s in enumerate(around) if s.open <= t < s.close]
        if inside:
            owner = inside[0]
        else:
            earlier = max(k for k, s in enumerate(around) if s.close <= t)
            owner = earlier if t - around[earlier].close <= around[earlier + 1].open - t else earlier + 1
        if owner in (0, len(around) - 1):
            continue
        start = t if start is None else start
        owners.append(owner - 1)
        slots.append(brute_slot(around[owner], t, calendar, zone))
    assert start is not None
    return start, owners, slots


def brute_slot(session: Session, t: int, calendar: TimeManager, zone: ZoneInfo) -> int:
    gone = 0
    for a, b in session.segments:
        if a <= t < b:
            return gone + (t - a) // MINUTE
        gone += (b - a) // MINUTE
    day = instant(t).astimezone(zone).date()
    if not calendar.sessions(day, day):
        return -1
    return -2 if t < session.open else -5 if t >= session.close else -3


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("XNYS", "2024-07-02", "2024-07-05"),  # half day, holiday
        ("XNYS", "2024-03-08", "2024-03-11"),  # clocks forward
        ("XNYS", "2024-11-01", "2024-11-04"),  # clocks back
        ("XNYS", "2024-11-27", "2024-12-02"),
        ("XHKG", "2024-02-08", "2024-02-15"),  # Lunar New Year with its half day
        ("XHKG", "2011-03-04", "2011-03-07"),  # hours change
        ("XTKS", "2024-11-01", "2024-11-06"),  # close moves
        ("XLON", "2024-03-28", "2024-04-02"),
        ("CME_EQUITY", "2013-10-07", "2013-10-14"),  # daily halt
        ("CME_EQUITY", "2013-11-01", "2013-11-04"),  # clocks back on the Sunday of the open
        ("CME_EQUITY", "2024-11-27", "2024-12-02"),  # holiday and half day
        ("CMES", "2024-01-12", "2024-01-16"),  # sessions touch
        ("24/7", "2024-03-09", "2024-03-11"),
    ],
)
def test_minute_table_equals_brute_force(name: str, first: str, last: str) -> None:
    calendar = times(name)
    schedule = calendar.schedule(date.fromisoformat(first), date.fromisoformat(last))
    table = calendar.minute_table(schedule, 0, len(schedule) - 1)
    start, owners, slots = brute_force(calendar, schedule.names)
    assert table.start == start
    assert table.session.dtype == table.slot.dtype == np.int16
    assert table.session.tolist() == owners
    assert table.slot.tolist() == slots


@settings(deadline=None, max_examples=15)
@given(st.sampled_from(["XNYS", "XHKG", "CME_EQUITY", "24/7"]), days)
def test_minute_table_equals_brute_force_anywhere(name: str, day: date) -> None:
    calendar = times(name)
    first = calendar.next(day)
    schedule = calendar.schedule(first, calendar.next(first))
    table = calendar.minute_table(schedule)
    assert (table.start, table.session.tolist(), table.slot.tolist()) == brute_force(calendar, schedule.names)


@law
@given(calendars, days, st.integers(1, 5), st.integers(1, 5))
def test_minute_tables_join_without_gap_or_overlap(name: str, day: date, left: int, right: int) -> None:
    calendar = times(name)
    first = calendar.next(day)
    schedule = calendar.schedule(first, calendar.offset(first, left + right - 1))
    a = calendar.minute_table(schedule, 0, left - 1)
    b = calendar.minute_table(schedule, left, left + right - 1)
    whole = calendar.minute_table(schedule, 0, left + right - 1)
    assert whole.start == a.start
    assert b.start == a.start + len(a.slot) * MINUTE
    assert whole.slot.tolist() == a.slot.tolist() + b.slot.tolist()
    assert whole.session.tolist() == a.session.tolist() + (b.session + left).tolist()
    for k in range(left + right):
        mine = whole.slot[whole.session == k]
        assert mine[mine >= 0].tolist() == list(range(schedule.session(k).minutes))


def test_slots_name_the_outside_reasons() -> None:
    slots = (SLOT_NO_SESSION, SLOT_BEFORE_OPEN, SLOT_IN_BREAK, SLOT_AFTER_CLOSE)
    assert [OUTSIDE_REASONS[-1 - slot] for slot in slots] == ["no_session", "before_open", "in_break", "after_close"]


def test_borders_are_midpoints() -> None:
    calendar = times("XNYS")
    schedule = calendar.schedule(date(2024, 7, 2), date(2024, 7, 5))
    borders = calendar.borders(schedule)
    # closes 1 July 20:00Z, 2 July 20:00Z, 3 July 17:00Z, 5 July 20:00Z; opens 13:30Z; next 8 July
    assert [f"{instant(int(b)):%d %H:%M}" for b in borders] == ["02 04:45", "03 04:45", "04 15:15", "07 04:45"]
    assert borders.tolist() == [
        *calendar.borders(schedule, 0, 0).tolist(),
        *calendar.borders(schedule, 1, 2).tolist()[1:],
    ]
    # sessions that touch: the next open belongs to the later one
    day = times("24/7").schedule(date(2024, 1, 1), date(2024, 1, 1))
    assert times("24/7").borders(day).tolist() == [us("2024-01-01") - 1, us("2024-01-02") - 1]


def test_minute_table_refuses_what_is_not_there() -> None:
    schedule = times("XNYS").schedule(date(2024, 1, 2), date(2024, 1, 5))
    for first, last in ((0, 4), (3, 2), (-5, 1)):
        with pytest.raises(CalendarError, match=f"0 <= first <= last < 4, were {first} and {last}"):
            times("XNYS").minute_table(schedule, first, last)
    with pytest.raises(CalendarError, match="XLON: the schedule must be of this calendar, was of XNYS"):
        times("XLON").minute_table(schedule)


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "America/Havana", "Africa/Cairo", "Asia/Beirut", "Asia/Tokyo"])
def test_midnights_where_clocks_change_at_midnight(zone: str) -> None:
    every = pl.date_range(date(2014, 1, 1), date(2018, 12, 31), eager=True)
    begins = midnights(every, zone)
    for day, begin in zip(every, begins.tolist(), strict=True):
        assert instant(begin).astimezone(ZoneInfo(zone)).date() == day
        assert instant(begin - 1).astimezone(ZoneInfo(zone)).date() == day - timedelta(days=1)


# ---------------------------------------------------------------------------------------------------------- real data


def outside(calendar: TimeManager, bars: pl.DataFrame) -> pl.DataFrame:
    """The bars outside every segment, with New York's clock."""
    first, last = bars["ts"].min().date(), bars["ts"].max().date()
    table = calendar.minute_table(calendar.schedule(first - timedelta(days=4), last + timedelta(days=4)))
    slot = table.slot[(bars["ts"].dt.epoch("us").to_numpy() - table.start) // MINUTE]
    local = pl.col("ts").dt.convert_time_zone("America/New_York").alias("local")
    return bars.with_columns(local, slot=pl.Series(slot)).filter(pl.col("slot") < 0)


def test_every_es_bar_of_2013_lies_in_a_segment(shared_data: Path) -> None:
    bars = pl.read_parquet(shared_data / "futures-lean-minute" / "*.parquet")
    assert bars.height == 12_614
    assert outside(times("CME_EQUITY"), bars).height == 0
    assert outside(times("CMES"), bars).height == 0
    # the overlay is tight: the minutes beside the halt and the break do have bars
    clock = bars["ts"].dt.convert_time_zone("America/New_York").dt.strftime("%H:%M")
    assert {"16:14", "16:30", "17:14", "18:00"} <= set(clock)


def test_6e_keeps_the_break_of_2024(shared_data: Path) -> None:
    bars = pl.read_parquet(shared_data / "futures-6e-2024" / "6EH4.parquet")
    away = outside(times("CME_EQUITY"), bars)
    # Martin Luther King Day: equity index futures halt at 13:00 New York, currencies trade on until the break
    assert set(away["local"].dt.date()) == {date(2024, 1, 15)}
    clock = away["local"].dt.strftime("%H:%M")
    assert (clock.min(), clock.max()) == ("13:00", "16:59")


# ------------------------------------------------------------------------------------------------------------- bounds


def test_decades_are_added_on_demand() -> None:
    calendar = TimeManager("XNYS")
    usual = calendar.schedule(date(2000, 1, 1), date(2029, 12, 31))
    assert calendar.session(date(1995, 7, 3)).early_close
    assert calendar.next(date(2029, 12, 31)) == date(2030, 1, 2)
    assert calendar.previous(date(2000, 1, 3)) == date(1999, 12, 31)
    assert calendar.schedule(date(2000, 1, 1), date(2029, 12, 31)).frame.equals(usual.frame)
    assert calendar.at(us("1995-07-03T16:00")) == calendar.session(date(1995, 7, 3))


def test_the_edge_of_the_pinned_window_has_neighbours() -> None:
    calendar = TimeManager("XNYS")
    schedule = calendar.schedule(date(2000, 1, 3), date(2000, 1, 3))
    assert instant(int(calendar.borders(schedule)[0])) == datetime(2000, 1, 2, 4, 15, tzinfo=UTC)  # after a half day
    schedule = calendar.schedule(date(2029, 12, 31), date(2029, 12, 31))
    assert instant(int(calendar.borders(schedule)[1])) == datetime(2030, 1, 1, 17, 45, tzinfo=UTC)  # before 2 January


@pytest.mark.parametrize(
    ("name", "day", "bound"),
    [
        ("XTKS", date(1996, 12, 30), ">= 1997-01-01"),
        ("XHKG", date(2050, 1, 3), "<= 2049-12-31"),
        ("XSHG", date(2027, 1, 4), "<= 2026-12-31"),
        ("XNYS", date(1949, 12, 30), ">= 1950-01-01"),
        ("CME_EQUITY", date(1999, 12, 31), ">= 2000-01-01"),
    ],
)
def test_bounds_are_named(name: str, day: date, bound: str) -> None:
    calendar = times(name)
    for ask in (calendar.session, calendar.next, calendar.previous, lambda d: calendar.schedule(d, d)):
        with pytest.raises(CalendarError, match=re.escape(f"{name}: day must be {bound}, was {day}")):
            ask(day)
    with pytest.raises(CalendarError, match="instant must be within"):
        calendar.at(datetime(1900, 1, 1, tzinfo=UTC))


def test_the_calendar_ends_where_the_library_ends() -> None:
    calendar = times("XSHG")
    last = calendar.sessions(date(2026, 12, 1), date(2026, 12, 31))[-1]
    with pytest.raises(CalendarError, match=f"was 1 from {last}; it ends with {last}"):
        calendar.next(last)
    schedule = calendar.schedule(last, last)
    assert calendar.borders(schedule)[1] == schedule.close[0] + 1440 * MINUTE


# -------------------------------------------------------------------------------------------------------------- cache


def test_cached_schedule_needs_neither_library_nor_pandas() -> None:
    times("XNYS")  # fills the cache
    code = """
import sys
from datetime import date
from bt.sessions import TimeManager
calendar = TimeManager("XNYS")
calendar.minute_table(calendar.schedule(date(2024, 7, 1), date(2024, 7, 5)))
assert calendar.session(date(2024, 7, 3)).early_close
assert not {"exchange_calendars", "pandas"} & set(sys.modules), "imported"
"""
    root = Path(__file__).parents[1]
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr


def only_file(folder: Path) -> Path:
    (path,) = (folder / "schedules").iterdir()
    return path


def test_cache_file_is_named_by_all_it_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TimeManager("24/7", cache=tmp_path)
    assert (
        only_file(tmp_path).name
        == f"24%2F7_xc{cached.version('exchange_calendars')}_o{cached.OVERLAY_VERSION}_2000-01-01_2029-12-31.schedule"
    )
    monkeypatch.setattr(cached, "version", lambda _: "99.0")
    TimeManager("24/7", cache=tmp_path)
    monkeypatch.setattr(cached, "OVERLAY_VERSION", 99)
    TimeManager("24/7", cache=tmp_path)
    assert len(list((tmp_path / "schedules").iterdir())) == 3


def test_cached_schedule_equals_the_built_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = TimeManager("XHKG", cache=tmp_path)
    monkeypatch.setattr(manager, "build_window", None)  # building again would raise
    read = TimeManager("XHKG", cache=tmp_path)
    every = (date(2000, 1, 1), date(2029, 12, 31))
    assert read.schedule(*every).frame.equals(built.schedule(*every).frame)
    assert (read.calendar, read.zone) == (built.calendar, built.zone)
    with pytest.raises(CalendarError, match="must be >= 1960-01-01, was 1959-12-31"):
        read.session(date(1959, 12, 31))


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "text", "header", "frame"])
def test_damaged_cache_file_is_rebuilt(tmp_path: Path, harm: str) -> None:
    good = TimeManager("24/7", cache=tmp_path).schedule(date(2024, 1, 1), date(2024, 1, 3))
    path = only_file(tmp_path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "flip": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "truncate": whole[:middle],
            "empty": b"",
            "text": b"not a schedule",
            "header": b"{}\n" + whole.partition(b"\n")[2],
            "frame": whole.partition(b"\n")[0] + b"\n",
        }[harm]
    )
    again = TimeManager("24/7", cache=tmp_path).schedule(date(2024, 1, 1), date(2024, 1, 3))
    assert again.frame.equals(good.frame)
    assert path.read_bytes() == whole


def test_unwritable_cache_folder_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    assert TimeManager("24/7", cache=blocked).next(date(2024, 1, 1)) == date(2024, 1, 2)
    assert blocked.read_text() == "a file where the folder should be"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cached.os, "fsync", full)
    assert TimeManager("24/7", cache=tmp_path / "full").next(date(2024, 1, 1)) == date(2024, 1, 2)
    assert list((tmp_path / "full" / "schedules").iterdir()) == []


# ---------------------------------------------------------------------------------------------------- custom calendars


def week(zone: str = "Asia/Kolkata") -> pl.DataFrame:
    """Three sessions 9:15-12:00, 13:00-15:30, the last one 9:15-12:00 only."""
    rows = []
    for day, segments in ((6, 2), (7, 2), (8, 1)):
        for k in range(segments):
            begin, end = (((9, 15), (12, 0)), ((13, 0), (15, 30)))[k]
            rows.append((date(2024, 5, day), k, datetime(2024, 5, day, *begin), datetime(2024, 5, day, *end)))  # noqa: DTZ001
    schema = {"session": pl.Date, "segment": pl.Int32, "open": pl.Datetime("us"), "close": pl.Datetime("us")}
    aware = pl.col("open", "close").dt.replace_time_zone(zone)
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(aware)


def written(frame: pl.DataFrame, folder: Path) -> str:
    path = folder / "calendar.parquet"
    frame.write_parquet(path)
    return str(path)


def test_custom_calendar(tmp_path: Path) -> None:
    flagged = week().with_columns(early_close=pl.col("session") == date(2024, 5, 8))
    path = written(flagged.reverse().with_columns(pl.col("open").dt.cast_time_unit("ms")), tmp_path)
    calendar = TimeManager(path)
    assert (calendar.calendar, calendar.zone) == (path, "Asia/Kolkata")
    schedule = calendar.schedule(date(2024, 5, 6), date(2024, 5, 8))
    assert schedule.frame.columns == ["session", "segment", "open", "close", "early_close"]
    assert [schedule.session(i).minutes for i in range(3)] == [315, 315, 165]
    assert [schedule.session(i).early_close for i in range(3)] == [False, False, True]
    assert schedule.session(0).open == us("2024-05-06T03:45")
    assert calendar.sessions_a_year() == pytest.approx(3 / 7 * 365.25)
    # nothing is known beside it: a day before the first open, a day after the last close
    table = calendar.minute_table(schedule)
    assert table.start == us("2024-05-05T03:45")
    assert len(table.slot) == 2 * 1440 + (us("2024-05-08T06:30") - us("2024-05-06T03:45")) // MINUTE + 1
    assert table.slot[0] == SLOT_NO_SESSION
    assert table.slot[1440 + 165] == SLOT_IN_BREAK
    with pytest.raises(CalendarError, match="day must be <= 2024-05-08, was 2024-05-09"):
        calendar.session(date(2024, 5, 9))
    with pytest.raises(CalendarError, match="it ends with 2024-05-08"):
        calendar.next(date(2024, 5, 8))


def test_custom_calendar_with_a_midpoint_off_the_grid(tmp_path: Path) -> None:
    late = pl.when(pl.col("session") == date(2024, 5, 7)).then(pl.col("open") + timedelta(minutes=1)).otherwise("open")
    frame = week().filter(pl.col("segment") == 0).with_columns(late.alias("open"))
    calendar = TimeManager(written(frame, tmp_path))
    schedule = calendar.schedule(date(2024, 5, 6), date(2024, 5, 8))
    # close 06:30:00Z, next open 03:46:00Z: 21 h 16 min, half is 10 h 38 min on the grid
    assert calendar.borders(schedule)[1] == us("2024-05-06T17:08:00")
    # close 06:30:00Z, next open 03:45:00Z: half is 10 h 37 min 30 s
    assert calendar.borders(schedule)[2] == us("2024-05-07T17:07:30")
    assert calendar.borders(schedule, 1, 1).tolist() == calendar.borders(schedule)[1:3].tolist()
    whole = calendar.minute_table(schedule)
    at = (us("2024-05-07T17:07") - whole.start) // MINUTE
    assert whole.session[at : at + 2].tolist() == [1, 2]
    at = (us("2024-05-06T17:08") - whole.start) // MINUTE
    assert whole.session[at : at + 2].tolist() == [0, 1]


def test_custom_sessions_and_segments_may_touch(tmp_path: Path) -> None:
    day = pl.col("session").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    frame = pl.DataFrame({"session": [date(2024, 5, 6), date(2024, 5, 6), date(2024, 5, 7)], "segment": [0, 1, 0]})
    hours = pl.Series([0, 12, 0]) * timedelta(hours=1), pl.Series([12, 24, 24]) * timedelta(hours=1)
    path = written(frame.with_columns(open=day + hours[0], close=day + hours[1]), tmp_path)
    calendar = TimeManager(path)
    assert calendar.zone == "UTC"
    table = calendar.minute_table(calendar.schedule(date(2024, 5, 6), date(2024, 5, 7)))
    assert table.slot[1440:-1441].tolist() == [*range(1440), *range(1440)]


SECOND = pl.int_range(pl.len()) == 1


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda f: f.drop("segment"),
            "column 'segment' must be present, was not; the columns are session, open, close",
        ),
        (lambda f: f.with_columns(note=pl.lit("x")), "column must be one of session, .*, was 'note'"),
        (lambda f: f.clear(), "rows must be one a segment, were none"),
        (
            lambda f: f.with_columns(pl.col("session").cast(pl.Datetime("us"))),
            "column 'session' must be a date, was Datetime",
        ),
        (
            lambda f: f.with_columns(pl.col("segment").cast(pl.Float64)),
            "column 'segment' must be an integer, was Float64",
        ),
        (lambda f: f.with_columns(early_close=pl.lit(1)), "column 'early_close' must be a boolean, was Int32"),
        (
            lambda f: f.with_columns(pl.col("open").dt.replace_time_zone(None)),
            "column 'open' must be a timestamp with a time zone, was Datetime.*; localize it",
        ),
        (
            lambda f: f.with_columns(pl.when(SECOND).then(None).otherwise("close").alias("close")),
            "column 'close' must have no nulls, was null in row 1",
        ),
        (
            lambda f: f.with_columns(pl.col("open") + timedelta(seconds=7)),
            r"column 'open' must lie on whole minutes, was 2024-05-06 09:15:07\+05:30",
        ),
        (
            lambda f: f.with_columns(pl.col("segment") + 1),
            r"column 'segment' must count 0, 1, 2 ... within a session, was 1 \(session 2024-05-06, segment 1\)",
        ),
        (
            lambda f: f.with_columns(pl.when(SECOND).then(2**40).otherwise("segment").alias("segment")),
            "column 'segment' must be from 0 to 32767, was 1099511627776; mend that row",
        ),
        (lambda f: f.with_columns(pl.col("segment") - 1), "column 'segment' must be from 0 to 32767, was -1"),
        (
            lambda f: f.with_columns(session=pl.lit(date(9999, 12, 31))),
            "column 'session' must be from 1900-01-01 to 2199-12-31, was 9999-12-31; mend that row",
        ),
        (
            lambda f: f.with_columns(session=pl.lit(date(1, 1, 1))),
            "column 'session' must be from 1900-01-01 to 2199-12-31",
        ),
        (
            lambda f: f.with_columns(pl.col("open", "close") + pl.duration(days=365 * 400)),
            r"column 'open' must lie within 31 days of its session, was 2424-\S+ .* segment 0\); mend",
        ),
        (lambda f: pl.concat([f, f]), "column 'segment' must count 0, 1, 2 ... within a session, was 0"),
        (
            lambda f: f.with_columns(close=pl.col("open")),
            "column 'close' must lie after its open, was 2024-05-06 03:45:00",
        ),
        (
            lambda f: f.with_columns(
                pl.when(SECOND).then(pl.col("open") - timedelta(hours=2)).otherwise("open").alias("open")
            ),
            r"column 'open' must not lie before the close of the row before, was 2024-05-06 05:30:00.* segment 1\)",
        ),
        (
            lambda f: f.with_columns(early_close=SECOND),
            "column 'early_close' must be the same for all segments of a session",
        ),
        (
            lambda f: f.tail(1).with_columns(pl.col("close") + timedelta(days=23)),
            "column 'close' must end at most 32767 minutes of session",
        ),
    ],
)
def test_custom_calendar_faults_name_file_column_value(harm: object, message: str, tmp_path: Path) -> None:
    path = written(harm(week()), tmp_path)
    with pytest.raises(DataError, match=f"^{re.escape(path)}: {message}"):
        TimeManager(path)


def test_unreadable_custom_calendar(tmp_path: Path) -> None:
    with pytest.raises(CalendarError, match=r"must be an existing Parquet file, was '.*none.parquet'"):
        TimeManager(str(tmp_path / "none.parquet"))
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(Path(written(week(), tmp_path)).read_bytes()[:-20])
    with pytest.raises(DataError, match=r"torn\.parquet: the file must be readable Parquet"):
        TimeManager(str(torn))


# ------------------------------------------------------------------------------------------------------------- errors


def test_aliases_resolve() -> None:
    assert TimeManager("NYSE").calendar == "XNYS"
    assert TimeManager("CME").calendar == "CMES"
    span = (date(2024, 1, 1), date(2024, 12, 31))
    assert TimeManager("NYSE").schedule(*span).frame.equals(times("XNYS").schedule(*span).frame)


def test_unknown_calendar_names_the_nearest() -> None:
    with pytest.raises(CalendarError, match=r"was 'xnys'; nearest known: .*XNYS"):
        TimeManager("xnys")
    with pytest.raises(CalendarError, match=r"was 'CME_EQUITIES'; nearest known: CME_EQUITY"):
        TimeManager("CME_EQUITIES")
    with pytest.raises(CalendarError, match=r"was '\?'; known are 24/5, 24/7"):
        TimeManager("?")


def test_a_calendar_the_library_cannot_build_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise NotImplementedError("no such rule")

    monkeypatch.setattr("exchange_calendars.get_calendar", broken)
    with pytest.raises(
        CalendarError, match=r"XNYS: the schedule .* was not \(no such rule\); give the calendar as a Parq"
    ):
        TimeManager("XNYS", cache=tmp_path)
    assert not (tmp_path / "schedules").exists()


def test_schedules_off_the_minute_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    late = pl.col("close") - timedelta(seconds=28)
    monkeypatch.setattr(xcals, "amend", lambda _name, _zone, days: days.with_columns(late))
    with pytest.raises(CalendarError, match="24/7: opens and closes must lie on whole minutes, session 2000-01-01 has"):
        TimeManager("24/7", cache=tmp_path)


def test_errors_name_value_and_hint() -> None:
    calendar = times("XNYS")
    with pytest.raises(
        CalendarError, match=r"must be a session, was 2024-07-04; .* before is 2024-07-03, .* 2024-07-05"
    ):
        calendar.session(date(2024, 7, 4))
    with pytest.raises(CalendarError, match="must be a session, was 2024-07-04"):
        calendar.offset(date(2024, 7, 4), 0)
    with pytest.raises(
        CalendarError, match=r"must hold a session, was 2024-07-06 to 2024-07-07; .* 2024-07-05, .* 2024-07-08"
    ):
        calendar.schedule(date(2024, 7, 6), date(2024, 7, 7))
    with pytest.raises(CalendarError, match="start must be <= end 2024-07-01, was 2024-07-02; swap them"):
        calendar.schedule(date(2024, 7, 2), date(2024, 7, 1))
    with pytest.raises(CalendarError, match="start must be <= end"):
        calendar.sessions(date(2024, 7, 2), date(2024, 7, 1))
    with pytest.raises(CalendarError, match=r"day must be a datetime.date, was datetime.datetime\(2024"):
        calendar.session(datetime(2024, 7, 2, tzinfo=UTC))
    with pytest.raises(CalendarError, match="instant must have a time zone, was"):
        calendar.at(datetime(2024, 7, 2))  # noqa: DTZ001
    assert calendar.sessions(date(2024, 7, 6), date(2024, 7, 7)) == []
    assert isinstance(calendar.schedule(date(2024, 7, 5), date(2024, 7, 5)), Schedule)
