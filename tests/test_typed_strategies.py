"""What a type checker sees of a strategy, and what the run refuses before it starts where none was asked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small import TUESDAY, bars, store

import bt
from bt.errors import BtError

ROOT = Path(__file__).resolve().parents[1]

STRATEGY = """\
import bt


class Minute(bt.Row):
    symbol: str
    close: float
    fast: float | None


class Rule:
    row = Minute

    def __init__(self, fast: int = 5) -> None:
        self.fast = fast

    def features(self) -> dict[str, bt.Feature]:
        return {"fast": bt.sma("close", self.fast)}

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        book.log("begun", half=session.early_close)

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        if row.fast is not None and row.fast < row.close:
            book.target(row.symbol, 100)
        if book.position(row.symbol) > 0:
            book.record(gross=book.gross)


def replayed() -> float | None:
    run: bt.Run = bt.replay(bars="bars", strategy=Rule(fast=3), start="-5 sessions", end="last", save=False)
    print(run.fills.height, bt.runs("runs").height, bt.open_run("runs/a").metrics.sharpe)
    return run.metrics.sharpe
"""

MISTAKES = {
    "row.fast < row.close": ("row.fsat < row.close", r'"Minute" has no attribute "fsat"'),
    "book.position(row.symbol)": ("book.positon(row.symbol)", r'"Book" has no attribute "positon"'),
    'bt.sma("close", self.fast)': ('bt.smaa("close", self.fast)', r'Module has no attribute "smaa"'),
    "book.target(row.symbol, 100)": ('book.target(row.symbol, "100")', r'Argument 2 to "target" of "Book" has incompatible type "str"'),
    "half=session.early_close": ("half=session.early_closed", r'"SessionDay" has no attribute "early_closed"'),
    "Rule(fast=3)": ('Rule(fast="3")', r'Argument "fast" to "Rule" has incompatible type "str"; expected "int"'),
    "if row.fast is not None and": ("if", r'Unsupported (left )?operand types? for .*"None"'),
    "return run.metrics.sharpe": ("return run.metrics.sharp", r'"Metrics" has no attribute "sharp"'),
}  # fmt: skip


def test_mypy_finds_a_misspelt_field(tmp_path: Path):
    (tmp_path / "right.py").write_text(STRATEGY)
    for number, (right, (wrong, _)) in enumerate(MISTAKES.items()):
        assert STRATEGY.count(right) == 1
        (tmp_path / f"wrong_{number}.py").write_text(STRATEGY.replace(right, wrong))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary", "--config-file=", *sorted(
            path.name for path in tmp_path.glob("*.py")
        )],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert not done.stderr, done.stderr
    assert [line for line in errors if line.startswith("right.py")] == []
    for number, (_, message) in enumerate(MISTAKES.values()):
        own = [line for line in errors if line.startswith(f"wrong_{number}.py")]
        assert own, message
        assert re.search(message, "\n".join(own)), own


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("    fast: float | None\n", "    fsat: float | None\n", "row type Minute, field 'fsat' must be a bar column, a feature or an indicator; did you mean 'fast'?"),
        ("    close: float\n", "    close: str\n", "field 'close' must be annotated float or int, was str"),
        ("    close: float\n", "    close: Price\n", "row type Minute: an annotation cannot be resolved: name 'Price' is not defined"),
        ("def on_bar(", "def on_bars(", "callback must be known, was 'on_bars'; did you mean 'on_bar'"),
        ("fast: int = 5", "fast: int", "strategy.params must give fast of Rule, which have no default"),
    ],
)  # fmt: skip
def test_the_run_refuses_it_before_it_starts(tmp_path: Path, right: str, wrong: str, message: str):
    assert STRATEGY.count(right) == 1
    (tmp_path / "rule.py").write_text("from __future__ import annotations\n" + STRATEGY.replace(right, wrong))
    given = {"bars": store(tmp_path, bars("A", [1.0, 2.0])), "start": TUESDAY, "end": TUESDAY}
    with pytest.raises(BtError) as refused:
        bt.replay(strategy=f"{tmp_path}/rule.py:Rule", **given, out=tmp_path / "run")
    assert message in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('[strategy.params]\nfast = "ten"', "strategy.params.fast must be int, was 'ten'"),
        ("[strategy.params]\nfast = 2.5", "strategy.params.fast must be int, was 2.5"),
        ("[strategy.params]\nfsat = 2", "strategy.params.fsat must be a parameter of Rule (fast); did you mean 'fast'?"),
        ("[tabels.earnings]\npath = 'e.parquet'", "run.toml:8: tabels must be a known key, was an unknown one"),
        ("[executoin]\nslippage_bps = 2", "executoin must be a known key, was an unknown one; did you mean execution?"),
        ("[execution]\nslippage_bps = '2'", "run.toml:9: execution.slippage_bps must be a number >= 0 and < 10000, was '2'"),
    ],
)  # fmt: skip
def test_a_configuration_is_refused_before_the_run_starts(tmp_path: Path, line: str, message: str):
    store(tmp_path, bars("A", [1.0, 2.0]))
    (tmp_path / "rule.py").write_text(STRATEGY)
    (tmp_path / "run.toml").write_text(
        f'[data]\nbars = "bars"\n[session]\nstart = {TUESDAY}\nend = {TUESDAY}\n[strategy]\nuse = "rule.py:Rule"\n{line}\n'
    )
    with pytest.raises(BtError) as refused:
        bt.replay(tmp_path / "run.toml")
    assert message in str(refused.value)
    assert not (tmp_path / "runs").exists()
