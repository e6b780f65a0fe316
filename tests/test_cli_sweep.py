"""`bt sweep`: its table, JSON, exit codes, and what is wrong said with what to do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from cli_runs import BT, call, environment, market

import bt as library

CONFIG = """\
[data]
bars = "sample"
symbols = ["ASHB", "DUNE"]
[session]
start = 2024-12-03
end = 2024-12-06
[strategy]
use = "strategies/sma_cross.py:SmaCross"
[execution]
commission_per_share = 0.005
[sweep]
grid = { fast = [5, 10], slow = [10, 20], execution.slippage_bps = [0, 5] }
where = "fast < slow"
"""

FAILING = """

class Fails(Idle):
    def __init__(self, at: int = 0):
        self.at, self.rows = at, 0

    def on_bar(self, row, book):
        self.rows += 1
        if self.rows == self.at:
            raise ValueError("as asked")
"""


SLOW = """

class Slow(Idle):
    def __init__(self, size: int = 1):
        self.size = size

    def on_session_start(self, session, book):
        import time
        time.sleep(0.2)
"""


def with_grid(grid: str, use: str = "sma_cross.py:SmaCross") -> str:
    """The configuration with another grid and strategy, and no `where`: tables of --set are merged with the file's."""
    text = CONFIG[: CONFIG.index("grid =")] + f"grid = {grid}\n"
    return text.replace("sma_cross.py:SmaCross", use)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = market(tmp_path_factory.mktemp("market"))
    (made / "sweep.toml").write_text(CONFIG)
    ours = made / "strategies" / "ours.py"
    ours.write_text(ours.read_text() + FAILING + SLOW)
    return made


