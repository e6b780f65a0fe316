"""raptorbt: MODE arrays hands it entries and exits of a symbol; MODE events calls a Python strategy per bar.

Its fees are fractions of value alone, so it charges none, and the commission of both sides is taken off each of its trades.
Symbols are runs of their own: it knows no shared cash.
"""

from importlib.metadata import version
from typing import Any

import numpy as np
import raptorbt
from market import CASH, COMMISSION, FAST, SHARES, SLOW, Crossing, Sitting, wanted_after
from raptorbt.strategy import Strategy, run_strategy_backtest
from raptorbt.strategy.orders import Market

sitting = Sitting()
flat_ns = sitting.flat_us * 1000
config = raptorbt.BacktestConfig(initial_capital=CASH, fees=0.0, slippage=0.0, fill_timing="next_bar_open")
lots = raptorbt.InstrumentConfig(lot_size=1.0)
seen = [0]


class Sma(Strategy):
    """The strategy, with the state of `market`."""

    def on_start(self, ctx: Any) -> None:
        self.state, self.position = Crossing(), 0

    def on_bar(self, ctx: Any) -> None:
        seen[0] += 1
        wanted = self.state.on_close(ctx.bar.close)
        if ctx.timestamp >= flat_ns:
            wanted = 0
        if wanted != self.position:
            self.position = wanted
            self.submit_order(Market(side="buy" if wanted else "sell", units=SHARES))


def events(symbol: str, time: Any, *columns: Any) -> Any:
    """One call a bar."""
    return run_strategy_backtest(Sma(), time, *columns, config=config, symbol=symbol)


def arrays(symbol: str, time: Any, *columns: Any) -> Any:
    """Signals of all bars at once; a size is a fraction of capital, cut to whole lots."""
    opens, close = columns[0], columns[3]
    wanted = wanted_after(np.asarray(raptorbt.sma(close, FAST)) - np.asarray(raptorbt.sma(close, SLOW)))
    wanted[time >= flat_ns] = 0
    before = np.concatenate([[0], wanted[:-1]])
    entries, exits = (wanted == 1) & (before == 0), (wanted == 0) & (before == 1)
    sizes = (SHARES + 0.5) * np.append(opens[1:], close[-1]) / CASH
    seen[0] += len(close)
    return raptorbt.run_single_backtest(time, *columns, entries, exits, 1, 1.0, symbol, config, sizes, lots)


run = {"events": events, "arrays": arrays}[sitting.mode]
trades, pnl = 0, 0.0
for symbol, bars in sitting.pandas().groupby("symbol", sort=True):
    time = bars["ts"].astype("datetime64[ns, UTC]").astype("int64").to_numpy()
    prices = [bars[column].to_numpy() for column in ("open", "high", "low", "close")]
    made = run(symbol, time, *prices, bars["volume"].to_numpy(dtype="float64")).trades()
    trades += len(made)
    pnl += sum(trade.pnl for trade in made) - 2 * SHARES * COMMISSION * len(made)
sitting.tell(version=version("raptorbt"), bars=seen[0], trades=trades, pnl=pnl)
