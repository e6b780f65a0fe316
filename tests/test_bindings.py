"""What a strategy's code reads beside its text is part of what it is known by, the same in every process."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cli_runs import ROOT
from hypothesis import given
from hypothesis import strategies as st

from bt.model import StrategySpec
from bt.strategy import load_class, pack, source_of, told, unpack

SCRIPT = '''\
"""Strategies that are others for another number."""
import collections, dataclasses, enum, functools, json, logging, operator, random, re, sys, threading
import numba, numpy as np, polars as pl
import bt, beside
from beside import KEPT, Rule, level
from bt.config import Identity, from_mapping
from bt.strategy import source_of

N = int(sys.argv[1])
OTHER = np.mean if N == 1 else np.median
LOG, LOCK = logging.getLogger(__name__), threading.Lock()


class Minute(bt.Row):
    symbol: str
    close: float


class Plain:
    row, limit, names = Minute, -1.5, ("a", "b")
    history = {"1m": 20}

    def __init__(self, fast: int = 5, *, slow: float | None = None, of: str = "x") -> None:
        self.fast = fast

    @bt.every("15m", start="open+30m")
    def often(self, rows, book):
        book.record(np.mean([1]), KEPT, level(1), json.dumps(1), Rule(1).n)

    @property
    def twice(self):
        return 2 * self.fast

    @staticmethod
    def on_bar(row, book):
        LIMIT


LIMIT = 3


def strategy(read, **held):
    """A class whose callback reads a thing of its closure."""
    class S:
        row = Minute

        def on_bar(self, row, book):
            return read
    for name, value in held.items():
        setattr(S, name, value)
    return S


def gen(n):
    def f(x):
        return x > n
    return f


class Slotted:
    __slots__ = ("n", "__weakref__")

    def __init__(self, n):
        self.n = n


class Kind(enum.Enum):
    ONE, TWO = 1, 2


class Pair(collections.namedtuple("Pair", "a b")):
    pass


@dataclasses.dataclass(slots=True)
class Data:
    n: int = 1

    def on_bar(self, row, book):
        pass


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    n: int

    def on_bar(self, row, book):
        pass


def by_global():
    class S:
        def on_bar(self, row, book):
            return N
    return S


def by_attribute_of_a_module():
    beside.SET = N
    class S:
        def on_bar(self, row, book):
            return beside.SET
    return S


def by_a_functions_global():
    class S:
        def on_bar(self, row, book):
            return [inner() for inner in (outer,)]
    return S


def outer():
    return [N]


def by_default():
    class S:
        def on_bar(self, row, book, n=N):
            pass
    return S


def by_default_of_a_row():
    class Row(bt.Row):
        symbol: str
        n: int = N
        many: list[int] = []
    return strategy(Row)


def by_base():
    class S(strategy(N)):
        pass
    return S


def by_decorator():
    class S:
        @bt.every(f"{N}m")
        def often(self, rows, book):
            pass
    return S


def by_installed_function():
    class S:
        def on_bar(self, row, book):
            return OTHER([1])
    return S


def written(namespace):
    exec(f"class S:\\n    def on_bar(self, row, book): return {N}", namespace)
    return namespace["S"]


def told_alone(thing):
    return strategy(thing)


def typed(n):
    return type("T", (), {"on_bar": lambda self, row, book: n, "shares": n})


@functools.cache
def cached():
    return N


@numba.njit
def compiled():
    return N


class Node:
    """One of many that know all others."""


nodes = [Node() for _ in range(40)]
for node in nodes:
    node.others, node.n = nodes, N


def recursive(n):
    return recursive(n - 1) + N if n else 0


deep = []
for _ in range(5000):
    deep = [deep]


ring = [N]
ring.append(ring)

FOUND = {
    "a number": strategy(N), "a text": strategy(str(N)), "a None": strategy(None if N == 1 else 0), "a dict": strategy({"a": [N]}),
    "a set": strategy({"a", "b", "c", "d", str(N)}), "bytes": strategy(bytes([N])), "a function": strategy(gen(N)), "a class": strategy(strategy(N)),
    "functions": strategy([gen(0), gen(N)]), "a slotted object": strategy(Slotted(N)), "a pair": strategy(Pair(1, N)),
    "an enum": strategy(Kind(N)), "data": strategy(Data(N)), "an array": strategy(np.arange(N)), "a frame": strategy(pl.DataFrame({"a": [N]})),
    "an expression": strategy(pl.col("close").rolling_mean(N) + pl.lit(2)), "random": strategy(random.Random(N)), "generator": strategy(np.random.default_rng(N)),
    "a pattern": strategy(re.compile("a" * N)), "partial": strategy(functools.partial(gen, N)), "a getter": strategy(operator.itemgetter(N)),
    "a default dict": strategy(collections.defaultdict(list, a=N)), "a deque": strategy(collections.deque([N])), "a ring": strategy(ring), "a web": strategy(nodes[0]), "cached": strategy(cached), "compiled": strategy(compiled),
    "a method": strategy(Slotted(N).__init__), "an installed function": strategy(OTHER), "a lambda": strategy(lambda: N), "recursive": strategy(recursive),
    "a feature": strategy(bt.sma("close", N)), "a global": by_global(), "a module's": by_attribute_of_a_module(), "a function's global": by_a_functions_global(),
    "a default": by_default(), "a row's default": by_default_of_a_row(), "a base": by_base(), "a decorator": by_decorator(), "of numpy": by_installed_function(),
    "an attribute": strategy(0, shares=N), "a function set": strategy(0, helps=gen(N)), "a static one": strategy(0, helps=staticmethod(gen(N))), "written": written({"__name__": "made"}),
    "written here": written(globals()), "written nowhere": written({}), "made by type": typed(N), "an instance": Data(N), "a frozen instance": Frozen(N),
}
SAME = {"plain": Plain, "empty": strategy([LOG, LOCK, object(), Minute, Kind, re, json.dumps])}
NEVER = {"unknown": strategy(number for number in (1,)), "unknown inside": strategy({"a": [sys.stdin]}), "too deep": strategy(deep)}


def known(strategy):
    spec = from_mapping({"data": {"bars": "x"}, "session": {"start": "2024-01-02", "end": "2024-01-03"}, "strategy": {"use": strategy}}, base=".", source="s")
    return Identity.of(spec, [source_of(strategy if isinstance(strategy, type) else type(strategy))], {}).hash


if __name__ == "__main__":
    print(json.dumps([{name: known(one) for name, one in some.items()} for some in (FOUND, SAME, NEVER)]))
'''
BESIDE = "import base64\nKEPT, SET = 5, 0\n\n\nclass Rule:\n    def __init__(self, n):\n        self.n = n\n\n\ndef level(x):\n    return KEPT + len(base64.b64encode(b''))\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "script.py").write_text(SCRIPT)
    (folder / "beside.py").write_text(BESIDE)
    return folder


def known(place: Path, number: int, seed: int) -> list[dict[str, str]]:
    """What a script's strategies are known by, in a process of their own."""
    done = subprocess.run(
        [sys.executable, str(place / "script.py"), str(number)], capture_output=True, text=True, check=False, cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed), "PYTHONMALLOC": ("pymalloc", "malloc")[seed % 2]}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


