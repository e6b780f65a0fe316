"""Five mistakes that would cost a result its meaning: each is refused before the run starts, by a message that shows the way.

A field that is not there (what a type checker sees of it: tests/test_typed_strategies.py), a parameter of a wrong type in
the configuration, a feature that needs more than its declared lookback, a label in a strategy, and a table that does not
say when its rows became known.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from cli_runs import ROOT, call, market

STRATEGY = """\
import polars as pl

import bt


class Minute(bt.Row):
    symbol: str
    close: float
    mean: float | None
    earnings_surprise: float | None


class Rule:
    row = Minute

    def __init__(self, bars: int = 5) -> None:
        self.bars = bars

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.feature(pl.col("close").rolling_mean(self.bars), lookback=self.bars - 1)}

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        print("it plays")

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        if row.mean is not None and row.close < row.mean:
            book.target(row.symbol, 100)
"""

CONFIG = """\
[data]
bars = "sample"
calendar = "XNYS"
[session]
start = 2024-12-05
end = 2024-12-06
[tables.earnings]
path = "earnings.parquet"
by = "symbol"
known_at = "published"
[strategy]
use = "rule.py:Rule"
[strategy.params]
bars = 5
"""


class Mistake(NamedTuple):
    """What is written instead of what is right, in the strategy or in the configuration, and what is said to it."""

    right: str
    wrong: str
    message: str


MISTAKES = {
    "a misspelt field": Mistake(
        "    close: float\n", "    clsoe: float\n",
        "row type Minute, field 'clsoe' must be a bar column, a feature or an indicator; did you mean 'close'?",
    ),
    "a misspelt field of a table": Mistake(
        "earnings_surprise", "earnings_suprise",
        "earnings.parquet has no 'suprise'; did you mean 'earnings_surprise'?",
    ),
    "a parameter of a wrong type": Mistake("bars = 5\n", 'bars = "five"\n', "strategy.params.bars must be int, was 'five'"),
    "more than its declared lookback": Mistake(
        "lookback=self.bars - 1", "lookback=self.bars - 3",
        "rolling_mean(): lookback must cover what it reads, was 2; with twice the warm-up a value of the first session changed",
    ),
    "a label in a strategy": Mistake(
        'bt.feature(pl.col("close").rolling_mean(self.bars), lookback=self.bars - 1)', 'bt.forward_return("15m")',
        "feature 'mean' must not be a label: it tells what comes after a row; labels are for bt.load_rows(..., label={'mean': ...})",
    ),
    "a table without known_at": Mistake(
        'known_at = "published"\n', "",
        "run.toml:7: tables.earnings.known_at must be the column that says when each row became known, was absent",
    ),
    "a table whose known_at is not there": Mistake(
        'known_at = "published"\n', 'known_at = "when"\n',
        "column 'when' (tables.earnings.known_at) must be there to say when each row became known, was missing among symbol, "
        "published, surprise; add it, or name the column that does",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's last four sessions and a table of earnings."""
    made = market(tmp_path_factory.mktemp("market"))
    published = pl.Series(["2024-12-04T21:05:00Z"]).str.to_datetime(time_zone="UTC")
    earnings = pl.DataFrame({"symbol": ["ASHB"], "published": published, "surprise": [0.04]})
    earnings.write_parquet(made / "earnings.parquet")
    return made


def write(folder: Path, right: str = "", wrong: str = "") -> None:
    """The strategy and the configuration, with one thing replaced in one of them."""
    assert not right or (right in STRATEGY) + (right in CONFIG) == 1
    (folder / "rule.py").write_text(STRATEGY.replace(right, wrong) if right else STRATEGY)
    (folder / "run.toml").write_text(CONFIG.replace(right, wrong) if right else CONFIG)


def test_without_a_mistake_it_plays(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(folder)
    write(folder)
    answer = call(capsys, "replay", "run.toml", "--out", "right")
    assert answer.code == 0, answer.err
    assert "it plays" in answer.err
    assert (folder / "right" / "fills.parquet").exists()


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_it_is_refused_before_the_run_starts(
    folder: Path, mistake: Mistake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(folder)
    write(folder, mistake.right, mistake.wrong)
    answer = call(capsys, "replay", "run.toml", "--out", "wrong")
    assert answer.code == 2, answer.err
    assert answer.err.startswith("error: "), answer.err
    assert mistake.message in " ".join(answer.err.split()), answer.err
    assert "it plays" not in answer.err + answer.out
    assert not (folder / "wrong").exists()


def test_mypy_finds_a_field_that_is_not_there(folder: Path):
    write(folder, "row.close < row.mean", "row.clsoe < row.mean")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", "rule.py"],
        cwd=folder, env={"MYPYPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert '"Minute" has no attribute "clsoe"' in done.stdout, done.stdout + done.stderr
    assert "Found 1 error" in done.stdout
