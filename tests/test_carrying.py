"""Strategies without a file: from notebooks, prompts and scripts, carried to other processes, their source saved."""

from __future__ import annotations

import ast
import enum
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from datetime import date, datetime
from pathlib import Path
from typing import Any

import nbformat
import polars as pl
import pytest
from nbclient import NotebookClient
from polars.testing import assert_frame_equal

import bt
from bt.errors import StrategyError
from bt.model import StrategySpec
from bt.results import open_documents
from bt.strategy import arguments, build, dumps, load_class, pack, source_of, unpack

ROOT = Path(__file__).resolve().parents[1]
DAYS = {"start": "2024-12-05", "end": "2024-12-06", "symbols": ["BRIK", "ASHB"]}

CELLS = [
    """\
from __future__ import annotations
from datetime import datetime
import json, multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
import bt
from bt.model import StrategySpec
from bt.strategy import pack, source_of
import carried_help
""",
    "LEVEL = 3\n\ndef more(x: int) -> int:\n    return x + LEVEL + carried_help.EXTRA\n",
    """\
class Minute(bt.Row):
    symbol: str
    close: float
    close_time: datetime
    mean: float | None

    @property
    def above(self) -> bool:
        return self.mean is not None and self.close > self.mean


class Five(Minute):
    interval = "5m"
""",
    """\
class Cross:
    '''Written in a cell.'''
    row = (Minute, Five)

    def __init__(self, fast: int = 5, since: datetime | None = None) -> None:
        self.fast, self.since = fast, since

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", self.fast)}

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        if isinstance(row, Five):
            book.record(coarse=row.close)
        else:
            book.target(row.symbol, more(10) if row.above else -10)
""",
    """\
run = bt.replay(bars=SAMPLE, strategy=Cross(fast=7), out=OUT + "/run", **DAYS)
again = bt.replay(bars=SAMPLE, strategy=Cross, set={"strategy.params.fast": 7}, save=False, **DAYS)
with open(OUT + "/packed", "wb") as file:
    file.write(pack(StrategySpec("Cross", Cross, {"fast": 7})))
hashes = {"before": source_of(Cross).hash}
""",
    "LEVEL = 4\n",
    "hashes['value'] = source_of(Cross).hash\nLEVEL = 3\nhashes['back'] = source_of(Cross).hash\n",
    "def more(x: int) -> int:\n    return x + LEVEL + 1\n",
    "hashes['helper'] = source_of(Cross).hash\n",
    """\
json.dump({"hashes": hashes, "fills": [run.fills.height, again.fills.height], "modules": dict(source_of(Cross).modules)},
          open(OUT + "/told.json", "w"))
""",
]


def replayed(packed: bytes, days: dict[str, object]) -> tuple[pl.DataFrame, str, dict[str, object]]:
    """In a worker: the fills of the strategy that was carried here, and what its code is known by."""
    spec = unpack(packed)
    table = {"name": spec.name, "use": spec.use, "params": spec.params}
    run = bt.replay(bars=ROOT / "data" / "sample", strategies=[table], save=False, **days)
    cls = (
        spec.use
        if isinstance(spec.use, type)
        else load_class(spec.use)
        if isinstance(spec.use, str)
        else type(spec.use)
    )
    return run.fills, source_of(cls).hash, run.records.to_dict(as_series=False)


def elsewhere(packed: bytes) -> tuple[pl.DataFrame, str, dict[str, object]]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(replayed, packed, DAYS).result(timeout=120)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a notebook's kernel has written into."""
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "carried_help.py").write_text("EXTRA = 0\n")
    begin = f"OUT, SAMPLE, DAYS = {str(folder)!r}, {str(ROOT / 'data' / 'sample')!r}, {DAYS!r}"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (begin, *CELLS)])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(folder)])
    try:
        client = NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return folder


def test_the_source_of_a_notebooks_strategy_is_saved(kernel: Path):
    text = open_documents(kernel / "run")["manifest"]["strategy_sources"]["Cross"]
    for cell in CELLS[1:4]:
        for line in cell.splitlines():
            assert line in text or line.startswith("LEVEL")
    assert "not known" not in text


def test_what_a_notebooks_strategy_uses_is_part_of_its_identity(kernel: Path):
    told = json.loads((kernel / "told.json").read_text())
    hashes = told["hashes"]
    assert hashes["before"] == hashes["back"] == open_documents(kernel / "run")["manifest"]["strategy_hashes"]["Cross"]
    assert len({hashes["before"], hashes["value"], hashes["helper"]}) == 3
    assert set(told["modules"]) <= {"carried_help"}
    assert told["fills"][0] == told["fills"][1] > 10


