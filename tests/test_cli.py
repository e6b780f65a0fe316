"""The command line as a whole: help, parsing, streams, errors, exit codes."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from cli_runs import BT, Answer, call, environment, market, process

from bt.cli import replaying
from bt.cli.streams import Output, results_stream
from bt.ingest.options import Format

HEAVY = (
    "polars",
    "duckdb",
    "pandas",
    "numpy",
    "pyarrow",
    "exchange_calendars",
    "numba",
    "rich",
    "bt.config",
    "bt.model",
)
"""What would make help slow; how fast it is depends on the machine. Not pydantic: typer 0.29 itself converts the values of options with it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return market(tmp_path_factory.mktemp("market"))


@pytest.fixture
def bt(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call `bt` in the market's folder."""
    monkeypatch.chdir(folder)
    return lambda *arguments: call(capsys, *arguments)


# ------------------------------------------------------------------------------------------------------- help is light


def test_help_and_usage_errors_import_nothing_heavy(folder: Path):
    code = (
        "import sys; from bt.cli import main\n"
        "codes = [main(a.split()) for a in ('--help', 'replay --help', 'ingest -h', 'sweep --help', '--version', 'replay --spede 3', 'nope')]\n"
        f"loaded = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "sys.exit(f'{codes} {loaded}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == "[0, 0, 0, 0, 0, 2, 2] []"


def test_help_names_every_command_and_format(bt):
    answer = bt("--help")
    assert (answer.code, answer.err) == (0, "")
    assert all(
        f"  {name} " in answer.out for name in ("sample", "ingest", "data", "quality", "replay", "sweep", "runs")
    )
    told = re.sub(r"\s+", " ", bt("ingest", "--help").out)
    assert all(re.search(rf"\b{name}\b", told) for name in get_args(Format))


def test_without_arguments_help_and_a_usage_error(bt):
    answer = bt()
    assert answer.code == 2
    assert answer.out == bt("--help").out


def test_later_commands_are_not_accepted(bt):
    for command in ("diff", "audit", "batch", "live"):
        assert f"No such command '{command}'" in bt(command, "x").err


def test_version_names_what_results_depend_on(bt):
    answer = bt("--version")
    assert answer.code == 0
    assert all(f"{name} " in answer.out for name in ("Python", "polars", "duckdb", "pyarrow", "numpy"))


# -------------------------------------------------------------------------------------------------------- wrong input

WRONG = [
    (["replay"], "Missing argument 'CONFIG'", "bt replay --help"),
    (["replay", "run.toml", "--spede", "3"], "No such option: --spede", "--speed"),
    (["repaly", "run.toml"], "No such command 'repaly'", "replay"),
    (["replay", "run.toml", "--set", "output.html=maybe"], "output.html must be true or false", "'maybe'"),
    (["replay", "run.toml", "--set", "sweep.grid.fast=3"], "sweep.grid must be a table of parameters or keys, each with a list of values", "write [3]"),
    (["replay", "run.toml", "--set", "output.htlm=true"], "output.htlm must be a known key", "did you mean output.html?"),
    (["replay", "run.toml", "--set", "engine.workers=2"], "engine.workers must be", "was 2"),
    (["replay", "nope.toml"], "nope.toml: it must be a readable TOML file", "No such file"),
    (["replay", "sample"], "sample: it must be a readable TOML file", "directory"),
    (["replay", "broken.toml"], "broken.toml: it must be TOML", "line 1"),
    (["replay", "run.toml", "--set", "sesion.end=2024-12-06"], "sesion must be a known key", "did you mean session"),
    (["replay", "run.toml", "--set", "session.end"], "--set: it must be key=value", "'session.end'"),
    (["replay", "run.toml", "--speed", "1", "--set", "session.speed=2"], "session.speed must be given once", "drop one"),
    (["replay", "run.toml", "--start", "2024-13-01"], "session.start must be a date", "'2024-13-01'"),
    (["replay", "run.toml", "--end", "2024-12-01"], "session.start must be on or before session.end 2024-12-01", "2024-12-05"),
    (["replay", "run.toml", "--start", "2023-01-03", "--end", "2023-01-05"], "the range must hold bars", "2024-12-03 to"),
    (["replay", "run.toml", "--symbols", "ASHB", "--start", "2023-01-03", "--end", "2023-01-05"], "the range must hold bars", "of data.symbols the store has 2024-12-03 to"),
    (["replay", "run.toml", "--speed", "fast"], "session.speed must be a finite number >= 0", "'fast'"),
    (["replay", "run.toml", "--threads", "-1"], "engine.threads must be a whole number >= 0", "-1"),
    (["replay", "run.toml", "--threads", "many"], "--threads", "integer"),
    (["replay", "run.toml", "--symbols", "ASHBB"], "'ASHBB'", "the nearest is 'ASHB'"),
    (["replay", "run.toml", "--symbols", "none.txt"], "data.symbols must be", "No such file"),
    (["replay", "run.toml", "--set", "data.calendar=XNYZ"], "'XNYZ'", "XNYS"),
    (["replay", "run.toml", "--set", "strategy.use=strategies/ours.py:Idel"], "class must be one of", "'Idel'"),
    (["replay", "run.toml", "--set", "strategy.params.fast=1"], "strategy.params.fast", "Idle"),
    (["replay", "run.toml", "--out", "sample"], "--out:", "must be a new or empty folder"),
    (["data", "nowhere"], "nowhere must be a folder, file or glob that exists", "bt ingest"),
    (["data", "sample", "--calendar", "XNYZ"], "'XNYZ'", "XNYS"),
    (["data", "sample", "--stamp", "middle"], "data.stamp must be 'start' or 'end'", "'middle'"),
    (["data", "sample", "--tz", "Amerika/New_York"], "'Amerika/New_York'", "did you mean America/New_York?"),
    (["data", "sample", "--column", "opne=o"], "'opne' is none of", "nearest open"),
    (["data", "sample", "--column", "open"], "--column: it must be OURS=THEIRS", "'open'"),
    (["data", "sample", "--column", "open=a", "--column", "open=b"], "open must be given once", "'a' and 'b'"),
    (["data", "sample", "--column", "open=o"], "column 'o' must be present", "--column open="),
    (["quality", "sample"], "--calendar: it must be given", "--calendar XNYS"),
    (["quality", "sample", "--calendar", "XNYS", "--start", "monday"], "--start: it must be a date", "'monday'"),
    (["quality", "sample", "--calendar", "XNYS", "--start", "2024-12-06", "--end", "2024-12-03"], "--start: it must be on or before the end", "2024-12-06"),
    (["quality", "sample", "--calendar", "XNYS", "--end", "2020-12-03"], "--end: it must be on or after", "the first session of the data, 2024-12-03"),
    (["quality", "sample", "--calendar", "XNYS", "--start", "2022-12-05", "--end", "2022-12-06"], "the range must hold bars", "--start and --end"),
    (["quality", "sample", "--calendar", "XNYS", "--interval", "7x"], "--interval: it must be like 1m", "'7x'"),
    (["quality", "sample", "--calendar", "XNYS", "--symbols", "ZZZ"], "--symbols: symbol must be one of", "the nearest is"),
    (["ingest", "nope.csv", "--to", "s"], "nope.csv: a source must be", "found nothing"),
    (["ingest", "vendor"], "Missing option '--to'", "bt ingest --help"),
    (["ingest", "vendor", "--to", "s"], "column for open_time", "--column open_time=NAME"),
    (["ingest", "vendor", "--to", "s", "--format", "xml"], "format must be one of auto, csv", "'xml'"),
    (["ingest", "vendor", "--to", "s", "--tz", "Amerika"], "tz must be a known zone", "'Amerika'"),
    (["ingest", "vendor", "--to", "s", "--price-divisor", "ten"], "price_divisor must be a number", "'ten'"),
    (["ingest", "vendor", "--to", "s", "--price-decimals", "many"], "price_decimals must be auto or 0 to 8", "'many'"),
    (["ingest", "vendor", "--to", "s", "--on-bad", "ignore"], "on_bad must be one of isolate, raise", "'ignore'"),
    (["ingest", "vendor", "--to", "s", "--calendar", "XNYZ"], "'XNYZ'", "XNYS"),
    (["sample", "run.toml"], "DIR must be a folder or new, was a file", "name another"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message", "hint"), WRONG, ids=[" ".join(w[0]) for w in WRONG])
def test_wrong_input_is_named(bt, folder: Path, arguments: list[str], message: str, hint: str):
    (folder / "broken.toml").write_text("[data\n")
    answer = bt(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert message in answer.err
    assert hint in answer.err
    assert "Traceback" not in answer.err
    assert not (folder / "runs").exists()
    told = bt(*arguments, "--json")
    assert told.err == answer.err
    assert told.json["error"]["exit_code"] == 2
    assert message in told.json["error"]["message"]


def test_a_place_that_cannot_be_written_is_named(bt):
    answer = bt("sample", "run.toml/below")
    assert answer.code == 1
    assert re.match(r"error: \S*run.toml/below: .* must be .*; .*another folder", answer.err)
    answer = bt("replay", "run.toml", "--out", "run.toml/below")
    assert answer.code == 2
    assert re.match(
        r"error: \S*run.toml/below: results must go to a folder .* stopped at \S*run.toml: .*; choose another",
        answer.err,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_standard_output_that_is_full_is_told_in_a_line(folder: Path, more: list[str]):
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*BT, "replay", "run.toml", *more], cwd=folder, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )  # fmt: skip
    assert ended.returncode == 1
    assert "error: standard output: results must be written, was stopped by: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "internal error" not in ended.stderr


def test_a_message_of_several_lines_is_one_block(bt):
    answer = bt("replay", "run.toml", "--set", "data.stamp=x", "--set", "run.seed=y", "--set", "foo=1")
    first, *rest = answer.err.splitlines()
    assert first.startswith("error: command line: ")
    assert len(rest) == 2
    assert all(line.startswith("       command line: ") for line in rest)


# ---------------------------------------------------------------------------------------------------- what went wrong


def test_an_internal_error_has_a_traceback_and_says_how_to_report_it(bt, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replaying, "run_spec", lambda *_, **__: "".join(range(1)))
    answer = bt("replay", "run.toml", "--json")
    assert answer.code == 1
    assert "TypeError: sequence item 0" in answer.err
    assert "please report it" in answer.err.splitlines()[-1]
    assert answer.json["error"]["type"] == "TypeError"


def test_an_interrupt_before_the_replay(bt, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(replaying, "run_spec", interrupted)
    answer = bt("replay", "run.toml", "--json")
    assert answer.code == 130
    assert answer.err == "error: interrupted; nothing was written\n"
    assert answer.json["error"] == {"type": "KeyboardInterrupt", "message": "interrupted; nothing was written", "exit_code": 130}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ streams


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_of_80_columns_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    from bt.cli.asked import Asked
    from bt.cli.completeness import show_quality
    from bt.cli.contents import show_data

    asked = Asked("sample", "XNYS", "start", "", [])
    for show in (
        lambda out: show_data(out, asked, everything=True),
        lambda out: show_quality(out, asked, interval="1m", everything=True),
    ):
        drawn = Terminal()
        show(Output(drawn, quiet=True))
        text = drawn.getvalue()
        assert max(len(line) for line in text.splitlines()) <= 80
        assert "…" not in text
        heads = next(line for line in text.splitlines() if line.startswith("symbol  "))
        assert heads.split()[-1] in ("faulty", "gap")
        rows = text.split(heads, 1)[1].splitlines()[1:21]
        assert len({len(row) for row in rows}) == 1  # numbers end where their heads do


def test_prints_of_strategies_and_children_stay_out_of_json(folder: Path):
    answer = process(
        folder, "replay", "run.toml", "--threads", "1", "--json", "--set", "strategy.use=strategies/ours.py:Prints"
    )
    assert answer.code == 0
    assert answer.json["sessions"] == 2
    assert answer.err.count("threads 1\n") == 2
    assert answer.err.count("from a child\n") == 2


@pytest.mark.parametrize("closed", ["out", "both"])
def test_a_closed_standard_output_is_no_error(folder: Path, closed: str):
    shell = f'"$@" >&- {"2>&-" if closed == "both" else ""}'
    done = subprocess.run(
        ["/bin/sh", "-c", shell, "sh", *BT, "data", "sample"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_reader_that_goes_away_is_no_error(folder: Path):
    running = subprocess.Popen(
        [*BT, "quality", "sample", "--calendar", "XNYS", "--json"], cwd=folder, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    assert running.stderr.read() == b""
    assert running.wait() == 0
    running.stderr.close()


def test_a_progress_bar_on_a_terminal_only(folder: Path):
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [*BT, "replay", "run.toml", "--quiet"], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=theirs
    )
    assert running.communicate()[0].decode().startswith(str(folder / "runs"))
    running = subprocess.Popen(
        [*BT, "replay", "run.toml", "--json"], cwd=folder, env=environment(TERM="xterm"), stdout=subprocess.PIPE, stderr=theirs
    )  # fmt: skip
    answer = Answer(running.wait(), running.communicate()[0].decode(), "")
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 4096):
            drawn += chunk
    except OSError:  # how a terminal says that its other side is closed
        pass
    os.close(ours)
    assert answer.json["sessions"] == 2
    assert b"2 of 2 sessions" in drawn
    assert b"bars/s" in drawn
    assert drawn.count(b"checking the data") >= 1
    assert process(folder, "replay", "run.toml", "--set", "execution.slippage_bps=1").err == ""


def test_results_keep_their_stream_while_prints_are_moved(capfd: pytest.CaptureFixture[str]):
    with results_stream() as results:
        sys.stdout.write("noise\n")
        results.write("answer\n")
    sys.stdout.write("after\n")
    sys.stdout.flush()
    assert capfd.readouterr() == ("answer\nafter\n", "noise\n")
