from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core import types
from numba.core.dispatcher import Dispatcher
from numba.core.errors import TypingError

import bt
import bt.execution
import bt.features
import bt.playback
import bt.prepare
from bt.execution import closing, matching, signalling, targets
from bt.jit import ahead, compiled, compiling, libraries

ROOT = Path(__file__).resolve().parents[1]
FOLDER = libraries.folder_of(targets.decide.py_func)
SHORT = libraries.short(FOLDER)


class Close(bt.Row):
    symbol: str
    close: float


def test_compiled_functions_are_kept_by_all_the_sources_they_depend_on():
    stamps = {f._cache._impl.locator.get_source_stamp() for f in (targets.decide, matching.match)}
    assert stamps == {libraries.stamp(FOLDER)}
    assert libraries.stamp(FOLDER) != libraries.stamp(FOLDER.parent / "features")


def test_what_another_version_has_compiled_is_never_opened_and_goes(tmp_path):
    names = {f._cache._impl.filename_base for f in (targets.decide, matching.match)}
    assert all(SHORT in name for name in names)
    kept = [tmp_path / f"match-1-{SHORT}.py311.{kind}" for kind in ("nbi", "1.nbc")]
    others = [tmp_path / f"match-1{other}.py311.{kind}" for other in ("", "-abcdef012345") for kind in ("nbi", "1.nbc")]
    for file in (*kept, *others, tmp_path / "matching.py"):
        file.touch()
    compiling._forget_others(tmp_path, SHORT)
    assert set(tmp_path.iterdir()) == {*kept, tmp_path / "matching.py"}


ASKED = """
import numba, numpy as np
from numba.core.runtime import rtsys
from bt.jit import read_only
from bt.playback.turns import starts
rows = [read_only(np.array(rows)) for rows in ([0, 0], [1, 2])]
made = starts(*rows, 2)
print([array.tolist() for array in made], rtsys._init)
assert numba.njit(lambda array: array[1:].copy())(made[0]).tolist() == made[0].tolist()[1:]
"""


def test_what_is_on_disk_is_loaded_without_what_compiling_needs():
    told = [
        subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True, cwd=ROOT).stdout
        for _ in range(2)
    ]  # the first may have to compile it
    assert told[1].strip() == "[[0, 0, 1, 2], [0, 0, 0]] False"


def test_what_is_compiled_is_said_once_and_nothing_where_nothing_is():
    said: list[str] = []

    two_more = compiling.compiled(lambda number: number + 2, cache=False)
    with compiling.saying(said.append):
        assert two_more(1) == 3
        assert said == [compiling.COMPILING]
        assert two_more(2) == 4
        assert two_more(2.5) == 4.5  # compiled again
    assert said == [compiling.COMPILING]
    with compiling.saying(said.append):
        assert two_more(3) == 5
    assert said == [compiling.COMPILING]


def test_a_function_is_compiled_once_whatever_constants_it_is_called_with():
    plus = compiling.allocating(lambda one, other: one + other, cache=False)
    sum_of_constants = compiling.compiled(lambda n: plus(1, 2) + plus(3, n) + plus(n, 4), cache=False)
    assert sum_of_constants(5) == 3 + 8 + 9
    assert len(plus.signatures) == 1


def dispatchers() -> list[Dispatcher]:
    """Every compiled function of bt's."""
    found = {}
    for package in (bt.execution, bt.features, bt.playback, bt.prepare):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Dispatcher):
                    found[value.py_func] = value
    return list(found.values())


def test_a_compiled_function_has_one_signature_and_its_annotations_tell_it():
    bt.replay("data/configs/sma_cross.toml", start="2024-11-25", save=False)  # compiles some
    known = 0
    for function in dispatchers():
        told = ahead.signature(function)
        kept = {key[0] for key in function._cache._cache_file._load_index()}
        assert told is None or kept <= {told}, function.py_func
        known += len(kept)
    assert known > 5


def test_parts_come_after_what_they_call_and_none_is_missing():
    found = list(ahead.parts(signalling.play))
    assert len(found) == len(set(found)) > 100
    place = {part: k for k, part in enumerate(found)}
    for part in found:
        assert all(place[called] < place[part] for called in ahead.calls(part))
    assert {"match", "within", "_decide_minute", "aim"} <= {part.py_func.__name__ for part in found}