@pytest.fixture
def bt(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(folder)
    return lambda *arguments: call(capsys, *arguments)


@pytest.fixture
def failing(folder: Path):
    """A configuration whose sets raise at the rows that are given, 0 never."""

    def written(*rows: int) -> str:
        name = f"fails-{'-'.join(map(str, rows))}.toml"
        (folder / name).write_text(with_grid(f"{{ at = {list(rows)} }}", "ours.py:Fails"))
        return name

    return written


def test_the_table_for_people(bt, tmp_path):
    answer = bt("sweep", "sweep.toml", "--out", str(tmp_path / "out"))
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[1] == "6 sets by sharpe, the highest first:"
    assert lines[2].split("  ")[0] == "set"
    assert all(head in lines[2] for head in ("fast", "slow", "execution.slippage_bps", "return", "Sharpe", "net P&L"))
    sharpes = [float(line.split()[6]) for line in lines[3:9]]
    assert sharpes == sorted(sharpes, reverse=True)
    frame = pl.read_parquet(tmp_path / "out" / "results.parquet").sort("sharpe", "number", descending=[True, False])
    assert [int(line.split()[0]) for line in lines[3:9]] == frame["number"].to_list()
    assert "trials       6" in lines
    assert any(line.startswith("best Sharpe  ") and "by chance the best of 6 without skill" in line for line in lines)
    assert any(line.startswith("deflated     ") and "%" in line for line in lines)
    assert lines[-1] == f"sweep        {tmp_path / 'out'}"


def test_json_has_every_set(bt, tmp_path):
    answer = bt("sweep", "sweep.toml", "--json", "--out", str(tmp_path / "out"))
    assert (answer.code, answer.err) == (0, "")
    told = answer.json
    assert set(told) == {
        "sweep", "trials", "choose", "sets", "best", "deflated", "failed", "seconds", "peak_rss_mb",
    }  # fmt: skip
    assert (told["trials"], told["choose"], told["failed"]) == (6, "sharpe", {})
    assert len(told["sets"]) == 6
    first = told["sets"][0]
    assert told["best"] == {k: first[k] for k in ("fast", "slow", "execution.slippage_bps")}
    assert first["sharpe"] == max(one["sharpe"] for one in told["sets"])
    assert set(told["deflated"]) == {"number", "trials", "sharpe", "expected", "probability", "fold"}
    again = bt("sweep", "sweep.toml", "--json", "--out", str(tmp_path / "out"), "--threads", "1")
    assert again.json["sets"] == told["sets"]
    run = library.replay(
        "sweep.toml", save=False, set={f"strategy.params.{k}": first[k] for k in ("fast", "slow")} | {"execution.slippage_bps": first["execution.slippage_bps"]},
    )  # fmt: skip
    assert run.summary["net_pnl"] == first["net_pnl"]


def test_quiet_prints_the_folder(bt, folder):
    answer = bt(
        "sweep", "sweep.toml", "--quiet", "--set", "execution.commission_per_share=0", "--set", "sweep.grid={fast=[5]}"
    )
    assert (answer.code, answer.err) == (0, "")
    path = Path(answer.out.strip())
    assert path.parent == folder / "runs"
    assert path.name.startswith("sweep-")


def test_the_figure_that_ranks_has_a_column(bt):
    lines = bt("sweep", "sweep.toml", "--set", "sweep.choose=turnover").out.splitlines()
    assert lines[1] == "6 sets by turnover, the highest first:"
    assert "turnover" in lines[2]


def test_long_tables_are_cut(bt):
    grid = ("--set", "sweep.grid.fast=[2,3,4,5,6]", "--set", "sweep.grid.slow=[7,8,9]", "--end", "2024-12-03")
    answer = bt("sweep", "sweep.toml", *grid)
    assert "30 sets by sharpe" in answer.out
    assert "... and 10 more: --all shows them, --json gives them to a program" in answer.out
    rows = [
        line
        for line in bt("sweep", "sweep.toml", *grid, "--all").out.splitlines()
        if line[:3].strip().isdecimal() and "sets" not in line
    ]
    assert len(rows) == 30


def test_no_costs_are_warned_of(bt, folder):
    free = ("--set", "execution.commission_per_share=0")
    (folder / "free.toml").write_text(with_grid("{ fast = [5] }"))
    assert "warning: no costs were assumed" in bt("sweep", "free.toml", *free).err
    assert bt("sweep", "sweep.toml", *free).err == ""


def test_sets_that_fail(bt, failing):
    answer = bt("sweep", failing(0, 7, 8))
    assert answer.code == 3
    assert (
        "warning: 2 of 3 sets failed:\n  set 1: strategy Fails: ValueError: as asked (session 2024-12-03" in answer.err
    )
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines[3:6]] == ["0", "1", "2"]
    assert lines[4].split()[2:] == ["-"] * 5
    assert bt("sweep", failing(0, 7, 8), "--set", "run.tolerate_failed=0.7").code == 0
    told = bt("sweep", failing(0, 7, 8), "--json")
    assert told.code == 3
    assert set(told.json["failed"]) == {"1", "2"}
    assert bt("sweep", failing(7, 8)).code == 3


WALK = ("--set", "sweep.walk_forward={train='2d', test='1d', embargo='0d'}")


def test_a_walk_forward(bt, tmp_path):
    answer = bt("sweep", "sweep.toml", *WALK, "--out", str(tmp_path / "out"))
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[1] == "2 folds, chosen by sharpe:"
    assert "2024-12-03 to 2024-12-04  2024-12-05" in lines[3]
    assert "2024-12-04 to 2024-12-05  2024-12-06" in lines[4]
    assert any(line.startswith("tests chained") for line in lines)
    assert "trials         12" in lines
    assert "in the training of fold" in answer.out
    assert lines[-1] == f"walk-forward   {tmp_path / 'out'}"
    told = bt("sweep", "sweep.toml", *WALK, "--json", "--out", str(tmp_path / "out")).json
    assert told["trials"] == 12
    assert len(told["folds"]) == len(told["parameters"]) == 2
    assert told["metrics"]["sessions"] == len(told["equity"]) == 2
    assert bt("sweep", "sweep.toml", *WALK, "--quiet", "--out", str(tmp_path / "out")).out.strip() == str(
        tmp_path / "out"
    )
    other = bt("sweep", "sweep.toml", *WALK, "--set", "sweep.choose=sortino")
    assert "sortino trained" in other.out


