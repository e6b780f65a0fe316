"""What a run is known by: its strategy's source, the local modules it imports, its files, its parameters by value."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small import Bar, bars, store

import bt
from bt.config import from_mapping
from bt.errors import ConfigError
from bt.model import StrategySpec
from bt.results import open_documents
from bt.strategy import load_class, pack, source_of, told, unpack

STRATEGY = """\
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import bt
import helper
import space.leaf
from pack import deep
from pack.inner import LEVEL

if TYPE_CHECKING:
    import only_types


class Minute(bt.Row):
    symbol: str
    close: float


class Uses:
    row = Minute

    def __init__(self, model: str = "") -> None:
        self.shares = json.loads(Path(model).read_text())["shares"] if model else 1

    def on_bar(self, row, book):
        book.target(row.symbol, self.shares + helper.MORE)

    def inspect(self):
        import late

        return late.MORE
"""
HELPERS = {
    "helper.py": "import second\nMORE = second.ONE\n",
    "second.py": "ONE = 1\n",
    "late.py": "MORE = 0\n",
    "only_types.py": "",
    "unused.py": "",
    "pack/__init__.py": "",
    "pack/deep.py": "from . import sibling\nfrom .inner import LEVEL\n",
    "pack/sibling.py": "",
    "pack/inner.py": "LEVEL = 2\n",
    "pack/unused.py": "",
    "space/leaf.py": "",  # a package without __init__.py
}
IMPORTED = {"helper", "second", "late", "only_types", "pack", "pack.deep", "pack.sibling", "pack.inner", "space.leaf"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the strategy, what it imports and a model, and a store."""
    folder = tmp_path / "place"
    (folder / "pack").mkdir(parents=True)
    (folder / "space").mkdir()
    (folder / "uses.py").write_text(STRATEGY)
    for name, text in HELPERS.items():
        (folder / name).write_text(text)
    (folder / "model.json").write_text('{"shares": 3}')
    store(folder, bars("A", [1.0, 2.0, 3.0]))
    (folder / "run.toml").write_text(
        '[data]\nbars = "bars"\n[session]\nstart = 2024-01-02\nend = 2024-01-02\n[strategy]\nuse = "uses.py:Uses"\n'
        'files = ["model.json"]\n[output]\ndir = "runs"\n'
    )
    return folder


def known(place: Path) -> dict[str, object]:
    """What a run of the place is known by."""
    run = bt.replay(place / "run.toml", set={"strategy.params.model": str(place / "model.json")}, out=place / "out")
    manifest = open_documents(run.path)["manifest"]
    shutil.rmtree(run.path)
    return manifest


def test_local_modules_are_found_from_import_to_import(place: Path):
    source = source_of(load_class(f"{place}/uses.py:Uses"))
    assert set(source.modules) == IMPORTED
    assert source.text == STRATEGY


def test_installed_modules_are_not_local(place: Path, monkeypatch: pytest.MonkeyPatch):
    installed = place / "env" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "vendor.py").write_text("")
    (place / "uses.py").write_text("import vendor, json\n" + STRATEGY)
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.chdir(place)
    assert set(source_of(load_class("uses.py:Uses")).modules) == IMPORTED


