"""The minute, the session's end, and the result tables (docs/concepts/session.md, decision 0002).

It is one class of well over 400 lines because the rules of one page belong side by side. ``Backtest.run`` reads as the rules do: `_session` plays one day; `_minute` is (1) `_match` at
the open, (2) `_move`, then what fills `_within` the bars and at their closes (decision 0028), (3) `_show`; orders given are live from the next minute because they are decided at this one's end. `_close` is what happens at the
close.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from oracle.account import RESTING, Order, money, priced, units
from oracle.actions import Action, dividend, of_day, split_order, split_position, split_price
from oracle.bar import Filled, Prices, Standing, Terms, both_paths, chosen, fills_at, quantity
from oracle.bins import Bin, interval_minutes, resample
from oracle.book import Book, Present
from oracle.features import as_decimal
from oracle.instruments import Instrument
from oracle.liquidity import impact_by_share
from oracle.market import MINUTE, Bar, Classified, Day, History, classify, instant
from oracle.past import past
from oracle.rows import CrossSection, cross_section, row_values
from oracle.settings import Account, Execution, Gate, Result, RowType, Strategy
from oracle.terms import Terms as PastTerms
from oracle.terms import Told, floats
from oracle.universe import Universe

PRICES = {
    "orders": ("limit", "stop", "trail"),
    "trades": ("entry_price", "exit_price"),
    "positions": ("price",),
}
"""What is told as prices; ``<column>_units`` are what a share is worth."""


class Offer(NamedTuple):
    """A price that an order may fill at, the bar it is of, and how many minutes ago that bar ended."""

    price: float
    bar: Bar
    stale: int


def starting_cash(account: Account, own: float | None, number: int, strategies: int) -> int:
    """A strategy's cash in units; of a shared account an equal part, the first ones one unit more where it does not go up."""
    if account.start_units is not None:
        return account.start_units
    if not account.shared:
        return units(account.cash if own is None else own)
    whole = units(account.cash)
    return whole // strategies + (number < whole % strategies)


