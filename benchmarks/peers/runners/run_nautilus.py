"""NautilusTrader: its low-level engine, a Python strategy, its own SMA.

An order sent from `on_bar` fills at that bar's close by default. To fill at the next open, each bar's open is a trade tick of its own,
a millisecond into the minute, and orders arrive a nanosecond late.
"""

import nautilus_trader
import pandas as pd
from market import CASH, COMMISSION, FAST, MINUTE_US, SHARES, SLOW, TIE, Sitting
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import FeeModel, LatencyModel
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, TraderId, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

sitting = Sitting()
flat_ns = (sitting.flat_us + MINUTE_US) * 1000  # bars are stamped when they end
VENUE = Venue("XNAS")


class PerShare(FeeModel):
    """So much a share."""

    def get_commission(self, order: Order, quantity: Quantity, price: Price, instrument: Equity) -> Money:
        return Money(COMMISSION * float(quantity), USD)


class Sma(Strategy):
    """The strategy, with the engine's means."""

    def __init__(self, kinds: list[BarType]) -> None:
        super().__init__()
        self.kinds, self.shares, self.bars = kinds, Quantity.from_int(SHARES), 0
        self.fast = {kind: SimpleMovingAverage(FAST) for kind in kinds}
        self.slow = {kind: SimpleMovingAverage(SLOW) for kind in kinds}
        self.wanted, self.holds = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)

    def on_start(self) -> None:
        for kind in self.kinds:
            self.register_indicator_for_bars(kind, self.fast[kind])
            self.register_indicator_for_bars(kind, self.slow[kind])
            self.subscribe_bars(kind)

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        kind = bar.bar_type
        if self.slow[kind].initialized:
            apart = self.fast[kind].value - self.slow[kind].value
            self.wanted[kind] = 1 if apart > TIE else 0 if apart < -TIE else self.wanted[kind]
        wanted = 0 if bar.ts_event >= flat_ns else self.wanted[kind]
        if wanted != self.holds[kind]:
            self.holds[kind] = wanted
            side = OrderSide.BUY if wanted else OrderSide.SELL
            self.submit_order(self.order_factory.market(kind.instrument_id, side, self.shares))


def instrument(symbol: str) -> Equity:
    """An equity in cents."""
    return Equity(
        instrument_id=InstrumentId(Symbol(symbol), VENUE), raw_symbol=Symbol(symbol), currency=USD, price_precision=2,
        price_increment=Price.from_str("0.01"), lot_size=Quantity.from_int(1), ts_event=0, ts_init=0,
    )  # fmt: skip


def opens(equity: Equity, bars: pd.DataFrame) -> list[TradeTick]:
    """A tick at every open."""
    size, times = Quantity.from_int(100_000), bars.index.as_unit("ns").astype("int64") + 1_000_000
    return [
        TradeTick(equity.id, Price(price, 2), size, AggressorSide.BUYER, TradeId("x"), time, time)
        for price, time in zip(bars["open"].tolist(), times.tolist(), strict=True)
    ]


engine = BacktestEngine(
    BacktestEngineConfig(
        trader_id=TraderId("B-1"), logging=LoggingConfig(bypass_logging=True), run_analysis=False,
        risk_engine=RiskEngineConfig(bypass=True),
    )
)  # fmt: skip
engine.add_venue(
    venue=VENUE, oms_type=OmsType.NETTING, account_type=AccountType.CASH, base_currency=USD,
    starting_balances=[Money(CASH, USD)], fee_model=PerShare(), latency_model=LatencyModel(base_latency_nanos=1),
)  # fmt: skip
kinds = []
for symbol, part in sitting.pandas().groupby("symbol", sort=True):
    equity = instrument(symbol)
    engine.add_instrument(equity)
    kinds.append(BarType.from_str(f"{equity.id}-1-MINUTE-LAST-EXTERNAL"))
    frame = part.drop(columns="symbol").set_index("ts").astype({"volume": "float64"})
    engine.add_data(opens(equity, frame), sort=False)
    frame.index += pd.Timedelta(minutes=1)
    engine.add_data(BarDataWrangler(kinds[-1], equity).process(frame), sort=False)
engine.sort_data()
strategy = Sma(kinds)
engine.add_strategy(strategy)
engine.run()
balance = float(engine.portfolio.account(VENUE).balance_total(USD))
sitting.tell(
    version=nautilus_trader.__version__,
    bars=strategy.bars,
    trades=engine.cache.orders_total_count() // 2,
    pnl=balance - CASH,
)