def test_what_code_reads_is_part_of_its_identity_in_every_process(place: Path):
    one, again, other = known(place, 1, 1), known(place, 1, 2), known(place, 2, 3)
    assert one[:2] == again[:2]
    assert {name for name in one[0] if one[0][name] == other[0][name]} == set()
    assert one[1] == other[1]
    assert {name for name in one[2] if one[2][name] == again[2][name]} == set()


def test_a_plain_text_is_known_by_its_content_alone(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["", "1"])
    monkeypatch.syspath_prepend(str(place))
    source = source_of(load_class(f"{place}/script.py:Plain"))
    texts = [hashlib.sha256(text.encode()).hexdigest() for text in (SCRIPT, BESIDE)]
    whole = json.dumps([texts[0], {"beside": texts[1]}, {}], sort_keys=True)
    assert source.hash == hashlib.sha256(whole.encode()).hexdigest()


PLAIN = """\
import numpy
from numpy import mean as average
import bt
LEVEL = 3
def helps(): return LEVEL
class Base:
    step = 1
class Own(Base):
    pair = (Base, Base)
    def on_bar(self, row, book, at=0.5): return helps(), average, numpy.mean, self.step
"""
SETTINGS = {
    "a global": lambda m: setattr(m, "LEVEL", 4),
    "a global of another type": lambda m: setattr(m, "LEVEL", 3.0),
    "a function": lambda m: setattr(m, "helps", lambda: 3),
    "an import": lambda m: setattr(m, "average", np.median),
    "an attribute": lambda m: setattr(m.Own, "step", 2),
    "a base's attribute": lambda m: setattr(m.Base, "step", 2),
    "a list of classes": lambda m: setattr(m.Own, "pair", (m.Base, m.Own)),
    "a method": lambda m: setattr(m.Own, "on_bar", m.helps),
    "a default": lambda m: setattr(m.Own.on_bar, "__defaults__", (0.25,)),
    "an attribute of a function": lambda m: setattr(m.Own.on_bar, "said", 1),
}


