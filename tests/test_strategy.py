from __future__ import annotations

import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import pytest

import bt
from bt.errors import StrategyError
from bt.strategy import build, declare, load_class, read_row


class Minute(bt.Row):
    symbol: str
    close: float


class Five(bt.Row):
    interval = "5m"
    symbol: str
    n_obs: int
    closed_by: str
    fast: float | None


class Tuple(NamedTuple):
    symbol: str
    close: float
    adv_sessions: int


class Plain:
    """The least a strategy must be."""

    row: Any = Minute

    def on_bar(self, row: Any, book: bt.Book) -> None:
        """Nothing."""


def declared(**changes: Any) -> Any:
    """A `Plain` with other attributes, declared."""
    return declare("s", type("Changed", (Plain,), changes)(), {})


def test_a_declaration_holds_what_was_asked_for():
    fast = bt.sma("close", 5)
    made = declared(row=(Five, Minute), features=lambda self: {"fast": fast, "unused": bt.sma("close", 9)})
    assert [(r.cls, r.interval, r.label) for r in made.rows] == [(Minute, 1, "1m"), (Five, 5, "5m")]
    assert made.features == {"fast": fast}
    assert made.callbacks == {"on_bar"}
    five = {f.name: (f.source, f.type, f.optional) for f in made.rows[1].fields}
    assert five == {
        "symbol": ("symbol", "str", False), "n_obs": ("coarse", "int", False), "closed_by": ("coarse", "str", False),
        "fast": ("feature", "float", True),
    }  # fmt: skip


def test_named_tuples_and_sessions_used():
    row = read_row(Tuple, {"adv": bt.trailing("avg", "volume", "10d")}, "s")
    assert [(f.name, f.source) for f in row.fields] == [
        ("symbol", "symbol"),
        ("close", "bar"),
        ("adv_sessions", "feature"),
    ]


@pytest.mark.parametrize(
    ("annotations", "more", "message"),
    [
        ({"clos": float}, {}, "field 'clos' must be a bar column, a feature or an indicator; did you mean 'close'"),
        ({"fsat": float}, {}, "did you mean 'fast'"),
        ({"xyzzy": float}, {}, r"declare it in features\(\) or \[indicators\]"),
        ({"close": str}, {}, "field 'close' must be annotated float or int, was str"),
        ({"symbol": int}, {}, "field 'symbol' must be annotated str, was int"),
        ({"session": datetime}, {}, "field 'session' must be annotated date, was datetime"),
        ({"minute": float}, {}, "field 'minute' must be annotated int, was float"),
        ({"close_time": date}, {}, "field 'close_time' must be annotated datetime or int, was date"),
        ({"quality": int}, {}, "field 'quality' must be annotated float, was int"),
        ({"close": float | str}, {}, r"annotation must be one type or `type \| None`"),
        ({"close": list}, {}, "annotation must be one of str, float, int"),
        ({"n_obs": int}, {}, "field 'n_obs' needs a coarser bar; set interval = \"5m\""),
        ({"close": float}, {"interval": "5x"}, 'interval must be like "5m", "1h" or "1d", was \'5x\''),
        ({"close": float}, {"interval": "2d"}, "was '2d'"),
    ],
)
def test_row_types_that_cannot_be_had(annotations, more, message):
    row = type("Bad", (bt.Row,), {"__annotations__": annotations, "__module__": __name__, **more})
    with pytest.raises(StrategyError, match=message) as caught:
        read_row(row, {"fast": bt.sma("close", 5)}, "strategy s")
    assert str(caught.value).startswith("strategy s: row type Bad")


def test_a_default_would_never_be_used():
    class Filled(bt.Row):
        symbol: str
        fast: float = 50.0

    class Made(bt.Row):
        symbol: str
        fast: float = msgspec.field(default_factory=float)

    class Paired(NamedTuple):
        symbol: str
        fast: float | None = None

    for row, told in ((Filled, "50.0"), (Made, "<class 'float'>"), (Paired, "None")):
        with pytest.raises(
            StrategyError, match=f"field 'fast' must have no default, was {told}: nothing is ever filled"
        ):
            read_row(row, {"fast": bt.sma("close", 5)}, "s")


def test_a_row_type_is_a_row():
    with pytest.raises(StrategyError, match=r"row type dict must be a bt.Row or a NamedTuple, was object"):
        read_row(dict, {}, "s")


@bt.at("close-5m")
def leave(self: Any, book: bt.Book) -> None:
    """A timer that forgot what it is handed."""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"on_bars": lambda self, row, book: None}, "callback must be known, was 'on_bars'; did you mean 'on_bar'"),
        ({"on_tick": lambda self, row, book: None}, "callback must be known, was 'on_tick'"),
        (
            {"on_bar": lambda self, row: None},
            r"on_bar must take \(row, book\), was \(row\); write `def on_bar\(self, row, book\)`",
        ),
        (
            {"on_fill": lambda self, fill, book, more: None},
            r"on_fill must take \(fill, book\), was \(fill, book, more\)",
        ),
        ({"at_open": lambda self, session: None}, r"at_open must take \(session, past\), was \(session\)"),
        ({"leave": leave}, r"leave must take \(rows, book\), was \(book\)"),
        ({"row": None}, "on_bar and on_minute need `row`; set row = YourRowType"),
        ({"row": (Minute, Minute)}, r"row types must have different intervals, were \['1m', '1m'\]"),
        ({"warm_up": 5}, "warm_up must be a number of sessions"),
        (
            {"features": lambda self: {"f": 3}},
            "feature 'f' must be made by bt.feature, bt.sma, bt.trailing and the like, was 3",
        ),
        ({"features": lambda self: {"close": bt.sma("close", 2)}}, "feature 'close' must have a name of its own"),
        ({"features": lambda self: {"minute": bt.sma("close", 2)}}, "feature 'minute' must have a name of its own"),
    ],
)
def test_strategies_that_cannot_be_used(changes, message):
    with pytest.raises(StrategyError, match=message) as caught:
        declared(**changes)
    assert "strategy s (Changed)" in str(caught.value)


