"""A fill: what is paid for it, and its row."""

from __future__ import annotations

from bt.execution.compiling import compiled, inner
from bt.execution.layout import (
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
    O_ACCOUNT,
    O_CODE,
    O_ID,
    O_TAG,
    O_TYPE,
    SLIP_DOWN,
    SLIP_UP,
    IntArray,
    fill_at,
    order_at,
)  # fmt: skip
from bt.execution.ledger import book_fill
from bt.execution.money import portion
from bt.execution.tape import FloatArray


@compiled
def paid(b: IntArray, reference: int, shares: int) -> int:
    """The fill price in units: a buy pays more than `reference`, a sell gets less."""
    up, down = b[SLIP_UP], b[SLIP_DOWN]
    if up == 0:
        return reference
    return portion(reference, down + up if shares > 0 else down - up, down)


@compiled
def charged(b: IntArray, shares: int) -> int:
    """The commission of a fill in units."""
    return portion(abs(shares), b[FEE_UP], b[FEE_DOWN])


@inner
def note(
    b: IntArray, g: IntArray, t: IntArray, p: FloatArray, k: int, shares: int, reference: int, price: int, time: int, slot: int, at_close: bool,
    bar: int, stale: int, seen: int, doubted: bool,
) -> int:  # fmt: skip
    """A fill of order `k` is booked and recorded; the position after it. `seen` counts the bars of the symbol before."""
    order = order_at(g, k)
    a, code, kind, tag = g[order + O_ACCOUNT], g[order + O_CODE], g[order + O_TYPE], g[order + O_TAG]
    commission = charged(b, shares)
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
