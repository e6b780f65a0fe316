"""`bt quality --html`: the page tells what the tables do, half days and outages marked, the vendor's gaps apart from thin trading."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from cli_runs import ROOT, call
from report_pages import Page

from bt.research import Quality, load_quality

START, END = "2024-11-11", "2024-11-29"
ASKED = ("quality", str(ROOT / "data" / "sample"), "--calendar", "XNYS", "--start", START, "--end", END)


@pytest.fixture(scope="module")
def found() -> Quality:
    return load_quality(ROOT / "data" / "sample", "XNYS", START, END)


def test_the_page_tells_what_the_tables_do(tmp_path, capsys, found):
    file = tmp_path / "quality.html"
    answer = call(capsys, *ASKED, "--html", str(file))
    assert answer.code == 0
    assert answer.out.splitlines()[-1].split() == ["page", str(file)]
    page = Page(file.read_text(encoding="utf-8"))
    told = page.data["quality"]
    assert (len(told["rows"]), len(told["columns"])) == (found.table["symbol"].n_unique(), len(found.sessions))
    assert [told["columns"][i] for i in told["early"]] == [["2024-11-29"]]
    assert [told["columns"][i] for i in told["out"]] == [[f"{day}"] for day in found.outages["session"].unique().sort()]
    assert "Half days, marked \u25be: 2024-11-29." in page.said
    worst = found.table.group_by("symbol").agg(pl.col("quality").mean()).sort("quality", "symbol")
    assert [row[0] for row in page.table("Least complete symbols")] == worst["symbol"].head(20).to_list()
    assert len(page.table("Outages (times")) == found.outages.height
    assert len(page.table("Longest gaps")) == found.worst.height


def test_missing_minutes_are_the_outages_or_the_symbols_own(tmp_path, capsys, found):
    file = tmp_path / "quality.html"
    call(capsys, *ASKED, "--html", str(file))
    rows = Page(file.read_text(encoding="utf-8")).table("Outages against thin trading")
    lost = (
        found.table.filter(pl.col("present") > 0).group_by("symbol").agg((pl.col("expected") - pl.col("present")).sum())
    )
    missing = {symbol: minutes for symbol, minutes in lost.iter_rows() if minutes}
    whole = {row[0]: [int(text.replace(",", "")) for text in row[1:]] for row in rows}
    assert {symbol: numbers[0] for symbol, numbers in whole.items()} == missing
    assert all(numbers[0] == numbers[1] + numbers[2] for numbers in whole.values())
    outage = found.outages.filter(~pl.col("whole_session"))
    inside = dict.fromkeys(missing, 0)
    for session, symbol, gaps in (
        found.table.filter(pl.col("present") > 0).select("session", "symbol", "gaps").iter_rows()
    ):
        for gap in gaps:
            for day, start, end in outage.select("session", "start", "end").iter_rows():
                if day == session:
                    shared = (min(end, gap["end"]) - max(start, gap["start"])).total_seconds() / 60
                    inside[symbol] += max(int(shared), 0)
    assert {symbol: numbers[1] for symbol, numbers in whole.items()} == inside
    assert any(inside.values())


def test_with_json_the_page_is_named(tmp_path, capsys):
    answer = call(
        capsys, *ASKED, "--symbols", "GAPS", "--interval", "5m", "--html", str(tmp_path / "one.html"), "--json"
    )
    assert answer.json["html"] == str(tmp_path / "one.html")
    assert "complete 5m bars" in Page(Path(answer.json["html"]).read_text(encoding="utf-8")).said


def test_a_place_that_cannot_be_written_is_told(tmp_path, capsys):
    answer = call(capsys, *ASKED, "--symbols", "GAPS", "--html", str(tmp_path / "missing" / "q.html"))
    assert (answer.code, "page must be written whole" in answer.err) == (1, True)