def test_a_strategy_without_a_callback():
    with pytest.raises(StrategyError, match="must have a callback; write on_bar"):
        declare("s", object(), {})


def test_an_indicator_of_the_configuration_is_a_field_and_its_name_is_taken():
    indicators = {"adv": bt.trailing("avg", "volume", "10d")}

    class Adv(bt.Row):
        adv: float | None
        adv_sessions: int

    made = declare("s", type("S", (Plain,), {"row": Adv})(), indicators)
    assert list(made.features) == ["adv"]
    with pytest.raises(StrategyError, match="feature 'adv' must have a name of its own; that one is taken"):
        declare("s", type("S", (Plain,), {"features": lambda self: indicators})(), indicators)


# ------------------------------------------------------------------------------------------------------------ building


class Tuned(Plain):
    """A strategy with parameters."""

    def __init__(
        self, fast: int, rate: float = 0.5, name: str = "", *, on: bool = True, levels: list[int] | None = None,
        side: Literal["long", "short"] = "long", pairs: dict[str, float] = {},  # noqa: B006 - read only
    ) -> None:  # fmt: skip
        self.given = (fast, rate, name, on, levels)
        self.side, self.pairs = side, pairs


def test_parameters_are_coerced_by_their_annotations():
    assert build(Tuned, {"fast": 3}).given == (3, 0.5, "", True, None)
    made = build(Tuned, {"fast": 3.0, "rate": 2, "name": "x", "on": False, "levels": [1, 2]}).given
    assert made == (3, 2.0, "x", False, [1, 2])
    assert [type(v) for v in made[:2]] == [int, float]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"fast": 2.5}, "strategy.params.fast must be int, was 2.5"),
        ({"fast": "3"}, "strategy.params.fast must be int, was '3'"),
        ({"fast": True}, "strategy.params.fast must be int, was True"),
        ({"fast": 3, "on": 1}, "strategy.params.on must be bool, was 1"),
        ({"fast": 3, "side": "up"}, "strategy.params.side must be 'long' or 'short', was 'up'"),
        ({"fast": 3, "pairs": {"A": "x"}}, r"strategy.params.pairs must be dict\[str, float\], was {'A': 'x'}"),
        ({"fast": 3, "xyz": 1}, r"a parameter of Tuned \(fast, .*\); its parameters are its constructor's$"),
        (
            {"fast": 3, "rtae": 1.0},
            r"strategy.params.rtae must be a parameter of Tuned \(fast, rate, .*did you mean 'rate'",
        ),
        ({}, "strategy.params must give fast of Tuned, which have no default"),
    ],
)
def test_parameters_that_do_not_fit(params, message):
    with pytest.raises(StrategyError, match=message):
        build(Tuned, params)


def test_an_instance_takes_no_parameters():
    instance = Plain()
    assert build(instance, {}) is instance
    with pytest.raises(StrategyError, match=r"strategy.params must be empty for an instance"):
        build(instance, {"fast": 3})


FILE = """
import beside
class Mine:
    def __init__(self, n: int = beside.NUMBER) -> None:
        self.n = n
"""


@pytest.mark.parametrize("where", ["rule.py", "helper.py"])
def test_a_file_is_what_it_says_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    text = {
        "rule.py": "from helper import FAST\n\nclass Rule:\n    fast, slow = FAST, 30\n",
        "helper.py": "FAST = 10\n",
    }
    seen = []
    for _ in range(2):  # as long, and of the same time, as Python tells times of what it keeps compiled
        for name, source in text.items():
            (tmp_path / name).write_text(source)
            os.utime(tmp_path / name, (1e9, 1e9))
        rule = load_class(f"{tmp_path / 'rule.py'}:Rule")
        seen.append((rule.fast, rule.slow))
        text["rule.py"] = text["rule.py"].replace("30", "40") if where == "rule.py" else text["rule.py"]
        text["helper.py"] = "FAST = 20\n" if where == "helper.py" else text["helper.py"]
    assert seen == ([(10, 30), (10, 40)] if where == "rule.py" else [(10, 30), (20, 30)])


def test_a_class_of_a_file_may_import_the_files_beside_it(tmp_path: Path):
    (tmp_path / "beside.py").write_text("NUMBER = 7\n")
    (tmp_path / "mine.py").write_text(FILE)
    assert build(f"{tmp_path}/mine.py:Mine", {}).n == 7
    assert load_class("datetime:date") is date


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("mine.py", 'must be "file.py:Class" or "package.module:Class", was \'mine.py\''),
        ("{folder}/none.py:Mine", "file must exist"),
        ("{folder}/mine.py:Mien", "class must be one of Mine, was 'Mien'; did you mean 'Mine'"),
        ("{folder}/broken.py:X", "broken.py: cannot be imported: SyntaxError"),
        ("no.such.module:X", "module 'no.such.module' cannot be imported"),
        ("math:pi", "class must be one of .none., was 'pi'"),
    ],
)
def test_classes_that_cannot_be_loaded(tmp_path: Path, use: str, message: str):
    (tmp_path / "mine.py").write_text("class Mine: ...\n")
    (tmp_path / "broken.py").write_text("class:\n")
    with pytest.raises(StrategyError, match=message):
        load_class(use.replace("{folder}", str(tmp_path)))
