"""The comparison with other engines: its judge, table, chart and refusals, on made-up figures, and the runners that need no other engine; nothing
is timed here."""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers import __main__ as command
from benchmarks.peers import environments, running
from benchmarks.peers.chart import speeds, svg
from benchmarks.peers.engines import ENGINES, RUNNERS, SIZES, Engine, chosen
from benchmarks.peers.environments import LISTS, Environment, interpreter
from benchmarks.peers.judge import REASONS, REFERENCE, refusal, verdict
from benchmarks.peers.runners.market import Crossing, wanted_after
from benchmarks.peers.running import Figures, Often, Outcome, measured, outcome
from benchmarks.peers.table import document, markdown
from benchmarks.peers_data import write
from benchmarks.pinned import ROOT, Process, process

ROWS = {"S": 100_000, "M": 2_000_000}
ENGINE = Engine("one", "by_hand", "polars", largest="M", note="a note")


def made(engine="one", size="S", *, trades=1889, pnl=11_524.0, cpu=2.0, state="done", why="", note=""):
    if state != "done":
        return Outcome(engine, size, state, why, note)
    return Outcome(engine, size, "done", "", note, 3, Figures("1.0", 97_000, trades, pnl, cpu, cpu + 1, cpu + 2, 512.4))


def ended(*, code=0, pnl=11_524.0, trades=1889, cpu=1.0, wall=None):
    answer = {"version": "1.0", "bars": 97_000, "trades": trades, "pnl": pnl, "cpu": cpu, "wall": cpu}
    return Process(
        cpu + 0.5, cpu + 1 if wall is None else wall, 100.0, "words\n" + (json.dumps(answer) if code == 0 else ""), code
    )


# ---------------------------------------------------------------------------------------------------------- the judge


def test_an_engine_with_the_references_figures_agrees():
    assert verdict(made()).agrees is True
    assert verdict(made(size="M", trades=37_346, pnl=1_489.0)).agrees is True


@pytest.mark.parametrize(("trades", "pnl"), [(1889, 11_524.01), (1889, 11_523.99), (1890, 11_524.0), (1889, -11_524.0)])
def test_a_cent_or_a_trade_more_or_less_differs(trades, pnl):
    judged = verdict(made(trades=trades, pnl=pnl))
    assert judged.agrees is False
    assert judged.words == "DIFFERS: 1,889 trades and 11,524.00 expected"


def test_rounding_of_doubles_is_no_difference():
    assert verdict(made(pnl=11_524.000000000151)).agrees is True


def test_an_engine_that_differs_for_a_reason_has_the_figures_that_follow_from_it():
    late = REASONS["backtesting.py"].expected["S"]
    judged = verdict(made("backtesting.py", trades=late[0], pnl=late[1]))
    assert judged.agrees is True
    assert "31st bar" in judged.words
    assert verdict(made("backtesting.py")).agrees is False  # the reference's own figures are not what it must have


def test_a_reason_is_of_an_engine_that_is_run_and_covers_its_sizes():
    by_name = {engine.name: engine for engine in ENGINES}
    for name, reason in REASONS.items():
        assert [size for size in SIZES if by_name[name].runs(size)] == list(reason.expected)
        assert all(reason.expected[size] != REFERENCE[size] for size in reason.expected)


@pytest.mark.parametrize("state", ["stopped", "absent", "left out"])
def test_what_was_not_done_is_not_judged_and_refuses_nothing(state):
    odd = made(state=state, why="why not")
    assert (verdict(odd).agrees, verdict(odd).words) == (None, "why not")
    assert refusal([made(), odd]) == ""


def test_engines_that_differ_or_fail_are_refused_by_name():
    told = refusal([made(), made("two", pnl=0.0), made("three", state="failed", why="failed: ImportError")])
    assert told == (
        "peers: all engines must agree on trades and P&L before they are compared, these do not\n"
        "  two, size S: 1,889 trades and 0.00, DIFFERS: 1,889 trades and 11,524.00 expected\n"
        "  three, size S: failed: ImportError"
    )


