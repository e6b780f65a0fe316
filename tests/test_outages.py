"""Outages: against the oracle on random presences, by hand, and on real markets."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import oracle as o
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge import Market
from small import THURSDAY, TUESDAY, WEDNESDAY, Script, at, bars, play, store
from test_laws import law

import bt
from bt.outages import NEEDED, SCHEMA, Watch, outages
from bt.research import load_quality
from bt.run import result

Presences = dict[date, dict[str, list[o.Bar]]]

FIRST = date(2024, 1, 2)
HOURS = [(0, 25), (40, 60)]
"""A session of 45 minutes with a break of 15."""


def day(number: int) -> o.Day:
    name = FIRST + timedelta(days=number)
    opens = o.micros(datetime.combine(name, datetime.min.time(), UTC))
    return o.Day(name, [(opens + a * o.MINUTE, opens + b * o.MINUTE) for a, b in HOURS])


@st.composite
def presences(draw: st.DrawFn) -> tuple[list[o.Day], Presences]:
    """Mostly whole sessions of one to five symbols, with stretches that some lack, and sessions that some lack wholly."""
    days = [day(i) for i in range(draw(st.integers(1, 7)))]
    symbols = "ABCDE"[: draw(st.integers(1, 5))]
    missing = {(d.name, s): set[int]() for d in days for s in symbols}
    for d in days:
        for _ in range(draw(st.integers(0, 2))):
            first, length = draw(st.integers(0, 44)), draw(st.integers(3, 12))
            for s in symbols:
                shift = draw(st.sampled_from((0, 0, 0, 1, None)))
                if shift is not None:
                    missing[d.name, s] |= set(range(first + shift, first + shift + length))
        if draw(st.integers(0, 3)) == 0:
            for s in draw(st.sampled_from((symbols, symbols[:1], symbols[1:]))):
                missing[d.name, s] = set(range(45))
    thin = draw(st.sampled_from(("", symbols[-1])))
    found: Presences = {d.name: {} for d in days}
    for d in days:
        for s in symbols:
            gone = missing[d.name, s] | (set(range(1, 45)) if s == thin else set())
            here = [o.Bar(s, t, 1.0, 1.0, 1.0, 1.0, 1) for m, t in enumerate(d.minutes) if m not in gone]
            if here:
                found[d.name][s] = here
    return days, found


def table_of(days: list[o.Day], found: Presences) -> pl.DataFrame:
    """The quality table, by the oracle."""
    symbols = sorted({s for mine in found.values() for s in mine})
    rows = []
    for d in days:
        for s in symbols:
            present, expected, percent, gaps = o.quality(d, found[d.name].get(s, []))
            told = [{"start": a, "end": b, "minutes": n} for a, b, n in gaps]
            rows.append((d.name, s, present, expected, percent, told))
    times = pl.List(pl.Struct({"start": pl.Int64(), "end": pl.Int64(), "minutes": pl.Int64()}))
    return pl.DataFrame(rows, schema={**NEEDED, "gaps": times}, orient="row").cast(NEEDED)  # type: ignore[arg-type]


def told_by(frame: pl.DataFrame) -> list[tuple[date, int, int, int]]:
    return [(r["session"], o.micros(r["start"]), o.micros(r["end"]), r["minutes"]) for r in frame.iter_rows(named=True)]


@law(50)
@given(presences(), st.integers(1, 20))
def test_outages_are_the_same_in_parts_of_whole_sessions(drawn: tuple[list[o.Day], Presences], rows: int) -> None:
    table = table_of(*drawn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(result, "_ROWS", rows)
        parts = result.outages_in(table.with_columns(interval=pl.lit("1m")).lazy())
    assert parts.equals(outages(table))


@law(150)
@given(presences())
def test_outages_are_those_of_the_oracle(drawn: tuple[list[o.Day], Presences]) -> None:
    days, found = drawn
    symbols = sorted({s for mine in found.values() for s in mine})
    table = table_of(days, found)
    ours = outages(table)
    assert told_by(ours) == o.outages(days, found, symbols)
    watch = Watch(len(days))
    for d in days:
        watch.add(table.filter(pl.col("session") == d.name))
    assert watch.outages().equals(ours)
    shuffled = outages(table.sample(fraction=1.0, shuffle=True, seed=len(days)))
    assert shuffled.equals(ours)


def test_none_in_an_empty_table() -> None:
    assert outages(NEEDED.to_frame()).schema == SCHEMA


@pytest.mark.parametrize(("lacking", "minutes", "found"), [(7, 5, True), (6, 5, False), (7, 4, False), (10, 5, True)])
def test_seven_of_ten_and_five_minutes(lacking: int, minutes: int, found: bool) -> None:
    """Of ten symbols, some lack a few minutes of one session in three."""
    days = [day(i) for i in range(3)]
    gone = {(s, m) for s in range(lacking) for m in range(10, 10 + minutes)}
    presences: Presences = {
        d.name: {
            f"S{s}": [
                o.Bar(f"S{s}", t, 1.0, 1.0, 1.0, 1.0, 1)
                for m, t in enumerate(d.minutes)
                if d is not days[1] or (s, m) not in gone
            ]
            for s in range(10)
        }
        for d in days
    }
    told = outages(table_of(days, presences))
    assert told_by(told) == o.outages(days, presences, [f"S{s}" for s in range(10)])
    assert told["lacking"].to_list() == ([lacking / 10] if found else [])


def dark(symbol: str, day_: str, first: int, count: int) -> list[dict[str, Any]]:
    """A session of which some minutes are missing."""
    return bars(symbol, [None if first <= m < first + count else 1.0 for m in range(390)], day=day_)


def test_seven_of_ten_symbols_make_an_outage(tmp_path: Path) -> None:
    """Three of four lack minutes 20 to 24 on the first day; nobody has the second; two of four lack them on the third."""
    rows = [dark(s, TUESDAY, 20, 5 if s < "D" else 0) for s in "ABCD"]
    rows += [dark(s, THURSDAY, 20, 5 if s < "C" else 0) for s in "ABCD"]
    where = store(tmp_path, *rows, bars("THIN", [1.0, 1.0]))
    run = play(where, Script(), end=THURSDAY)
    assert run.outages.rows() == [
        (date(2024, 1, 2), at(20), at(25), 5, 4, 0.75, False),
        (date(2024, 1, 3), at(0, WEDNESDAY), at(390, WEDNESDAY), 390, 4, 1.0, True),
    ]
    assert run.summary["outages"] == 2
    assert "2: run.outages lists them" in repr(run)
    assert load_quality(where, "XNYS", TUESDAY, THURSDAY, gap_lists=False).outages.equals(run.outages)
    only_five = load_quality(where, "XNYS", TUESDAY, THURSDAY, intervals=["5m"])
    assert only_five.outages.equals(run.outages)
    assert only_five.table["interval"].unique().to_list() == ["5m"]


def test_they_are_in_the_run_folder(tmp_path: Path) -> None:
    rows = [dark("A", day_, 100, 7) for day_ in (TUESDAY, WEDNESDAY)]
    where = store(tmp_path, *rows)
    run = play(where, Script(), end=WEDNESDAY, save=True, out=tmp_path / "run")
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert told["summary"]["outages"] == 2
    assert told["outages"][0] == {
        "session": "2024-01-02", "start": "2024-01-02T16:10:00Z", "end": "2024-01-02T16:17:00Z", "minutes": 7,
        "symbols": 1, "lacking": 1.0, "whole_session": False,
    }  # fmt: skip
    assert bt.open_run(tmp_path / "run").outages.equals(run.outages)


FOUND = {
    "us-equity-9sym-2022-ext": [(f"2022-{d}", "13:30", "20:00", True) for d in ("03-21", "03-29", "04-06")],
    "us-equity-spy-2024-ext": [("2024-06-03", "14:26", "15:38", False)],
    "us-etf-universe-2019-12": [("2019-12-16", "14:30", "16:00", False), ("2020-01-13", "16:00", "21:00", False)],
}
"""Every outage of these markets, in UTC."""


@pytest.mark.parametrize("name", FOUND)
def test_real_markets_have_these_and_no_others(name: str, shared_data: Path) -> None:
    found = load_quality(shared_data / name, "XNYS", columns={"open_time": "ts"}, gap_lists=False)
    told = [
        (f"{r['session']}", f"{r['start']:%H:%M}", f"{r['end']:%H:%M}", r["whole_session"])
        for r in found.outages.iter_rows(named=True)
    ]
    assert told == FOUND[name]
    quality = found.table.filter(pl.col("present") > 0).group_by("symbol").agg(pl.col("quality").median())
    liquid = tuple(quality.filter(pl.col("quality") > 80)["symbol"].sort())  # the oracle is slow
    first, last = found.sessions[0].name, found.sessions[-1].name
    market = Market(sorted((shared_data / name).glob("*.parquet")), "XNYS", first, last, liquid)
    days = [d for d in market.days if first <= d.name <= last]
    assert told_by(found.outages) == o.outages(days, market.classified.accepted, liquid)
