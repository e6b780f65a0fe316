"""Random markets and random orders of every type (decision 0028), for the oracle's own laws and for those that compare an engine with it.

A market is a `World` whose prices move on a tick grid: wide bars, flat bars, gaps, bars without volume, so that levels are touched, crossed and jumped
over. An `Orderer` runs unchanged in bt and in the oracle: what it does at a moment follows from its seed and the moment alone, and from what its book says.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import oracle as o
from hypothesis import strategies as st
from worlds import World, oracle_days, worlds

import bt

TICK = 0.01


def one_rate(execution: dict[str, Any]) -> dict[str, Any]:
    """Without a rate a share where there are tiers."""
    return {**execution, "commission_per_share": 0.0} if execution["commission_tiers"] else execution


executions = st.fixed_dictionaries(
    {
        "fill": st.sampled_from(("next_open", "next_open", "next_close", "same_close")),
        "time_in_force": st.sampled_from(("day", "gtc")),
        "slippage_bps": st.sampled_from((0.0, 0.0, 2.5, 33.33)),
        "commission_per_share": st.sampled_from((0.0, 0.005, 0.0137)),
        "at_end": st.sampled_from(("mark", "close")),
        "limit_fill": st.sampled_from(("trade_through", "touch")),
        "intrabar": st.sampled_from(("pessimistic", "optimistic")),
        "participation": st.sampled_from((0.0, 0.0, 0.025, 0.3)),
        "zero_volume": st.sampled_from(("fill", "skip")),
        "spread_bps": st.sampled_from((0.0, 0.0, 3.0, 25.7)),
        "spread": st.sampled_from(("assumed", "quotes")),
        "impact": st.sampled_from((0.0, 0.9, 17.3)),
        "commission_minimum": st.sampled_from((0.0, 0.0, 0.35, 1.0)),
        "commission_per_trade": st.sampled_from((0.0, 0.0, 0.5)),
        "commission_bps": st.sampled_from((0.0, 0.0, 0.7, 13.37)),
        "commission_tiers": st.sampled_from(
            ((), (), ((0, 0.0035), (30, 0.002), (300, 0.00050001)), ((0, 0.01), (7, 0.02)))
        ),
    }
).map(one_rate)


def one_limit(account: dict[str, Any]) -> dict[str, Any]:
    """Without a leverage of its own where Regulation T decides."""
    return {**account, "leverage": 1.0} if account["margin"] == "reg_t" else account


accounts = st.fixed_dictionaries(
    {
        "cash": st.sampled_from((1e6, 3000.0, 500.0)),
        "leverage": st.sampled_from((1.0, 0.0, 2.5)),
        "borrow_bps": st.sampled_from((0.0, 0.0, 35.0, 1234.5)),
        "interest_bps": st.sampled_from((0.0, 0.0, 450.0)),
        "debit_bps": st.sampled_from((0.0, 612.5)),
        "margin": st.sampled_from(("none", "none", "reg_t")),
        "margin_call": st.sampled_from(("report", "liquidate")),
    }
).map(one_limit)

# -------------------------------------------------------------------------------------------------------------- market


def walk(rows: list[o.Bar], rng: np.random.Generator, most: int = 400) -> list[o.Bar]:
    """The rows of one symbol, in time order, with other prices, at first of some ticks up to `most`: steps of a few ticks, now and then a gap, a wide or a
    flat bar."""
    made = []
    price = int(rng.integers(most // 10, most))
    for row in rows:
        if rng.random() < 0.3:
            price += int(rng.integers(-8, 9))
        opened = max(price, 2)
        reach = int(rng.choice((0, 1, 2, 5, 12)))
        close = max(opened + int(rng.integers(-reach, reach + 1)), 2)
        high = max(opened, close) + int(rng.integers(0, reach + 1))
        low = max(min(opened, close) - int(rng.integers(0, reach + 1)), 1)
        prices = [round(ticks * TICK, 2) for ticks in (opened, high, low, close)]
        volume = int(rng.choice((0, 3, 40, 400, 5000)))
        made.append(o.Bar(row.symbol, row.time_us, *prices, volume))
        price = close
    return made


@st.composite
def order_worlds(draw: st.DrawFn, *, sessions: int = 3, least: int = 1, most: int = 0, off_grid: bool = False) -> World:
    """Any calendar (half days and breaks among them), `least` to `sessions` sessions and perhaps some before the run, 1 to 4 symbols with holes in their
    days; prices at first of up to `most` ticks, 0 for many or few of them: a few ticks are a large part of a cheap share.
    With `off_grid` some are thirds of them: for strategies without means, which are exact on a grid alone."""
    most = most or draw(st.sampled_from((400, 400, 40)))
    world = draw(worlds(faults=False, sessions=sessions, least=least, history=False))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = sorted(world.rows, key=lambda r: (r.symbol, r.time_us))
    walked = [bar for symbol in world.symbols for bar in walk([r for r in rows if r.symbol == symbol], rng, most)]
    before = draw(st.integers(0, 3))
    walked = [*earlier(world, before, rng, most), *walked]
    quotes = {(bar.symbol, bar.time_us): quoted(bar, rng) for bar in walked}
    decimals: int | None = 2
    if off_grid and draw(st.integers(0, 4)) == 0:
        decimals, walked, quotes = None, [in_thirds(bar) for bar in walked], {k: thirds(*q) for k, q in quotes.items()}
    return replace(
        world, first=world.first - before, rows=tuple(walked), decimals=decimals, whole_volume=True, quotes=quotes
    )  # fmt: skip


def in_thirds(bar: o.Bar) -> o.Bar:
    """A bar at a third of its prices: most are no whole number of units, and levels that orders wait at are rounded to one."""
    return o.Bar(bar.symbol, bar.time_us, bar.open / 3, bar.high / 3, bar.low / 3, bar.close / 3, bar.volume)


def thirds(*prices: float | None) -> tuple[float | None, ...]:
    """Likewise prices."""
    return tuple(None if price is None else price / 3 for price in prices)


def earlier(world: World, sessions: int, rng: np.random.Generator, most: int) -> list[o.Bar]:
    """A bar of each symbol in most of so many sessions before a world's own: what impact is reckoned by is known at the first open."""
    made = []
    for day in oracle_days(world.schedule, world.first - sessions, world.first - 1):
        for symbol in world.symbols:
            price = round(int(rng.integers(most // 10, most)) * TICK, 2)
            if rng.random() < 0.8:
                made.append(o.Bar(symbol, day.minutes[0], *[price] * 4, int(rng.choice((0, 40, 5000)))))
    return made


def quoted(bar: o.Bar, rng: np.random.Generator) -> tuple[float | None, float | None]:
    """Bid and ask around a bar's open, one of them or both not there now and then, and now and then beside it."""
    ticks, centre = round(bar.open / TICK), int(rng.integers(-1, 2))
    sides = [max(ticks + centre + side * int(rng.integers(0, 4)), 1) for side in (-1, 1)]
    bid, ask = (None if rng.random() < 0.2 else round(side * TICK, 2) for side in sides)
    return bid, ask


# -------------------------------------------------------------------------------------------------------------- orders


class Close(bt.Row):
    symbol: str
    close_time: int
    close: float


KINDS = (
    "market", "limit", "stop", "stop_limit", "trailing", "open", "close", "target", "percent", "risk", "exit", "cancel", "replace",
)  # fmt: skip


@dataclass(frozen=True)
class OrderHabits:
    """How an `Orderer` trades: how often it acts, which symbols it knows, how many shares at most, and what it does."""

    seed: int
    busy: float
    symbols: tuple[str, ...] = ()
    most: int = 20
    kinds: tuple[str, ...] = KINDS
    brackets: float = 0.4
    groups: float = 0.3


order_habits = st.builds(
    OrderHabits,
    seed=st.integers(0, 2**32 - 1),
    busy=st.sampled_from((0.05, 0.2, 0.6)),
    most=st.sampled_from((2, 20, 200)),
    kinds=st.just(KINDS) | st.lists(st.sampled_from(KINDS), min_size=1, max_size=5, unique=True).map(tuple),
    brackets=st.sampled_from((0.0, 0.4, 1.0)),
    groups=st.sampled_from((0.0, 0.3)),
)


@dataclass
class Orderer:
    """Gives orders at random in every callback, and writes down what it is told and what its book says."""

    habits: OrderHabits
    row: tuple[type, ...] = (Close,)
    told: list[tuple[Any, ...]] = field(default_factory=list)
    knows: list[tuple[Any, ...]] = field(default_factory=list)

    def on_session_start(self, session: date, book: Any) -> None:
        self._act(("start", session), book)

    def on_session_end(self, session: date, book: Any) -> None:
        self._act(("end", session), book)

    def on_bar(self, row: Any, book: Any) -> None:
        self.knows.append(
            (book.now, row.symbol, book.position(row.symbol), book.cash, book.equity, round(book.buying_power, 4),
             [(order.id, order.type) for order in book.open_orders()])
        )  # fmt: skip
        self._act((row.symbol, row.close_time), book, row.symbol)

    def on_fill(self, fill: Any, book: Any) -> None:
        self.told.append((book.now, "fill", fill.order_id, fill.symbol, fill.shares, book.position(fill.symbol)))
        self._act(("fill", fill.symbol, fill.order_id, fill.shares), book, fill.symbol, rarer=4)

    def on_order(self, order: Any, book: Any) -> None:
        self.told.append((book.now, "order", order.id, order.symbol, order.status, order.reason))
        if order.status != "open":
            self._act(("order", order.symbol, order.id, order.status), book, order.symbol or None, rarer=6)

    # ---------------------------------------------------------------------------------------------------- at random

    def _act(self, moment: tuple[Any, ...], book: Any, symbol: str | None = None, *, rarer: float = 1) -> None:
        dice = random.Random(repr((self.habits.seed, *map(str, moment))))
        if dice.random() * rarer >= self.habits.busy:
            return
        if symbol is None or dice.random() < 0.1:
            symbol = dice.choice(self.habits.symbols or (symbol,))
        kind = dice.choice(self.habits.kinds)
        if kind == "cancel":
            self._cancel(dice, book, symbol)
        elif kind == "exit":
            book.exit_at_close(symbol, minutes_before=dice.choice((0, 0, 1, 7)))
        elif kind == "replace":
            self._replace(dice, book, symbol)
        elif kind == "target":
            level = dice.choice((0, dice.randint(-self.habits.most, self.habits.most)))
            book.target(symbol, level, tag="t", **self._legs(dice, self._price(book, symbol), level))
        elif kind == "percent":
            book.target_percent(symbol, dice.choice((-1.9, -0.6, 0.4, 1.9)), tag="p")
        elif kind == "risk":
            ticks = self._price(book, symbol)
            away = dice.choice((-5, -2, -1, 1, 4)) if ticks > 5 else dice.randint(1, 4)
            book.target_risk(symbol, dice.choice((0.0, 0.0001, 0.01, 0.3)), round((ticks + away) * TICK, 8), tag="r")
        else:
            self._order(dice, book, symbol, kind)

    def _price(self, book: Any, symbol: str) -> float:
        """The last close shown, in ticks; some number before the first."""
        price = book.price(symbol)
        return 100.0 if price is None or math.isnan(price) else price / TICK

    def _near(self, dice: random.Random, ticks: float, reach: int = 6) -> float:
        """A price some ticks from another, on the grid as far as the other is."""
        return round(max(ticks + dice.randint(-reach, reach), 1) * TICK, 8)

    def _legs(self, dice: random.Random, ticks: float, shares: int) -> dict[str, float]:
        if shares == 0 or dice.random() >= self.habits.brackets:
            return {}
        side = 1 if shares > 0 else -1
        loss, profit = self._near(dice, ticks - 5 * side, 4), self._near(dice, ticks + 6 * side, 4)
        legs = {"stop_loss": loss, "take_profit": profit, "trailing_loss": dice.randint(1, 8) * TICK}
        chosen = {name: price for name, price in legs.items() if dice.random() < 0.6}
        if {"stop_loss", "take_profit"} <= chosen.keys() and side * (profit - loss) <= 0:
            del chosen["take_profit"]
        return chosen

    def _order(self, dice: random.Random, book: Any, symbol: str, kind: str) -> None:
        held, most = book.position(symbol), self.habits.most
        free = dice.randint(-most, most)
        shares = dice.choice((free, free, -held or free, -held // 2 or free))
        ticks = self._price(book, symbol)
        tifs = (None, "day", "gtc")
        more: dict[str, Any] = {
            "market": lambda: {"tif": dice.choice((*tifs, "ioc"))},
            "limit": lambda: {"limit": self._near(dice, ticks), "tif": dice.choice((*tifs, "ioc"))},
            "stop": lambda: {"stop": self._near(dice, ticks), "tif": dice.choice(tifs)},
            "stop_limit": lambda: {"stop": self._near(dice, ticks), "limit": self._near(dice, ticks), "tif": dice.choice(tifs)},
            "trailing": lambda: {"trail": dice.randint(1, 9) * TICK, "tif": dice.choice(tifs)},
            "open": lambda: {"at": "open"},
            "close": lambda: {"at": "close"},
        }[kind]()  # fmt: skip
        if dice.random() < self.habits.groups:
            live = [order.id for order in book.open_orders(symbol)]
            more["oco"] = dice.choice([*live, dice.randint(1, 30)])
        book.order(symbol, shares, tag=dice.choice(("", "a")), **more, **self._legs(dice, ticks, shares))

    def _cancel(self, dice: random.Random, book: Any, symbol: str) -> None:
        live = [order.id for order in book.open_orders(symbol)]
        if dice.random() < 0.2:
            book.cancel(symbol=symbol)
        else:
            book.cancel(dice.choice([*live, dice.randint(1, 30)]))

    def _replace(self, dice: random.Random, book: Any, symbol: str) -> None:
        live = [order for order in book.open_orders(symbol) if order.type not in ("target", "exit_at_close")]
        if not live:
            book.replace(0, shares=1)
            return
        order, ticks = dice.choice(live), self._price(book, symbol)
        prices: Mapping[str, tuple[str, ...]] = {
            "limit": ("limit",), "take_profit": ("limit",), "stop": ("stop",), "stop_loss": ("stop",), "stop_limit": ("stop", "limit"),
            "trailing_stop": ("trail",), "trailing_loss": ("trail",),
        }  # fmt: skip
        changed: dict[str, Any] = {}
        for name in prices.get(order.type, ()):
            if dice.random() < 0.7:
                changed[name] = dice.randint(1, 9) * TICK if name == "trail" else self._near(dice, ticks)
        if order.type not in ("stop_loss", "take_profit", "trailing_loss") and dice.random() < 0.5:
            changed["shares"] = dice.randint(0, self.habits.most) * (1 if order.shares > 0 else -1)
        book.replace(order.id, **changed)


@dataclass(frozen=True)
class OrderRun:
    """A world, a way to trade in it, and the settings: everything a run needs."""

    world: World
    habits: OrderHabits
    execution: Mapping[str, Any]
    account: Mapping[str, Any]

    def orderer(self) -> Orderer:
        return Orderer(replace(self.habits, symbols=tuple(self.world.symbols)))

    def judged(self, **changed: Any) -> tuple[o.Backtest, o.Result, Orderer]:
        """The run by the oracle, with settings of [execution] changed."""
        orderer, world = self.orderer(), self.world
        backtest = o.Backtest(
            world.days, world.rows, [o.Strategy("strategy", orderer, [o.RowType.of(r) for r in orderer.row])],
            zone=world.schedule.zone, start=world.span["start"], symbols=world.symbols, quotes=world.quotes, **world.neighbours,
            execution=o.Execution(**{**self.execution, **changed}), account=o.Account(**self.account),
        )  # fmt: skip
        return backtest, backtest.run(), orderer


order_runs = st.builds(OrderRun, order_worlds(off_grid=True), order_habits, executions, accounts)