@given(st.integers(0, 10**6), st.integers(-(10**9), 10**9), st.integers(-5, 5))
def test_profits_are_equal_if_and_only_if_they_are_as_many_cents(trades, cents, off):
    reference = {"S": (trades, cents / 100)}
    judged = verdict(made(trades=trades, pnl=(cents + off) / 100), reference, {})
    assert judged.agrees is (off == 0)


# ---------------------------------------------------------------------------------------------- what came of the runs


def test_figures_are_medians_of_the_runs():
    found = outcome(ENGINE, "S", [ended(cpu=1.0), ended(cpu=9.0), ended(cpu=2.0)], limit=60)
    assert found.state == "done"
    assert found.figures == Figures("1.0", 97_000, 1889, 11_524.0, 2.0, 2.5, 3.0, 100.0)


def test_a_run_that_was_stopped_says_after_how_long():
    found = outcome(ENGINE, "M", [ended(), ended(code=None)], limit=60)
    assert (found.state, found.why, found.figures) == ("stopped", "stopped after 60 s", None)


def test_a_run_that_failed_says_its_last_word():
    assert outcome(ENGINE, "S", [ended(code=1)], limit=60, said="KeyError: 'x'").why == "failed: KeyError: 'x'"
    assert outcome(ENGINE, "S", [ended(code=3)], limit=60).why == "failed: exit code 3"


def test_a_run_that_answers_nothing_failed():
    assert outcome(ENGINE, "S", [Process(1.0, 1.0, 1.0, "words\n", 0)], limit=60).state == "failed"


def test_runs_that_differ_from_each_other_failed():
    found = outcome(ENGINE, "S", [ended(), ended(pnl=1.0)], limit=60)
    assert (found.state, found.why) == ("failed", "failed: pnl differ between runs: 11524.0, 1.0")


def test_an_engine_is_not_run_above_its_largest_size_nor_without_its_environment():
    nowhere = Environment(Path("/nowhere/python"))
    assert measured(ENGINE, nowhere, "L", None, Often(1, 60, 1)).why == "not run above M"
    absent = Environment(Path("/nowhere/python"), "could not be installed: no such package")
    assert measured(ENGINE, absent, "S", None, Often(1, 60, 1)).state == "absent"


@pytest.mark.parametrize(("wall", "runs"), [(5.0, 3), (61.0, 1)])
def test_an_engine_is_run_once_where_it_takes_long(monkeypatch, tmp_path, wall, runs):
    asked = []

    def fake(engine, environment, given, limit):
        asked.append(limit)
        return ended(wall=wall)

    monkeypatch.setattr(running, "once", fake)
    monkeypatch.setattr(running, "log", lambda engine: tmp_path / "log")
    (tmp_path / "log").write_text("")
    assert measured(ENGINE, Environment(Path("python")), "S", None, Often(3, 60, 300)).runs == runs
    assert asked == [300] * runs


@pytest.mark.parametrize(
    ("often", "told"),
    [
        (Often(3, 60, 300), "medians of 3, one run where it takes more than 60 s, stopped after 300 s"),
        (Often(1, 60, 300), "one run each, stopped after 300 s"),
        (Often(3, 60, 50), "medians of 3, stopped after 50 s"),
    ],
)
def test_the_heading_says_how_often_engines_are_run(often, told):
    assert str(often) == told


def test_a_process_is_stopped_at_its_limit_and_told_from_one_that_failed():
    slow = process([sys.executable, "-c", "while True: pass"], {}, limit=0.5)
    assert slow.code is None
    assert process([sys.executable, "-c", "raise SystemExit(3)"], {}, limit=60).code == 3
    said = process([sys.executable, "-c", "print('a'); print('{\"b\": 1}')"], {}, limit=60)
    assert (said.code, said.answer) == (0, {"b": 1})


# ------------------------------------------------------------------------------------------------- table and picture


