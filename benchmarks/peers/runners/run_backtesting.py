"""backtesting.py: a run a symbol, since it knows one instrument; its first look is at the bar after the indicators are there."""

import warnings
from typing import Any

import backtesting
import pandas as pd
from backtesting import Backtest, Strategy
from market import COMMISSION, FAST, SHARES, SLOW, TIE, Sitting

warnings.filterwarnings("ignore")  # orders that it will not finish, cash below a price
backtesting.backtesting._tqdm = lambda bars, **_: bars  # noqa: SLF001 - no progress bar where time is taken
sitting = Sitting()
CASH = 1e7
seen = [0]


def mean(closes: Any, count: int) -> Any:
    """The mean of the last `count`."""
    return pd.Series(closes).rolling(count).mean()


class Sma(Strategy):
    """The strategy, with indicators as the engine wants them."""

    def init(self) -> None:
        self.fast, self.slow = self.I(mean, self.data.Close, FAST), self.I(mean, self.data.Close, SLOW)
        self.wanted = 0
        self.flat = (
            len(self.data) - 1
        )  # the last bar but one: a look at the time of each would cost more than the engine

    def next(self) -> None:
        seen[0] += 1
        apart = self.fast[-1] - self.slow[-1]
        if apart > TIE:
            self.wanted = 1
        elif apart < -TIE:
            self.wanted = 0
        wanted = 0 if len(self.data) >= self.flat else self.wanted
        if wanted and not self.position:
            self.buy(size=SHARES)
        elif self.position and not wanted:
            self.position.close()


def commission(shares: float, price: float) -> float:  # noqa: ARG001 - its interface
    """Of one fill."""
    return abs(shares) * COMMISSION


bars = sitting.pandas()
bars.columns = [c if c in {"ts", "symbol"} else c.capitalize() for c in bars.columns]
trades, pnl = 0, 0.0
for _, part in bars.groupby("symbol", sort=True):
    frame = part.drop(columns="symbol").set_index("ts")
    run = Backtest(frame, Sma, cash=CASH, commission=commission, trade_on_close=False, finalize_trades=False).run()
    trades += run["# Trades"]
    pnl += run["Equity Final [$]"] - CASH
sitting.tell(version=backtesting.__version__, bars=seen[0], trades=trades, pnl=pnl)
