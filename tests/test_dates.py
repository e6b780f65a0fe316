"""Relative dates: "-60 sessions", "last" and "previous" become dates before anything is replayed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cli_runs import call, market
from small import Script, bars, play, store

import bt
from bt.errors import CalendarError, ConfigError, DataError, UsageError
from bt.model import DataSpec, SessionSpec
from bt.results import open_documents
from bt.run import resolved
from bt.run.dates import last_complete
from bt.sessions import TimeManager
from bt.store import Store

JANUARY = [
    "2024-01-02",
    "2024-01-03",
    "2024-01-04",
    "2024-01-05",
    "2024-01-08",
    "2024-01-09",
    "2024-01-10",
    "2024-01-11",
]
NEW_YORK = TimeManager("XNYS")


def last(where: Path, symbols: tuple[str, ...] | None = None) -> str:
    opened = Store.open(DataSpec(str(where), "XNYS", symbols))
    try:
        return str(last_complete(NEW_YORK, opened).name)
    finally:
        opened.close()


def ending(folder: Path, *minutes: int, symbol: str = "A") -> Path:
    """A store with a bar at the open of each session of January and one at the minute given, the last it has."""
    rows = []
    for day, minute in zip(JANUARY, minutes, strict=False):
        rows += [bars(symbol, [10.0], day=day), bars(symbol, [10.0], day=day, first=minute)]
    return store(folder, *rows)


# ----------------------------------------------------------------------------------------------------- what was complete


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ((389, 389, 389), "2024-01-04"),  # the last minute is there
        ((389, 389, 388), "2024-01-03"),  # a minute short: nothing tells that it is whole
        ((389, 389, 390), "2024-01-04"),  # a closing print
        ((389, 389, 450), "2024-01-04"),  # extended hours go on
        ((380, 380, -60), "2024-01-03"),  # the morning before the open: the sessions before are over
        ((380, 380), "2024-01-02"),  # thin, but too young to have a habit
        ((380, 360, 387, 385, 370, 370), "2024-01-09"),  # thin: as far from the close as in two of those before
        ((380, 360, 387, 385, 370, 365), "2024-01-08"),  # only one of those before ended so early
        ((389, 100, 389, 389, 389, 389, 200), "2024-01-09"),  # one outage is no habit
    ],
)
def test_the_last_complete_session(tmp_path: Path, minutes: tuple[int, ...], expected: str):
    assert last(ending(tmp_path, *minutes)) == expected


def test_a_half_day_is_complete_at_its_own_close(tmp_path: Path):
    assert last(store(tmp_path, bars("A", [1.0], day="2024-07-03", first=209))) == "2024-07-03"


def test_what_is_complete_does_not_depend_on_the_symbols_asked_for(tmp_path: Path):
    thin = [bars("THIN", [5.0], day=day, first=3) for day in JANUARY]
    whole = [bars("FULL", [9.0], day=day, first=389) for day in JANUARY]
    assert last(store(tmp_path, *thin, *whole), ("THIN",)) == "2024-01-11"
    cut = [bars("FULL", [9.0], day=day, first=minute) for day, minute in zip(JANUARY, [389] * 7 + [200], strict=True)]
    assert last(store(tmp_path, *thin, *cut), ("THIN",)) == "2024-01-10"


def test_no_session_is_complete(tmp_path: Path):
    with pytest.raises(
        DataError, match="a session must be complete for session.end = 'last', was none; .*2024-01-02 14:30"
    ):
        last(store(tmp_path, bars("A", [1.0, 2.0])))


# --------------------------------------------------------------------------------------------------- words become dates


def dates(folder: Path, start: str, end: str | date, now: datetime | None = None) -> tuple[date, date]:
    opened = Store.open(DataSpec(str(ending(folder, 389, 389, 389, 389)), "XNYS"))
    try:
        begin = start if start.startswith("-") else date.fromisoformat(start)
        return resolved(SessionSpec(begin, end), NEW_YORK, opened, now).dates
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-07-05T19:59:59", "2024-07-03"),  # a minute before the close, after a holiday
        ("2024-07-05T20:00:00", "2024-07-05"),  # the close is the end
        ("2024-07-07T12:00:00", "2024-07-05"),  # a Sunday
        ("2024-07-03T17:00:00", "2024-07-03"),  # a half day
        ("2024-07-03T16:59:00", "2024-07-02"),
    ],
)
def test_previous_is_the_last_session_that_has_ended(tmp_path: Path, now: str, expected: str):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert dates(tmp_path, "-1 sessions", "previous", moment) == (date.fromisoformat(expected),) * 2


def test_sessions_back_count_the_end(tmp_path: Path):
    assert dates(tmp_path, "-1 sessions", "last") == (date(2024, 1, 5), date(2024, 1, 5))
    assert dates(tmp_path, "-3 sessions", "last") == (date(2024, 1, 3), date(2024, 1, 5))
    assert dates(tmp_path, "-3 sessions", date(2024, 1, 7)) == (date(2024, 1, 3), date(2024, 1, 7))  # a Sunday
    assert dates(tmp_path, "2024-01-03", "last") == (date(2024, 1, 3), date(2024, 1, 5))


def test_a_start_after_the_end_is_refused(tmp_path: Path):
    with pytest.raises(
        UsageError, match=r"session.start: it must be on or before the end 2024-01-05 \(session.end = 'last'\)"
    ):
        dates(tmp_path, "2024-02-01", "last")


def test_more_sessions_than_the_calendar_has_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="session.start: it must reach back to a session of the calendar, was -99999"):
        dates(tmp_path, "-99999 sessions", "last")


def test_the_present_may_lie_beyond_a_calendar_file(tmp_path: Path):
    frame = NEW_YORK.schedule(date(2024, 1, 2), date(2024, 1, 5)).frame
    frame.write_parquet(tmp_path / "own.parquet")
    own = TimeManager(str(tmp_path / "own.parquet"))
    assert own.last_ended(datetime(2024, 1, 6, tzinfo=UTC)).name == date(2024, 1, 5)
    with pytest.raises(CalendarError, match="instant must be within 2024-01-02 to 2024-01-05"):
        own.last_ended(datetime(2026, 1, 6, tzinfo=UTC))
    with pytest.raises(CalendarError, match="a session must have ended by .*, was none"):
        own.last_ended(datetime(2024, 1, 2, 15, tzinfo=UTC))


# --------------------------------------------------------------------------------------------- asked for, from everywhere


@pytest.mark.parametrize(
    ("key", "text", "hint"),
    [
        ("start", "-0 sessions", "a whole number of at least 1"),
        ("start", "60 sessions", 'write "-60 sessions"'),
        ("start", "last", 'only the end may be last; its session alone is "-1 sessions"'),
        ("start", "2024-13-01", "year, month and day"),
        ("end", "lats", 'did you mean "last"?'),
        ("end", "-5 sessions", "year, month and day"),
        ("end", 7, "year, month and day"),
    ],
)
def test_a_word_that_is_none_is_refused(tmp_path: Path, key: str, text: str, hint: str):
    given = {"start": "2024-01-02", "end": "2024-01-03", key: text}
    with pytest.raises(ConfigError) as refused:
        bt.replay(bars=tmp_path, strategy=Script(), **given)
    assert f"session.{key} must be a date like 2024-11-25" in str(refused.value)
    assert hint in str(refused.value)
    if isinstance(text, str):
        with pytest.raises(UsageError, match=f"{key}: it must be a date like 2024-11-25"):
            bt.load_bars(tmp_path, "XNYS", given["start"], given["end"])


def test_a_run_knows_only_dates(tmp_path: Path):
    where = ending(tmp_path, 389, 389, 389, 5)
    asked = bt.replay(bars=where, strategy=Script(), start="-2 sessions", end="last", out=tmp_path / "a")
    given = bt.replay(bars=where, strategy=Script(), start="2024-01-03", end="2024-01-04", out=tmp_path / "b")
    one, other = (open_documents(run.path)["manifest"] for run in (asked, given))
    assert one["spec"]["session"]["start"] == "2024-01-03"
    assert one["spec"]["session"]["end"] == "2024-01-04"
    assert one["spec_hash"] == other["spec_hash"]
    assert asked.by_session["session"].to_list() == [date(2024, 1, 3), date(2024, 1, 4)]
    assert asked.equity.equals(given.equity)


def test_load_bars_takes_words(tmp_path: Path):
    where = ending(tmp_path, 389, 389, 389, 5)
    frame = bt.load_bars(where, "XNYS", "-2 sessions", "last")["1m"]
    assert frame["session"].unique().sort().to_list() == [date(2024, 1, 3), date(2024, 1, 4)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(market(tmp_path))
    return tmp_path


def test_flags_and_the_environment_take_words(folder: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    answer = call(capsys, "replay", "run.toml", "--start", "-3 sessions", "--end", "last", "--json")
    assert (answer.code, answer.json["sessions"]) == (0, 3)
    answer = call(capsys, "replay", "run.toml", "--start=-1 session", "--json")
    assert (answer.code, answer.json["sessions"]) == (0, 1)
    monkeypatch.setenv("BT_SESSION__START", "-4 sessions")
    assert call(capsys, "replay", "run.toml", "--json").json["sessions"] == 4
    monkeypatch.setenv("BT_SESSION__START", "yesterday")
    assert "variable BT_SESSION__START: session.start must be a date" in call(capsys, "replay", "run.toml").err
    monkeypatch.delenv("BT_SESSION__START")
    answer = call(capsys, "replay", "run.toml", "--start", "yesterday")
    assert (answer.code, "command line: session.start must be a date" in answer.err) == (2, True)
    answer = call(
        capsys, "quality", "sample", "--calendar", "XNYS", "--start", "-2 sessions", "--end", "last", "--json"
    )
    assert (answer.code, answer.json["start"], answer.json["end"]) == (0, "2024-12-05", "2024-12-06")
    answer = call(capsys, "quality", "sample", "--calendar", "XNYS", "--start", "yesterday")
    assert answer.code == 2
    assert "error: --start: it must be a date like 2024-11-25" in answer.err


def test_previous_is_told_by_the_clock(folder: Path, capsys):
    answer = call(capsys, "replay", "run.toml", "--start", "-1 sessions", "--end", "previous")
    assert answer.code == 2  # the sample ended long ago
    assert "the range must hold bars, was 20" in answer.err


def test_words_must_be_resolved_before_they_are_used(tmp_path: Path):
    where = ending(tmp_path, 389, 389, 389)
    opened = Store.open(DataSpec(str(where), "XNYS"))
    spec = SessionSpec("-2 sessions", "last")
    one = resolved(spec, NEW_YORK, opened)
    opened.close()
    assert one == SessionSpec(date(2024, 1, 3), date(2024, 1, 4))
    with pytest.raises(TypeError, match="session: start and end must be resolved first"):
        _ = spec.dates


@pytest.mark.parametrize("far", ["2031-06-02T14:30", "2031-06-02T09:00", "2099-12-31T23:59", "9999-12-31T23:59"])
@pytest.mark.parametrize(("minute", "expected"), [(389, "2024-01-11"), (200, "2024-01-10"), (450, "2024-01-10")])
def test_a_far_dated_row_makes_no_session_the_last(tmp_path: Path, far: str, minute: int, expected: str):
    stray = [{**bars("B", [1.0])[0], "ts": datetime.fromisoformat(far).replace(tzinfo=UTC)}]
    days = [bars("A", [10.0], day=day, first=m) for day, m in zip(JANUARY, [389] * 7 + [minute], strict=True)]
    where = store(tmp_path, *days, stray)
    assert last(where) == last(where, ("A",)) == expected


@pytest.mark.parametrize("far", ["0001-01-01T00:00", "1950-01-01T00:00", "9999-12-31T23:59"])
def test_a_row_dated_far_away_stops_no_run(tmp_path: Path, far: str):
    stray = [{**bars("A", [1.0])[0], "ts": datetime.fromisoformat(far).replace(tzinfo=UTC)}]
    run = play(store(tmp_path, bars("A", [1.0, 2.0]), stray), Script())
    assert run.summary["bars"] == 2
    words = play(store(tmp_path, bars("A", [1.0] * 390), stray), Script(), "-1 sessions", "last")
    assert [str(day) for day in words.by_session["session"]] == ["2024-01-02"]