@pytest.fixture
def module(tmp_path: Path) -> Any:
    (tmp_path / "own.py").write_text(PLAIN)
    return sys.modules[load_class(f"{tmp_path}/own.py:Own").__module__]


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_set_from_outside_is_another_strategy(module: Any, setting: str):
    before = source_of(module.Own)
    assert before.hash == hashlib.sha256(PLAIN.encode()).hexdigest()
    SETTINGS[setting](module)
    after = source_of(module.Own)
    assert after.text == before.text
    assert after.hash != before.hash


def test_a_value_set_back_is_the_strategy_again(module: Any):
    before = source_of(module.Own).hash
    module.LEVEL = 4
    module.LEVEL = 3
    assert source_of(module.Own).hash == before


SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.text("ab", max_size=2)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
)


def closed(value: Any) -> FunctionType:
    return lambda: value


@given(VALUES, VALUES)
def test_closures_are_told_apart_by_what_they_hold(one: Any, other: Any):
    """Whatever it is, in a closure or in the attribute of an object."""
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (told(closed(one)) == told(closed(other))) == same
    assert (told(SimpleNamespace(of=closed(one))) == told(SimpleNamespace(of=closed(other)))) == same


def test_what_cannot_be_told_is_told_as_no_other_is():
    lock, numbers = threading.Lock(), (number for number in (1,))
    assert told(lock) == told(threading.Lock())
    assert told(numbers) != told(numbers)


# --------------------------------------------------------------------------------------------------- in other processes


SET = """\
import sys
import bt, aside, strat
from aside import level
from bt.strategy import source_of

before = source_of(strat.Imported).hash
aside.K, aside.SIZES, strat.SHARES, strat.Imported.step = 5, {"BRIK": [2]}, int(sys.argv[2]), 7


class Own:
    row = strat.Minute

    def __init__(self, n: int = 1) -> None:
        self.n = n

    def on_bar(self, row, book):
        book.target(row.symbol, self.n * level() * aside.SIZES[row.symbol][0])


def figures(workers):
    given = {"bars": sys.argv[1], "start": "2024-12-05", "end": "2024-12-05", "symbols": ["BRIK"], "save": False, "engine": {"workers": workers}}
    tried = bt.sweep(strategy=Own, grid={"n": [1, 2], "strategy.use": [Own, strat.Imported]}, **given).frame.sort("number")
    one = bt.sweep(strategy=strat.Imported, grid={"n": [1, 2]}, **given).frame.sort("number")
    run = bt.replay(strategies=[{"name": "a", "use": Own}, {"name": "b", "use": strat.Imported()}], **given)
    return tried["net_pnl"].to_list(), one["net_pnl"].to_list(), run.fills["shares"].to_list()


if __name__ == "__main__":
    print(figures(1))
    print(figures(2))
    print(source_of(strat.Imported).hash != before, source_of(Own).hash)
"""
ASIDE = "K, SIZES = 0, {}\n\n\ndef level():\n    return K\n"
STRAT = """\
import aside
import bt

SHARES = 1


class Minute(bt.Row):
    symbol: str
    close: float


class Imported:
    row = Minute
    step = 0

    def __init__(self, n: int = 1) -> None:
        self.n = n

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        book.target(row.symbol, self.n * SHARES * self.step + aside.K)
"""


def test_what_a_script_sets_in_modules_is_there_in_other_processes(tmp_path: Path):
    for name, text in {"script": SET, "aside": ASIDE, "strat": STRAT}.items():
        (tmp_path / f"{name}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(ROOT / "data" / "sample"), "3"], capture_output=True, text=True,
        check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, two, known_ = done.stdout.splitlines()
    assert one == two
    assert one.endswith("[10, 26])")
    assert known_.startswith("True")


def carried(packed: bytes) -> tuple[Any, ...]:
    """In another process: what a strategy reads."""
    return unpack(packed).use().read()


def test_what_is_set_in_a_neighbour_is_there_in_another_process(tmp_path: Path):
    """Numbers, texts and containers of them; what else somebody has set is not."""
    (tmp_path / "near.py").write_text("K, NAMES, RULE = 0, [], None\n\n\nclass Rule:\n    level = 1\n")
    (tmp_path / "uses.py").write_text(
        "import near\n\n\nclass Uses:\n    def read(self):\n        return near.K, near.NAMES, near.RULE, near.Rule.level\n"
    )
    cls = load_class(f"{tmp_path}/uses.py:Uses")
    near = vars(sys.modules[cls.__module__])["near"]
    near.K, near.NAMES, near.RULE, near.Rule.level = 5, ["a", (1.5, None)], near.Rule(), 3
    packed = pack(StrategySpec("s", cls))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(carried, packed).result(timeout=120) == (5, ["a", (1.5, None)], None, 3)
