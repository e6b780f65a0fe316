"""What the tests of the command line share: a small market, strategies that misbehave, and a call of `bt`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from bt.cli import main

ROOT = Path(__file__).resolve().parents[1]
BT = [sys.executable, "-c", "import sys; from bt.cli import main; sys.exit(main())"]
SESSIONS = ("2024-12-03", "2024-12-04", "2024-12-05", "2024-12-06")

STRATEGIES = """\
import os
import sys

import polars as pl

import bt


class Minute(bt.Row):
    symbol: str
    close: float


class Idle:
    row = Minute

    def on_bar(self, row, book):
        pass


class Prints(Idle):
    def on_session_start(self, session, book):
        print("threads", pl.thread_pool_size(), flush=True)
        os.system("echo from a child")


class Tells(Idle):
    def on_session_start(self, session, book):
        print("begun", flush=True)


class Raises(Idle):
    def on_session_start(self, session, book):
        self.day = str(session)

    def on_bar(self, row, book):
        if self.day == "2024-12-06" and row.symbol == "BRIK":
            divide(row.close)


def divide(price):
    return price / 0


class Stops(Idle):
    def on_bar(self, row, book):
        book.stop("had enough")


class Exits(Idle):
    def on_bar(self, row, book):
        sys.exit(7)


class Greedy(Idle):
    def on_session_start(self, session, book):
        self.day = str(session)

    def on_bar(self, row, book):
        book.target(row.symbol, 10**9 if self.day == "2024-12-06" else 10)


class Unmade(Idle):
    def __init__(self, size: int = 1):
        raise ValueError("no such size")


def refuse_dear(prices):
    if prices.max() > 300:
        raise ValueError("too dear")
    return prices


class Fields(bt.Row):
    symbol: str
    same: float | None


class Picky:
    row = Fields

    def features(self):
        return {"same": bt.feature(pl.col("close").map_batches(refuse_dear, return_dtype=pl.Float64), lookback=1)}

    def on_bar(self, row, book):
        pass
"""


class Answer(NamedTuple):
    """What a command returned and wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self
        return json.loads(lines[0])


def market(folder: Path) -> Path:
    """A folder with the sample's last four sessions, its strategies and configurations, and strategies of ours."""
    for name in ("strategies", "configs", "vendor"):
        shutil.copytree(ROOT / "data" / name, folder / name)
    (folder / "sample").mkdir()
    for session in SESSIONS:
        shutil.copy(ROOT / "data" / "sample" / f"{session}.parquet", folder / "sample")
    (folder / "strategies" / "ours.py").write_text(STRATEGIES)
    (folder / "run.toml").write_text(
        '[data]\nbars = "sample"\ncalendar = "XNYS"\n'
        "[session]\nstart = 2024-12-05\nend = 2024-12-06\n"
        '[strategy]\nuse = "strategies/ours.py:Idle"\n'
    )
    return folder


def call(capsys: Any, *arguments: str) -> Answer:
    """`bt` with these arguments, in this process."""
    capsys.readouterr()
    code = main(arguments)
    out, err = capsys.readouterr()
    return Answer(code, out, err)


def environment(**more: str) -> dict[str, str]:
    """For processes of `bt`: this checkout and nothing of the developer's configuration."""
    kept = {k: v for k, v in os.environ.items() if k == "BT_CACHE" or not k.startswith(("BT_", "POLARS_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def process(folder: Path, *arguments: str, **more: str) -> Answer:
    """`bt` with these arguments, in a process of its own."""
    done = subprocess.run(
        [*BT, *arguments], cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=120, check=False
    )
    return Answer(done.returncode, done.stdout, done.stderr)