class Backtest:
    """Strategies over days of bars. `days` may begin before `start` (history for features) and must be consecutive.

    Give raw `bars` (they are classified here) or what `classify` returned as `classified`. `symbols` are the candidates; by
    default every symbol that has a row. `quotes` are bid and ask at the open of a symbol's minute (start, microseconds). The run ends where the data of the `candidates` ends; by default they are the symbols.
    """

    def __init__(
        self,
        days: Sequence[Day],
        bars: Sequence[Bar],
        strategies: Sequence[Strategy],
        *,
        zone: str,
        start: date | None = None,
        end: date | None = None,
        before: Day | None = None,
        after: Day | None = None,
        symbols: Sequence[str] | None = None,
        execution: Execution | None = None,
        account: Account | None = None,
        gate: Gate | None = None,
        classified: Classified | None = None,
        candidates: Sequence[str] | None = None,
        universe: Universe | None = None,
        actions: Sequence[Action] = (),
        quotes: Mapping[tuple[str, int], tuple[float | None, float | None]] | None = None,
        adjust: str = "splits",
        instruments: Mapping[str, Instrument] | None = None,
    ) -> None:
        self.actions = list(actions)
        self.execution = execution or Execution()
        self.terms = Terms(
            self.execution.limit_fill, self.execution.slippage_bps, self.execution.spread_bps, self.execution.commission
        )
        account, gate = account or Account(), gate or Gate()
        self.quotes = quotes or {}
        self.account, self.closed, self.month = account, None, (0, 0)
        if symbols is not None:
            wanted = set(symbols)
            bars = [bar for bar in bars if bar.symbol in wanted]
        found = classified or classify(bars, days, zone, before=before, after=after)
        self.closing = found.closing
        self.history = History(list(days), found.accepted)
        self.days = [d for d in days if (start is None or d.name >= start) and (end is None or d.name <= end)]
        warm, begins = max((s.warm_up for s in strategies), default=0), min((b.time_us for b in bars), default=0)
        known = [d for d in days if start is not None and d.name < start and d.close > begins]
        self.warming = known[-warm:] if warm else []
        self.zone = ZoneInfo(zone)
        self.strategies = list(strategies)
        names = {s for by_symbol in found.accepted.values() for s in by_symbol} | {r[1] for r in found.rows}
        self.present = Present(
            sorted(symbols if symbols is not None else names), history=self.history, instruments=dict(instruments or {})
        )
        self.past_terms = PastTerms(self.history, self.actions, adjust, self.present.pool)
        self.present.as_of = self.past_terms.as_of
        if self.actions and adjust != "none":
            self.strategies = [told(s, self.past_terms) for s in self.strategies]
        self.books = [
            Book(
                s.name,
                starting_cash(account, s.cash, i, len(self.strategies)),
                self.present,
                tif=self.execution.time_in_force,
                leverage=account.leverage,
                minimum=gate.minimum,
                gate=gate.gate,
                after_minutes=gate.after_minutes,
            )
            for i, s in enumerate(self.strategies)
        ]
        for book in self.books:
            book.initial = Fraction(50, 100) if account.margin == "reg_t" else Fraction(0)
            book.purse = self.books if account.shared else [book]
        for strategy, book in self.each():
            book.reach = getattr(strategy.object, "history", {})
        minutes = [t for d in days for t in d.minutes]
        for book in self.books:
            book.ledger.minutes = minutes
        self.result = Result(cash_units={b.strategy: b.ledger.cash for b in self.books})
        pool = set(self.present.symbols)
        self.bars = {
            d.name: {s: b for s, b in self.history.bars[d.name].items() if s in pool}
            for d in [*self.warming, *self.days]
        }
        reach = set(candidates) if candidates is not None else pool
        self.has_rows = {d.name for d in self.days if reach & self.history.bars[d.name].keys()}
        self.has_rows |= {name for name, symbol, _ in found.withheld if symbol in reach}
        if reach & found.beyond:
            self.has_rows.add(self.days[-1].name)
        self.withheld = {k: n for k, n in found.withheld.items() if k[1] in pool}
        self.universe = universe
        if universe is not None:
            among = sorted(reach)  # of all candidates, also where one of them is played alone
            self.history.members = {
                d.name: universe.members(self.past_terms.as_of(universe.decided(list(days), d)), d, among)
                for d in [*self.warming, *self.days]
            }
        for strategy in self.strategies:
            for row_type in strategy.rows:
                for feature in row_type.features.values():
                    feature.prepare(self.history)

    def run(self) -> Result:
        """Play every session up to the last one that a row of the data belongs to, or comes after."""
        self._warm_up()
        reached = max((i + 1 for i, d in enumerate(self.days) if d.name in self.has_rows), default=0)
        for i, day in enumerate(self.days[:reached]):
            if self.present.stopped is not None:
                break
            self._session(day, last=i + 1 == reached)
        if self.present.stopped is not None:
            self.result.finish_reason = "stopped"
        elif reached < len(self.days):
            self.result.finish_reason = "no_more_data"
        self._tables()
        return self.result

    def _warm_up(self) -> None:
        """The sessions before the start are played without trading, and nothing of them is kept but what strategies know."""
        for day in self.warming:
            if self.present.stopped is None:
                for book in self.books:
                    book.trading = False
                self._session(day, last=False)
        self.result = Result(cash_units={b.strategy: b.ledger.cash for b in self.books})
        for book in self.books:
            book.trading = True
            book.record_rows, book.log_rows = [], []
            book.warm = len(book.orders)

    # -------------------------------------------------------------------------------------------------------- session

    def _session(self, day: Day, *, last: bool) -> None:
        now = self.present
        now.day, now.elapsed = day, 0
        now.now_us = now.decided_us = day.open
        now.today, now.traded, now.rows = {}, {}, {}
        begun = [(len(b.orders), len(self.result.fills), b.ledger.equity(now.marks)) for b in self.books]
        moved = len(self.result.cash)
        self._open_accounts(day)
        self._universe(day)
        counted = {k: n for k, n in self.withheld.items() if k[0] == day.name}
        if now.members is not None:
            counted = {k: n for k, n in counted.items() if k[1] in now.members}
        self.result.guards.update(counted)
        first = begun
        before, shown = self.result.iterations, self.result.bars
        for book in self.books:
            book.review(leave=self.universe is not None and self.universe.leavers == "exit")
        self._liquidate()
        self._at_open(day)
        for strategy, book in self.each():
            self._tell_fills(strategy, book)  # what corporate actions have closed
            if self._sees(book, self.bars[day.name]):
                self._call(strategy, book, "on_session_start", day.name)

        opening: dict[int, dict[str, Bar]] = defaultdict(dict)
        for symbol in sorted(self.bars[day.name]):
            for bar in self.bars[day.name][symbol]:
                opening[bar.time_us][symbol] = bar
        ending, due = self._bins(day), self._due(day)
        stepped = {r.interval for s in self.strategies for r in s.rows}
        ends = {t + MINUTE for t in day.minutes}
        for m, t in enumerate(day.minutes):
            if t in due and t not in ends and now.stopped is None:
                self._before_a_minute(m, t, due[t])
            if now.stopped is not None:
                break
            ends_now, timers = ending.get(t + MINUTE, {}), due.get(t + MINUTE, {})
            if t in opening or stepped & ends_now.keys() or timers:
                self._minute(m, t, opening.get(t, {}), ends_now, timers)
            else:
                self._sample()
            if m + 1 == len(day.minutes) and now.stopped is None:
                self._close(day, last=last)
            self._mark(day, t + MINUTE)
        self._undo_moves(day, moved)
        self._held(day)
        fills = len(self.result.fills) - first[0][1] if first else 0
        self.result.sessions.append(
            {
                "session": day.name,
                "open": instant(day.open),
                "close": instant(day.close),
                "early_close": day.early_close,
                "bars": self.result.bars - shown,
                "iterations": self.result.iterations - before,
                "orders": sum(len(b.orders) - n for b, (n, _, _) in zip(self.books, first, strict=True)),
                "fills": fills,
                "net_pnl_units": sum(
                    b.ledger.equity(now.marks) - e for b, (_, _, e) in zip(self.books, first, strict=True)
                ),
            }
        )

    def _open_accounts(self, day: Day) -> None:
        """What happens to accounts as a session opens, before anybody is told of it."""
        if self.execution.impact:
            found = impact_by_share(self.past_terms.as_of(day), day, self.execution.impact)
            self.present.a_share = {
                s: self._listed(s).moves(part) for s, part in found.items() if s in self.present.pool
            }
        new_month = self.month != (day.name.year, day.name.month)
        self.month = (day.name.year, day.name.month)
        for book in self.books:
            book.session_start = book.ledger.equity(self.present.marks)
            book.month = 0 if new_month else book.month
        self._night(day)
        self._act(day)

    def _undo_moves(self, day: Day, since: int) -> None:
        """A run that was over before the session's first minute has not seen cash move (rows of `cash` from number `since` on)."""
        if self.result.equity and self.result.equity[-1]["session"] == day.name:
            return
        for row in self.result.cash[since:]:
            next(book for book in self.books if book.strategy == row["strategy"]).ledger.cash -= row["amount_units"]
        del self.result.cash[since:]

    def _night(self, day: Day) -> None:
        """What was held and owned at the close before has cost and brought until this open (decision 0030)."""
        since, self.closed = self.closed, day if all(book.trading for book in self.books) else None
        if since is None:
            return
        part = Fraction((day.name - since.name).days, 360 * 10_000)
        owned = [book.ledger.cash for book in self.books]
        for n, book in enumerate(self.books):
            for symbol, held in sorted(book.ledger.positions.items()):
                value, listed = held.shares * self.present.marks[symbol], self._listed(symbol)
                if listed.kind == "future":  # settled every day: what it is worth is not paid, but gained or lost
                    owned[n] += value
                if value < 0:
                    rate = listed.shorts_pay(self._bps("borrow_bps"))
                    self._move_cash(day, book, symbol, "borrow", round(value * part * rate))
        for purse in [self.books] if self.account.shared else [[book] for book in self.books]:
            cash = sum(owned[self.books.index(book)] for book in purse)
            interest = round(cash * part * self._bps("interest_bps" if cash > 0 else "debit_bps"))
            for n, book in enumerate(purse):
                size = abs(interest) // len(purse) + (n < abs(interest) % len(purse))
                self._move_cash(day, book, book.only, "interest", size if interest > 0 else -size)

    def _bps(self, name: str) -> Fraction:
        return Fraction(as_decimal(getattr(self.account, name)))

    def _move_cash(self, day: Day, book: Book, symbol: str | None, kind: str, amount: int) -> None:
        """Cash that moves without a trade, as a session opens; `symbol` None is the account's."""
        if amount:
            book.ledger.cash += amount
            head = {"time": instant(day.open), "session": day.name, "strategy": book.strategy}
            self.result.cash.append(head | {"symbol": symbol, "kind": kind} | priced({"amount": amount}))

    # --------------------------------------------------------------------------------------------- corporate actions

    def _act(self, day: Day) -> None:
        """The day's corporate actions, on what is known, held and ordered (decision 0031)."""
        found = of_day(self.actions, self.history.days, day)
        self._rename_all(found)
        self._split_all(found)
        for action in found:
            for book in self.books:
                held = book.ledger.position(action.symbol)
                if action.kind == "dividend" and held:
                    self._move_cash(
                        day,
                        book,
                        action.symbol,
                        "dividend",
                        dividend(held, action.amount * self._listed(action.symbol).multiplier),
                    )
                elif action.kind == "delisting":
                    price = None if action.price is None else self._listed(action.symbol).worth(float(action.price))
                    self._delist(book, action.symbol, price)

    def _rename_all(self, found: Sequence[Action]) -> None:
        """All renames of a day at once."""
        renames = {a.symbol: a.to for a in found if a.kind == "rename" and {a.symbol, a.to} <= self.present.pool}
        for book in self.books if renames else []:
            self._rename(book, renames)
        for known in (self.present.marks, self.present.last):
            old = dict(known)
            for symbol in renames.keys() | set(renames.values()):
                known.pop(symbol, None)
            known.update({new: old[s] for s, new in renames.items() if s in old})

    def _split_all(self, found: Sequence[Action]) -> None:
        """All splits of a day, those of one symbol as one."""
        ratios: dict[str, Fraction] = {}
        for action in found:
            if action.kind == "split" and action.symbol in self.present.pool:
                ratios[action.symbol] = ratios.get(action.symbol, Fraction(1)) * action.ratio
        for symbol, ratio in ratios.items():
            last = self.present.marks.get(symbol)
            for book in self.books:
                self._split(book, symbol, ratio, last)
            if last is not None:
                mark = self.present.marks[symbol] = split_price(last, ratio)
                self.present.last[symbol] = self.present.last[symbol]._replace(close=self._listed(symbol).price(mark))

    def _rename(self, book: Book, renames: dict[str, str]) -> None:
        """Positions and live orders go on under other names; what is there under one of these and stays ends as if it were delisted.
        What was not told of yet is told under the new name."""
        for told in book.events:
            told.symbol = renames.get(told.symbol, told.symbol)
        for symbol in renames.values():
            if symbol not in renames:
                self._delist(book, symbol, None)
        moved = {new: book.ledger.positions.pop(old) for old, new in renames.items() if old in book.ledger.positions}
        for symbol, held in moved.items():
            held.symbol = symbol
        book.ledger.positions |= moved
        for order in book.live.values():
            order.symbol = renames.get(order.symbol, order.symbol)

    def _split(self, book: Book, symbol: str, ratio: Fraction, last: int | None) -> None:
        held = book.ledger.positions.get(symbol)
        if held is not None:
            assert last is not None
            if abs(held.shares) * ratio < 1:
                self._close_out(book, symbol, "split", last)
            else:
                day = self.present.day
                assert day is not None
                self._move_cash(day, book, symbol, "in_lieu", split_position(held, ratio, last))
        for order in book.own_orders(symbol):
            each = order.each if self._listed(symbol).margin is not None else None
            if order.live and split_order(order, ratio, each):
                book.end(order, "cancelled", "split")
        standing = book.standing(symbol, self.terms, capped=False)
        standing._flat()
        self._take(book, standing, self.present.decided_us, None)

    def _delist(self, book: Book, symbol: str, price: int | None) -> None:
        for order in book.own_orders(symbol):
            book.end(order, "cancelled", "delisted")
        if book.ledger.position(symbol):
            self._close_out(book, symbol, "delisting", self.present.marks[symbol] if price is None else price)

    def _close_out(self, book: Book, symbol: str, kind: str, price: int) -> None:
        """What is held is closed by what its company did: an order of its own."""
        day, shares = self.present.day, -book.ledger.position(symbol)
        assert day is not None
        order = book.make(symbol, kind, shares=shares, tif="day", tag="")
        order.side, order.filled = (1 if shares > 0 else -1), shares
        self._fill(book, Filled(order, shares, price, price, 0), day.open, None, stale=0, ambiguous=False)
        order.end("filled")
        book.gone(order, day.open)

    def _universe(self, day: Day) -> None:
        """The day's members; bars of others are there only while somebody holds them as it begins."""
        if self.universe is None:
            return
        ranked = self.history.members[day.name]
        self.result.universe += [{"session": day.name, "symbol": s, "rank": i + 1} for i, s in enumerate(ranked)]
        self.present.members = set(ranked)
        seen = set(ranked).union(*(book.ledger.positions for book in self.books))
        self.bars[day.name] = {s: bars for s, bars in self.bars[day.name].items() if s in seen}

    def _shown(self, book: Book, symbol: str) -> bool:
        """Whether a strategy is shown a symbol in this session."""
        members = self.present.members
        return members is None or symbol in members or symbol in book.held_at_open

    def _sees(self, book: Book, symbols: Iterable[str]) -> bool:
        """Whether a strategy is shown any of the symbols."""
        return any(self._shown(book, symbol) for symbol in symbols)

    def _has(self, bars: dict[str, Bar], ends_now: dict[str, list[Bin]], timers: dict[str, list[str]]) -> set[str]:
        """The strategies that would have this moment were they alone."""
        return {
            strategy.name
            for strategy, book in self.each()
            if strategy.name in timers
            or self._sees(book, bars)
            or any(self._sees(book, [b.symbol for b in ends_now.get(r.interval, [])]) for r in strategy.rows)
        }

    def _at_open(self, day: Day) -> None:
        """Before anything else: what earlier sessions were, and the columns that come of it."""
        for strategy, book in self.each():
            book.opened = {}
            if self._sees(book, self.bars[day.name]) and hasattr(strategy.object, "at_open"):
                seen = {s for s in self.present.symbols if self._shown(book, s)}
                frame = strategy.object.at_open(day.name, partial(told_past, self.past_terms.as_of(day), day, seen))
                if frame is not None:
                    book.opened = {row["symbol"]: row for row in frame.iter_rows(named=True)}

    def _bins(self, day: Day) -> dict[int, dict[str, list[Bin]]]:
        """The day's coarser bars of every interval a row type asks for, by their end, then interval, in symbol order."""
        wanted = {r.interval for s in self.strategies for r in s.rows if r.interval != "1m"}
        ending: dict[int, dict[str, list[Bin]]] = defaultdict(lambda: defaultdict(list))
        for interval in wanted:
            for symbol in sorted(self.bars[day.name]):
                for found in resample(day, self.bars[day.name][symbol], interval):
                    ending[found.end_us][interval].append(found)
        return ending

    def _due(self, day: Day) -> dict[int, dict[str, list[str]]]:
        """The methods that timers call in a day: by moment, then by strategy, in their order."""
        due: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for strategy in self.strategies:
            for timer in strategy.timers:
                for t in timer.instants(day, self.zone):
                    if timer.method not in due[t][strategy.name]:
                        due[t][strategy.name].append(timer.method)
        return due

    def _before_a_minute(self, m: int, t: int, timers: dict[str, list[str]]) -> None:
        """Timers at the open, or when a break is over: no minute ends there, and nobody has a bar."""
        self.result.iterations += 1
        now = self.present
        now.now_us = now.decided_us = t
        now.elapsed = m
        self._end_ioc(t)
        here = self._has({}, {}, timers)
        for strategy, book in self.each():
            if strategy.name in here:
                self._call_timers(strategy, book, {}, timers)
                self._tell_orders(strategy, book)
        if self.execution.fill == "same_close":
            self._match_last_closes(here)

    # --------------------------------------------------------------------------------------------------------- minute

    def _minute(
        self, m: int, t: int, bars: dict[str, Bar], ends_now: dict[str, list[Bin]], timers: dict[str, list[str]]
    ) -> None:
        self.result.iterations += 1
        self.present.now_us = t
        self.present.elapsed = m
        fill = self.execution.fill
        here, seeing = self._has(bars, ends_now, timers), self._has(bars, {}, {})
        self._end_ioc(t)
        filling = self._filling(bars)
        if filling:
            self._match("open", t, t, {s: Offer(bar.open, bar, 0) for s, bar in filling.items()}, seeing)
        if fill != "same_close":
            self._tell_all(t + MINUTE)
        self._move(m, t, bars, filling)
        self._within(t, filling, seeing)
        self._sample(bars)
        if filling and fill == "next_close":
            self._match("close", t, t + MINUTE, {s: Offer(bar.close, bar, 0) for s, bar in filling.items()}, seeing)
        self._tell_all(t + MINUTE)
        self._end_ioc(t + MINUTE, limits_only=fill == "same_close")
        for strategy, book in self.each():
            if strategy.name not in here:
                continue
            if not strategy.timers_alone or strategy.name in timers:
                self._show(strategy, book, m, bars, ends_now, timers)
            self._tell_orders(strategy, book)
        if fill == "same_close":
            self._match_last_closes(here)
            self._end_ioc(t + MINUTE)

    def _filling(self, bars: dict[str, Bar]) -> dict[str, Bar]:
        """The bars that may fill, and how much of each a strategy may."""
        part = Fraction(as_decimal(self.execution.participation))
        if self.execution.zero_volume == "skip":
            bars = {s: bar for s, bar in bars.items() if bar.volume > 0}
        for book in self.books if part else []:
            book.room.update({s: self._room(bar, part) for s, bar in bars.items()})
        return bars

    def _match_last_closes(self, here: set[str]) -> None:
        """fill = "same_close": the last close of each symbol in this session, now."""
        now = self.present.now_us
        offers = {s: Offer(bar.close, bar, (now - bar.end_us) // MINUTE) for s, bar in self.present.traded.items()}
        self._match("last", now, now, offers, here)
        self._tell_all(now)

    def _purses(self, here: set[str]) -> list[list[tuple[Strategy, Book]]]:
        """Strategies that share their money with one in `here`, together."""
        purses = [self.each()] if any(len(b.purse) > 1 for b in self.books) else [[one] for one in self.each()]
        return [purse for purse in purses if any(strategy.name in here for strategy, _ in purse)]

    def _match(self, moment: str, due: int, t: int, offers: dict[str, Offer], here: set[str]) -> None:
        """Fill what fills at its symbol's offer, at `t`: exits first, then by id; over all strategies where they share their
        money. Orders decided after `due` wait. `moment` is a bar's "open", its "close", or the "last" close shown."""
        for purse in self._purses(here):
            ready = [
                (i, book, order)
                for i, (_, book) in enumerate(purse)
                for order in self._ready(book, moment, due, offers)
            ]
            last = {(i, order.symbol): order.id for i, _, order in sorted(ready, key=lambda r: r[2].id)}
            ready.sort(
                key=lambda r: (
                    quantity(r[2], r[1].position(r[2].symbol)) * r[1].position(r[2].symbol) >= 0,
                    r[0],
                    turn(r[2], last[r[0], r[2].symbol]),
                )
            )
            for _, book, order in ready:
                if not order.live:
                    continue  # what filled before has ended it
                price, bar, stale = offers[order.symbol]
                standing = book.standing(order.symbol, self.terms)
                if standing.possible(order) != 0:
                    quoted = moment == "open" and self.execution.spread == "quotes"
                    quotes = self.quotes.get((order.symbol, bar.time_us), (None, None)) if quoted else (None, None)
                    standing.fill(order, self._listed(order.symbol).worth(price), legs_us=t, quotes=quotes)
                    self._take(book, standing, t, bar, stale=stale)
                elif order.type == "target" and quantity(order, standing.held) == 0:
                    book.end(order, "cancelled", "at_target", t)

    def _ready(self, book: Book, moment: str, due: int, offers: dict[str, Offer]) -> list[Order]:
        """A book's live orders that may fill at a moment."""
        day = self.present.day
        assert day is not None
        rule = {"next_open": "open", "next_close": "close", "same_close": "last"}[self.execution.fill]
        every = book.close_all
        if moment == rule and every is not None and every.minutes_before:
            since = day.close - every.minutes_before * MINUTE
            if due >= since:
                self._close_held(book, every, since)
                every.minutes_before = 0
        ready = []
        for order in book.live.values():
            if order.symbol not in offers or order.waiting or order.decided_us > due:
                continue
            offer = offers[order.symbol]
            if order.type == "exit_at_close":
                acts = order.minutes_before > 0 and due >= day.close - order.minutes_before * MINUTE
                fills = moment == rule and acts
            elif order.type == "market_on_open":
                fills = moment == "open" and order.decided_us <= day.open
            elif order.type == "market_on_close":
                fills = False
            elif order.works_as == "market":
                fills = moment == rule
            else:
                met = order.live_us <= offer.bar.time_us
                fills = moment != "close" and met and fills_at(order, self._listed(order.symbol).worth(offer.price))
            if fills:
                ready.append(order)
        return ready

    def _within(self, t: int, bars: dict[str, Bar], here: set[str]) -> None:
        """What fills within the bars: strategy by strategy, symbol by symbol, along the path that counts."""
        for book in [book for purse in self._purses(here) for _, book in purse]:
            for symbol, bar in sorted(bars.items()):
                standing = book.standing(symbol, self.terms)
                if all(o.type not in RESTING for o in standing.orders):
                    continue
                prices = Prices(*map(self._listed(symbol).worth, (bar.open, bar.high, bar.low, bar.close)), t)
                low, high = both_paths(standing, prices)
                path, other = chosen(low, high, self.execution.intrabar)
                ambiguous = path.fills != other.fills
                if ambiguous:
                    head = {"session": self.present.day.name, "time": instant(t), "strategy": book.strategy}
                    more = {"symbol": symbol, "other_units": other.worth - path.worth}
                    self.result.ambiguous.append(head | more)
                for order in path.standing.orders:
                    vars(book.live[order.id]).update(vars(order))
                self._take(book, path.standing, t, bar, ambiguous=ambiguous)

    def _take(
        self, book: Book, standing: Standing, time_us: int, bar: Bar | None, *, stale: int = 0, ambiguous: bool = False
    ) -> None:
        """Book what happened to a standing, in its order."""
        for event in standing.events:
            if isinstance(event, Filled):
                own = self._listed(event.order.symbol).commission is not None
                book.purse[0].month += 0 if own else abs(event.shares)
                self._fill(book, event, time_us, bar, stale=stale, ambiguous=ambiguous)
            else:
                book.gone(event.order, time_us)
        if bar is not None and standing.room is not None:
            book.room[bar.symbol] = standing.room

    def _fill(self, book: Book, filled: Filled, time_us: int, bar: Bar | None, *, stale: int, ambiguous: bool) -> None:
        """Book a fill. `bar` is the one it happened in, None for a fill at the close."""
        assert self.present.day is not None
        order, shares, reference, paid, commission = filled
        book.ledger.book(order, shares, paid, commission, time_us, ambiguous=ambiguous)
        amounts = {
            "price": paid,
            "reference_price": reference,
            "slippage": (paid - reference) * shares,
            "commission": commission,
        }
        row = {
            "order_id": order.id,
            "strategy": book.strategy,
            "symbol": order.symbol,
            "session": self.present.day.name,
            "time": instant(time_us),
            "side": "buy" if shares > 0 else "sell",
            "shares": shares,
            "position_after": book.ledger.position(order.symbol),
            "bar_share": abs(shares) / self._listed(order.symbol).volume(bar)
            if bar is not None and bar.volume
            else None,
            "stale_minutes": stale,
            "tag": order.tag,
            "ambiguous": ambiguous,
        } | priced(amounts)
        row |= {name: self._listed(order.symbol).price(amounts[name]) for name in ("price", "reference_price")}
        self.result.fills.append(row)
        told = SimpleNamespace(**{k: v for k, v in row.items() if not k.endswith("_units")})
        book.filled.append(told)

    def _end_ioc(self, now_us: int, *, limits_only: bool = False) -> None:
        """Orders that had their minute ended with it."""
        for book in self.books:
            for order in list(book.live.values()):
                if order.tif == "ioc" and order.decided_us + MINUTE <= now_us and (order.limit or not limits_only):
                    book.end(order, "cancelled", "ioc", order.decided_us + MINUTE)

    def _move(self, m: int, t: int, bars: dict[str, Bar], filling: dict[str, Bar]) -> None:
        """Time reaches the bars' close_time: their closes are the marks."""
        now = self.present
        now.now_us = now.decided_us = t + MINUTE
        now.elapsed = m + 1
        self.result.bars += len(bars)
        now.traded.update(filling)
        for symbol, bar in bars.items():
            now.marks[symbol] = self._listed(symbol).worth(bar.close)
            now.last[symbol] = now.today[symbol] = bar
            now.rows[symbol] = now.rows.get(symbol, 0) + 1

    def _sample(self, bars: Iterable[str] = ()) -> None:
        """A minute has closed, with bars of some symbols: what is held then is worth so much."""
        for book in self.books:
            for symbol, held in book.ledger.positions.items():
                held.bars_held += symbol in bars
                held.sample(self.present.marks[symbol])

    def _show(
        self,
        strategy: Strategy,
        book: Book,
        m: int,
        bars: dict[str, Bar],
        ends_now: dict[str, list[Bin]],
        timers: dict[str, list[str]],
    ) -> None:
        """`on_bar` for minute rows by symbol, then coarser rows that end now, finest first; then `on_minute`; then timers."""
        on_bar = getattr(strategy.object, "on_bar", None)
        finest: dict[str, dict[str, Any]] | None = None
        for row_type in by_interval(strategy):
            shown: dict[str, dict[str, Any]] = {}
            found = list(bars.values()) if row_type.interval == "1m" else ends_now.get(row_type.interval, [])
            for bar in found:
                if not self._shown(book, bar.symbol):
                    continue
                opened = book.opened.get(bar.symbol, {})
                values, unknown = row_values(row_type, bar, self.present, minute=m, zone=self.zone, opened=opened)
                if unknown:
                    assert self.present.day is not None
                    self.result.guards[self.present.day.name, bar.symbol, f"warming_up: {unknown}"] += 1
                    continue
                shown[bar.symbol] = values
                if on_bar is not None:
                    on_bar(row_type.make(**values), book)
            finest = shown if finest is None else finest
        if finest and hasattr(strategy.object, "on_minute"):
            strategy.object.on_minute(self._across(strategy, book, finest), book)
        if not strategy.rows:
            finest = {symbol: {} for symbol in bars if self._shown(book, symbol)}
        self._call_timers(strategy, book, finest or {}, timers)

    def _call_timers(
        self, strategy: Strategy, book: Book, shown: dict[str, dict[str, Any]], timers: dict[str, list[str]]
    ) -> None:
        for method in timers.get(strategy.name, ()):
            getattr(strategy.object, method)(self._across(strategy, book, shown), book)

    def _across(self, strategy: Strategy, book: Book, shown: dict[str, dict[str, Any]]) -> CrossSection:
        """The cross-section of the finest row type, made afresh for each callback; without one, of who has a bar."""
        row_type = next(iter(by_interval(strategy)), RowType(()))
        return cross_section(row_type, shown, book, self.present, zone=self.zone, column=strategy.column)

    # ---------------------------------------------------------------------------------------------------- the close

    def _close(self, day: Day, *, last: bool) -> None:
        """At the close: standing exits, then what is live and of the day expires, then `on_session_end` and what day
        orders it gave; at the run's end, what is held may be closed."""
        now = self.present
        now.now_us = now.decided_us = day.close
        now.elapsed = len(day.minutes)
        self._end_ioc(day.close)
        for _, book in self.each():
            if (every := book.close_all) is not None:
                self._close_held(book, every, day.close)
                book.end(every, "cancelled", every.reason or "flat")
            for order in [o for o in book.open_orders() if o.type == "exit_at_close"]:
                self._exit(book, order, day, ending=False)
            for order in [o for o in book.open_orders() if o.type == "market_on_close"]:
                self._on_close(book, order, day)
        self._tell_all(day.close)
        for strategy, book in self.each():
            self._expire(book)
            self._tell_orders(strategy, book)
        self._retire(day)
        ends_run = last and now.stopped is None and self.execution.at_end == "close"
        for strategy, book in self.each():
            if self._sees(book, self.bars[day.name]):
                self._call(strategy, book, "on_session_end", day.name)
            elif not ends_run:  # a session without bars has an end too
                self._tell_orders(strategy, book)
        if ends_run:
            self._end_run(day)
        for _, book in self.each():
            self._expire(book)
        self._tell_calls()

    def _retire(self, day: Day) -> None:
        """Symbols whose last session this was: their orders expire, what is held is closed at the last close, without costs."""
        after = min((d.name for d in self.history.days if d.name > day.name), default=None)
        now = []
        for symbol in self.present.symbols:
            ends = self._listed(symbol).last_trade
            if ends is not None and (ends == day.name or (after is not None and day.name < ends < after)):
                now.append(symbol)
        if not now:
            return
        self.present.retired.update(now)
        for _, book in self.each():
            for symbol in now:
                for order in [o for o in book.own_orders(symbol) if o.type != "exit_at_close"]:
                    book.end(order, "expired", "not_listed")
                if book.ledger.position(symbol):
                    self._settle(book, symbol, day)
        self._tell_all(day.close)
        for strategy, book in self.each():
            self._tell_orders(strategy, book)

    def _settle(self, book: Book, symbol: str, day: Day) -> None:
        shares, bar = -book.ledger.position(symbol), self.present.traded.get(symbol)
        order = book.make(symbol, "expiry", shares=shares, tif="day", tag="")
        order.side, order.filled = (1 if shares > 0 else -1), shares
        printed = self.closing.get(day.name, {}).get(symbol) if self.execution.close_price == "closing_print" else None
        last = self.present.last[symbol] if bar is None else bar
        price = self.present.marks[symbol] if bar is None else self._listed(symbol).worth(bar.close)
        stale = (day.close - last.end_us) // MINUTE
        if bar is not None and printed is not None:
            price, stale = self._listed(symbol).worth(printed), 0
        self._fill(book, Filled(order, shares, price, price, 0), day.close, None, stale=stale, ambiguous=False)
        order.end("filled")
        book.gone(order, day.close)

    def _listed(self, symbol: str) -> Instrument:
        """The terms of a symbol."""
        return self.present.listed(symbol)

    def _room(self, bar: Bar, part: Fraction) -> int:
        """The shares of a bar that one strategy may fill."""
        listed = self._listed(bar.symbol)
        return listed.lots(int(part * int(listed.volume(bar))))

    def _tell_calls(self) -> None:
        """Who has less than is required is told so."""
        for purse in self._margined():
            if (missing := self._missing(purse)) > 0:
                equity = sum(book.ledger.equity(self.present.marks) for book in purse)
                amounts = {"equity": equity, "required": missing + equity, "missing": missing}
                fields = {name: float(amount / 10**8) for name, amount in amounts.items()}
                fields |= {"symbol": purse[0].only} if purse[0].only else {}
                purse[0].log("margin call", **fields)

    def _margined(self) -> list[list[Book]]:
        """Those who share their money, together, where there are rules of margin."""
        if self.account.margin == "none":
            return []
        return [self.books] if self.account.shared else [[book] for book in self.books]

    def _missing(self, purse: list[Book]) -> Fraction:
        """What is required to hold what is held (25 % of longs, 30 % of shorts), less equity; units."""
        marks = self.present.marks
        required = sum(
            self._listed(s).required(held.shares, b.ledger.value(s, marks))
            for b in purse
            for s, held in b.ledger.positions.items()
        )
        return required - sum(book.ledger.equity(marks) for book in purse)

    def _liquidate(self) -> None:
        """As a session opens: orders for what is held, the largest first, until nothing is missing."""
        marks = self.present.marks
        for purse in self._margined() if self.account.margin_call == "liquidate" else []:
            missing = self._missing(purse)
            held = [(-abs(b.ledger.value(s, marks)), n, s, b) for n, b in enumerate(purse) for s in b.ledger.positions]
            for _, _, symbol, book in sorted(held, key=lambda h: h[:3]):
                if missing > 0:
                    shares = book.position(symbol)
                    listed = self._listed(symbol)
                    a_share = listed.required(1, marks[symbol] if shares > 0 else -marks[symbol])
                    count = min(math.ceil(missing / a_share / listed.lot) * listed.lot, abs(shares))
                    missing -= count * a_share
                    book.order(symbol, -count if shares > 0 else count, tif="day", tag="margin_call")

    def _expire(self, book: Book) -> None:
        """At the close: orders of the day end, those for an open that has been, those for one minute."""
        day = self.present.day
        assert day is not None
        for order in book.open_orders():
            if order.tif == "ioc":
                book.end(order, "cancelled", "ioc")
                continue
            later = order.type == "market_on_close" or (order.type == "market_on_open" and order.decided_us > day.open)
            if order.tif == "day" and not later:
                bar = self.present.traded.get(order.symbol)
                met = bar is not None and bar.time_us >= order.decided_us and order.type != "exit_at_close"
                book.end(order, "expired", "unfilled" if met else "no_bar")

    def _on_close(self, book: Book, order: Order, day: Day) -> None:
        """A market_on_close of this session: at the price of an exit, if a bar opened since the decision."""
        bar = self.present.traded.get(order.symbol)
        if not order.live or order.decided_us >= day.close:
            return
        if bar is None or bar.time_us < order.decided_us:
            book.end(order, "expired", "no_bar")
        else:
            self._fill_at_close(book, order, day, bar)

    def _fill_at_close(self, book: Book, order: Order, day: Day, bar: Bar) -> None:
        """At the closing print of a symbol that has a bar in the session, or at the close of `bar`."""
        printed = self.closing.get(day.name, {}).get(order.symbol)
        prints = self.execution.close_price == "closing_print" and order.symbol in self.present.traded
        standing = book.standing(order.symbol, self.terms, capped=False)
        if prints and printed is not None:
            price, stale = printed, 0
        else:
            price, stale = bar.close, (day.close - bar.end_us) // MINUTE
        standing.fill(order, self._listed(order.symbol).worth(price), legs_us=day.close)
        self._take(book, standing, day.close, None, stale=stale)

    def _end_run(self, day: Day) -> None:
        """at_end = "close": every position is closed as exit_at_close would."""
        for _, book in self.each():
            for symbol in sorted(book.ledger.positions):
                order = book.make(symbol, "exit_at_close", tif="day", tag="at_end")
                self._exit(book, order, day, ending=True)
        self._tell_all(day.close)
        for strategy, book in self.each():
            self._tell_orders(strategy, book)

    def _held(self, day: Day) -> None:
        """The positions at this close."""
        marks = self.present.marks
        for book in self.books:
            for symbol in sorted(book.ledger.positions):
                head = {"session": day.name, "strategy": book.strategy, "symbol": symbol}
                amounts = {"price": marks[symbol], "value": book.ledger.value(symbol, marks)}
                self.result.positions.append(head | {"shares": book.ledger.position(symbol)} | priced(amounts))

    def _close_held(self, book: Book, every: Order, decided_us: int) -> None:
        """exit_at_close without a symbol acts now: one order for each symbol held that has none and is not spared."""
        self.present.decided_us = decided_us
        for symbol in sorted(book.ledger.positions):
            own = any(o.type == "exit_at_close" for o in book.own_orders(symbol))
            if not own and symbol not in book.spared:
                order = book.make(symbol, "exit_at_close", tif="day", tag="")
                order.minutes_before = every.minutes_before
                every.reason = "split"

    def _exit(self, book: Book, order: Order, day: Day, *, ending: bool) -> None:
        """One exit_at_close at the close; at the run's end (`ending`) an old close will do."""
        for other in book.own_orders(order.symbol):
            if other is not order:
                book.end(other, "cancelled", "exit_at_close")
        bar = self.present.traded.get(order.symbol) or (self.present.last[order.symbol] if ending else None)
        if book.position(order.symbol) == 0:
            book.end(order, "cancelled", "flat")
        elif bar is None:
            book.end(order, "expired", "no_bar")
        else:
            self._fill_at_close(book, order, day, bar)

    def _mark(self, day: Day, end_us: int) -> None:
        """One row of equity a strategy for the minute that ends at `end_us`."""
        marks = self.present.marks
        for book in self.books:
            ledger = book.ledger
            amounts = {
                "equity": ledger.equity(marks),
                "cash": ledger.cash,
                "gross": ledger.gross(marks),
                "net": ledger.net(marks),
            }
            head = {"time": instant(end_us), "session": day.name, "strategy": book.strategy}
            self.result.equity.append(head | priced(amounts))

    # -------------------------------------------------------------------------------------------------------- telling

    def each(self) -> list[tuple[Strategy, Book]]:
        """Strategies with their books, in configured order."""
        return list(zip(self.strategies, self.books, strict=True))

    def _call(self, strategy: Strategy, book: Book, callback: str, session: date) -> None:
        """A session's first or last callback, then what came of it; at its end the day orders it gave expire."""
        if hasattr(strategy.object, callback):
            getattr(strategy.object, callback)(session, book)
        if callback == "on_session_end":
            self._expire(book)
        self._tell_orders(strategy, book)

    def _tell_all(self, decided_us: int) -> None:
        """Every strategy is told its fills; orders that it then gives count as decided at that time."""
        self.present.decided_us = decided_us
        for strategy, book in self.each():
            self._tell_fills(strategy, book)

    def _tell_fills(self, strategy: Strategy, book: Book) -> None:
        """Tell fills in the order they happened."""
        told, book.filled = book.filled, []
        for fill in told:
            if hasattr(strategy.object, "on_fill"):
                strategy.object.on_fill(fill, book)

    def _tell_orders(self, strategy: Strategy, book: Book) -> None:
        """Tell orders that ended, once the callbacks of the moment (a minute, the open, the close) are done. What comes of
        it is told at the next moment."""
        told, book.events = book.events, []
        for order in told:
            if hasattr(strategy.object, "on_order"):
                strategy.object.on_order(order, book)

    # --------------------------------------------------------------------------------------------------------- tables

    def _tables(self) -> None:
        turn = {s.name: i for i, s in enumerate(self.strategies)}
        result = self.result
        for book in self.books:
            result.trades += book.ledger.trades
            result.records += book.record_rows
            result.log += book.log_rows
            result.orders += [order_row(book, o) for o in book.orders[book.warm :]]
        for name, columns in PRICES.items():
            for row in getattr(result, name):
                for column in columns:
                    if row[f"{column}_units"] is not None:
                        row[column] = self._listed(row["symbol"]).price(row[f"{column}_units"])
        result.fills.sort(key=lambda r: (r["session"], r["time"], turn[r["strategy"]], r["symbol"], r["order_id"]))
        result.orders.sort(key=lambda r: (r["session"], r["decided_at"], turn[r["strategy"]], r["symbol"], r["id"]))
        result.trades.sort(key=lambda r: (r["exit_time"], turn[r["strategy"]], r["symbol"], r["entry_time"]))
        result.cash.sort(key=lambda r: (r["session"], turn[r["strategy"]], r["symbol"] or "", r["kind"]))
        result.records.sort(key=lambda r: (r["time"], turn[r["strategy"]]))
        result.log.sort(key=lambda r: (r["time"], turn[r["strategy"]]))


def told(strategy: Strategy, terms: PastTerms) -> Strategy:
    """A strategy whose features look back in each day's terms."""
    rows = [replace(r, features={name: Told(f, terms) for name, f in r.features.items()}) for r in strategy.rows]
    return replace(strategy, rows=rows)


def told_past(history: History, *asked: Any) -> list[tuple[Any, ...]]:
    """What at_open is told of a history."""
    return floats(past(history, *asked))


def by_interval(strategy: Strategy) -> list[RowType]:
    """Its row types, finest first."""
    return sorted(strategy.rows, key=lambda r: interval_minutes(r.interval))


def turn(order: Order, last: int) -> tuple[int, bool]:
    """The place of an order among those that fill: an exit_at_close is after the `last` of its symbol."""
    return (last, True) if order.type == "exit_at_close" else (order.id, False)


def order_row(book: Book, order: Order) -> dict[str, Any]:
    """An order's row. `shares` are those asked for, of a target or an exit those filled, of a leg those it was live for; `side` is theirs."""
    shares = (order.filled or None) if order.type in ("target", "exit_at_close") else order.shares
    side = shares or order.side
    prices = {"limit": order.limit, "stop": order.stop, "trail": order.trail}
    return {
        "id": order.id,
        "strategy": book.strategy,
        "symbol": order.symbol,
        "session": order.session,
        "decided_at": instant(order.decided_us),
        "ended_at": None if order.ended_us is None else instant(order.ended_us),
        "type": order.type,
        "side": "buy" if side > 0 else "sell" if side else None,
        "shares": shares,
        "level": order.level,
        "tif": order.tif,
        "status": order.status,
        "reason": order.reason,
        "tag": order.tag,
        "filled": order.filled,
        "parent": order.parent,
        **{f"{name}_units": price for name, price in prices.items()},
        **{name: None if price is None else money(price) for name, price in prices.items()},
    }