def test_the_table_has_the_fastest_first_and_what_was_not_done_last():
    late = made("late", state="stopped", why="stopped after 60 s", note="a note")
    lines = markdown(
        [late, made("slow", cpu=20.0), made("fast", cpu=0.05, note="by hand")], ROWS, "heading"
    ).splitlines()
    assert lines[0] == "heading"
    assert lines[2] == "Size S, 100,000 bars:"
    assert lines[6:] == [
        "| fast 1.0 | 0.05 | 2.0M | 1.05 | 2.05 | 512 | 1,889 | 11,524.00 | equal; by hand |",
        "| slow 1.0 | 20.00 | 5k | 21.00 | 22.00 | 512 | 1,889 | 11,524.00 | equal |",
        "| late |  |  |  |  |  |  |  | stopped after 60 s; a note |",
    ]
    assert len({line.count("|") for line in lines[4:]}) == 1


def test_there_is_a_table_a_size():
    text = markdown([made(), made(size="M", trades=37_346, pnl=1_489.0)], ROWS, "heading")
    assert [line for line in text.splitlines() if line.startswith("Size")] == [
        "Size S, 100,000 bars:", "Size M, 2,000,000 bars:",
    ]  # fmt: skip


def test_the_document_has_every_figure_and_verdict():
    told = json.loads(
        document([made(), made("two", pnl=0.0), made("three", state="absent", why="why")], ROWS, "heading")
    )
    assert told["measured"] == "heading"
    assert told["bars"] == ROWS
    assert [o["agrees"] for o in told["outcomes"]] == [True, False, None]
    assert told["outcomes"][0]["figures"]["cpu"] == 2.0
    assert told["outcomes"][2]["figures"] is None


def test_the_picture_has_a_line_an_engine_and_a_dot_a_size():
    outcomes = [
        made("bt, rows", cpu=1.0), made("bt, rows", "M", trades=37_346, pnl=1_489.0), made("a & b", cpu=0.05),
        made("slow", state="stopped", why="stopped after 60 s"),
    ]  # fmt: skip
    assert list(speeds(outcomes, ROWS)) == ["a & b", "bt, rows", "slow"]
    root = ET.fromstring(svg(outcomes, ROWS, "heading"))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    words = [element.text for element in root.iter(f"{space}text")]
    assert {"a & b", "bt, rows", "slow", "stopped after 60 s", "heading"} <= set(words)
    dots = [c for c in root.iter(f"{space}circle") if c.get("cy") != "14"]
    assert len(dots) == 3
    fast, small, large = (float(c.get("cx")) for c in dots)
    assert small < large < fast  # 100k, 1M and 2M bars a CPU second


def test_a_picture_of_nothing_done_still_names_who_was_not():
    assert "why not" in svg([made(state="failed", why="why not")], ROWS, "heading")


# ------------------------------------------------------------------------------------------ engines and environments


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name.replace(" ", "-"))
def test_an_engine_has_a_runner_and_pinned_requirements(engine):
    ast.parse(engine.script.read_text())
    assert engine.largest in SIZES
    if engine.environment:
        lines = (LISTS / f"{engine.environment}.txt").read_text().splitlines()
        assert lines
        assert all(line.count("==") == 1 for line in lines)


def test_engines_are_chosen_by_words_and_unknown_ones_refused():
    assert [e.name for e in chosen(["backtrader", "AKQUANT"])] == ["akquant", "backtrader"]
    assert chosen([]) == list(ENGINES)
    with pytest.raises(SystemExit, match="peers: --only must name engines, was lean; they are\n  bt, rows"):
        chosen(["polars", "lean"])


