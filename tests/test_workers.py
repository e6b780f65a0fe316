"""Runs played by spawned processes: the same files, the same errors, and nobody is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from cli_runs import BT, environment, market, process
from hands import assert_same_files, files
from small import THURSDAY, TUESDAY, WEDNESDAY, at, bars, store

import bt
from bt.engine import Pace
from bt.errors import StrategyRaised, UsageError, WorkerError
from bt.run import divided, pool
from bt.run.divided import _told
from bt.run.gathering import Undivided, _union
from bt.run.pool import Crew, Result, Worker, threads_each
from bt.run.slices import Stopped

DAYS = (TUESDAY, WEDNESDAY, THURSDAY)


def walk(folder: Path, symbols: str = "ABC", minutes: int = 60) -> Path:
    """Random prices of some symbols in three sessions, with gaps and a bad row."""
    rng = np.random.default_rng(3)
    rows = []
    for symbol in symbols:
        for day in DAYS:
            prices = np.round(10 + np.cumsum(rng.normal(0, 0.05, minutes)), 2).tolist()
            rows.append(bars(symbol, [p if rng.random() < 0.9 else None for p in prices], day=day))
    rows.append([{**rows[0][0], "ts": at(389), "high": 1.0}])
    return store(folder, *rows)


class Fields(bt.Row):
    symbol: str
    minute: int
    close: float
    mean: float


class Crosses:
    """Long above the mean of ten closes, else short; speaks and records."""

    row: Any = Fields
    independent = True

    def __init__(self, bad: str = "", tag: str = "") -> None:
        self.bad, self.tag = bad, tag
        self.day = ""

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", 10)}

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        self.day = session.isoformat()
        book.log("begins")

    def on_bar(self, row: Fields, book: bt.Book) -> None:
        if f"{self.day} {row.symbol} {row.minute}" == self.bad:
            print("about to raise")
            raise ValueError("had to")
        if row.minute == 20:
            print(row.symbol, "at twenty")
        book.record(over=row.close - row.mean)
        book.target(row.symbol, 7 if row.close > row.mean else -7, tag=self.tag)


class Whole(Crosses):
    """The same with one account."""

    independent = False


COSTS = {"execution": {"slippage_bps": 2.0, "commission_per_share": 0.01}}


def replay(where: Path, workers: int, out: Path | None, **more: Any) -> bt.Run:
    given = {"start": TUESDAY, "end": THURSDAY, "calendar": "XNYS", "save": out is not None, **COSTS, **more}
    return bt.replay(bars=where, out=out, engine={"workers": workers}, **given)


def two(tmp_path: Path, workers: int = 2, **more: Any) -> list[Path]:
    """The run of one process and of several; both must be the same, also in how they end."""
    where, ended = walk(tmp_path), []
    for number in (1, workers):
        try:
            ended.append(replay(where, number, tmp_path / str(number), **more))
        except StrategyRaised as error:
            ended.append(error)
    one, other = ended
    assert type(one) is type(other)
    assert str(one) == str(other)
    out = [tmp_path / "1", tmp_path / str(workers)]
    assert_same_files(*out)
    return out


# ---------------------------------------------------------------------------------------------------------- the same


def test_symbols_are_divided(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What a strategy prints is printed here, whoever played; bars in memory travel too."""
    one, other = two(tmp_path, 3, strategy=Crosses)
    assert bt.open_run(one).fills.height > 20
    lines = capsys.readouterr().out.splitlines()
    half = len(lines) // 2
    assert half > 5
    assert sorted(lines[:half]) == sorted(lines[half:])
    assert bt.open_run(other).log["message"].to_list()[:2] == ["begins", "A at twenty"]
    frame = pl.read_parquet(tmp_path / "bars" / "bars.parquet")
    mine, theirs = (replay(frame, n, None, strategy=Crosses) for n in (1, 2))
    assert mine.fills.equals(theirs.fills)
    assert mine.equity.equals(theirs.equity)


