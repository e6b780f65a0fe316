"""`bt replay`: options, summaries, exit codes, and what a failure leaves."""

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

from bt.cli.cores import limit_polars
from bt.results import open_documents, open_tables

SUMMARY = {
    "run", "finish_reason", "sessions", "iterations", "bars", "orders", "fills", "expired", "rejected", "trades", "net_pnl",
    "commission", "slippage", "equity_start", "equity_end", "max_drawdown", "sharpe", "quality", "guards", "failed", "seconds",
    "bars_per_second", "peak_rss_mb",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return market(tmp_path_factory.mktemp("market"))


@pytest.fixture
def replay(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`bt replay run.toml` with further arguments, in the market's folder; `use` is a class of ours."""
    monkeypatch.chdir(folder)

    def run(*arguments: str, use: str = "Idle"):
        return call(capsys, "replay", "run.toml", "--set", f"strategy.use=strategies/ours.py:{use}", *arguments)

    return run


@pytest.fixture
def crossover(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The sample's first configuration over two sessions, with further arguments."""
    monkeypatch.chdir(folder)
    return lambda *arguments: call(
        capsys, "replay", "configs/sma_cross.toml", "--start", "2024-12-05", "--end", "2024-12-06", *arguments
    )


def test_json_holds_what_is_promised(crossover):
    answer = crossover("--json")
    assert (answer.code, answer.err) == (0, "")
    assert set(answer.json) >= SUMMARY
    assert answer.json["finish_reason"] == "end_date"
    assert answer.json["fills"] > 100
    assert {"history_load", "indicators", "quality", "stream"} <= set(answer.json["seconds"])
    assert answer.json["fills"] == open_tables(answer.json["run"])["fills"].select(pl.len()).collect().item()


def test_the_summary_for_people(crossover):
    answer = crossover("--out", "people")
    assert (answer.code, answer.err) == (0, "")
    names = [line.split("  ")[0] for line in answer.out.splitlines()]
    assert names[0] == "finished"
    assert {"sessions", "net P&L", "return", "orders", "trades", "costs", "quality", "withheld rows"} <= set(names)
    assert answer.out.splitlines()[-1].split()[1] == str(Path("people").resolve())
    assert "commission" in answer.out
    assert "WARNING" not in answer.out


def test_the_summary_of_a_run_that_stopped_says_how_much_was_played(replay):
    lines = replay("--out", "stopped", use="Stops").out.splitlines()
    assert lines[0].split(maxsplit=1)[1] == "stopped (had enough)"
    assert lines[1].split(maxsplit=1)[1].startswith("1 of those from 2024-12-05 to 2024-12-06, ")


def test_quiet_prints_the_folder_alone(crossover):
    answer = crossover("--quiet", "--set", "execution.commission_per_share=0")
    assert (answer.code, answer.err) == (0, "")
    assert Path(answer.out.strip()).joinpath("manifest.json").is_file()
    assert answer.out.count("\n") == 1


def test_flags_reach_the_specification(crossover, tmp_path: Path):
    symbols = tmp_path / "watch.txt"
    symbols.write_text("BRIK\n# a comment\nASHB\n")
    out = tmp_path / "run"
    answer = crossover(
        "--symbols", str(symbols), "--speed", "0", "--name", "2024", "--out", str(out), "--threads", "1", "--quiet",
        "--set", "strategy.params.fast=7",
    )  # fmt: skip
    assert answer.code == 0
    spec = open_documents(out)["manifest"]["spec"]
    assert spec["data"]["symbols"] == ["ASHB", "BRIK"]
    assert spec["run"]["name"] == "2024"
    assert spec["session"]["start"] == "2024-12-05"
    assert spec["strategies"][0]["params"]["fast"] == 7
    told = crossover("--symbols", "BRIK,ASHB", "--symbols", "CALD", "--json").json
    assert told["symbols"] == 3


def test_missing_costs_are_told(crossover):
    free = ("--set", "execution.commission_per_share=0")
    assert "WARNING: none were assumed" in crossover(*free).out
    assert crossover(*free, "--json").err.startswith("warning: no costs were assumed; set execution.slippage_bps or")


def test_symbols_on_the_float_path_are_named(crossover, folder: Path):
    frame = pl.read_parquet(folder / "sample" / "2024-12-06.parquet").filter(pl.col("symbol").is_in(["ASHB", "BRIK"]))
    odd = frame.with_columns(
        pl.when(pl.col("symbol") == "ASHB").then(pl.col("low") / 3).otherwise(pl.col("low")).alias("low")
    )
    (folder / "odd").mkdir()
    odd.write_parquet(folder / "odd" / "a.parquet")
    answer = crossover("--set", "data.bars=odd")
    assert answer.code == 0
    assert answer.err.startswith("warning: prices of ASHB have more than 8 decimals")


def test_several_strategies_are_told_apart(folder: Path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    answer = call(capsys, "replay", "configs/compare.toml", "--start", "2024-12-06")
    assert answer.code == 0
    rows = answer.out.partition("By strategy:")[2].splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["strategy", "quick", "usual", "slow"]


# --------------------------------------------------------------------------------------------------------- exit codes


def test_a_strategy_that_stops_is_done(replay):
    answer = replay("--json", use="Stops")
    assert answer.code == 0
    assert (answer.json["finish_reason"], answer.json["stop_reason"]) == ("stopped", "had enough")


def test_a_strategy_that_raises_keeps_its_run(replay):
    answer = replay("--out", "raised", use="Raises")
    assert answer.code == 1
    trace, message = answer.err.split("error: ")
    assert [line.strip() for line in trace.splitlines() if line.strip().startswith("File")] == [
        line.strip() for line in trace.splitlines() if "ours.py" in line
    ]
    assert "divide(row.close)" in trace
    assert "ZeroDivisionError: float division by zero" in trace
    assert "session 2024-12-06, minute 0" in trace
    assert message.startswith("strategy Raises: ZeroDivisionError")
    assert "symbol BRIK" in message
    assert str(Path("raised").resolve()) in message
    assert open_documents("raised")["manifest"]["finish_reason"] == "stopped"
    assert open_tables("raised")["sessions"].collect().height == 2  # the one it raised in is there as far as it went


def test_a_strategy_that_raises_in_json(replay):
    answer = replay("--json", use="Raises")
    assert answer.json["error"]["type"] == "StrategyRaised"
    assert answer.json["error"]["exit_code"] == answer.code == 1
    assert answer.json["finish_reason"] == "stopped"
    assert Path(answer.json["run"]).is_dir()


def test_an_isolated_strategy_is_code_3(replay):
    answer = replay("--json", "--set", "run.on_strategy_error=isolate", use="Raises")
    assert answer.code == 3
    assert answer.json["finish_reason"] == "end_date"
    assert "warning: strategy Raises: ZeroDivisionError" in answer.err


@pytest.mark.parametrize(("tolerated", "code"), [("0", 3), ("0.01", 3), ("0.05", 0)])
def test_failed_symbols_beyond_what_is_tolerated_are_code_3(replay, tolerated: str, code: int):
    answer = replay("--json", "--set", f"run.tolerate_failed={tolerated}", use="Picky")
    assert list(answer.json["failed"]) == ["JUNO"]  # one of twenty is dearer than 300
    assert answer.code == code
    assert "JUNO: 2024-12-05: " in answer.err
    assert "too dear" in answer.err


def test_a_strategy_that_cannot_be_made_is_code_2(replay, folder: Path):
    answer = replay(use="Unmade")
    assert answer.code == 2
    assert "ours.py" in answer.err
    assert "error: strategy Unmade: it must load" in answer.err
    assert "ValueError: no such size" in answer.err
    (folder / "strategies" / "broken.py").write_text("def x(:\n")
    answer = replay("--set", "strategy.use=strategies/broken.py:X")
    assert answer.code == 2
    assert "SyntaxError" in answer.err
    assert "importlib" not in answer.err


def test_a_strategy_that_exits_keeps_its_run(replay):
    answer = replay("--out", "exited", use="Exits")
    assert answer.code == 1
    assert (
        "error: strategy Exits: SystemExit: 7; book.stop(reason) ends a run (session 2024-12-05, minute 0" in answer.err
    )
    assert open_documents("exited")["manifest"]["finish_reason"] == "stopped"


def test_money_that_does_not_fit_keeps_the_sessions_before_it(replay):
    answer = replay("--out", "overflown", "--set", "account.leverage=0", use="Greedy")
    assert answer.code == 1
    assert "error: money: an amount must be within" in answer.err
    assert "the largest order that waits is of strategy Greedy: 1,000,000,000" in answer.err
    assert "(session 2024-12-06, minute" in answer.err
    assert "what was replayed until then is in" in answer.err
    tables, documents = open_tables("overflown"), open_documents("overflown")
    assert documents["manifest"]["finish_reason"] == "stopped"
    assert tables["sessions"].collect()["session"].cast(pl.String).to_list() == ["2024-12-05"]
    held = tables["fills"].collect().group_by("symbol").agg(pl.col("shares").sum())
    assert documents["metrics"]["summary"]["open_positions"] == held.filter(pl.col("shares") != 0).height == 20
    assert documents["metrics"]["summary"]["equity_end"] == tables["equity"].collect()["equity"][-1]


def test_a_symbol_that_fails_says_in_how_many_sessions(replay):
    answer = replay("--json", "--start", "2024-12-03", use="Picky")
    assert answer.json["failed"]["JUNO"].startswith("2024-12-03: ")
    assert answer.json["failed"]["JUNO"].endswith(" (and in 3 more sessions)")


def test_ctrl_c_leaves_a_readable_run(folder: Path):
    running = subprocess.Popen(
        [*BT, "replay", "run.toml", "--speed", "600", "--out", "interrupted", "--json", "--set", "strategy.use=strategies/ours.py:Tells"],
        cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stderr is not None
    assert running.stderr.readline().startswith("begun")
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "interrupted: what was replayed until then is kept" in err
    assert "Traceback" not in err
    told = json.loads(out)
    assert (told["finish_reason"], told["stop_reason"]) == ("stopped", "interrupted")
    assert open_documents(folder / "interrupted")["manifest"]["finish_reason"] == "stopped"
    tables = open_tables(folder / "interrupted")
    assert tables["sessions"].collect().height == 1
    assert tables["equity"].collect().height < 390


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.3])
def test_ctrl_c_pressed_again_loses_nothing(folder: Path, gap: float):
    out = f"pressed{gap}"
    running = subprocess.Popen(
        [*BT, "replay", "run.toml", "--speed", "600", "--out", out, "--set", "strategy.use=strategies/ours.py:Tells"],
        cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stderr is not None
    assert running.stderr.readline().startswith("begun")
    for _ in range(2):
        running.send_signal(signal.SIGINT)
        time.sleep(gap)
    _, err = running.communicate(timeout=20)
    # as Python takes itself down it hands signals back to the system: that is 130 for a shell too
    assert running.returncode in (130, -signal.SIGINT)
    assert "interrupted: what was replayed until then is kept" in err
    assert open_documents(folder / out)["manifest"]["finish_reason"] == "stopped"


# ------------------------------------------------------------------------------------------------------------ threads


@pytest.mark.parametrize(
    ("flag", "settings", "variable", "file", "expected"),
    [
        (2, ["engine.threads=3"], "4", "5", "2"),
        (None, ["run.seed=1", "engine.threads = 3"], "4", "5", "3"),
        (None, [], "4", "5", "4"),
        (None, [], None, "5", "5"),
        (None, [], None, "0", None),
        (0, [], None, "5", None),
        (None, ["engine.threads=x"], None, '"y"', None),
        (-3, [], None, "5", None),
    ],
)
def test_polars_is_told_its_threads(tmp_path: Path, monkeypatch, flag, settings, variable, file, expected):
    config = tmp_path / "run.toml"
    config.write_text(f"[engine]\nthreads = {file}\n")
    monkeypatch.setattr(sys, "modules", {})
    environ = {} if variable is None else {"BT_ENGINE__THREADS": variable}
    monkeypatch.setattr("bt.cli.cores.os.environ", environ)
    limit_polars(config, flag, settings)
    assert environ.get("POLARS_MAX_THREADS") == expected


def test_a_broken_configuration_is_not_judged_when_threads_are_looked_up(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sys, "modules", {})
    environ: dict[str, str] = {}
    monkeypatch.setattr("bt.cli.cores.os.environ", environ)
    (tmp_path / "a.toml").write_bytes(b"\xff[")
    (tmp_path / "b.toml").write_text("engine = 3")
    for config in (tmp_path / "a.toml", tmp_path / "b.toml", tmp_path, tmp_path / "absent.toml"):
        limit_polars(config, None, [])
        assert environ == {}
        limit_polars(config, 2, [])  # what is wrong with the file is in nobody's way
        assert environ.pop("POLARS_MAX_THREADS") == "2"