def test_another_process_compiles_what_this_one_then_finds(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(ahead, "usable_cores", lambda: 2)
    helper = ahead.Ahead([closing.live], [closing.live])
    assert helper._process is not None
    assert helper._process.wait(120) == 0
    helper.stop()
    names = {file.name.partition("-")[0] for file in tmp_path.rglob("*.nbc")}
    made = [closing.live, *ahead.parts(closing.live)]
    assert names == {ahead._name(function).removeprefix("bt.execution.") for function in made}
    asked = (
        "from bt.execution.closing import live; from bt.jit import ahead, compiling; said = [];\n"
        "with compiling.saying(said.append): live.compile(ahead.signature(live))\n"
        "print(said)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_what_is_being_compiled_now_comes_first():
    made = []

    class Stub:
        def __init__(self, name, *parts):
            self.name, self.parts = name, parts

        def __repr__(self):
            return self.name

    def parts(stub):
        yield from stub.parts

    a, b, c, d = (Stub(name) for name in "abcd")
    one, other, now = Stub("one", a, b), Stub("other", c, d), deque()
    for stub in (a, b, c, d, one, other):
        stub.get_call_template = lambda _types, _kws, stub=stub: made.append(f"part {stub}")
        stub.compile = lambda _types, stub=stub: made.append(f"whole {stub}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "parts", parts)
        patch.setattr(ahead, "signature", lambda _function: ())
        patch.setattr(ahead, "_named", {"one": one, "other": other}.get)
        turns = ahead.compiled_in_turn([[one], [other, one], [other]], now)
        next(turns)
        now.append("other")
        next(turns)
        now.append("one")  # before all that the other is made of
        list(turns)
    # what is made already is found at once when it is its turn again
    assert made == ["part a", "part c", "part a", "part b", "part b", "whole other", "whole one", "part c", "part d"]


def test_the_other_process_is_told_what_is_compiled(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(ahead, "usable_cores", lambda: 2)
    helper = ahead.Ahead([], [], [signalling.play])
    helper.tell(closing.live)
    process = helper._process
    assert process is not None
    wanted = {ahead._name(part).removeprefix("bt.execution.") for part in ahead.parts(closing.live)}
    deadline = time.monotonic() + 60
    while not wanted <= {file.name.partition("-")[0] for file in tmp_path.rglob("*.nbc")}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    helper.stop()
    helper.tell(closing.live)  # nobody hears it


def test_who_makes_an_array_or_is_handed_one_counts_who_refers_to_it():
    """Nobody else would ever free it. `allocating` functions count, and `compiled` ones that Python calls, but not where compiled ones do."""

    def hands_out(function: Dispatcher) -> bool:
        told = str(function.py_func.__annotations__["return"])
        return any(name in told for name, kind in ahead.TYPES.items() if isinstance(kind, types.Array))

    every = dispatchers()
    called = {one for function in every for one in ahead.calls(function)}
    handed = [f for f in every if hands_out(f) or any(hands_out(one) for one in ahead.calls(f))]
    assert len(handed) > 10
    for function in handed:
        by_python = compiling._pipeline(function) is compiling.MakingWhole
        assert function not in called if by_python else function.targetoptions["_nrt"], function.py_func


def test_the_other_process_ends_when_nobody_waits_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(ahead, "usable_cores", lambda: 2)
    helper = ahead.Ahead([signalling.play])
    process = helper._process
    helper.stop()
    assert process is not None
    assert process.returncode is not None
    monkeypatch.setattr(ahead, "usable_cores", lambda: 1)
    assert ahead.Ahead([signalling.play])._process is None


class OneColumnOfSeveral:
    """Its targets do not lie one behind the other, and another time they are not to be written."""

    row = Close

    def on_minute(self, rows, book):
        several = np.ones((len(rows), 3))
        book.targets(rows, shares=several[:, 1])
        several.flags.writeable = False
        book.targets(rows.take(rows.fresh), shares=several[rows.fresh, 0])


def _closure(x: int) -> int:
    def more(y: int) -> int:
        return x + y

    return more(3)


def _comprehension(x: int) -> int:
    return len([y for y in range(x)])  # noqa: C416 - what it is there for


def _none(x: int, y: Any = None) -> int:
    if y is None:
        return x
    return int(y[0])


@pytest.mark.parametrize("function", [_closure, _comprehension, _none])
def test_what_is_left_out_of_compiling_does_not_compile(function):
    made = compiled(function, cache=False)
    with pytest.raises(TypingError, match="Failed in rules mode pipeline"):
        made(3)


def test_how_an_array_lies_compiles_nothing_again():
    bt.replay(
        bars="data/sample",
        calendar="XNYS",
        strategy=OneColumnOfSeveral(),
        start="2024-12-06",
        end="2024-12-06",
        save=False,
    )
    assert targets.decide.signatures == [ahead.signature(targets.decide)]


def test_what_a_strategy_compiles_is_its_own(tmp_path, monkeypatch):
    """It is neither told nor helped, and what it keeps stays."""
    (tmp_path / "theirs.py").write_text(
        "import numba\n\n"
        "@numba.njit(cache=True)\ndef kept(x):\n    return x + 1\n\n"
        "@numba.njit(cache=True)\ndef later(x):\n    return x + 2\n\n"
        "@numba.njit\ndef in_python(x):\n    with numba.objmode(y='float64'):\n        y = float(str(x))\n    return y\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    theirs = importlib.import_module("theirs")
    assert theirs.kept(1) == 2
    before = set(tmp_path.rglob("*.nb?"))
    assert before
    said: list[str] = []
    with compiling.saying(said.append, lambda: pytest.fail("no help is needed")):
        assert theirs.later(1) == 3
        assert theirs.in_python(1.5) == 1.5
    assert said == []
    assert before <= set(tmp_path.rglob("*.nb?"))


def test_what_writing_was_broken_off_of_goes_after_a_while(tmp_path):
    new, old = (tmp_path / f"match-1-{SHORT}.py311.1.nbc.tmp.{k}" for k in "ab")
    for file in (new, old):
        file.touch()
    os.utime(old, (0, 0))
    compiling._forget_others(tmp_path, SHORT)
    assert list(tmp_path.iterdir()) == [new]
