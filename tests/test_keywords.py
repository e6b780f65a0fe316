"""`bt.replay` asked by keywords, by a file with changes, by a specification."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from small import TUESDAY, Bar, bars, store

import bt
from bt.config import asked, load
from bt.errors import ConfigError, UsageError

DAY = {"start": TUESDAY, "end": TUESDAY}

FILE = """
[data]
bars = "bars"
[session]
start = 2024-01-02
end = 2024-01-02
[strategy]
use = "gone.py:Gone"
files = []
[strategy.params]
deep = 3
[execution]
slippage_bps = 5
"""


class Buys:
    row = Bar

    def __init__(self, shares: int = 10, symbol: str = "A") -> None:
        self.shares, self.symbol = shares, symbol

    def on_bar(self, row: Bar, book: bt.Book) -> None:
        if row.symbol == self.symbol:
            book.target(row.symbol, self.shares)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store(tmp_path, bars("A", [10.0, 11.0, 12.0]), bars("B", [20.0, 21.0, 22.0]))
    (tmp_path / "run.toml").write_text(FILE)
    (tmp_path / "gone.py").write_text("class Gone:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_keywords_say_what_a_file_would(folder: Path):
    run = bt.replay(
        bars="bars", strategy=Buys(shares=5), **DAY, calendar="XNYS", cash=1e6, symbols=["A"], prefetch_days=2, seed=3,
        name="first", execution={"commission_per_share": 0.01}, quality={"minimum": 0}, run={"tolerate_failed": 0.5},
        set={"execution.slippage_bps": 2}, save=False,
    )  # fmt: skip
    assert run.path is None
    assert run.fills["shares"].to_list() == [5]
    assert run.fills["commission"].to_list() == [0.05]
    assert run.fills["price"].to_list() == [pytest.approx(11.0 * 1.0002)]
    assert run.summary["name"] == "first"
    assert run.summary["symbols"] == 1
    assert not [path for path in folder.iterdir() if path.name == "runs"]


def test_every_keyword_reaches_its_key(folder: Path):
    spec = asked(None, strategy=Buys, keywords={
        "bars": "bars", **DAY, "calendar": "XNYS", "symbols": ["A"], "stamp": "end", "timezone": "UTC", "price_decimals": 2,
        "columns": {"open": "o"}, "prefetch_days": 3, "speed": 60, "cash": 5, "seed": 7, "name": "n",
        "account": {"leverage": 2}, "streams": {"intervals": ["5m"]}, "engine": {"threads": 1}, "output": {"dir": "out"},
        "indicators": {"adv": {"aggregate": "avg", "of": "volume", "period": "5d"}},
    }, settings={"indicators.adv.period": "9d"})  # fmt: skip
    assert (spec.data.stamp, spec.data.timezone, spec.data.price_decimals) == ("end", "UTC", 2)
    assert (spec.data.columns, spec.data.symbols) == ({"open": "o"}, ("A",))
    assert (spec.session.prefetch_days, spec.session.speed) == (3, 60.0)
    assert (spec.account.cash, spec.account.leverage, spec.run.seed, spec.run.name) == (5.0, 2.0, 7, "n")
    assert (spec.intervals, spec.threads, spec.indicators["adv"].period) == (("5m",), 1, "9d")
    assert (spec.data.bars, spec.output_dir) == (str(folder / "bars"), str(folder / "out"))


def test_a_strategy_may_be_given_as_a_table(folder: Path):
    (folder / "model.bin").write_bytes(b"1")
    table = {"use": Buys, "params": {"shares": 7, "symbol": "B"}, "files": ["model.bin"]}
    spec = asked(None, strategy=table, keywords={"bars": "bars", **DAY}, settings={"strategy.params.shares": 8})
    (one,) = spec.strategies
    assert (one.use, one.params, one.files) == (Buys, {"shares": 8, "symbol": "B"}, (str(folder / "model.bin"),))
    assert bt.replay(spec, save=False).fills["shares"].to_list() == [8]


def test_a_file_is_changed_by_keywords(folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    spec = asked(
        folder / "run.toml",
        strategy=Buys(shares=3),
        keywords={"cash": 500, "execution": {"commission_per_share": 1}, "name": "n"},
    )
    assert (spec.account.cash, spec.execution.commission_per_share, spec.execution.slippage_bps) == (500.0, 1.0, 5.0)
    assert spec.data.bars == str(folder / "bars")
    (one,) = spec.strategies
    assert (one.name, one.params) == ("Buys", {})
    assert isinstance(one.use, Buys)
    assert asked(folder / "run.toml", keywords={}).strategies[0].params == {"deep": 3}
    named = asked(folder / "run.toml", strategy=Buys, settings={"strategy.params.shares": 4})
    assert named.strategies[0].params == {"shares": 4}


def test_a_strategy_replaces_several_of_a_file(folder: Path):
    (folder / "many.toml").write_text(
        FILE.partition("[strategy]")[0] + '[[strategies]]\nname = "a"\nuse = "gone.py:Gone"\n'
    )
    assert asked("many.toml", strategy=Buys).strategies[0].use is Buys


def test_a_specification_stands_alone(folder: Path):
    spec = load("run.toml")
    assert asked(spec) is spec
    assert (
        bt.replay(replace(spec, strategies=asked("run.toml", strategy=Buys).strategies), save=False).fills.height == 1
    )
    with pytest.raises(
        ConfigError, match="nothing must be given beside a RunSpec, was account.cash, session.end; change it with"
    ):
        bt.replay(spec, cash=5, end=TUESDAY)


@pytest.mark.parametrize(
    ("keyword", "hint"),
    [
        ("stratgy", "did you mean strategy?"),
        ("symbol", "did you mean symbols?"),
        ("exection", "did you mean execution?"),
        ("slippage_bps", 'set={"execution.slippage_bps": ...} sets that key'),
        ("leverage", 'set={"account.leverage": ...} sets that key'),
        ("slipage_bps", 'did you mean set={"execution.slippage_bps": ...}?'),
        ("sabe", "did you mean save?"),
        ("xyzzy", "keywords are bars, calendar, symbols,"),
    ],
)
@pytest.mark.parametrize("source", [None, "run.toml"])
def test_an_unknown_keyword_names_the_nearest(folder: Path, source: str | None, keyword: str, hint: str):
    with pytest.raises(ConfigError) as refused:
        bt.replay(source, **{keyword: 1})
    assert str(refused.value).startswith(f"replay: {keyword} must be a known keyword, was an unknown one; ")
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cash": 1, "account": {"cash": 2}}, "replay: account.cash must be given once, was given by cash and by account; drop one"),
        ({"name": "a", "set": {"run.name": "b"}}, "replay: run.name must be given once, was given by name and by set"),
        ({"set": {"execution.slipage_bps": 2}}, "set: execution.slipage_bps must be a known key, was an unknown one; did you mean execution.slippage_bps?"),
        ({"account": {"cahs": 2}}, "replay: account.cahs must be a known key, was an unknown one; did you mean account.cash?"),
        ({"quality": 50}, "replay: quality must be a table, was 50"),
        ({"account": 5, "cash": 3}, "replay: account must be a table, was 5"),
        ({"cash": -3}, "replay: account.cash must be a finite number > 0, was -3"),
        ({"strategy": 5}, "replay: strategy.use must be file.py:Class"),
        ({"set": 5}, "replay: set must be a dict of dotted keys, was 5"),
        ({"strategy": None, "strategies": [Buys]}, "replay: strategies.0 must be a table, was <class 'test_keywords.Buys'>; its keys are use, name, params,"),
        ({"strategy": None}, "replay: strategy.use must be file.py:Class, package.module:Class"),
        ({"bars": None}, "replay: data.bars must be a local store folder"),
        ({"set": {"strategy.params.share": 2}}, "strategy.params.share must be a parameter of Buys (shares, symbol); did you mean 'shares'?"),
        ({"set": {"strategy.params.shares": "ten"}}, "strategy.params.shares must be int, was 'ten'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(folder: Path, given: dict[str, object], message: str):
    with pytest.raises(UsageError) as refused:
        bt.replay(**{"bars": "bars", "strategy": Buys, "save": False, **DAY, **given})
    assert message in str(refused.value)


def test_a_strategy_in_the_place_of_a_file_is_refused(folder: Path):
    with pytest.raises(
        UsageError, match="it must be given a configuration's path or a RunSpec, was type; .* bars=, strategy="
    ):
        bt.replay(Buys, bars="bars", **DAY)


def test_a_table_may_be_given_beside_a_file(folder: Path):
    frame = pl.read_parquet(folder / "bars" / "bars.parquet")
    run = bt.replay("run.toml", bars=frame.filter(symbol="B"), strategy=Buys(symbol="B"), save=False)
    assert run.fills["symbol"].to_list() == ["B"]
