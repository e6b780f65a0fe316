"""A sweep's folder: it goes on where it was stopped, leaves the same bytes, and is nobody else's."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cli_runs import environment
from small import Bar, bars, store

import bt
import bt.sweeps.sweeping
from bt.errors import DataError, LockedError, ResultsError, UsageError
from bt.sweeps import SweepInterrupted
from bt.sweeps.folder import opened

FILES = {"sweep.json", "sets.json", "results.parquet", "returns.parquet"}


class Steady:
    """Long `shares` of everything for `hold` bars."""

    row = Bar

    def __init__(self, hold: int = 3, shares: int = 1) -> None:
        self.hold, self.shares = hold, shares

    def on_bar(self, row: Bar, book: bt.Book) -> None:
        if self.hold == 99:
            raise ValueError("ninety-nine")
        book.target(row.symbol, self.shares if row.minute < self.hold else 0)


@pytest.fixture
def market(tmp_path: Path) -> Path:
    return store(tmp_path, bars("A", [10, 11, 12, 11, 13]), bars("A", [13, 15, 12.5, 14], day="2024-01-03"))


GRID = {"hold": [1, 2, 3, 99], "shares": [1, 2], "account.cash": [100.0, 1000.0]}


@pytest.fixture
def sweeping(market: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The sweep of `GRID`, five sets a pass."""
    chunks = bt.sweeps.sweeping.chunks
    monkeypatch.setattr(bt.sweeps.sweeping, "chunks", lambda spec, sets, _: chunks(spec, sets, together=5))

    def run(out: Path | None, grid: dict[str, Any] = GRID, **more: Any) -> bt.Sweep:
        given = {
            "strategy": Steady,
            "start": "2024-01-02",
            "end": "2024-01-03",
            "output": {"dir": market.parent / "runs"},
        }
        return bt.sweep(bars=market, grid=grid, out=out, **{**given, **more})

    return run


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def stopping(monkeypatch: pytest.MonkeyPatch, passes: int, error: type[BaseException] = KeyboardInterrupt) -> list[int]:
    """From now on so many passes are played, then `error` is raised; the sets of each pass."""
    real, played = bt.sweeps.sweeping.run_sets, list[int]()

    def run(spec: Any, sets: Any, **how: Any) -> Any:
        if len(played) == passes:
            raise error
        played.append(len(sets))
        return real(spec, sets, **how)

    monkeypatch.setattr(bt.sweeps.sweeping, "run_sets", run)
    return played


