"""What the laws of conservation know of corporate actions: from their rules (docs/decisions/0031) and nothing else."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from bt.execution import layout as at
from bt.model import UNIT, Action, Instruments

CLOSES_OUT = ("delisting", "split")
"""The types of orders that a company's doings make."""


def closing(desk: Any) -> set[tuple[int, int, int]]:
    """(account, code, id) of the session's orders that a company's doings made."""
    rows = desk.tables.record[: int(desk.fixed[at.RECORDS])]
    mine = rows[np.isin(rows[:, at.R_TYPE], [at.DELISTED_AT, at.SPLIT_AT, at.EXPIRY_AT])]
    return set(map(tuple, mine[:, [at.R_ACCOUNT, at.R_CODE, at.R_ID]].tolist()))


def in_money(actions: Sequence[Action], listed: Instruments | None) -> list[Action]:
    """Actions with what they pay in money of a share."""
    if listed is None:
        return list(actions)
    each = listed.multiplier
    paying = [replace(a, amount=a.amount * each[a.code]) for a in actions]
    return [a if a.price is None else replace(a, price=round(a.price * each[a.code])) for a in paying]


@dataclass(frozen=True)
class Acts:
    """A session's actions. Last closes by code in units: `before`, `unsplit` under the session's names, `marks` after its splits."""

    actions: Sequence[Action]
    renames: Mapping[int, int]
    ratios: Mapping[int, Fraction]
    before: np.ndarray
    unsplit: np.ndarray
    marks: np.ndarray

    @staticmethod
    def of(before: np.ndarray, actions: Sequence[Action]) -> Acts:
        """Of the last closes as the session before left them."""
        renames = {a.code: a.to for a in actions if a.kind == "rename" and a.to >= 0}
        ratios: dict[int, Fraction] = {}
        for a in actions:
            if a.kind == "split":
                ratios[a.code] = ratios.get(a.code, Fraction(1)) * a.ratio
        unsplit = before.copy()
        unsplit[list(renames)] = 0
        for old, new in renames.items():
            unsplit[new] = before[old]
        marks = unsplit.copy()
        for code, ratio in ratios.items():
            marks[code] = round(int(unsplit[code]) / ratio)
        return Acts(actions, renames, ratios, before, unsplit, marks)

    def displaced(self, lots: Container[int]) -> list[int]:
        """What is held under a name that another symbol takes, in the order in which it is closed."""
        return [new for new in self.renames.values() if new not in self.renames and new in lots]

    def rename(self, books: Any) -> None:
        """Lots, and orders that live, go on under other names."""
        books.lots = {self.renames.get(code, code): lot for code, lot in books.lots.items()}
        books.filled = {
            (code if (code, number) in books.over else self.renames.get(code, code), number): shares
            for (code, number), shares in books.filled.items()
        }
        books.touched = {
            (code if (code, number) in books.over else self.renames.get(code, code), number)
            for code, number in books.touched
        }

    def join(self, same: dict[int, int]) -> None:
        """Codes that are renamed to one another are of one security, at one time or another."""
        for old, new in self.renames.items():
            group = {same.get(old, old), same.get(new, new)}
            members = {code for code, one in same.items() if one in group} | {old, new} | group
            same.update(dict.fromkeys(members, min(group)))

    def rename_fees(self, fees: Any) -> None:
        """What was charged for, where it is counted by symbol, goes on under other names."""
        fees.shares = {self.renames.get(code, code): size for code, size in fees.shares.items()}
        fees.orders = {
            (a, self.renames.get(code, code), number): paid for (a, code, number), paid in fees.orders.items()
        }

    def pay(self, books: Any) -> list[tuple[int, str, int]]:
        """Split the lots, and what is paid for splits and dividends: (code, kind, units). A position of less than a new share is left: a fill
        closes it."""
        paid, gone = [], set()
        for code, ratio in self.ratios.items():
            lot = books.lots.get(code)
            if lot is None:
                continue
            exact = lot.shares * ratio
            after = math.trunc(exact)
            if after == 0:
                gone.add(code)
                continue
            paid.append((code, "in_lieu", round((exact - after) * int(self.unsplit[code]) / ratio)))
            lot.entered = math.trunc((lot.entered - abs(lot.shares)) * ratio) + abs(after)
            lot.shares = after
        owns = books.lots.keys() - gone
        dividends = [a for a in self.actions if a.kind == "dividend" and a.code in owns]
        paid += [(a.code, "dividend", round(books.lots[a.code].shares * a.amount * UNIT)) for a in dividends]
        return [one for one in paid if one[2]]

    def check(self, fill: Any, kind: str, opened: int) -> None:
        """A position that is closed by what its company did."""
        prices = [int(self.unsplit[fill.code])]
        if kind == "delisting":
            own = [a for a in self.actions if a.kind == kind and a.code == fill.code]
            prices = [int(self.marks[fill.code]) if a.price is None else a.price for a in own]
        assert fill.price == fill.reference, f"{fill}: what a company does costs nothing"
        assert fill.price in prices, f"{fill}: must be one of {prices}"
        assert (fill.time, fill.slot, fill.commission) == (opened, 0, 0), f"{fill}: at the open"