def test_strategies_are_divided(tmp_path: Path):
    """Two whole ones apart, and the symbols of a third among two."""
    strategies = [
        {"name": n, "use": use, "params": {"tag": n}} for n, use in (("a", Whole), ("b", Crosses), ("c", Whole))
    ]
    two(tmp_path, 4, strategies=strategies)


class Waits:
    """Orders far from the market that live on, with words of their own; no two symbols are first to use the same ones."""

    row: Any = Fields
    independent = True

    def __init__(self) -> None:
        self.session = 0

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", 10)}

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        self.session += 1

    def on_bar(self, row: Fields, book: bt.Book) -> None:
        word = f"{'xyz'[('ABC'.index(row.symbol) + row.minute) % 3]}{row.minute // 25} of {self.session}"
        if row.minute % 10 == 0:
            book.order(row.symbol, 3, limit=round(row.close / 2, 2), tif="gtc", tag=f"waits {word}")
        elif row.close > row.mean:
            book.order(row.symbol, 1 if row.minute % 2 else -1, tag=word)


def test_words_and_what_is_open_at_the_end_are_those_of_all_parts(tmp_path: Path):
    one, _ = two(tmp_path, 3, strategy=Waits)
    run = bt.open_run(one)
    left = run.orders.filter(pl.col("status") == "open")
    assert left["symbol"].n_unique() == 3
    assert left["tag"].n_unique() > 3
    assert run.trades["entry_tag"].n_unique() > 3
    assert run.summary["open_orders"] == left.height


class Keeps(Waits):
    """One share of everything."""

    def on_bar(self, row: Fields, book: bt.Book) -> None:
        book.target(row.symbol, 1)


def test_positions_of_all_parts_are_in_order(tmp_path: Path):
    """A becomes C, which is played by who plays A; B lies between them."""
    prices = [10.0 + minute for minute in range(14)]
    rows = [bars(symbol, prices, day=day) for symbol, day in zip("ACC", DAYS, strict=True)]
    where = store(tmp_path, *rows, *(bars("B", prices, day=day) for day in DAYS))
    actions = pl.DataFrame({"symbol": ["A"], "session": [date.fromisoformat(DAYS[1])], "kind": ["rename"], "to": ["C"]})
    for workers in (1, 2):
        replay(where, workers, tmp_path / str(workers), strategy=Keeps, data={"actions": actions})
    assert_same_files(tmp_path / "1", tmp_path / "2")
    assert bt.open_run(tmp_path / "2").positions["symbol"].to_list() == ["A", "B", "B", "C", "B", "C"]


NOTEBOOK = """
import bt

class Cell(bt.Row):
    symbol: str
    close: float

STEP = 3

def shares(close):
    return STEP if int(close * 100) % 2 else -STEP

class FromACell:
    row = Cell
    independent = True
    def on_bar(self, row, book):
        book.target(row.symbol, shares(row.close))
"""


