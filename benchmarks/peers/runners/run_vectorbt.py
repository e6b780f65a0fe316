"""vectorbt: wide frames (time by symbol), tz-naive, since a tz-aware index is checked at every step.

MODE signals makes indicators and signals symbol by symbol, because a missing minute is no bar, and has them filled at the next open;
MODE rust is the same on its Rust engine; MODE order keeps the strategy's state in a compiled order function.
"""

from typing import Any

import numba
import numpy as np
import pandas as pd
import vectorbt
from market import CASH, COMMISSION, FAST, SHARES, SLOW, TIE, Sitting, wanted_after

sitting = Sitting()
FEES = SHARES * COMMISSION
nothing, order = vectorbt.portfolio.enums.NoOrder, vectorbt.portfolio.nb.order_nb


@numba.njit
def start(context, symbols):  # noqa: ANN001, ANN201, ARG001 - Numba's types are its arguments'
    """The state: the last closes, how many there were, their sums, what is wanted."""
    zeros = np.zeros(symbols)
    return np.zeros((symbols, SLOW)), np.zeros(symbols, np.int64), zeros, zeros.copy(), np.zeros(symbols, np.int8)


@numba.njit
def decide(context, held, count, fast, slow, wanted, opens, flat):  # noqa: ANN001, ANN201, PLR0917 - the same
    """The order at this bar's open, decided before it; then what its close changes."""
    s, row = context.col, context.i
    close = context.close[row, s]
    if np.isnan(close):
        return nothing
    before, i = wanted[s], count[s]
    slow[s] += close - held[s, i % SLOW]
    fast[s] += close - (held[s, (i - FAST) % SLOW] if i >= FAST else 0.0)
    held[s, i % SLOW] = close
    count[s] = i + 1
    if i + 1 >= SLOW:
        apart = fast[s] / FAST - slow[s] / SLOW
        if apart > TIE:
            wanted[s] = 1
        elif apart < -TIE:
            wanted[s] = 0
    if flat[row]:
        wanted[s] = 0
    if before == 1 and context.position_now == 0.0:
        return order(size=float(SHARES), price=opens[row, s], fixed_fees=FEES)
    if before == 0 and context.position_now > 0.0:
        return order(size=-float(SHARES), price=opens[row, s], fixed_fees=FEES)
    return nothing


def signalled(close: pd.DataFrame, opens: pd.DataFrame, flat: Any, **engine: str) -> Any:
    """A portfolio from entries and exits."""
    wanted = {}
    for symbol in close.columns:
        closes = close[symbol].dropna()
        apart = vectorbt.MA.run(closes, FAST).ma.to_numpy() - vectorbt.MA.run(closes, SLOW).ma.to_numpy()
        decided = pd.Series(wanted_after(apart), closes.index)
        decided[closes.index >= flat] = 0
        wanted[symbol] = decided.shift(1).fillna(0)  # decided at a bar, filled at the next one's open
    frame = pd.DataFrame(wanted, index=close.index)
    return vectorbt.Portfolio.from_signals(
        close, entries=(frame == 1).to_numpy(), exits=(frame == 0).to_numpy(), price=opens, size=SHARES, fixed_fees=FEES,
        init_cash=CASH, **engine,
    )  # fmt: skip


def ordered(close: pd.DataFrame, opens: pd.DataFrame, flat: Any) -> Any:
    """A portfolio from the order function."""
    return vectorbt.Portfolio.from_order_func(
        close, decide, np.ascontiguousarray(opens.to_numpy()), np.asarray(close.index >= flat), pre_sim_func_nb=start,
        pre_sim_args=(close.shape[1],), init_cash=CASH,
    )  # fmt: skip


bars = sitting.pandas()
bars["symbol"] = bars["symbol"].astype("category")
bars["ts"] = bars["ts"].dt.tz_convert(None)
opens, close = (bars.pivot(index="ts", columns="symbol", values=column) for column in ("open", "close"))  # noqa: PD010 - nothing to aggregate
flat = pd.Timestamp(sitting.flat_us, unit="us")
if sitting.mode == "order":
    portfolio = ordered(close, opens, flat)
else:
    portfolio = signalled(close, opens, flat, **({"engine": "rust"} if sitting.mode == "rust" else {}))
trades = portfolio.trades
sitting.tell(
    version=vectorbt.__version__,
    bars=close.count().sum(),
    trades=np.sum(trades.count()),
    pnl=np.sum(trades.pnl.sum()),
)