def test_an_interpreter_is_as_new_as_it_must_be(monkeypatch, tmp_path):
    assert interpreter((3, 11)) == sys.executable
    kept = tmp_path / "versions" / "3.13.1" / "bin" / "python"
    kept.parent.mkdir(parents=True)
    kept.touch()
    versions = {"/bin/python3.12": (3, 12), str(kept): (3, 13)}
    monkeypatch.setattr(environments, "version", lambda path: versions.get(path, (3, 11)))
    monkeypatch.setattr(environments.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert interpreter((3, 12)) == "/bin/python3.12"
    assert interpreter((3, 13)) == str(kept)
    assert interpreter((3, 14)) is None


def test_an_environment_is_made_from_its_list_once_and_again_when_the_list_changes(tmp_path, monkeypatch):
    lists, ran = tmp_path / "lists", []
    lists.mkdir()
    (lists / "some.txt").write_text("")
    monkeypatch.setattr(environments, "LISTS", lists)
    monkeypatch.setattr(environments, "FOLDERS", tmp_path / "made")

    class Done:
        returncode, stdout, stderr = 0, "3 11", ""

    def run(arguments, **_):
        ran.append(arguments)
        if "venv" in arguments:
            Path(arguments[-1]).mkdir(parents=True)
        return Done

    monkeypatch.setattr(environments.subprocess, "run", run)

    def installs():
        ran.clear()
        assert environments.environment("some") == Environment(tmp_path / "made" / "some" / "bin" / "python")
        return [arguments for arguments in ran if "pip" in arguments]

    assert len(installs()) == 1
    assert installs() == []
    (lists / "some.txt").write_text("a==1\n")
    assert len(installs()) == 1
    Done.returncode, Done.stderr = 1, "warning\nERROR: no such version\n"
    (lists / "some.txt").write_text("a==2\n")
    monkeypatch.setattr(environments, "interpreter", lambda least: sys.executable)
    assert environments.environment("some").missing == "could not be installed: ERROR: no such version"
    monkeypatch.setattr(environments, "interpreter", lambda least: None)
    assert environments.environment("some").missing == "needs Python 3.11 or newer, on PATH or in pyenv"


# ------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def told(monkeypatch, tmp_path):
    """Runs the command on outcomes by size and engine; its exit code and what was run."""

    class Source:
        rows = 100_000

    def run(arguments, pnl):
        ran = []

        def fake(engine, environment, size, given, often):
            ran.append((engine.name, size, often.runs))
            return made(engine.name, size, trades=REFERENCE[size][0], pnl=pnl(engine.name, size))

        monkeypatch.setattr(command, "measured", fake)
        monkeypatch.setattr(command, "environment", lambda name: Environment(Path("python")))
        monkeypatch.setattr(command, "data", lambda size: Source)
        monkeypatch.setattr(sys, "argv", ["peers", *arguments, "--out", str(tmp_path / "out")])
        return command.main(), ran

    return run


def test_all_engines_are_checked_at_the_small_size_before_any_is_measured(told, tmp_path):
    code, ran = told(["M", "--only", "DuckDB", "Numba", "--runs", "2"], lambda _, size: REFERENCE[size][1])
    assert code == 0
    names = ["by hand: DuckDB SQL", "by hand: Numba loop"]
    assert ran == [*((name, "S", 1) for name in names), *((name, "M", 2) for name in names)]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"table.md", "table.json", "chart.svg"}


def test_what_is_measured_is_written_before_the_next_engine_is_run(told, tmp_path):
    def pnl(name, size):
        if size == "M" and "Numba" in name:
            raise KeyboardInterrupt
        return REFERENCE[size][1]

    with pytest.raises(KeyboardInterrupt):
        told(["M", "--only", "DuckDB", "Numba"], pnl)
    assert "by hand: DuckDB SQL" in (tmp_path / "out" / "table.md").read_text()
    assert '"by hand: DuckDB SQL"' in (tmp_path / "out" / "table.json").read_text()
    assert (tmp_path / "out" / "chart.svg").exists()


def test_nothing_is_measured_while_an_engine_differs(told, tmp_path, capsys):
    code, ran = told(["M", "--only", "DuckDB", "Numba"], lambda name, size: REFERENCE[size][1] + ("SQL" in name))
    assert code == 1
    assert {size for _, size, _ in ran} == {"S"}
    assert not (tmp_path / "out").exists()
    assert "by hand: DuckDB SQL, size S: 1,889 trades and 11,525.00" in capsys.readouterr().err


