"""PyBroker: an execution per symbol and bar over a pandas frame, its own indicators, fills at the next open."""

import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import pybroker
from market import CASH, COMMISSION, FAST, SHARES, SLOW, TIE, Sitting
from pybroker import FeeMode, PriceType, Strategy, StrategyConfig

warnings.filterwarnings("ignore")  # of pandas, from inside it
pybroker.disable_logging()
pybroker.disable_progress_bar()
sitting = Sitting()
flat = np.datetime64(sitting.flat_us, "us")
seen = [0]
decided = dict.fromkeys(sitting.symbols, 0)


def mean(count: int) -> Callable[[Any], Any]:
    """The mean of the last `count` closes, as an indicator of it."""
    return lambda bars: pd.Series(bars.close).rolling(count).mean().to_numpy()


def sma(context: Any) -> None:
    """The strategy, per symbol and bar."""
    seen[0] += 1
    symbol = context.symbol
    if context.bars >= SLOW:
        apart = context.indicator("fast")[-1] - context.indicator("slow")[-1]
        decided[symbol] = 1 if apart > TIE else 0 if apart < -TIE else decided[symbol]
    wanted = 0 if context.date[-1] >= flat else decided[symbol]
    held = context.long_pos()
    if wanted and not held:
        context.buy_shares, context.buy_fill_price = SHARES, PriceType.OPEN
    elif held and not wanted:
        context.sell_shares, context.sell_fill_price = SHARES, PriceType.OPEN


bars = sitting.pandas().rename(columns={"ts": "date"})
bars["date"] = bars["date"].dt.tz_convert(None)
config = StrategyConfig(
    initial_cash=CASH, fee_mode=FeeMode.PER_SHARE, fee_amount=COMMISSION, round_test_result=False, bootstrap_samples=10
)
strategy = Strategy(bars, bars["date"].min(), bars["date"].max(), config)
indicators = [pybroker.indicator("fast", mean(FAST)), pybroker.indicator("slow", mean(SLOW))]
strategy.add_execution(sma, sitting.symbols, indicators=indicators)
result = strategy.backtest(calc_bootstrap=False, timeframe="1m")
equity = float(result.portfolio["equity"].iloc[-1])
sitting.tell(version=version("lib-pybroker"), bars=seen[0], trades=len(result.trades), pnl=equity - CASH)