def test_a_strategy_of_a_notebook_cell_and_a_script_without_a_guard(tmp_path: Path):
    """Defined where nobody could import it; the script is not run again by its workers."""
    where = walk(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(
        NOTEBOOK + "from pathlib import Path\nprint('once')\n"
        f"for n in (1, 2):\n    bt.replay(bars={str(where)!r}, calendar='XNYS', strategy=FromACell, start='{TUESDAY}', end='{THURSDAY}',"
        f" engine={{'workers': n}}, out=Path({str(tmp_path)!r}) / str(n))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "once\n"), done.stderr
    assert_same_files(tmp_path / "1", tmp_path / "2")
    assert bt.open_run(tmp_path / "2").fills.height


APART = """

class Apart(Idle):
    independent = True

    def on_session_start(self, session, book):
        print("begun", flush=True)
        os.system("echo from a child")

    def on_bar(self, row, book):
        book.target(row.symbol, 3 if row.close > 100 else 1)
"""


def test_the_command(tmp_path: Path):
    """`bt replay --workers 2`; who asks for more than there is to divide is told why."""
    folder = market(tmp_path)
    ours = folder / "strategies" / "ours.py"
    ours.write_text(ours.read_text() + APART)
    use = ("--set", "strategy.use=strategies/ours.py:Apart")
    answers = [process(folder, "replay", "run.toml", *use, "--workers", n, "--out", n, "--json") for n in ("1", "2")]
    assert [a.code for a in answers] == [0, 0], answers
    assert_same_files(folder / "1", folder / "2")
    told = answers[1].json
    assert told["run"] == str(folder / "2")
    assert {"stream", "load", "total"} <= told["seconds"].keys()
    assert told["peak_rss_mb"] > 1.5 * answers[0].json["peak_rss_mb"], "of all processes together"
    assert answers[1].err.count("from a child") == answers[0].err.count("from a child") + 2, (
        "each worker begins each session"
    )
    refused = process(folder, "replay", "run.toml", "--workers", "2")
    assert refused.code == 2
    assert "engine.workers must be at most 1" in refused.err
    assert "symbols share one account" in refused.err


# -------------------------------------------------------------------------------------------------------- how runs end


@pytest.mark.parametrize("how", ["raise", "isolate"])
def test_a_strategy_whose_symbols_are_divided_raises(tmp_path: Path, how: str):
    """It stops as a whole at that minute, whoever plays its other symbols."""
    settings = {"run": {"on_strategy_error": how}}
    _, other = two(tmp_path, strategy=Crosses, set={"strategy.params.bad": f"{WEDNESDAY} B 30"}, **settings)
    run = bt.open_run(other)
    assert run.finish_reason == ("stopped" if how == "raise" else "end_date")
    assert run.fills["session"].max().isoformat() == WEDNESDAY


def test_a_whole_strategy_is_isolated_by_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The others go on, and nothing is played twice."""
    monkeypatch.setattr(bt.run.replaying, "_replay", None)
    where = walk(tmp_path)
    strategies = [{"name": n, "use": Whole, "params": {"bad": b}} for n, b in (("a", f"{WEDNESDAY} B 30"), ("b", ""))]
    run = replay(where, 2, tmp_path / "2", strategies=strategies, run={"on_strategy_error": "isolate"})
    monkeypatch.undo()
    assert list(run.summary["strategies_failed"]) == ["a"]
    replay(where, 1, tmp_path / "1", strategies=strategies, run={"on_strategy_error": "isolate"})
    assert_same_files(tmp_path / "1", tmp_path / "2")


class Stops(Whole):
    def on_bar(self, row: Fields, book: bt.Book) -> None:
        super().on_bar(row, book)
        if f"{self.day} {row.symbol} {row.minute}" == f"{WEDNESDAY} B 30":
            book.stop("enough")


def test_one_of_two_strategies_stops_the_run(tmp_path: Path):
    _, other = two(tmp_path, strategies=[{"name": "a", "use": Whole}, {"name": "b", "use": Stops}])
    run = bt.open_run(other)
    assert (run.finish_reason, run.stop_reason) == ("stopped", "enough")
    assert run.equity["time"].max() == at(31, WEDNESDAY)


class Dies(Crosses):
    """Kills its own process in the second session."""

    def on_bar(self, row: Fields, book: bt.Book) -> None:
        if self.day == WEDNESDAY and row.symbol == "B" and os.getpid() != int(self.tag):
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_worker_that_is_killed(tmp_path: Path):
    where = walk(tmp_path)
    with pytest.raises(
        WorkerError, match=r"must live until .* ended by signal 9 \(SIGKILL\).*use fewer workers"
    ) as caught:
        replay(where, 2, tmp_path / "runs" / "x", strategy=Dies(tag=str(os.getpid())))
    assert caught.value.exit_code == 1
    assert not list((tmp_path / "runs").iterdir())


SLOW = """

class Slow(Idle):
    independent = True
    plays_brik = False

    def on_bar(self, row, book):
        book.target(row.symbol, 1)
        self.plays_brik |= row.symbol == "BRIK"

    def on_session_end(self, session, book):
        import time

        print("over", flush=True)
        if session.isoformat() != "2024-12-03" and self.plays_brik:  # the other worker goes on
            time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_ctrl_c_ends_everybody_and_keeps_whole_sessions(tmp_path: Path):
    folder = market(tmp_path)
    ours = folder / "strategies" / "ours.py"
    ours.write_text(ours.read_text() + SLOW)
    command = [
        *BT,
        "replay",
        "run.toml",
        "--start",
        "2024-12-03",
        "--workers",
        "2",
        "--set",
        "strategy.use=strategies/ours.py:Slow",
    ]
    with subprocess.Popen(
        [*command, "--out", "kept", "--json"], cwd=folder, env=environment(), text=True, process_group=0,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as run:  # fmt: skip
        assert run.stderr is not None
        heard = 0
        while heard < 2:  # printed as the first session of each worker is taken
            line = run.stderr.readline()
            assert line, "it has ended by itself"
            heard += "over" in line
        time.sleep(2)
        workers = children(run.pid)
        os.killpg(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert len(workers) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    told = json.loads(out)
    assert (told["finish_reason"], told["stop_reason"], told["sessions"]) == ("stopped", "interrupted", 1)
    assert "interrupted: what was replayed until then is kept" in err
    whole = folder / "whole"
    answer = process(
        folder, "replay", "run.toml", "--start", "2024-12-03", "--end", "2024-12-03", "--out", str(whole),
        "--set", "strategy.use=strategies/ours.py:Slow",
    )  # fmt: skip
    assert answer.code == 0, answer
    mine, theirs = files(folder / "kept"), files(whole)
    for table in ("fills", "orders", "equity", "positions", "quality", "sessions", "log"):
        assert mine[f"{table}.parquet"] == theirs[f"{table}.parquet"], table


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


class Tells:
    """A worker that has one thing to tell, or nothing before Ctrl-C."""

    def __init__(self, told: Any) -> None:
        self.told = told

    def take(self, stop: Any) -> Any:
        return self.told


def test_a_session_is_kept_when_everybody_has_told_it():
    ends = [Result("one"), Result("other")]
    pace = Pace(0.0)
    assert _told([Tells(end) for end in ends], pace) == ends
    assert _told([Tells(ends[0]), Tells(None)], pace) is None
    with pytest.raises(WorkerError, match="must play the same sessions"):
        _told([Tells(ends[0]), Tells("a slice")], pace)
    with pytest.raises(Undivided, match="enough"):
        _told([Tells("a slice"), Tells(Stopped("enough"))], pace)


def test_an_interrupt_before_the_first_session_is_over_keeps_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(divided, "_told", lambda *_: None)  # as after Ctrl-C
    run = replay(walk(tmp_path), 2, tmp_path / "run", strategy=Crosses)
    assert (run.finish_reason, run.stop_reason, run.summary["sessions"]) == ("stopped", "interrupted", 0)
    assert bt.open_run(tmp_path / "run").orders.height == 0


def test_a_run_that_cannot_be_divided_is_refused_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def start(**_: Any) -> Worker:
        raise AssertionError("no process is needed to see that")

    monkeypatch.setattr(pool, "Worker", start)
    with pytest.raises(UsageError, match="engine.workers must be at most 1"):
        replay(walk(tmp_path), 100, None, strategy=Whole)


# ------------------------------------------------------------------------------------------------------------ the pool


def double(number: int, tell: Any) -> int:
    """Work for the tests of the pool."""
    if number < 0:
        raise UsageError("number: it must be 0 or more, was less")
    if number > 90:
        os._exit(number)
    print("doubling", number)
    time.sleep(0.05 * (3 - number))
    return 2 * number


def chatter(count: int, tell: Any) -> str:
    """Tells more than anybody reads."""
    for number in range(count):
        tell(number)
    return "done"


def fail(_: Any, tell: Any) -> None:
    raise ZeroDivisionError("no error of ours")


def test_results_come_with_their_numbers(capsys: pytest.CaptureFixture[str]):
    with Crew(2) as crew:
        assert dict(crew.played(double, [2, 0, 1])) == {0: 4, 1: 0, 2: 2}
    assert sorted(capsys.readouterr().out.splitlines()) == ["doubling 0", "doubling 1", "doubling 2"]


def test_what_is_told_meanwhile_is_heard():
    """Nobody waits because another one is slow."""
    heard: list[tuple[int, int]] = []
    with Crew(2) as crew:
        results = dict(crew.played(chatter, [20, 30], lambda number, told: heard.append((number, told))))
    assert results == {0: "done", 1: "done"}
    assert [told for number, told in heard if number == 1] == list(range(30))
    assert len(heard) == 50


def test_an_error_of_ours_comes_back_and_ends_the_others():
    with Crew(2) as crew, pytest.raises(UsageError, match="number: it must be 0 or more"):
        list(crew.played(double, [-1, 1]))


def test_an_error_of_theirs_is_told_with_its_traceback():
    told = r"(?s)stopped by an error:.*in fail.*ZeroDivisionError: no error of ours"
    with Crew(1) as crew, pytest.raises(WorkerError, match=told):
        list(crew.played(fail, [0]))


def test_a_process_that_ends_by_itself():
    with Crew(1) as crew, pytest.raises(WorkerError, match="ended by itself with exit code 91"):
        list(crew.played(double, [91]))


def test_who_is_not_heard_waits_and_is_ended():
    """A few messages wait for their reader; leaving ends the process."""
    with Worker() as worker:
        worker.begin(chatter, 1_000_000)
        assert [worker.take() for _ in range(3)] == [0, 1, 2]
        time.sleep(0.5)
        pid = worker.pid
        assert worker._messages.full()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with Worker() as worker:
        for _ in range(2):
            worker.begin(chatter, 2)
            assert [worker.take() for _ in range(3)] == [0, 1, Result("done")]


def whose(_: Any, tell: Any) -> int:
    """Tells who does it."""
    print("to stderr", file=sys.stderr)
    return os.getpid()


def test_a_process_does_one_job_after_another(capfd: pytest.CaptureFixture[str]):
    with Crew(2) as crew:
        done = [dict(crew.played(whose, range(count))) for count in (5, 0, 2)]
    assert [sorted(one) for one in done] == [[0, 1, 2, 3, 4], [], [0, 1]]
    assert set(done[0].values()) == set(done[2].values()) == {worker.pid for worker in crew.workers}
    assert capfd.readouterr().err.count("to stderr") == 7


def test_a_result_that_cannot_be_carried_is_told():
    with Crew(1) as crew, pytest.raises(WorkerError, match="cannot pickle"):
        list(crew.played(lambda _, tell: (n for n in ()), [0]))


def test_who_has_ended_does_nothing_more():
    with Worker() as worker:
        for _ in range(2):
            worker.begin(fail, None)
            with pytest.raises(WorkerError):
                worker.take()


class Unreadable:
    """Cannot be unpickled where nobody knows the error."""

    def __reduce__(self) -> Any:
        return (int, ("no number",))


def unreadable(_: Any, tell: Any) -> None:
    tell(Unreadable())


def test_what_cannot_be_read_is_no_wait_for_ever():
    with Worker() as worker:
        worker.begin(unreadable, None)
        with pytest.raises(WorkerError):
            worker.take()


def test_threads_are_shared():
    assert threads_each(8, 3) == 2
    assert threads_each(1, 4) == 1
    assert threads_each(0, 1) >= 1


def test_a_field_of_several_strategies_is_all_there_when_it_is_for_each():
    parts = [
        {"f": {"A": "2024-03-01", "B": None}},
        {"f": {"A": "2024-03-03", "B": "2024-03-02"}, "e": {"C": "2024-03-01"}},
    ]
    for short in (parts, parts[::-1]):
        assert _union(short, str) == {"e": {"C": "2024-03-01"}, "f": {"A": "2024-03-03", "B": None}}
