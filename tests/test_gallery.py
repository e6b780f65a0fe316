"""The gallery: each strategy equals an independent version of itself, fill by fill; and its files are fit to be copied."""

from __future__ import annotations

import csv
import importlib
import json
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import gallery_judges as judges
import numpy as np
import oracle as o
import polars as pl
import pytest
from judge import Entry, Market, Ours, assert_same_table, ours
from polars.testing import assert_frame_equal

import bt
from benchmarks.peers_data import write
from bt.results import ORDER

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def load(name: str) -> Any:
    """An example as a module."""
    if str(EXAMPLES) not in sys.path:
        sys.path.append(str(EXAMPLES))
    return importlib.import_module(name)


@dataclass(frozen=True)
class Case:
    """A gallery strategy: where it is, its judge, and parameters for both (`judged`: the judge alone; `changed`: attributes of
    the strategy that are no parameters)."""

    file: str
    name: str
    given: Mapping[str, Any] = field(default_factory=dict)
    judged: Mapping[str, Any] = field(default_factory=dict)
    changed: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Any:
        """The strategy, with the attributes `changed`."""
        made = getattr(load(self.file), self.name)(**self.given)
        for name, value in self.changed.items():
            setattr(made, name, value)
        return made

    def judge(self, past: judges.Past) -> judges.Judge:
        made: judges.Judge = getattr(judges, self.name)(past, **{**self.given, **self.judged})
        return made


def both(market: Market, case: Case, **tables: Any) -> tuple[Ours, o.Result]:
    """The run of the strategy, and of its judge."""
    mine = ours(market, [Entry("s", case.make)], **tables)
    account = tables.get("account", {})
    judge = case.judge(judges.Past(market.days[1:-1], market.classified.accepted))
    backtest = o.Backtest(
        market.days[1:-1],
        (),
        [o.Strategy("s", judge, [judges.RAW], timers=judge.timers)],
        zone=market.zone,
        start=market.start,
        end=market.end,
        symbols=market.symbols or sorted({b.symbol for b in market.bars}),
        execution=o.Execution(**tables.get("execution", {})),
        account=o.Account(account.get("cash", 1_000_000.0), account.get("leverage", 1.0)),
        classified=market.classified,
        universe=judge if isinstance(judge, judges.LiquidMomentum) else None,  # type: ignore[arg-type]
    )
    return mine, backtest.run()


COSTS = {"commission_per_share": 0.0035, "slippage_bps": 0.5}


def assert_equal(market: Market, case: Case, least: int, **tables: Any) -> Ours:
    """Every fill, order, trade, position and minute of equity; at least `least` fills, so that it is not about nothing."""
    mine, judged = both(market, case, execution=COSTS, **tables)
    for table in ("fills", "orders", "trades", "equity", "positions"):
        rows = sorted(getattr(judged, table), key=lambda r, t=table: tuple(r[k] for k in ORDER[t]))
        assert_same_table(table, mine.units[table], getattr(mine.run, table), rows)
    members = sorted(tuple(row.values()) for row in judged.universe)
    assert not members or mine.run.universe.select("session", "symbol", "rank").rows() == members
    assert mine.run.fills.height >= least
    return mine


# ------------------------------------------------------------------------------------------------------------ markets


def etf(shared_data: Path, some: int | None) -> Market:
    """ETFs of a month: all of them, or the 15 with the most bars and `some` others, drawn by a seed."""
    folder = shared_data / "us-etf-universe-2019-12"
    bars: dict[str, int] = {}
    with (folder / "coverage.csv").open() as file:
        for row in csv.DictReader(file):
            bars[row["symbol"]] = bars.get(row["symbol"], 0) + int(row["bars"])
    order = sorted(bars, key=lambda s: (-bars[s], s))
    chosen = order if some is None else order[:15] + random.Random(22).sample(order[15:], some)
    return Market(sorted(folder.glob("*.parquet")), "XNYS", date(2020, 1, 2), date(2020, 1, 17), tuple(sorted(chosen)))


@pytest.fixture(scope="module")
def some_etfs(shared_data: Path) -> Market:
    return etf(shared_data, 10)


@pytest.fixture(scope="module")
def all_etfs(shared_data: Path) -> Market:
    return etf(shared_data, None)


