"""What an account is worth, and what it may still buy for. The rules are docs/decisions/0002 and 0028."""

from __future__ import annotations

import numpy as np

from bt.execution.layout import (
    ACCOUNTS,
    BY_SYMBOL,
    CASH,
    COST,
    GROSS,
    I_MARGIN,
    KNOWS,
    LAST,
    LEVERAGE_DOWN,
    LEVERAGE_UP,
    MARGINED,
    NET,
    OWN_CASH,
    OWN_RESERVED,
    RESERVED,
    SHARES_AT,
    SYMBOLS,
    TIED,
    VALUED,
    account_at,
    instrument_at,
    known_at,
    position_at,
)  # fmt: skip
from bt.execution.money import floor_portion
from bt.jit import IntArray, compiled, inner


@inner
def each_of(b: IntArray, code: int, price: int) -> int:
    """What one share takes of buying power at a price: that, or its margin."""
    if b[MARGINED] and b[instrument_at(b, code) + I_MARGIN]:
        return b[instrument_at(b, code) + I_MARGIN]
    return price


@compiled
def worth(b: IntArray) -> None:
    """Net and gross of all positions at the last closes shown, in NET and GROSS, and in TIED what they take of buying power; at cost while a symbol has shown none."""
    symbols = b[SYMBOLS]
    if b[VALUED] >= 0:
        return
    net = gross = tied = 0
    for a in range(b[ACCOUNTS]):
        last = known_at(b, b[account_at(a) + KNOWS], LAST)
        for code in range(symbols):
            held = b[b[SHARES_AT] + a * symbols + code]
            if held != 0:
                value = held * b[last + code] if b[last + code] != 0 else b[position_at(b, a * symbols + code) + COST]
                net += value
                gross += abs(value)
                tied += _tied(b, code, held, value)
    b[NET] = net
    b[GROSS] = gross
    b[TIED] = tied
    b[VALUED] = 0


@inner
def _tied(b: IntArray, code: int, held: int, value: int) -> int:
    """What a position takes of buying power: its value, or the margins of its shares."""
    each = each_of(b, code, 0)
    return abs(held) * each if each else abs(value)


@inner
def power(b: IntArray, a: int, code: int) -> int:
    """Buying power in units, cut to the unit below: leverage x equity - what positions take - what live orders have reserved."""
    if b[BY_SYMBOL]:
        at = a * b[SYMBOLS] + code
        place = position_at(b, at)
        held, last = b[b[SHARES_AT] + at], b[known_at(b, b[account_at(a) + KNOWS], LAST) + code]
        net = held * last if last != 0 else b[place + COST]
        tied, reserved, cash = _tied(b, code, held, net), b[place + OWN_RESERVED], b[place + OWN_CASH]
    else:
        worth(b)
        net, tied, reserved, cash = b[NET], b[TIED], b[RESERVED], 0
        for one in range(b[ACCOUNTS]):
            cash += b[account_at(one) + CASH]
    return floor_portion(cash + net, b[LEVERAGE_UP], b[LEVERAGE_DOWN]) - tied - reserved


@inner
def reserve(b: IntArray, at: int, amount: int) -> None:
    """Reserve more, or less."""
    if b[BY_SYMBOL]:
        b[position_at(b, at) + OWN_RESERVED] += amount
    else:
        b[RESERVED] += amount


@inner
def spare(b: IntArray) -> float:
    """Buying power whatever the prices of what is held, units: below 0 where they decide, infinite where no decision asks for any, or each asks for its symbol's own.

    What is held long adds to it with a leverage of 1 or more; so with nothing short it is what the cash gives.
    """
    if b[BY_SYMBOL] or b[LEVERAGE_UP] == 0:
        return np.inf
    if b[MARGINED] or b[LEVERAGE_UP] < b[LEVERAGE_DOWN]:
        return -1.0
    least = cash = 0
    for at in range(b[SHARES_AT], b[SHARES_AT] + b[ACCOUNTS] * b[SYMBOLS]):
        least = min(least, b[at])
    if least < 0:
        return -1.0
    for a in range(b[ACCOUNTS]):
        cash += b[account_at(a) + CASH]
    return float(floor_portion(cash, b[LEVERAGE_UP], b[LEVERAGE_DOWN]) - b[RESERVED])
