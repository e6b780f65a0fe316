"""Runs found again: `bt.runs`, `bt.open_run` and `bt runs`."""

from __future__ import annotations

import dataclasses
import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from cli_runs import call
from polars.testing import assert_frame_equal
from small import Bar, bars, store

import bt
from bt.errors import DataError, UsageError
from bt.metrics import Metrics
from bt.results import CATALOG, SCHEMAS

TABLES = {"sessions": "by_session"} | {name: name for name in SCHEMAS if name != "sessions"}


class Buys:
    """Holds `shares` from minute `at` on."""

    row = Bar

    def __init__(self, shares: int = 10, at: int = 0) -> None:
        self.shares, self.at = shares, at

    def on_bar(self, row: Bar, book: bt.Book) -> None:
        if row.minute == self.at:
            book.target(row.symbol, self.shares)
            book.record(close=row.close)
            book.log("bought", shares=self.shares)
        elif row.minute == 2:
            book.target(row.symbol, 0)


def use(shares: int, name: str = "") -> dict[str, object]:
    return {"use": Buys, "params": {"shares": shares}, **({"name": name} if name else {})}


@pytest.fixture(scope="module")
def bar_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store(tmp_path_factory.mktemp("market"), bars("A", [10.0, 11.0, 12.0, 13.0, 14.0]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, bar_store: Path) -> Path:
    """Three runs: one, one named, and one of two strategies in a folder with a name of its own."""
    where = tmp_path_factory.mktemp("runs")
    given = {"bars": bar_store, "start": "2024-01-02", "end": "2024-01-02", "output": {"dir": where}}
    bt.replay(strategy=Buys, **given)
    bt.replay(strategy=Buys(20), name="twenty", cash=5000, **given)
    bt.replay(strategies=[use(1, "a"), use(2, "b")], out=where / "both", **given)
    return where


def paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def test_an_opened_run_equals_the_one_that_was_returned(tmp_path: Path, bar_store: Path, monkeypatch):
    given = {"bars": bar_store, "start": "2024-01-02", "end": "2024-01-02"}
    run = bt.replay(strategies=[use(1, "a"), use(2, "b")], out=tmp_path / "run", **given)
    monkeypatch.chdir(tmp_path)
    again = bt.open_run("run")
    assert again == run
    assert again.path == run.path
    assert dict(again.summary) == dict(run.summary)
    assert list(again.summary) == list(run.summary)
    assert again.strategy_metrics == run.strategy_metrics
    assert repr(again) == repr(run)
    for attribute in TABLES.values():
        assert_frame_equal(getattr(again, attribute), getattr(run, attribute))
    assert_frame_equal(again.by_symbol, run.by_symbol)
    assert again.trades.height == 2


def test_tables_are_read_when_asked_for(folder: Path, tmp_path: Path):
    copy = shutil.copytree(folder / "both", tmp_path / "copy")
    (copy / "fills.parquet").unlink()
    run = bt.open_run(copy)
    assert run.trades.height == 2
    for ask in (lambda: run.fills, run.report, lambda: run.by_symbol):
        with pytest.raises(DataError, match="the table fills must be there, was missing; the folder is damaged"):
            ask()


def damage(file: Path) -> None:
    """Turn what a file has in the pages of each of its columns, behind an end that stays sound."""
    groups = pq.ParquetFile(file).metadata
    chunks = [groups.row_group(g).column(c) for g in range(groups.num_row_groups) for c in range(groups.num_columns)]
    with file.open("r+b") as opened:
        for chunk in chunks:
            opened.seek(chunk.data_page_offset)
            opened.write(b"\xff" * 16)


@pytest.mark.parametrize("name", ["equity", "fills", "quality"])
def test_a_table_that_is_damaged_within_is_named(name: str, folder: Path, tmp_path: Path, capsys):
    copy = shutil.copytree(folder / "both", tmp_path / "copy")
    damage(copy / f"{name}.parquet")
    run = bt.open_run(copy)
    asked = {
        "equity": [run.returns, run._repr_html_, lambda: bt.compare([run]).equity, run.plot.equity, run.plot.drawdown, run.plot.heatmap],
        "fills": [lambda: run.by_symbol, lambda: run.plot.trades("A", "2024-01-02")],
        "quality": [lambda: run.outages, run.plot.quality, lambda: run.report(tmp_path / "page.html", symbol="A")],
    }  # fmt: skip
    for ask in (lambda: getattr(run, name), run.report, *asked[name]):
        with pytest.raises(
            DataError, match=rf"{name}\.parquet: it must be the table that a run leaves, was not \(.+\); replay again"
        ):
            ask()
    assert not (tmp_path / "page.html").exists()
    assert (told := call(capsys, "report", str(copy))).code == 2
    assert f"{name}.parquet: it must be the table that a run leaves" in told.err
    assert run.trades.height == 2


@pytest.mark.parametrize(
    ("start", "told"), [("2023-12-28", "2 sessions are"), ("2023-12-29", "1 session is"), ("2024-01-02", "")]
)
def test_sessions_before_the_data_are_told(start: str, told: str, bar_store: Path):
    run = bt.replay(strategy=Buys, bars=bar_store, calendar="XNYS", start=start, end="2024-01-02", save=False)
    line = (
        f"before data    {told} before the first bar, in the session 2024-01-02, and count in every figure; start there"
    )
    assert (line in repr(run)) == ("before_data" in run.summary) == bool(told)
    assert run.summary["sessions"] == len(run.by_session)


def test_a_run_alone_may_be_compared(folder: Path):
    for one in (folder / "both", bt.open_run(folder / "both")):
        assert bt.compare(one).frame["run"].to_list() == ["both"]


def test_a_folder_that_is_no_run_is_refused(folder: Path, tmp_path: Path):
    for wrong in (None, 3):
        with pytest.raises(UsageError, match=f"it must be the folder of a finished run, was {wrong}"):
            bt.open_run(wrong)
    with pytest.raises(UsageError, match="it must be the folder of a finished run, was not"):
        bt.open_run(tmp_path)
    shutil.copytree(folder / "both", tmp_path / "20250101T000000Z-a")
    with pytest.raises(UsageError, match=r"was not; it holds a run: .*20250101T000000Z-a"):
        bt.open_run(tmp_path)
    shutil.copytree(folder / "both", tmp_path / "20260101T000000Z-a")
    with pytest.raises(UsageError, match=r"was not; it holds 2 runs, name one, such as .*20260101T000000Z-a"):
        bt.open_run(tmp_path)
    copy = shutil.copytree(folder / "both", tmp_path / "copy")
    (copy / "metrics.json").write_text('{"summary": ')
    with pytest.raises(DataError, match=r"metrics.json: it must be the JSON that a run leaves, was not"):
        bt.open_run(copy)
    (copy / "metrics.json").write_text("[]")
    with pytest.raises(DataError, match=r"metrics.json: it must be a JSON object, was list"):
        bt.open_run(copy)
    (copy / "metrics.json").write_text("{}")
    with pytest.raises(DataError, match="its documents must have 'summary', were without"):
        bt.open_run(copy)


def test_figures_that_an_earlier_version_had_not_are_none(folder: Path, tmp_path: Path):
    copy = shutil.copytree(folder / "both", tmp_path / "copy")
    told = json.loads((copy / "metrics.json").read_text())
    del told["account"]["capacity"]
    told["account"]["from_a_later_version"] = 1.0
    (copy / "metrics.json").write_text(json.dumps(told))
    run = bt.open_run(copy)
    assert run.metrics.capacity is None
    assert isinstance(run.metrics, Metrics)
    assert dataclasses.asdict(run.metrics) | {"capacity": 0} == dataclasses.asdict(
        bt.open_run(folder / "both").metrics
    ) | {"capacity": 0}


def test_runs_are_listed_latest_first(folder: Path):
    frame = bt.runs(folder)
    assert frame.schema == pl.Schema(CATALOG)
    assert frame.height == 3
    assert frame["when"].is_sorted(descending=True)
    assert (datetime.now(UTC) - frame["when"].min()).total_seconds() < 600
    rows = {(r["name"], r["strategy"]): r for r in frame.to_dicts()}
    assert set(rows) == {("", "Buys"), ("twenty", "Buys"), ("", "a, b")}
    assert json.loads(rows["", "Buys"]["parameters"]) == {}
    assert json.loads(rows["twenty", "Buys"]["parameters"]) == {"shares": 20, "at": 0}
    assert json.loads(rows["", "a, b"]["parameters"]) == {"a": {"shares": 1}, "b": {"shares": 2}}
    for row in rows.values():
        run = bt.open_run(row["path"])
        assert (row["net_pnl"], row["trades"], row["sharpe"]) == (
            run.summary["net_pnl"],
            run.summary["trades"],
            run.metrics.sharpe,
        )
        assert (row["start"], row["end"], row["finish_reason"]) == (date(2024, 1, 2), date(2024, 1, 2), "end_date")


def test_damaged_and_partial_folders_are_left_out_and_told(folder: Path, tmp_path: Path, capsys):
    where = shutil.copytree(folder, tmp_path / "runs")
    one, other, _ = paths(where)
    (one / "manifest.json").unlink()
    (other / "metrics.json").write_text("{")
    (where / ".20240101T000000Z-01234567.partial").mkdir()
    (where / "notes").mkdir()
    (where / "readme.txt").write_text("x")
    with pytest.warns(UserWarning, match="left out") as caught:
        frame = bt.runs(where)
    assert [Path(p).name for p in frame["path"]] == ["both"]
    message = str(caught[0].message)
    assert f"{one.name} (damaged: manifest.json is missing)" in message
    assert f"{other.name} (damaged, or of another version" in message
    assert ".partial (still being written, or left by a process that was killed)" in message
    assert "notes" not in message
    answer = call(capsys, "runs", str(where), "--json")
    assert (answer.code, len(answer.json["runs"]), len(answer.json["skipped"])) == (0, 1, 3)
    assert answer.err.count("is left out: ") == 3


def test_the_command_line_lists_runs(folder: Path, capsys, tmp_path: Path):
    answer = call(capsys, "runs", str(folder))
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[1] == f"3 runs in {folder}:"
    assert "parameters" in lines[2]
    assert any("a(shares=1), b(shares=2)" in line for line in lines)
    assert any("shares=20, at=0" in line and "twenty" in line and "end_date" in line for line in lines)
    told = call(capsys, "runs", str(folder), "--json").json
    assert {"when", "name", "strategy", "parameters", "sharpe", "finish_reason", "path"} <= set(told["runs"][0])
    assert sorted(run["name"] for run in told["runs"]) == ["", "", "twenty"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert call(capsys, "runs", str(empty)).out == f"No run in {empty}\n"


def test_what_is_no_folder_of_runs_is_refused(folder: Path, capsys, tmp_path: Path):
    answer = call(capsys, "runs", str(tmp_path / "nowhere"), "--json")
    assert (answer.code, answer.json["error"]["type"]) == (2, "UsageError")
    answer = call(capsys, "runs", str(folder / "both"))
    assert answer.code == 2
    assert "it must be a folder of runs, was a run itself" in answer.err