def made_up(folder: Path, symbols: int, count: int, *, start: int, stop: int) -> Market:
    """A size of the benchmarks' market, of which the sessions number `start` to before `stop` are played."""
    write(folder, (symbols, count))
    files = sorted(folder.glob("*.parquet"))
    names = [date.fromisoformat(f.stem) for f in files]
    return Market(files[:stop], "XNYS", names[start], names[stop - 1])


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Six symbols, 40 sessions; the last fifteen are played."""
    return made_up(tmp_path_factory.mktemp("several"), 6, 40, start=25, stop=40)


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """The beginning of size S: one symbol."""
    return made_up(tmp_path_factory.mktemp("one"), 1, 252, start=2, stop=45)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Size S."""
    return made_up(tmp_path_factory.mktemp("year"), 1, 252, start=2, stop=252)


# -------------------------------------------------------------------------------------------------------------- equal

RANGE = Case("opening_range", "OpeningRange")
GAP = Case("overnight_gap", "OvernightGap", {"gap": 0.0005})
VWAP = Case("vwap_deviation", "VwapDeviation", {"below": 0.001})
REVERSION = Case("mean_reversion", "MeanReversion")
WEIGHTS = (0.00001, -0.21, 0.034, -0.00012)
MODEL = Case("linear_model", "LinearModel", {}, {"weights": WEIGHTS}, {"weights": np.array(WEIGHTS)})
SPY = Case("pairs", "Pairs", {"first": "IVV", "second": "SPY", "entry": 0.7})
MADE_UP = Case("pairs", "Pairs", {"first": "S0001", "second": "S0000", "entry": 0.5})
LIQUID = Case("liquid_momentum", "LiquidMomentum")


def most_liquid(top: int) -> Case:
    """The same with a universe of fewer than a hundred."""
    universe = bt.top(top, by="avg(close*volume, 10d)", where="prior(close) > 5")
    return Case("liquid_momentum", "LiquidMomentum", {"best": 0.75}, {"top": top}, {"universe": universe})


def named(*cases: Case) -> list[Any]:
    return [pytest.param(case, id=case.file) for case in cases]


@pytest.mark.parametrize("case", named(RANGE, GAP, VWAP, REVERSION, MODEL))
def test_some_etfs(some_etfs: Market, case: Case) -> None:
    assert_equal(some_etfs, case, 100)


def test_a_pair_of_etfs(some_etfs: Market) -> None:
    assert_equal(replace(some_etfs, symbols=("IVV", "QQQ", "SPY")), SPY, 10)


def test_the_most_liquid_of_some_etfs(some_etfs: Market) -> None:
    mine = assert_equal(some_etfs, most_liquid(8), 60)
    assert mine.run.universe["rank"].max() == 8


@pytest.mark.slow  # minutes each: `just equality-full`
@pytest.mark.parametrize("case", named(RANGE, GAP, VWAP, REVERSION, MODEL, LIQUID))
def test_all_etfs(all_etfs: Market, case: Case) -> None:
    assert len(all_etfs.symbols or ()) == 956
    assert_equal(all_etfs, case, 500)


ALONE = replace(LIQUID, given={"best": 0.5}, judged={"top": 100})
"""One symbol's rank is 0.5 wherever it has one: with that as the least it is held all day, with more never."""


@pytest.mark.slow
def test_a_pair_among_all_etfs(all_etfs: Market) -> None:
    assert_equal(all_etfs, SPY, 10)


@pytest.mark.parametrize("case", named(RANGE, GAP, VWAP, MODEL, ALONE))
def test_a_while_of_one_symbol(quarter: Market, case: Case) -> None:
    assert_equal(quarter, case, 2 if case is GAP else 10)


@pytest.mark.slow
@pytest.mark.parametrize("case", named(RANGE, GAP, VWAP, MODEL, ALONE))
def test_a_year_of_one_symbol(year: Market, case: Case) -> None:
    assert_equal(year, case, 40)


def nothing_to_do(market: Market, case: Case) -> None:
    mine = assert_equal(market, case, 0)
    assert mine.run.orders.height == 0
    assert mine.run.universe.height == mine.run.summary["sessions"]


@pytest.mark.parametrize("case", named(REVERSION, LIQUID))
def test_a_while_of_one_symbol_that_stands_out_from_nothing(quarter: Market, case: Case) -> None:
    """A symbol alone has no standard score and the rank 0.5: mean reversion and the default rank of 0.9 order nothing, nor do their judges."""
    nothing_to_do(quarter, case)


@pytest.mark.slow
@pytest.mark.parametrize("case", named(REVERSION, LIQUID))
def test_a_year_of_one_symbol_that_stands_out_from_nothing(year: Market, case: Case) -> None:
    nothing_to_do(year, case)