def test_a_module_of_the_working_folder_is_local(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    work = tmp_path / "work"
    work.mkdir()
    (work / "mine_alone.py").write_text("")
    (place / "uses.py").write_text("import mine_alone\n" + STRATEGY)
    monkeypatch.syspath_prepend(str(work))
    assert "mine_alone" not in source_of(load_class(f"{place}/uses.py:Uses")).modules
    monkeypatch.chdir(work)
    assert "mine_alone" in source_of(load_class(f"{place}/uses.py:Uses")).modules


def test_modules_of_the_strategys_package_are_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    inner = tmp_path / "owned_pack" / "strategies"
    inner.mkdir(parents=True)
    for file in (inner.parent / "__init__.py", inner / "__init__.py", inner.parent / "maths.py", inner / "base.py"):
        file.write_text("")
    (inner / "one.py").write_text("from ..maths import *\nfrom . import base\n\n\nclass One:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = source_of(load_class("owned_pack.strategies.one:One"))
    assert set(source.modules) == {
        "owned_pack", "owned_pack.strategies", "owned_pack.maths", "owned_pack.strategies.base"
    }  # fmt: skip


@pytest.mark.parametrize("changed", ["uses.py", "helper.py", "second.py", "late.py", "pack/sibling.py", "model.json"])
def test_a_change_anywhere_changes_the_identity(place: Path, changed: str):
    before = known(place)
    assert before == known(place)
    file = place / changed
    file.write_text(file.read_text() + ("\n# changed\n" if file.suffix == ".py" else "\n"))
    after = known(place)
    assert after["spec_hash"] != before["spec_hash"]
    assert after["strategy_hashes"] != before["strategy_hashes"]
    assert after["spec"] == before["spec"]


def test_what_is_not_imported_changes_nothing(place: Path):
    before = known(place)
    (place / "unused.py").write_text("X = 1")
    (place / "pack" / "unused.py").write_text("X = 1")
    assert known(place) == before


def test_the_same_content_elsewhere_is_the_same_code(place: Path, tmp_path: Path):
    moved = shutil.copytree(place, tmp_path / "moved")
    assert known(moved)["strategy_hashes"] == known(place)["strategy_hashes"]
    (moved / "model.json").rename(moved / "other.json")
    toml = (moved / "run.toml").read_text()
    (moved / "run.toml").write_text(toml.replace("model.json", "other.json"))
    shutil.copy(place / "model.json", moved / "model.json")  # what its parameter names
    assert known(moved)["strategy_hashes"] == known(place)["strategy_hashes"]


def test_where_code_and_files_lie_is_no_part_of_the_hash(place: Path, tmp_path: Path):
    # the same data and parameters; the strategy and its model are copies
    moved = shutil.copytree(place, tmp_path / "moved")
    given = {"bars": place / "bars", "start": "2024-01-02", "end": "2024-01-02", "output": {"dir": tmp_path / "runs"}}
    one, other = (
        open_documents(
            bt.replay(**given, strategies=[{"use": f"{at}/uses.py:Uses", "files": [at / "model.json"]}]).path
        )
        for at in (place, moved)
    )
    assert one["manifest"]["spec_hash"] == other["manifest"]["spec_hash"]


def test_the_manifest_names_what_was_hashed(place: Path):
    told_ = known(place)
    assert set(told_["strategy_modules"]["Uses"]) == IMPORTED
    assert told_["strategy_sources"]["Uses"] == STRATEGY
    assert told_["spec"]["strategies"][0]["files"] == [str(place / "model.json")]


@pytest.mark.parametrize("table", ["strategy", "strategies"])
def test_files_are_relative_to_the_configuration_and_must_be_there(place: Path, table: str):
    def made(files: object):
        entry = {"use": "uses.py:Uses", "files": files}
        tables = {"data": {"bars": "bars"}, "session": {"start": "2024-01-02", "end": "2024-01-02"}}
        return from_mapping({**tables, table: entry if table == "strategy" else [entry]}, base=place, source="run.toml")

    assert made(["model.json"]).strategies[0].files == (str(place / "model.json"),)
    with pytest.raises(
        ConfigError,
        match=rf"{table}.*files must be a list of files that are there, was .*; there is no file {place}/gone.bin",
    ):
        made(["gone.bin"])
    with pytest.raises(
        ConfigError, match="files must be a list of files that are there, was 'model.json'; write a list of paths"
    ):
        made("model.json")


# -------------------------------------------------------------------------------------------------- parameters by value


class Slope:
    def __init__(self, weights: object) -> None:
        self.weights = weights


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x: int) -> None:
        self.x = x


def rule(x):
    return x > 1


def other_rule(x):
    return x > 2


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (Slope([1.0, 2.0]), Slope([1.0, 2.0]), Slope([1.0, 2.5])),
        (Slope(Slope(1)), Slope(Slope(1)), Slope(Slope(2))),
        (Slotted(1), Slotted(1), Slotted(2)),
        (np.arange(3), np.arange(3), np.arange(4)),
        (np.array(["a", None], object), np.array(["a", None], object), np.array(["a", "b"], object)),
        (pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]})),
        (pl.Series([1]), pl.Series([1]), pl.Series([2])),
        (rule, rule, other_rule),
        ({1, 2}, {2, 1}, {1, 3}),
    ],
    ids=lambda v: type(v).__name__,
)
def test_objects_are_told_by_value(one, same, other):
    assert told(one) == told(same) != told(other)
    json.dumps(told(one))


def test_an_object_that_holds_itself_is_told():
    ring = Slope(None)
    ring.weights = [ring]
    again, other = Slope(None), Slope(None)
    again.weights, other.weights = [again], [other, 1]
    assert told(ring) == told(again) != told(other)
    assert json.loads(json.dumps(told(ring))) == told(ring)


LAZY = """\
import bt


class Minute(bt.Row):
    symbol: str
    close: float


class Lazy:
    row = Minute

    def on_bar(self, row, book):
        import later
        from kit.tools import more

        later.CALLS.append(1)
        book.record(calls=len(later.CALLS), more=more())
"""


def test_a_neighbour_imported_in_a_callback_is_the_strategy_s_own(tmp_path: Path):
    where, uses = store(tmp_path, bars("A", [1.0, 2.0])), []
    for name, size in (("one", 1), ("two", 2)):
        folder = tmp_path / name
        (folder / "kit").mkdir(parents=True)
        (folder / "lazy.py").write_text(LAZY)
        (folder / "later.py").write_text("CALLS = []\n")
        (folder / "kit" / "__init__.py").write_text("")
        (folder / "kit" / "tools.py").write_text(f"def more():\n    return {size}\n")
        uses.append({"name": name, "use": f"{folder}/lazy.py:Lazy"})
    before = (set(sys.modules), list(sys.path))
    run = bt.replay(bars=where, start="2024-01-02", end="2024-01-02", strategies=uses, save=False)
    found = run.records.sort("strategy", "name", "time").select("strategy", "name", "value").rows()
    assert found == [
        ("one", "calls", 1), ("one", "calls", 2), ("one", "more", 1), ("one", "more", 1),
        ("two", "calls", 1), ("two", "calls", 2), ("two", "more", 2), ("two", "more", 2),
    ]  # fmt: skip
    assert not {"later", "kit", "kit.tools"} & (set(sys.modules) - before[0])
    assert sys.path == before[1]
    assert set(source_of(load_class(uses[0]["use"])).modules) == {"later", "kit", "kit.tools"}