def test_a_walk_forward_without_a_report_says_so(bt, tmp_path):
    told = bt("sweep", "sweep.toml", *WALK, "--set", "output.html=true", "--out", str(tmp_path / "out"))
    assert told.code == 0
    assert "warning: output.html: a walk-forward has no report of its own" in told.err


def test_a_walk_forward_whose_choices_all_fail(bt, failing):
    answer = bt("sweep", failing(7, 8), *WALK, "--json")
    assert answer.code == 1
    assert answer.json["error"]["type"] == "StrategyRaised"
    assert "every set failed" in answer.json["error"]["message"]
    answer = bt("sweep", failing(0, 8), *WALK)
    assert answer.code == 3
    assert "warning: 2 of 4 sets failed:\n  set 0.1: " in answer.err


def test_replay_leaves_the_sweep_alone_and_says_so(bt, tmp_path):
    answer = bt("replay", "sweep.toml", "--out", str(tmp_path / "run"), "--json")
    assert answer.code == 0
    assert (
        "[sweep] was left alone: the strategy ran with its own parameters; bt sweep sweep.toml tries the grid"
        in answer.err
    )
    without = bt("replay", "sweep.toml", "--out", str(tmp_path / "other"), "--quiet")
    assert without.err == ""
    hashes = [json.loads((tmp_path / name / "manifest.json").read_text())["spec_hash"] for name in ("run", "other")]
    assert hashes[0] == hashes[1]


WRONG = [
    (["sweep"], "Missing argument 'CONFIG'", "bt sweep --help"),
    (["sweep", "run.toml"], "run.toml: sweep must be a table with a grid, was absent", "--set"),
    (["sweep", "nope.toml"], "nope.toml: it must be a readable TOML file", "No such file"),
    (["sweep", "sweep.toml", "--spede", "3"], "No such option: --spede", "--help"),
    (["sweep", "sweep.toml", "--set", "sweep.grid.fst=[1, 2]"], "sweep.grid: fst must be a parameter of SmaCross", "did you mean 'fast'?"),
    (["sweep", "sweep.toml", "--set", "sweep.grid.fast=3"], "sweep.grid must be a table of parameters or keys", "write [3]"),
    (["sweep", "sweep.toml", "--set", "sweep.grid.fast=[3, 3]"], "command line: sweep.grid must be", "fast has 3 twice"),
    (["sweep", "sweep.toml", "--set", "sweep.gird={fast=[1]}"], "sweep.gird must be a known key", "did you mean sweep.grid?"),
    (["sweep", "sweep.toml", "--set", "sweep.grid.account.csh=[1, 2]"], "account.csh must be a known key", "did you mean account.cash?"),
    (["sweep", "sweep.toml", "--set", "sweep.grid.fast=['a']", "--set", "sweep.where="], "strategy.params.fast must be int", "'a'"),
    (["sweep", "sweep.toml", "--set", "sweep.where=fast < 1"], "sweep.where: it must leave a set at least", "'fast < 1'"),
    (["sweep", "sweep.toml", "--set", "sweep.where=fst < 1"], "sweep.where: it must be a condition", "did you mean 'fast'?"),
    (["sweep", "sweep.toml", "--set", "sweep.choose=sharp"], "sweep.choose: it must be a metric, was 'sharp'", "did you mean 'sharpe'?"),
    (["sweep", "sweep.toml", "--set", "sweep.walk_forward.train=2d"], "sweep.walk_forward.test must be a number of sessions", "absent"),
    (["sweep", "sweep.toml", "--set", "sweep.walk_forward={train='2w', test='1d'}"], "sweep.walk_forward.train must be a number of sessions", "20d"),
    (["sweep", "sweep.toml", "--set", "sweep.walk_forward={train='2d', test='2d', step='1d'}"], "sweep.walk_forward.step must be at least", "may not overlap"),
    (["sweep", "sweep.toml", "--set", "sweep.walk_forward={train='9d', test='2d'}"], "must fit into the 4 sessions", "make them shorter"),
    (["sweep", "sweep.toml", "--out", "sample"], "--out: ", "must be a new or empty folder or this sweep's"),
    (["sweep", "sweep.toml", "--symbols", "ASHBB"], "'ASHBB'", "the nearest is 'ASHB'"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "problem", "hint"), WRONG)
