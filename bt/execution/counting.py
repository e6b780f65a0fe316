"""What a session came to, in numbers: what its fills, trades and orders add up to, how far equity fell, how much of it was at work."""

from __future__ import annotations

from bt.execution.layout import (
    CANCELLED, EXPIRED, F_COMMISSION, F_PRICE, F_REFERENCE, F_SHARES, F_STALE, REJECTED, R_STATUS, T_COMMISSION, T_DOUBTED, T_GROSS,
)  # fmt: skip
from bt.jit import FloatArray, IntArray, IntTable, compiled, inner

COUNTS = (
    "fills", "large", "stale_exits", "trades", "wins", "ambiguous_trades", "expired", "rejected", "cancelled",
)  # fmt: skip
C_FILLS, C_LARGE, C_STALE, C_TRADES, C_WINS, C_DOUBTED, C_EXPIRED, C_REJECTED, C_CANCELLED = range(len(COUNTS))
SUMS = "value", "commission", "slippage", "gain", "loss"
C_VALUE, C_COMMISSION, C_SLIPPAGE, C_GAIN, C_LOSS = range(len(COUNTS), len(COUNTS) + 2 * len(SUMS), 2)
COUNT_COLUMNS = len(COUNTS) + 2 * len(SUMS)

WORST, PEAK, BEFORE, BACK, RECOVERED, LAST_PEAK, TOP, FALL_COLUMNS = range(8)
NEAR = 1e-12
"""Falls that differ by less, relatively, are told apart in exact arithmetic."""


@inner
def _add(made: IntArray, place: int, value: int) -> None:
    """A number is added to a sum of any size: halves are summed apart."""
    made[place] += value >> 32
    made[place + 1] += value & 0xFFFFFFFF


@compiled
def count(
    fills: IntTable, trades: IntTable, orders: IntTable, traded: FloatArray, share: float, made: IntArray
) -> None:
    """What a session's rows (columns F_, T_ and R_ of the layout) come to is added to `made`: `COUNTS`, then two halves of each of `SUMS`, units.

    `traded` is the volume of the bar behind each fill, 0 where none is; a fill of more than a `share` of it is large. `value` is what was bought and sold,
    `gain` and `loss` the net P&L of trades that won and lost.
    """
    for k in range(len(fills)):
        shares, price = fills[k, F_SHARES], fills[k, F_PRICE]
        _add(made, C_VALUE, abs(shares) * price)
        _add(made, C_SLIPPAGE, (price - fills[k, F_REFERENCE]) * shares)
        _add(made, C_COMMISSION, fills[k, F_COMMISSION])
        made[C_STALE] += fills[k, F_STALE] > 0
        made[C_LARGE] += traded[k] > 0.0 and float(abs(shares)) / traded[k] > share
    for k in range(len(trades)):
        net = trades[k, T_GROSS] - trades[k, T_COMMISSION]
        _add(made, C_GAIN, max(net, 0))
        _add(made, C_LOSS, max(-net, 0))
        made[C_WINS] += net > 0
        made[C_DOUBTED] += trades[k, T_DOUBTED]
    for k in range(len(orders)):
        status = orders[k, R_STATUS]
        made[C_EXPIRED] += status == EXPIRED
        made[C_REJECTED] += status == REJECTED
        made[C_CANCELLED] += status == CANCELLED
    made[C_FILLS] += len(fills)
    made[C_TRADES] += len(trades)


@compiled
def fall(equity: IntArray, top: int, below: int, known: int, found: IntArray) -> bool:
    """How an equity fell below its running peak, which was `top` (above 0) before its first minute; False where exact arithmetic has to tell the
    deepest minute.

    Parameters
    ----------
    below : int
        Units of equity that it may have to come back to.
    known : int
        The first minute of the deepest fall, where that is known; -1 where it is looked for.
    found : array
        Minutes, -1 for none: WORST; BEFORE, the last one at its PEAK (units) until then, and BACK, the first one there after it; RECOVERED, the first at
        `below` or more; LAST_PEAK, the last at a running peak. TOP is that peak at the end, units.
    """
    last_peak = recovered = before = back = worst = -1
    peak, fell, deepest = top, 0, 0.0
    for minute in range(len(equity)):
        now = equity[minute]
        if now >= top:
            top, last_peak = now, minute
        if recovered < 0 and now >= below:
            recovered = minute
        if worst >= 0 and back < 0 and now >= peak:
            back = minute
        deeper = minute == known
        if known < 0 and now < top and not (now - top == fell and top == peak):
            share = float(now - top) / float(top)
            deeper = share < deepest * (1.0 + NEAR)
            if not deeper and share < deepest * (1.0 - NEAR):
                return False
            if deeper:
                deepest, fell = share, now - top
        if deeper:
            worst, peak, before, back = minute, top, last_peak, -1
    found[WORST], found[PEAK], found[BEFORE], found[BACK] = worst, peak, before, back
    found[RECOVERED], found[LAST_PEAK], found[TOP] = recovered, last_peak, top
    return True


@inner
def _plus(sums: FloatArray, place: int, value: float) -> None:
    """A number is added to a sum of two doubles, the second what the first is off by (Knuth, The Art of Computer Programming 2, 4.2.2)."""
    before = sums[place]
    after = before + value
    other = after - before
    sums[place] = after
    sums[place + 1] += (before - (after - other)) + (value - other)


@compiled
def exposed(equity: IntArray, gross: IntArray, net: IntArray, sums: FloatArray) -> bool:
    """Gross / equity and net / equity of every minute are added to `sums`, each of two doubles; False, and they mean nothing, where any equity is 0 or less."""
    for minute in range(len(equity)):
        if equity[minute] <= 0:
            return False
        worth = float(equity[minute])
        _plus(sums, 0, float(gross[minute]) / worth)
        _plus(sums, 2, float(net[minute]) / worth)
    return True