def test_a_notebooks_strategy_runs_in_another_process(kernel: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(kernel))  # as the kernel's own workers would have it
    fills, code, records = elsewhere((kernel / "packed").read_bytes())
    run = bt.open_run(kernel / "run")
    assert_frame_equal(fills, run.fills)
    assert records == run.records.to_dict(as_series=False)
    assert code == open_documents(kernel / "run")["manifest"]["strategy_hashes"]["Cross"]


# ---------------------------------------------------------------------------------------------------- without any source


PROMPT = """\
from __future__ import annotations
import sys
import bt
from bt.model import StrategySpec
from bt.strategy import pack, source_of
class Minute(bt.Row):
    symbol: str
    close: float
class Holds:
    row = Minute
    def __init__(self, shares: int = SHARES) -> None:
        self.shares = shares
    def on_bar(self, row: Minute, book: bt.Book) -> None:
        book.target(row.symbol, self.shares)
run = bt.replay(bars=sys.argv[1], strategy=Holds, save=False, start="2024-12-05", end="2024-12-06", symbols=["BRIK", "ASHB"])
open(sys.argv[2], "wb").write(pack(StrategySpec("Holds", Holds)))
print(source_of(Holds).hash)
print(source_of(Holds).text)
"""


def prompt(out: Path, shares: int = 4) -> tuple[str, str]:
    """The hash and text of a strategy that comes from standard input."""
    done = subprocess.run(
        [sys.executable, "-", str(ROOT / "data" / "sample"), str(out)], input=PROMPT.replace("SHARES", str(shares)),
        capture_output=True, text=True, check=False, cwd=out.parent, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    code, _, text = done.stdout.partition("\n")
    return code, text


def test_a_strategy_without_source_is_known_by_its_compiled_code(tmp_path: Path):
    code, text = prompt(tmp_path / "one")
    if "class Holds" not in text:  # Python keeps the source of standard input from 3.13 on
        assert "# The source of Holds is not known: it was typed where Python keeps none" in text
        assert "Write it in a file or in a notebook's cell to have it saved" in text
    assert prompt(tmp_path / "two") == (code, text)
    assert prompt(tmp_path / "three", shares=5)[0] != code


def test_a_strategy_without_source_runs_in_another_process(tmp_path: Path):
    code, _ = prompt(tmp_path / "packed")
    fills, known, _ = elsewhere((tmp_path / "packed").read_bytes())
    assert fills["shares"].to_list() == [4, 4]
    assert known == code


# ------------------------------------------------------------------------------------------------------ from everywhere


def test_a_file_travels_by_its_path(tmp_path: Path):
    use = f"{ROOT}/data/strategies/sma_cross.py:SmaCross"
    packed = pack(StrategySpec("SmaCross", use, {"fast": 5}, 500.0, ("a",)))
    assert unpack(packed) == StrategySpec("SmaCross", use, {"fast": 5}, 500.0, ("a",))
    assert len(packed) < 1000


def test_a_class_loaded_from_a_file_travels_by_value(tmp_path: Path):
    cls = load_class(f"{ROOT}/data/strategies/sma_cross.py:SmaCross")
    fills, known, _ = elsewhere(pack(StrategySpec("SmaCross", cls, {"fast": 5})))
    run = bt.replay(bars=ROOT / "data" / "sample", strategy=cls, set={"strategy.params.fast": 5}, save=False, **DAYS)
    assert fills.height > 10
    assert_frame_equal(fills, run.fills.with_columns(strategy=pl.lit("SmaCross")))
    assert known == source_of(cls).hash


def test_an_instance_travels_with_its_state():
    instance = build(load_class(f"{ROOT}/data/strategies/sma_cross.py:SmaCross"), {"fast": 3, "slow": 9})
    spec = unpack(pack(StrategySpec("s", instance)))
    assert vars(spec.use) == vars(instance)


def test_what_cannot_be_carried_is_said():
    with pytest.raises(
        StrategyError,
        match="strategy s: it must pickle, was stopped by TypeError: cannot pickle '_thread.lock' .*; keep open files",
    ):
        pack(StrategySpec("s", "a:B", {"lock": threading.Lock()}))


def test_row_types_keep_their_defaults_and_methods():
    class Local(bt.Row):
        """Told."""

        symbol: str
        close: float = 1.5
        tags: list[str] = []  # noqa: RUF012 - msgspec copies it

        def twice(self) -> float:
            return 2 * self.close

    class Deeper(Local):
        interval = "5m"
        volume: int = 0

    carried = pickle.loads(dumps((Local, Deeper), "rows"))  # noqa: S301 - our own
    for mine, theirs in zip((Local, Deeper), carried, strict=True):
        assert theirs is not mine
        assert theirs.__struct_fields__ == mine.__struct_fields__
        assert (theirs.__name__, theirs.__doc__) == (mine.__name__, mine.__doc__)
        assert theirs("A").close == 1.5
        assert theirs("A", 2.0).twice() == 4.0
        assert theirs("A").tags == []
        with pytest.raises(AttributeError):
            theirs("A").close = 3
    assert carried[1].interval == "5m"


# ------------------------------------------------------------------------------------- parameters of the user's classes


TYPED = """\
import dataclasses, enum, sys, typing
import bt


class Minute(bt.Row):
    symbol: str
    close: float


@dataclasses.dataclass(frozen=True)
class Size:
    shares: int = 1


class Pair(typing.NamedTuple):
    a: int = 1


class Side(enum.Enum):
    LONG, SHORT = 1, -1


class Sized:
    row = Minute

    def __init__(self, size: Size = Size(), pair: Pair = Pair(), side: Side = Side.LONG, other: Side | None = None) -> None:
        self.size, self.pair, self.side, self.other = size, pair, side, other

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        book.target(row.symbol, self.size.shares * self.pair.a * self.side.value * (self.other or Side.LONG).value)


def check(Sized, sample):
    given = {"bars": sample, "start": "2024-12-05", "end": "2024-12-05", "symbols": ["BRIK"], "save": False}
    Size, Pair, Side = (type(value) for value in Sized.__init__.__defaults__[:3])
    grids = [
        {"size": [Size(1), Size(3)]}, {"pair": [Pair(1), Pair(3)]}, {"side": [Side.LONG, Side.SHORT]}, {"other": [Side.LONG, None, Side.SHORT]},
        {"size": [{"shares": 1}, {"shares": 3}]}, {"pair": [[1], [3]]}, {"side": [1, -1]}, {"size": [Size(1), Size(3)], "side": list(Side)},
    ]
    found = []
    for grid, workers in [*((grid, 1) for grid in grids), (grids[-1], 2)]:
        frame = bt.sweep(strategy=Sized, grid=grid, engine={"workers": workers}, **given).frame.sort("number")
        found.append((frame["error"].null_count() == frame.height, frame["net_pnl"].to_list()))
    run = bt.replay(strategy=Sized(Size(3)), **given)
    return all(good for good, _ in found), [pnl for _, pnl in found], run.summary["net_pnl"]


if __name__ == "__main__":
    from bt.strategy import load_class

    text = open(__file__).read()
    space = {"__name__": "written"}
    exec(text, space)
    for cls in (Sized, space["Sized"], load_class(__file__ + ":Sized")):
        print(check(cls, sys.argv[1]))
"""


def test_parameters_may_be_of_classes_of_ones_own(tmp_path: Path):
    """Classes of a script, of a file loaded by its path, and of exec; by value and as a configuration says them, and in other processes."""
    (tmp_path / "typed.py").write_text(TYPED)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "typed.py"), str(ROOT / "data" / "sample")], capture_output=True, text=True, check=False,
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert lines[0] == lines[1] == lines[2]
    good, found, alone = ast.literal_eval(lines[0])
    assert good
    assert found[0] == found[1] == found[4] == found[5]
    assert found[2] == found[6]
    assert found[7] == found[8]  # one worker and two
    assert alone == found[0][1] != found[0][0]
    assert len(set(found[3])) == 2


def test_only_what_the_annotation_names_passes_as_it_is():
    class Side(enum.Enum):
        LONG = 1

    class Takes:
        def __init__(
            self,
            n: int = 0,
            day: date = date(2024, 1, 2),
            side: Side | None = None,
            any_: Any = 0,
            many: list[int] | None = None,
        ) -> None:
            pass

    Takes.__init__.__annotations__ = {"n": int, "day": date, "side": Side | None, "any_": Any, "many": list[int] | None}
    given = {"n": 1.0, "side": Side.LONG, "any_": Side, "many": [1]}
    assert arguments(Takes, given) == {**given, "n": 1}
    for wrong, message in (
        ({"n": True}, "strategy.params.n must be int, was True"),
        ({"day": datetime(2024, 1, 2)}, "strategy.params.day must be date, was datetime"),  # noqa: DTZ001
        ({"side": "up"}, "strategy.params.side must be .*, was 'up'"),
    ):
        with pytest.raises(StrategyError, match=message):
            arguments(Takes, wrong)
