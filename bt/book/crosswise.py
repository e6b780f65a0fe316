"""Targets of a whole cross-section in one call: levels compared as arrays, orders made only where they change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bt.book.account import Account
from bt.book.levels import WHOLE, all_shares_worth
from bt.errors import StrategyError
from bt.execution import IntArray
from bt.execution.layout import NULL
from bt.execution.targets import ALL_DECIDED
from bt.strategy import Rows


def _aligned(rows: Rows, kind: str, numbers: npt.ArrayLike, owner: str) -> npt.NDArray[np.float64]:
    """`numbers`, one for each of `rows`, NaN for no decision; a single number is that of all.

    Raises
    ------
    StrategyError
        They are not numbers, or not one a row.
    """
    try:
        given = np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        raise StrategyError(f"{_where(owner, kind)} must be an array of numbers, was {numbers!r}") from None
    if given.ndim == 0:
        given = np.full(len(rows), given)
    if given.shape != rows.code.shape:
        raise StrategyError(f"{_where(owner, kind)} must have one entry a row, {len(rows)}, was of shape {given.shape}")
    if not given.flags.c_contiguous:  # a column of somebody's matrix would have the rules compiled for it
        given = given.copy()
    return given


def _where(owner: str, kind: str) -> str:
    return f"strategy {owner}: targets, {kind}="


def _check(rows: Rows, kind: str, number: npt.NDArray[np.float64], owner: str) -> None:
    """Raise StrategyError for numbers that are infinite, or for ``shares`` not whole."""
    wrong = np.isinf(number)
    if kind == "shares":
        wrong = ((number != np.rint(number)) & ~np.isnan(number)) | (
            np.abs(number) > WHOLE
        )  # infinity is more than WHOLE
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        must = "whole numbers; round them first" if kind == "shares" else "finite"
        raise StrategyError(f"{_where(owner, kind)} must be {must}, was {number[at]} for {rows.symbol[at]}")


def aim_all(
    account: Account, rows: Rows, kind: str, numbers: npt.ArrayLike, base: int | None, *, flat: bool, tag: str
) -> None:  # fmt: skip
    """A target a symbol in the rows' order, passing over what it would not change.

    `base` is None where the `numbers` are shares, else what they are fractions of, in units. `flat` aims at 0 wherever there is no
    decision: in the rows at their place, then every other symbol by code.

    Raises
    ------
    StrategyError
        They are not one a row, not numbers, infinite, or for ``shares`` not whole; or a symbol has several of the rows.
    """
    code, number = rows.code, _aligned(rows, kind, numbers, account.name)
    if base is None and not flat and account.aim_at(code, number, tag) == ALL_DECIDED:
        return
    _check(rows, kind, number, account.name)
    account.flush()
    kept = account.levels
    level = _levels(account, code, number, base)
    changes = (kept[code] != level) | (level == NULL)
    if not flat:
        changes &= ~np.isnan(number)
    at = np.flatnonzero(changes)
    if len(at) > 1 and not (code[1:] > code[:-1]).all() and len(np.unique(code)) < len(code):
        raise StrategyError(f"strategy {account.name}: targets, rows must have each symbol once")
    codes, levels = code[at], level[at]
    if flat:
        rest = kept != 0
        rest[code] = False
        others = np.flatnonzero(rest)
        codes, levels = np.concatenate([codes, others]), np.concatenate([levels, np.zeros(len(others), dtype=np.int64)])
    if len(codes):
        account.aim(codes, levels, tag)


def _levels(account: Account, code: IntArray, number: npt.NDArray[np.float64], base: int | None) -> IntArray:
    """The levels that `number` asks for, 0 where it is NaN; NULL where a price is needed and not known."""
    number = np.where(np.isnan(number), 0.0, number)
    if base is None:
        return number.astype(np.int64)
    last = account.market.last[code]
    unpriced = last == 0
    try:
        level = all_shares_worth(base, number, np.where(unpriced, 1, last))
    except OverflowError as error:
        raise StrategyError(f"strategy {account.name}: targets must fit 2^62 shares, was {error}") from None
    if account.desk.instruments is not None:
        lot = account.desk.instruments.lot[code]
        level = np.sign(level) * (np.abs(level) // lot * lot)
    return np.where(unpriced & (number != 0), NULL, level) if base else level
