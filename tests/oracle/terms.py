"""In whose terms earlier bars are told: those of the day that looks back (decision 0031), followed backward day by day."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Any

from oracle.actions import Action, of_day
from oracle.features import as_decimal
from oracle.market import Bar, Day, History

Past = dict[date, dict[str, list[Bar]]]


class Terms:
    """The bars of a history as each day tells them. `adjust` is splits, all or none."""

    def __init__(self, history: History, actions: Sequence[Action], adjust: str, pool: frozenset[str]) -> None:
        self.history = history
        self.adjust = adjust
        wanted = ("split", "rename", "delisting", *(["dividend"] if adjust == "all" else []))
        self.of: dict[date, list[Action]] = {
            day.name: [
                a
                for a in of_day(actions, history.days, day)
                if a.kind in wanted and a.symbol in pool and (a.kind != "rename" or a.to in pool)
            ]
            for day in history.days
        }
        bars = [bar for by_symbol in history.bars.values() for some in by_symbol.values() for bar in some]
        self.places: dict[str, int] = {}
        for bar in bars:
            for price in bar[2:6]:
                places = max(-int(as_decimal(price).as_tuple().exponent), 0) if price % 1 else 0
                self.places[bar.symbol] = max(self.places.get(bar.symbol, 0), places)
        self._made: dict[date, History] = {}

    def begins(self, day: Day) -> Day:
        """The first day with the terms of a day."""
        changing = [d for d in self.history.days if d.name <= day.name and self.of[d.name]]
        return changing[-1] if changing else self.history.days[0]

    def as_of(self, day: Day) -> History:
        """The history as a day tells it."""
        first = self.begins(day)
        if self.adjust == "none" or not self.of[first.name]:
            return self.history
        if first.name not in self._made:
            self._made[first.name] = self._told(first)
        made = self._made[first.name]
        made.members = self.history.members
        return made

    def _told(self, day: Day) -> History:
        symbols = {s for by_symbol in self.history.bars.values() for s in by_symbol}
        symbols |= {a.to for some in self.of.values() for a in some if a.kind == "rename"}
        past: Past = {
            d.name: dict(b) if d.name >= day.name else {}
            for d, b in zip(self.history.days, self.history.bars.values(), strict=True)
        }  # type: ignore[misc]
        for symbol in symbols:
            for name, told in self._followed(symbol, day):
                if told:
                    past[name][symbol] = told
        return History(list(self.history.days), past)

    def _followed(self, symbol: str, day: Day) -> list[tuple[date, list[Bar]]]:
        """A symbol's bars of the days before `day`, the latest first, in its terms."""
        found: list[tuple[date, list[Bar]]] = []
        name, ratio, left = symbol, Fraction(1), Fraction(1)
        for d in reversed([d for d in self.history.days if d.name <= day.name]):
            if d.name < day.name:
                bars = self.history.bars[d.name].get(name, ())
                found.append((d.name, [self._bar(bar, symbol, ratio, left) for bar in bars]))
            acts = self.of[d.name]
            splits, paid = self._between(name, d)
            left *= self._left(name, d, splits, paid) if paid else 1
            ratio *= splits
            before = [a.symbol for a in acts if a.kind == "rename" and a.to == name]
            gone = [a for a in acts if a.symbol == name and a.kind == "delisting"]
            moved = [a for a in acts if a.symbol == name and a.kind == "rename"]
            if gone or (moved and not before):
                break
            name = before[0] if before else name
        return found

    def _between(self, name: str, day: Day) -> tuple[Fraction, Fraction]:
        """A day's split, and what its dividends pay a share."""
        splits, paid = Fraction(1), Fraction(0)
        for a in self.of[day.name]:
            if a.symbol == name and a.kind == "split":
                splits *= a.ratio
            elif a.symbol == name and a.kind == "dividend":
                paid += a.amount
        return splits, paid

    def _left(self, name: str, day: Day, splits: Fraction, paid: Fraction) -> Fraction:
        """What dividends leave of the last close before a day."""
        plain = Terms(self.history, (), "splits", frozenset())
        plain.of = {d: [a for a in acts if a.kind != "dividend"] for d, acts in self.of.items()}
        for _, bars in plain._followed(name, day):
            if bars:
                close = Fraction(as_decimal(bars[-1].close)) if isinstance(bars[-1].close, float) else bars[-1].close
                return 1 - paid / close
        return Fraction(1)

    def _bar(self, bar: Bar, symbol: str, ratio: Fraction, left: Fraction) -> Bar:
        """A bar in other terms: prices exact, but rounded to two more places where dividends are taken out; whole volumes whole."""
        if ratio == 1 and left == 1:
            return bar._replace(symbol=symbol)
        part = round(left, 8)
        prices = [self._price(p, bar.symbol, part) / ratio for p in bar[2:6]]
        volume = (
            round(bar.volume * ratio)
            if isinstance(bar.volume, int)
            else bar.volume * ratio.numerator / ratio.denominator
        )
        return Bar(symbol, bar.time_us, *prices, volume)  # type: ignore[arg-type]

    def _price(self, price: float, symbol: str, part: Fraction) -> Fraction:
        exact = Fraction(as_decimal(price))
        return exact if part == 1 else round(exact * part, self.places[symbol] + 2)


class Told:
    """A feature that each day evaluates over the history as it tells it."""

    def __init__(self, feature: Any, terms: Terms) -> None:
        self._feature, self._terms = feature, terms
        self._copies: dict[date, Any] = {}

    def prepare(self, history: History) -> None:
        """Each day's history is another."""

    def value(self, symbol: str, day: Day, minute: int, close_us: int) -> float | None:
        first = self._terms.begins(day).name
        if first not in self._copies:
            self._copies[first] = fresh(self._feature)
            self._copies[first].prepare(self._terms.as_of(day))
        found = self._copies[first].value(symbol, day, minute, close_us)
        return float(found) if isinstance(found, Fraction) else found


def fresh(feature: Any) -> Any:
    """A copy that remembers nothing, of the features it is made from too."""
    made = copy.copy(feature)
    for name in ("cache", "known", "value_of"):
        if hasattr(made, name):
            setattr(made, name, {})
    if hasattr(made, "inner"):
        made.inner = fresh(made.inner)
    if hasattr(made, "inputs"):
        made.inputs = [fresh(one) for one in made.inputs]
    return made


def floats(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows with their fractions rounded."""
    return [tuple(float(v) if isinstance(v, Fraction) else v for v in row) for row in rows]


def float_bars(bars: Sequence[Any]) -> list[Any]:
    """Bars, or bins, with their fractions rounded."""
    return [
        bar._replace(**{k: float(v) for k, v in zip(bar._fields, bar, strict=True) if isinstance(v, Fraction)})
        for bar in bars
    ]