CHAIN = {
    "chain.py": """\
import bt
import first
from first import Kind


class Minute(bt.Row):
    symbol: str
    close: float


class Chain:
    row = Minute

    def __init__(self):
        self.kind = Kind()

    def on_bar(self, row, book):
        import deep.inner

        first.CALLS.append(1)
        book.record(calls=len(first.CALLS), reached=first.reach(), deep=deep.inner.up(), same=isinstance(self.kind, first.again().Kind))
""",
    "first.py": """\
import importlib

CALLS = []


class Kind:
    pass


def reach():
    import second

    return second.reach()


def again():
    import second

    return second.back()
""",
    "second.py": "def reach():\n    from deep import inner\n\n    return inner.VALUE\n\n\ndef back():\n    import first\n\n    return first\n",
    "deep/__init__.py": "",
    "deep/inner.py": "VALUE = 7\n\n\ndef up():\n    from . import other\n\n    return other.VALUE\n",
    "deep/other.py": "VALUE = 8\n",
}  # fmt: skip
SEEN = [("calls", 1), ("calls", 2), ("deep", 8), ("deep", 8), ("reached", 7), ("reached", 7), ("same", 1), ("same", 1)]


def chain(folder: Path) -> str:
    for name, text in CHAIN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return f"{folder}/chain.py:Chain"


def recorded(where: Path, strategy: object) -> list[tuple[str, float]]:
    run = bt.replay(bars=where, start="2024-01-02", end="2024-01-02", strategy=strategy, save=False)
    return run.records.sort("name", "time").select("name", "value").rows()


def unpacked(packed: list[bytes], where: Path) -> tuple[list[tuple[str, float]], bool, list[str]]:
    """In another process: what an instance records, whether a class packed later is of the same neighbour, what was left behind."""
    before = list(sys.path)
    one, other = (unpack(p).use for p in packed)
    found = recorded(where, one)
    same = type(one.kind).__module__ == "first" and type(one.kind) is type(other.kind)
    return found, same, [*({"first", "second", "deep"} & set(sys.modules)), *(p for p in sys.path if p not in before)]


def test_neighbours_import_one_another_in_functions(tmp_path: Path):
    where, use = store(tmp_path, bars("A", [1.0, 2.0])), chain(tmp_path / "one")
    before = set(sys.modules), list(sys.path), list(sys.meta_path)
    assert recorded(where, use) == SEEN
    assert not {"first", "second", "deep", "deep.inner", "deep.other"} & (set(sys.modules) - before[0])
    assert (sys.path, sys.meta_path) == before[1:]


def test_neighbours_are_imported_where_a_strategy_is_carried_to(tmp_path: Path):
    """Into a spawned process, which cannot import them by name; nothing of the modules had been used, or all of it: that goes on as it would here."""
    where, use = store(tmp_path, bars("A", [1.0, 2.0])), load_class(chain(tmp_path / "one"))
    strategy = use()
    for again in (False, True):
        packed = [pack(StrategySpec("x", strategy)) for _ in range(2)]
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            seen = [("calls", 3), ("calls", 4), *SEEN[2:]] if again else SEEN
            assert pool.submit(unpacked, packed, where).result(timeout=120) == (seen, True, [])
        if not again:
            assert recorded(where, strategy) == SEEN
    here = unpack(pack(StrategySpec("x", strategy))).use
    assert type(here.kind) is type(strategy.kind)  # the very neighbours of the class it was


def test_what_is_installed_within_the_folder_is_no_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A virtual environment may lie beside a strategy: what a neighbour imports from there stays everybody's."""
    site = tmp_path / "env" / "site-packages"
    site.mkdir(parents=True)
    (site / "installed_in_env.py").write_text("X = 1\n")
    (tmp_path / "helps.py").write_text("import installed_in_env\n")
    (tmp_path / "uses_env.py").write_text("import helps\n\n\nclass Uses:\n    pass\n")
    monkeypatch.syspath_prepend(site)
    load_class(f"{tmp_path}/uses_env.py:Uses")
    assert sys.modules.pop("installed_in_env").X == 1
    assert "helps" not in sys.modules


class Counts:
    """Its attributes change while it plays."""

    row = Bar

    def __init__(self, shares: int) -> None:
        self.shares, self.seen = shares, 0

    def on_bar(self, row: Bar, book: bt.Book) -> None:
        self.seen += 1


def test_an_instance_is_known_by_what_it_was_before_the_run(place: Path):
    played = Counts(5)
    run = bt.replay(bars=place / "bars", strategy=played, start="2024-01-02", end="2024-01-02", out=place / "out")
    assert played.seen == 3
    assert open_documents(run.path)["manifest"]["spec"]["strategies"][0]["params"] == {"shares": 5, "seen": 0}