def test_an_engine_that_differs_at_a_larger_size_is_told_after_the_table(told, tmp_path, capsys):
    code, _ = told(["M", "--only", "DuckDB"], lambda _, size: REFERENCE[size][1] + (size == "M"))
    assert code == 1
    assert "DIFFERS" in (tmp_path / "out" / "table.md").read_text()
    assert "by hand: DuckDB SQL, size M: 37,346 trades and 1,490.00" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- what runners share


CENTS = st.lists(st.integers(1000, 1010), max_size=120)


def wanted_by_definition(cents):
    """After every close: the sign of the difference of two means as fractions; what was wanted where it is 0."""
    wanted, found = 0, []
    for i in range(len(cents)):
        if i >= 29:
            apart = 3 * sum(cents[i - 9 : i + 1]) - sum(cents[i - 29 : i + 1])
            wanted = wanted if apart == 0 else int(apart > 0)
        found.append(wanted)
    return found


@given(CENTS)
def test_the_strategy_in_plain_python_keeps_what_it_holds_on_exact_ties(cents):
    state = Crossing()
    assert [state.on_close(c / 100) for c in cents] == wanted_by_definition(cents)


@given(CENTS)
def test_the_strategy_of_whole_columns_wants_the_same(cents):
    closes = pl.Series([c / 100 for c in cents], dtype=pl.Float64)
    apart = closes.rolling_mean(10) - closes.rolling_mean(30)
    found = wanted_after(apart.cast(pl.Float64).fill_null(np.nan).to_numpy())
    assert list(found) == wanted_by_definition(cents)


def traded(cents, opens, *, first, flat):
    """Trades and net cents of a symbol: decided from bar `first` on, filled at the next open, flat from bar `flat` on."""
    held, position, trades, net = 0, 0, 0, 0
    for i in range(len(cents) - 1):
        if i >= first:
            apart = 3 * sum(cents[i - 9 : i + 1]) - sum(cents[i - 29 : i + 1])
            held = held if apart == 0 else int(apart > 0)
        target = 0 if i >= flat else held
        if target != position:
            net -= (target - position) * opens[i + 1] * 100 + 50
            trades += target < position
            position = target
    return trades, net


def by_definition(folder, flat_us, *, first=29):
    """Trades and net profit of a whole market."""
    bars = pl.read_parquet(sorted(folder.glob("*.parquet"))).sort("symbol", "ts")
    found = []
    for (_,), own in bars.group_by("symbol", maintain_order=True):
        cents, opens = ((own[c] * 100).round().cast(pl.Int64).to_list() for c in ("close", "open"))
        flat = own["ts"].dt.epoch("us").search_sorted(flat_us)
        found.append(traded(cents, opens, first=first, flat=flat))
    return sum(trades for trades, _ in found), sum(net for _, net in found) / 100


def test_the_reference_and_the_late_decision_follow_from_the_definition(tmp_path):
    flat_us = write(tmp_path, "S").flat_us
    assert by_definition(tmp_path, flat_us) == REFERENCE["S"]
    assert by_definition(tmp_path, flat_us, first=30) == REASONS["backtesting.py"].expected["S"]


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A market of several symbols, each of which lacks minutes that others have; its trades and profit."""
    folder = tmp_path_factory.mktemp("several")
    return folder, by_definition(folder, write(folder, (4, 3)).flat_us)


@pytest.mark.parametrize(
    ("runner", "mode"),
    [
        ("bt", "rows-found"),
        ("bt", "cross-found"),
        ("bt", "columns-found"),
        ("polars", ""),
        ("duckdb", ""),
        ("python", ""),
    ],
)
def test_a_runner_trades_as_the_definition_says(several, runner, mode):
    folder, expected = several
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BT_")} | {"PYTHONPATH": str(ROOT)}
    done = process([sys.executable, str(RUNNERS / f"run_{runner}.py"), str(folder), mode, ""], environment, limit=300)
    assert done.code == 0
    assert (done.answer["trades"], round(done.answer["pnl"], 2)) == expected
    assert expected[0] > 50
