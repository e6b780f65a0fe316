"""akquant: a Rust engine that calls a Python strategy per bar, its own SMA, orders at the next open."""

import logging
from typing import Any

import akquant
import pandas as pd
from akquant import NextOpen, Strategy, run_backtest
from market import CASH, COMMISSION, FAST, MINUTE_US, SHARES, SLOW, TIE, Sitting

logging.disable(logging.WARNING)
sitting = Sitting()
flat_ns = (sitting.flat_us + MINUTE_US) * 1000  # bars are stamped when they end
seen = [0]


class Sma(Strategy):
    """The strategy, with the engine's means."""

    def __init__(self) -> None:
        super().__init__()
        self.fast = {symbol: akquant.SMA(FAST) for symbol in sitting.symbols}
        self.slow = {symbol: akquant.SMA(SLOW) for symbol in sitting.symbols}
        self.wanted = dict.fromkeys(sitting.symbols, 0)
        self.holds = dict.fromkeys(sitting.symbols, 0)

    def on_bar(self, bar: Any) -> None:
        seen[0] += 1
        symbol = bar.symbol
        fast, slow = self.fast[symbol].update(bar.close), self.slow[symbol].update(bar.close)
        if slow is not None and fast - slow > TIE:
            self.wanted[symbol] = 1
        elif slow is not None and fast - slow < -TIE:
            self.wanted[symbol] = 0
        wanted = 0 if bar.timestamp >= flat_ns else self.wanted[symbol]
        if wanted != self.holds[symbol]:
            self.holds[symbol] = wanted
            (self.buy if wanted else self.sell)(symbol=symbol, quantity=SHARES)


bars = sitting.pandas()
bars["ts"] += pd.Timedelta(minutes=1)
result = run_backtest(
    data={symbol: part.set_index("ts") for symbol, part in bars.groupby("symbol", sort=True)},
    strategy=Sma, symbols=sitting.symbols, initial_cash=CASH,
    commission_policy={"type": "per_unit", "value": COMMISSION}, fill_policy=NextOpen(), lot_size=1, volume_limit_pct=1.0,
    timezone="UTC", show_progress=False, min_commission=0.0, stamp_tax_rate=0.0, transfer_fee_rate=0.0, t_plus_one=False,
    risk_config={"safety_margin": 0.0},
)  # fmt: skip
equity = result.equity_curve.iloc[-1]
equity = float(equity.iloc[-1]) if hasattr(equity, "iloc") else float(equity)
sitting.tell(version=akquant.__version__, bars=seen[0], trades=len(result.trades_df), pnl=equity - CASH)
