"""A fill: what is paid for it, and its row."""

from __future__ import annotations

import numpy as np

from bt.errors import MoneyError
from bt.execution.layout import (
    BY_SYMBOL,
    DELISTED_AT,
    F_ACCOUNT,
    F_AFTER,
    F_BAR,
    F_CODE,
    F_COMMISSION,
    F_DOUBTED,
    F_ORDER,
    F_PRICE,
    F_REFERENCE,
    F_SHARES,
    F_SLOT,
    F_STALE,
    F_TAG,
    F_TIME,
    FEE_DOWN,
    FEE_UP,
    FILLS,
    I_FEE,
    IMPACT,
    IMPACTS_AT,
    LEAST_FEE,
    MONTH,
    NULL,
    O_ACCOUNT,
    O_CODE,
    O_FEES,
    O_ID,
    O_TAG,
    O_TIMES,
    O_TYPE,
    ORDER_FEE,
    OWN_FEES,
    OWN_MONTH,
    QUOTED_DOWN,
    QUOTED_UP,
    QUOTES,
    RATE_DOWN,
    RATE_UP,
    SCHEDULED,
    SLIP_DOWN,
    SLIP_UP,
    SYMBOLS,
    TIERS,
    TIERS_AT,
    fill_at,
    instrument_at,
    order_at,
    position_at,
)  # fmt: skip
from bt.execution.ledger import book_fill
from bt.execution.money import SURELY, plus, portion, times
from bt.jit import FloatArray, IntArray, compiled, inner


@compiled
def paid(b: IntArray, code: int, reference: int, quoted: int, shares: int) -> int:
    """The fill price in units: a buy pays more than `reference`, or than the ask that is `quoted` (NULL: none), a sell gets less."""
    if b[QUOTES] or b[IMPACT]:
        return _paid_beside(b, code, reference, quoted, shares)
    up, down = b[SLIP_UP], b[SLIP_DOWN]
    if up == 0:
        return reference
    return portion(reference, down + up if shares > 0 else down - up, down)


@compiled
def _paid_beside(b: IntArray, code: int, reference: int, quoted: int, shares: int) -> int:
    """The same where there are quotes, or the volume moves the price."""
    base, up, down = reference, b[SLIP_UP], b[SLIP_DOWN]
    if quoted != NULL:
        base, up, down = quoted, b[QUOTED_UP], b[QUOTED_DOWN]
    price = portion(base, down + up if shares > 0 else down - up, down)
    if b[IMPACT]:
        a_share = np.int64(b[b[IMPACTS_AT] + code]).view(np.float64)
        moved = float(base) * a_share * np.sqrt(float(abs(shares)))
        if moved > SURELY:
            raise MoneyError("money: a price must be within +-9.2e+10, was more; use smaller orders or less impact")
        if not np.isnan(a_share):
            price = plus(price, int(np.rint(moved))) if shares > 0 else max(price - int(np.rint(moved)), 1)
    return price


@inner
def own_fee(b: IntArray, code: int) -> int:
    """The commission of a share that the table of instruments says, units; NULL where it says none."""
    return b[instrument_at(b, code) + I_FEE] if b[OWN_FEES] else NULL


@compiled
def charged(b: IntArray, code: int, shares: int) -> int:
    """The commission of a fill in units, where it is so much a share."""
    fee = own_fee(b, code)
    if fee != NULL:
        return times(abs(shares), fee)
    return portion(abs(shares), b[FEE_UP], b[FEE_DOWN])


@compiled
def _tiered(b: IntArray, month: int, size: int) -> int:
    """What `size` shares cost, of which the first is the month's number `month` from 0 on; units."""
    total = 0
    for k in range(b[TIERS]):
        begin, rate = b[b[TIERS_AT] + 2 * k], b[b[TIERS_AT] + 2 * k + 1]
        end = b[b[TIERS_AT] + 2 * k + 2] if k + 1 < b[TIERS] else month + size
        total = plus(total, times(max(min(month + size, end) - max(month, begin), 0), rate))
    return total


@compiled
def scheduled(b: IntArray, rows: IntArray, o: int, month: int, shares: int, price: int) -> int:
    """The commission of one more fill of the order at place `o`, units; its fills together pay the least one at least."""
    size, least, code = abs(shares), b[LEAST_FEE], rows[o + O_CODE]
    fee = _tiered(b, month, size) if b[TIERS] and own_fee(b, code) == NULL else charged(b, code, shares)
    if b[RATE_UP]:
        fee = plus(fee, portion(times(size, price), b[RATE_UP], b[RATE_DOWN]))
    before = 0
    if rows[o + O_TIMES]:
        before = max(rows[o + O_FEES], least)
    else:
        fee = plus(fee, b[ORDER_FEE])
    rows[o + O_TIMES] += 1
    rows[o + O_FEES] = plus(rows[o + O_FEES], fee)
    return max(rows[o + O_FEES], least) - before


@inner
def month_place(b: IntArray, at: int) -> int:
    """Where the month's shares of who pays for a position are counted."""
    return position_at(b, at) + OWN_MONTH if b[BY_SYMBOL] else MONTH


@inner
def counted(b: IntArray, code: int, shares: int) -> int:
    """The shares of a fill that count for the month's tiers: not those with a commission of their own."""
    return abs(shares) if own_fee(b, code) == NULL else 0


@compiled
def _counted(b: IntArray, g: IntArray, order: int, shares: int, price: int) -> int:
    """The commission of a fill that is booked, which counts for the month."""
    place = month_place(b, g[order + O_ACCOUNT] * b[SYMBOLS] + g[order + O_CODE])
    fee = scheduled(b, g, order, b[place], shares, price)
    b[place] += counted(b, g[order + O_CODE], shares)
    return fee


@inner
def note(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, k: int, shares: int, reference: int, price: int, time: int, slot: int, at_close: bool,
    bar: int, stale: int, seen: int, doubted: bool,
) -> int:  # fmt: skip
    """A fill of order `k` is booked and recorded; the position after it. `seen` counts the bars of the symbol before."""
    order = order_at(g, k)
    a, code, kind, tag = g[order + O_ACCOUNT], g[order + O_CODE], g[order + O_TYPE], g[order + O_TAG]
    commission = 0
    if kind < DELISTED_AT:
        commission = _counted(b, g, order, shares, price) if b[SCHEDULED] else charged(b, code, shares)
    after = book_fill(b, g, t, p, a, code, shares, price, commission, time, slot, seen, at_close, kind, tag, doubted)
    row = b[FILLS]
    g[fill_at(g, row) + F_ORDER] = g[order + O_ID]
    g[fill_at(g, row) + F_ACCOUNT] = a
    g[fill_at(g, row) + F_CODE] = code
    g[fill_at(g, row) + F_TIME] = time
    g[fill_at(g, row) + F_SLOT] = slot
    g[fill_at(g, row) + F_SHARES] = shares
    g[fill_at(g, row) + F_PRICE] = price
    g[fill_at(g, row) + F_REFERENCE] = reference
    g[fill_at(g, row) + F_COMMISSION] = commission
    g[fill_at(g, row) + F_AFTER] = after
    g[fill_at(g, row) + F_STALE] = stale
    g[fill_at(g, row) + F_TAG] = tag
    g[fill_at(g, row) + F_BAR] = bar
    g[fill_at(g, row) + F_DOUBTED] = doubted
    b[FILLS] += 1
    return after