@pytest.mark.parametrize("passes", [0, 1, 3])
def test_a_sweep_goes_on_and_leaves_the_same_bytes(
    passes: int, sweeping: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sweeping(tmp_path / "whole")
    assert set(content(tmp_path / "whole")) == FILES
    out = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        played = stopping(patch, passes)
        with pytest.raises(
            SweepInterrupted, match=rf"after {passes * 4} of 16 sets; they are kept in .*stopped"
        ) as error:
            sweeping(out)
        assert (error.value.done, error.value.trials, error.value.path) == (passes * 4, 16, out)
        assert played == [4] * passes
    assert not (out / "results.parquet").exists()
    with monkeypatch.context() as patch:
        played = stopping(patch, 99)
        again = sweeping(out)
        assert sum(played) == 16 - passes * 4
    assert content(out) == content(tmp_path / "whole")
    assert again.results == whole.results
    assert again.frame.equals(whole.frame)


def test_a_finished_sweep_is_read_again(sweeping: Any, market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sweeping(None)
    assert first.path is not None
    assert first.path.parent == market.parent / "runs"
    assert first.path.name.startswith("sweep-")
    before = content(first.path)
    stopping(monkeypatch, 0)
    again = sweeping(None, choose="orders", where="hold > 0")
    assert again.path == first.path
    assert again.results == first.results
    assert again.best() != first.best()
    assert content(first.path) == before
    assert bt.runs(market.parent / "runs").height == 0  # a sweep is no run, and no damaged one


def test_what_is_written_is_the_sweep(sweeping: Any, tmp_path: Path) -> None:
    sweep = sweeping(tmp_path / "out")
    frame = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert frame.equals(sweep.frame.sort("number"))
    returns = pl.read_parquet(tmp_path / "out" / "returns.parquet")
    for number in (0, 7):
        assert returns.filter(number=number).drop("number").equals(sweep.equity(number))
    assert returns.filter(number=13).height == 0  # failed
    told = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert told["trials"] == 16
    assert told["grid"] == GRID
    assert told["sets"][0] == {"hold": 1, "shares": 1, "account.cash": 100.0}
    assert told["spec"]["session"]["start"] == "2024-01-02"
    assert {"data_fingerprint", "strategy_hashes", "versions", "spec_hash"} <= set(told)


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "grid": ({"grid": {"hold": [1, 2]}}, r"grid.hold was \[1, 2, 3, 99\] there and is \[1, 2\] here"),
    "cash": ({"cash": 5000.0}, r"spec.account.cash was 1000000.0 there and is 5000.0 here"),
    "dates": ({"end": "2024-01-02"}, "spec.session.end was '2024-01-03' there and is '2024-01-02' here"),
}


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("done", [False, True])
def test_another_sweep_is_refused(
    case: str, done: bool, sweeping: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        if not done:
            stopping(patch, 1)
        with pytest.raises(KeyboardInterrupt) if not done else pytest.MonkeyPatch.context():
            sweeping(out)
    before = content(out)
    more, message = OTHERS[case]
    with pytest.raises(
        UsageError, match=rf"out: the folder must be this sweep's, was that of another one \((.*{message})"
    ):
        sweeping(out, **more)
    assert content(out) == before


def test_other_data_and_code_are_another_sweep(sweeping: Any, market: Path, tmp_path: Path) -> None:
    sweeping(tmp_path / "out")
    store(market.parent, bars("A", [10, 11, 12, 11, 14]), bars("A", [13, 15, 12.5, 14], day="2024-01-03"))
    with pytest.raises(UsageError, match="data_fingerprint was"):
        sweeping(tmp_path / "out")

    class Other(Steady):
        pass

    Other.__name__ = Other.__qualname__ = "Steady"
    with pytest.raises(UsageError, match="must be this sweep's"):
        sweeping(tmp_path / "out", strategy=Other)


def times(number: int) -> Any:
    """A class, and a function, of a number."""

    class Holds:
        row = Bar

        def __init__(self, hold: int = 3, rule: Any = None) -> None:
            self.hold, self.rule = hold, rule

        def on_bar(self, row: Bar, book: bt.Book) -> None:
            book.target(row.symbol, number * self.hold)

    return Holds


def rule(number: int) -> Any:
    return lambda: number


@dataclasses.dataclass(slots=True)
class Slotted:
    shares: int

    row = Bar

    def on_bar(self, row: Bar, book: bt.Book) -> None:
        book.target(row.symbol, self.shares)


CODE: dict[str, Any] = {
    "a closure": lambda n: {"strategy": times(n), "grid": {"hold": [1, 2]}},
    "a slotted instance": lambda n: {"strategy": Slotted(n), "grid": {"run.seed": [1, 2]}},
    "functions tried": lambda n: {"strategy": times(1), "grid": {"rule": [rule(n), rule(n + 1)]}},
    "classes tried": lambda n: {"grid": {"strategy.use": [times(n), times(n + 1)]}},
    "classes tried in another order": lambda n: {"grid": {"strategy.use": [times(n), times(3 - n)]}},
}


@pytest.mark.parametrize("case", CODE)
def test_what_code_closes_over_is_another_sweep(case: str, sweeping: Any, tmp_path: Path) -> None:
    out, made = tmp_path / "out", CODE[case]
    first = sweeping(out, **made(1))
    assert sweeping(out, **made(1)).results == first.results
    with pytest.raises(UsageError, match="must be this sweep's"):
        sweeping(out, **made(2))


def test_files_that_a_grid_tries_are_known_by_their_content(sweeping: Any, tmp_path: Path) -> None:
    files = [tmp_path / "m0.txt", tmp_path / "m1.txt"]
    for file in files:
        file.write_text(file.name)
    grid = {"strategy.files": [[str(file)] for file in files]}
    sweeping(tmp_path / "out", grid)
    sweeping(tmp_path / "out", grid)
    files[1].write_text("other")
    with pytest.raises(UsageError, match="strategy_hashes.1.Steady was"):
        sweeping(tmp_path / "out", grid)


def test_a_sweep_that_cannot_be_known_is_not_gone_on_with(sweeping: Any, tmp_path: Path) -> None:
    opened_ = (number for number in (1,))

    class Reads(Steady):
        def on_bar(self, row: Bar, book: bt.Book) -> None:
            next(opened_, None)

    sweeping(tmp_path / "out", {"hold": [1]}, strategy=Reads)
    with pytest.raises(UsageError, match="strategy_hashes"):
        sweeping(tmp_path / "out", {"hold": [1]}, strategy=Reads)


def test_what_changes_no_result_is_the_same_sweep(sweeping: Any, tmp_path: Path) -> None:
    sweeping(tmp_path / "out")
    sweeping(tmp_path / "out", engine={"threads": 2}, prefetch_days=1, name="x", choose="trades")


def test_a_folder_in_use_is_refused(sweeping: Any, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file"):
        with pytest.raises(
            UsageError, match=f"--out: .*{name} must be a new or empty folder or this sweep's, was in use"
        ):
            sweeping(tmp_path / name)
    assert content(tmp_path / "full") == {"mine.txt": b"mine"}
    (tmp_path / "empty").mkdir()
    sweeping(tmp_path / "empty")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks no folder")
def test_two_processes_do_not_share_a_folder(sweeping: Any, tmp_path: Path) -> None:
    document = {"sweep_hash": "x", "versions": {}}
    with opened(tmp_path / "out", document, named=True), pytest.raises(LockedError, match="another sweep's right now"):
        sweeping(tmp_path / "out")


def test_versions_are_not_mixed(sweeping: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        stopping(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            sweeping(out)
    told = json.loads((out / "sweep.json").read_text())
    told["versions"]["polars"] = "0.1"
    (out / "sweep.json").write_text(json.dumps(told))
    with pytest.raises(UsageError, match="must go on with the versions it began with, polars was 0.1"):
        sweeping(out)


def test_damage_is_told(sweeping: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sweeping(out)
    (out / "sets.json").write_bytes(b"[{")
    with pytest.raises(DataError, match="sets.json: it must be what a sweep leaves"):
        sweeping(out)
    (out / "sweep.json").write_text("{}")
    with pytest.raises(DataError, match="sweep.json: it must be what a sweep leaves"):
        sweeping(out)


def test_a_full_disk_keeps_what_is_done(sweeping: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, write, written = tmp_path / "out", Path.write_bytes, list[str]()

    def full(path: Path, data: bytes) -> int:
        written.append(path.name)
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(ResultsError, match="No space left on device; free some space"):
            sweeping(out)
    played = stopping(monkeypatch, 99)
    sweeping(out)
    assert sum(played) == 16 - 8
    whole = sweeping(tmp_path / "whole")
    assert content(out) == content(tmp_path / "whole")
    assert whole.trials == 16


SCRIPT = """
import sys
import time

import bt
import bt.sweeps.sweeping

sys.path.insert(0, sys.argv[3])
from test_sweep_folder import GRID, Steady

chunks, run_sets = bt.sweeps.sweeping.chunks, bt.sweeps.sweeping.run_sets


def slow(spec, sets, **how):
    time.sleep(0.4)
    return run_sets(spec, sets, **how)


bt.sweeps.sweeping.chunks = lambda spec, sets, _: chunks(spec, sets, together=2)
bt.sweeps.sweeping.run_sets = slow
bt.sweep(bars=sys.argv[1], strategy=Steady, start="2024-01-02", end="2024-01-03", grid=GRID, out=sys.argv[2],
         output={"dir": sys.argv[4]})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("with_", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_loses_one_pass_at_most(with_: int, sweeping: Any, market: Path, tmp_path: Path) -> None:
    script, out = tmp_path / "script.py", tmp_path / "out"
    script.write_text(SCRIPT)
    tests = str(Path(__file__).parent)
    command = [sys.executable, str(script), str(market), str(out), tests, str(market.parent / "runs")]
    variables = environment(PYTHONPATH=os.pathsep.join([str(Path(tests).parent), tests]))
    process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 60
    while len(list(out.glob("done/0*.json"))) < 2:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(with_)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert ("SweepInterrupted: interrupted after" in errors) is (with_ == signal.SIGINT)
    kept = len(list(out.glob("done/0*.json")))
    assert 2 <= kept < 8
    resumed = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert resumed.returncode == 0, resumed.stderr
    sweeping(tmp_path / "whole")
    assert content(out) == content(tmp_path / "whole")


def test_a_result_survives_its_file(sweeping: Any, tmp_path: Path) -> None:
    first = sweeping(tmp_path / "out")
    again = sweeping(tmp_path / "out")
    for one, other in zip(first.results, again.results, strict=True):
        for field in dataclasses.fields(one):
            assert getattr(one, field.name) == getattr(other, field.name)


SOURCE = """
import bt


class Row(bt.Row):
    symbol: str
    minute: int


class Steady:
    row = Row

    def __init__(self, hold: int = 3, shares: int = 1) -> None:
        self.hold, self.shares = hold, shares

    def on_bar(self, row: Row, book: bt.Book) -> None:
        book.target(row.symbol, self.shares if row.minute < self.hold else 0)
"""


def after_the_first_pass(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Have something happen between the passes of a sweep."""
    play, done = bt.sweeps.sweeping.run_sets, []

    def run_sets(*given: Any, **how: Any) -> Any:
        found = play(*given, **how)
        if not done:
            done.append(1)
            change()
        return found

    monkeypatch.setattr(bt.sweeps.sweeping, "run_sets", run_sets)


@pytest.mark.parametrize("what", ["code", "bars"])
def test_what_changes_while_it_is_swept_is_refused(
    what: str, sweeping: Any, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sets of two codes, or of two markets, are no sweep; the one that was asked for goes on when all is as it was."""
    file, table = tmp_path / "steady.py", market / "bars.parquet"
    file.write_text(SOURCE)
    before = table.read_bytes()
    given = {"strategy": f"{file}:Steady"}

    def change() -> None:
        if what == "code":
            file.write_text(SOURCE.replace("else 0", "else 1"))
        else:
            pl.read_parquet(table).with_columns(pl.col("volume") + 1).write_parquet(table)

    whole = content(sweeping(tmp_path / "whole", **given).path)
    with monkeypatch.context() as patch:
        after_the_first_pass(patch, change)
        error, told = (UsageError, "the strategy must stay as it is") if what == "code" else (DataError, "bars must stay as they are")  # fmt: skip
        with pytest.raises(error, match=f"{told} .*, (was|were) changed; what is done is kept"):
            sweeping(tmp_path / "cut", **given)
    assert len(list((tmp_path / "cut" / "done").glob("*.json"))) == 1
    file.write_text(SOURCE)
    table.write_bytes(before)
    assert content(sweeping(tmp_path / "cut", **given).path) == whole


CACHING = SOURCE.replace("class Steady", "SEEN = {}\n\n\nclass Steady").replace(
    "        book.target", "        SEEN[row.symbol] = row.minute\n        book.target"
)


def test_what_code_writes_down_while_it_is_swept_is_no_change(
    sweeping: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "caching.py").write_text(CACHING)
    monkeypatch.syspath_prepend(tmp_path)
    by_file, by_module = (
        sweeping(None, strategy=f"{place}:Steady", save=False) for place in (tmp_path / "caching.py", "caching")
    )
    assert by_file.frame.equals(by_module.frame)
    assert sys.modules.pop("caching").SEEN


class Listed(Steady):
    """Of a universe that its class declares."""

    universe = None


@pytest.mark.parametrize("how", ["tried", "declared", "calendar", "previous"])
def test_whatever_a_sweep_depends_on_makes_another_sweep(
    how: str, sweeping: Any, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, calendar = tmp_path / "members.parquet", tmp_path / "sessions.parquet"

    def members(symbol: str) -> None:
        pl.DataFrame({"from": ["2024-01-01"], "to": [None], "symbol": [symbol]}, schema_overrides={"to": pl.String}).with_columns(
            pl.col("from", "to").str.to_date()
        ).write_parquet(listed)  # fmt: skip

    def sessions(close: str) -> None:
        days = pl.DataFrame({"session": ["2024-01-02", "2024-01-03"]}).with_columns(pl.col("session").str.to_date())
        at = [pl.format("{}T{}:00Z", "session", pl.lit(t)).str.to_datetime(time_unit="us", time_zone="UTC").alias(name) for name, t in (("open", "14:30"), ("close", close))]  # fmt: skip
        days.with_columns(pl.lit(0, pl.Int32).alias("segment"), *at).write_parquet(calendar)

    members("A")
    sessions("21:00")
    given: dict[str, Any] = {"grid": {"hold": [1, 2]}}
    if how == "tried":
        given["grid"]["universe.table"] = [str(listed)]
    elif how == "declared":
        monkeypatch.setattr(Listed, "universe", bt.members(table=str(listed)))
        given["strategy"] = Listed
    elif how == "calendar":
        given["calendar"] = str(calendar)
    else:
        given["grid"]["session.end"] = ["previous", "2024-01-02"]
    run = sweeping(tmp_path / "out", **given)
    assert sweeping(tmp_path / "out", **given).frame.equals(run.frame)
    members("B")
    sessions("20:00")
    if how == "previous":
        pl.concat([pl.read_parquet(market / "bars.parquet"), pl.DataFrame(bars("A", [13.0], day="2024-01-04")).with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")))], how="diagonal_relaxed").write_parquet(market / "bars.parquet")  # fmt: skip
    with pytest.raises(UsageError, match="the folder must be this sweep's, was that of another one"):
        sweeping(tmp_path / "out", **given)


@pytest.mark.parametrize("file", ["results.parquet", "returns.parquet", "sets.json"])
def test_a_damaged_table_is_written_again(file: str, sweeping: Any, tmp_path: Path) -> None:
    whole = content(sweeping(tmp_path / "out").path)
    damaged = tmp_path / "out" / file
    if file == "sets.json":
        damaged.write_text(json.dumps(json.loads(damaged.read_text())[:-1]))
    else:
        damaged.write_bytes(b"PAR1 no more")
    assert content(sweeping(tmp_path / "out").path) == whole