def test_wrong_requests(bt, arguments, problem, hint):
    answer = bt(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert problem in answer.err
    assert hint in answer.err
    assert "Traceback" not in answer.err


def test_wrong_requests_in_json(bt):
    answer = bt("sweep", "sweep.toml", "--json", "--set", "sweep.choose=sharp")
    assert answer.code == 2
    assert answer.json["error"]["exit_code"] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_says_what_is_kept_and_exits_130(folder, tmp_path):
    out = tmp_path / "out"
    two_passes = "{ size = [1, 2, 3, 4], execution.fill = ['next_open', 'next_close'] }"
    (folder / "slow.toml").write_text(with_grid(two_passes, "ours.py:Slow"))
    command = [*BT, "sweep", "slow.toml", "--json", "--out", str(out)]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("done/0*.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    told, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"error: interrupted after 4 of 8 sets; they are kept in {out}: the same sweep goes on from there" in errors
    assert json.loads(told)["error"]["exit_code"] == 130
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["trials"] == 8


TRIES = """

class Later(Idle):
    def __init__(self, since=None):
        self.since = since
"""


def test_times_that_are_tried_are_told_as_json(capsys, tmp_path, monkeypatch):
    place = market(tmp_path / "place")
    monkeypatch.chdir(place)
    strategies = place / "strategies" / "ours.py"
    strategies.write_text(strategies.read_text() + TRIES)
    (place / "t.toml").write_text(with_grid("{ since = [10:00:00, 11:30:00] }", "ours.py:Later"))
    told = call(capsys, "sweep", "t.toml", "--json")
    assert (told.code, told.err) == (0, told.err)
    assert {one["since"] for one in told.json["sets"]} == {"10:00:00", "11:30:00"}


def test_paths_that_are_tried_are_relative_to_the_file(capsys, tmp_path, monkeypatch):
    place = market(tmp_path / "place")
    (place / "t.toml").write_text(
        with_grid('{ "strategy.use" = ["strategies/sma_cross.py:SmaCross", "strategies/ours.py:Idle"] }')
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    told = call(capsys, "sweep", str(place / "t.toml"), "--json")
    assert told.code == 0, told.err
    assert told.json["trials"] == 2


@pytest.mark.parametrize(
    ("more", "warns"),
    [
        (["--set", "execution.commission_bps=5"], False),
        (["--set", "sweep.grid.execution.spread_bps=[1, 2]"], False),
        (["--set", "sweep.grid.execution.slippage_bps=[0]"], True),
        (["--set", "sweep.grid.execution.commission_tiers=[[[0, 0.001]], [[0, 0.002]]]"], False),
    ],
)
def test_whether_costs_are_assumed(more, warns, capsys, tmp_path, monkeypatch):
    place = market(tmp_path / "place")
    (place / "t.toml").write_text(with_grid("{ fast = [5, 10] }").replace("commission_per_share = 0.005", ""))
    monkeypatch.chdir(place)
    told = call(capsys, "sweep", "t.toml", *more)
    assert told.code == 0, told.err
    assert ("no costs were assumed" in told.err) == warns
