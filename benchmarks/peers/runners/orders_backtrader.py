"""backtrader: its own limit and stop orders, withdrawn by `cancel`."""

import datetime as dt

import backtrader
from market import CASH, Sitting
from orders import SHARES, Asked, asked, price_of, tell

sitting = Sitting()
KINDS = {"market": backtrader.Order.Market, "limit": backtrader.Order.Limit, "stop": backtrader.Order.Stop}
fills: list[tuple[int, int, float]] = []


class Orders(backtrader.Strategy):
    """The common run."""

    def __init__(self) -> None:
        self.asked = asked(len(bars))
        self.order: Asked | None = None
        self.given = None

    def notify_order(self, order: backtrader.Order) -> None:
        if order.status == order.Completed:
            opened = backtrader.num2date(order.executed.dt).replace(tzinfo=dt.UTC)
            fills.append((round(opened.timestamp() * 1e6), int(order.executed.size), order.executed.price))

    def next(self) -> None:
        seen = len(self.data) - 1
        if self.order is not None and seen == self.order.until:
            self.cancel(self.given)
            self.order = None
        given = self.asked.get(seen)
        if given is None:
            return
        held = self.position.size
        buys = given.buys if held == 0 else held < 0
        price = None if given.kind == "market" else price_of(given, buys=buys, close=self.data.close[0])
        self.order = given
        self.given = (self.buy if buys else self.sell)(size=SHARES, price=price, exectype=KINDS[given.kind])


bars = sitting.pandas().drop(columns="symbol")
bars["ts"] = bars["ts"].dt.tz_convert(None)
bars["openinterest"] = 0
cerebro = backtrader.Cerebro(stdstats=False)
cerebro.adddata(
    backtrader.feeds.PandasData(dataname=bars.set_index("ts"), timeframe=backtrader.TimeFrame.Minutes, compression=1)
)
cerebro.broker.setcash(CASH)
cerebro.addstrategy(Orders)
cerebro.run(maxcpus=1)
tell(backtrader.__version__, fills)