@pytest.mark.parametrize("case", named(RANGE, GAP, VWAP, REVERSION, MODEL, MADE_UP, most_liquid(3)))
def test_several_symbols(several: Market, case: Case) -> None:
    """Here too the strategies that compare symbols have something to do; a pair needs two, so size S, which has one, is not for it."""
    assert_equal(several, case, 15)


# ---------------------------------------------------------------------------------------------------- what else must hold


def test_the_pairs_do_the_same_from_any_start_date(several: Market) -> None:
    """Rows, ratios and decisions; nor does it matter how many sessions are prepared together."""
    pairs = load("pairs").Pairs

    class Recording(pairs):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__(**MADE_UP.given)
            self.fits: list[Any] = []
            self.seen: list[Any] = []

        def at_open(self, session: bt.Session, past: bt.Past) -> Any:
            made = super().at_open(session, past)
            self.fits.append((str(session), None if made is None else pl.DataFrame(made).rows()))
            return made

        @bt.every("1m", start="open+1m", end="close-15m")
        def trade(self, rows: bt.Rows, book: bt.Book) -> None:
            columns = [rows.matrix("close", "weight", "mean").tobytes(), rows.fresh.tobytes()]
            self.seen.append((str(book.session), book.now, *columns))
            super().trade(rows, book)

    names = [d.name for d in several.days if several.start <= d.name <= several.end]
    whole, orders = None, None
    for start, together in ((names[0], 5), (names[0], 1), (names[5], 3), (names[11], 30)):
        strategy = Recording()
        run = bt.replay(**{**several.given, "start": start, "prefetch_days": together}, strategy=strategy, save=False)
        decided = run.orders.drop("id")
        if whole is None:
            whole, orders = strategy, decided
        assert strategy.fits == [f for f in whole.fits if f[0] >= str(start)]
        assert strategy.seen == [s for s in whole.seen if s[0] >= str(start)]
        assert_frame_equal(decided, orders.filter(pl.col("session") >= start), check_exact=True)
        assert decided.height > 4


def test_training_reads_what_the_strategy_is_shown(several: Market) -> None:
    """Bit for bit, at its timers."""
    shown: list[tuple[Any, ...]] = []
    model = load("linear_model").LinearModel

    class Recording(model):  # type: ignore[misc, valid-type]
        @bt.every("15m", start="open+30m", end="close-15m")
        def trade(self, rows: bt.Rows, book: bt.Book) -> None:
            fresh = rows.take(rows.fresh)
            columns = [fresh.symbol, [book.now] * len(fresh), fresh.short, fresh.long, fresh.stretch, fresh.edge]
            shown.extend(zip(*(c if isinstance(c, tuple | list) else c.tolist() for c in columns), strict=True))

    bt.replay(**several.given, strategy=Recording(), save=False)
    label = {"move": bt.forward_return("15m", within="session", price="next_open")}
    rows = bt.load_rows(**several.given, strategy=model(), label=label)
    assert rows.columns == ["symbol", "known_at", "short", "long", "stretch", "edge", "move"]
    assert rows.drop("move").rows() == shown
    assert len(shown) > 1000
    minutes = bt.load_rows(**several.given, strategy=load("vwap_deviation").VwapDeviation())
    seen: list[tuple[Any, ...]] = []

    class Watching(load("vwap_deviation").VwapDeviation):  # type: ignore[misc]
        def on_bar(self, row: Any, book: bt.Book) -> None:
            seen.append((row.symbol, book.now, row.close, row.minutes_left, row.fair, row.fast, row.slow))

    bt.replay(**several.given, strategy=Watching(), save=False)
    assert minutes.rows() == seen


def test_training_gives_the_model_that_lies_there() -> None:
    assert load("linear_model_train").train() == json.loads((EXAMPLES / "linear_model.json").read_text())


# ---------------------------------------------------------------------------------------------------------- the files

FILES = sorted(p for p in EXAMPLES.glob("*.py") if not p.stem.endswith("_train"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_it_is_short(file: Path) -> None:
    """Less than 40 lines, docstrings and blank lines among them."""
    assert len(file.read_text().splitlines()) < 40


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_its_configuration_runs_on_the_sample(file: Path) -> None:
    run = bt.replay(file.with_suffix(".toml"), save=False)
    assert run.finish_reason == "end_date"
    assert run.fills.height > 0


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_its_code_is_on_the_page(file: Path) -> None:
    page = (ROOT / "docs" / "gallery.md").read_text()
    assert f"```python\n{file.read_text()}```\n" in page
    assert f"(../examples/{file.name})" in page
