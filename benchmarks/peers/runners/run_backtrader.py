"""backtrader: a pandas feed a symbol, its own SMA lines, the broker's market orders at the next open."""

import datetime as dt

import backtrader
from market import CASH, COMMISSION, FAST, SHARES, SLOW, TIE, Sitting

sitting = Sitting()
flat = dt.datetime.fromtimestamp(sitting.flat_us / 1e6, dt.UTC).replace(tzinfo=None)
seen, trades = [0], [0]


class PerShare(backtrader.CommInfoBase):
    """So much a share."""

    params = {"stocklike": True, "commtype": backtrader.CommInfoBase.COMM_FIXED, "percabs": True}  # noqa: RUF012 - read by its metaclass

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:  # noqa: FBT001 - its interface
        return abs(size) * self.p.commission


class Sma(backtrader.Strategy):
    """The strategy; `next` comes whenever any symbol has a bar."""

    def __init__(self) -> None:
        mean = backtrader.ind.SMA
        self.apart = [mean(d.close, period=FAST) - mean(d.close, period=SLOW) for d in self.datas]
        self.wanted, self.holds, self.count = ([0] * len(self.datas) for _ in range(3))

    def notify_trade(self, trade: backtrader.Trade) -> None:
        trades[0] += trade.isclosed

    def prenext(self) -> None:
        if len(self.datas) > 1:  # until every symbol has its means, the others do not wait
            self.next()

    def next(self) -> None:
        for i, feed in enumerate(self.datas):
            if len(feed) == self.count[i]:
                continue
            self.count[i] = len(feed)
            seen[0] += 1
            if self.count[i] >= SLOW:
                apart = self.apart[i][0]
                self.wanted[i] = 1 if apart > TIE else 0 if apart < -TIE else self.wanted[i]
            wanted = 0 if feed.datetime.datetime(0) >= flat else self.wanted[i]
            if wanted != self.holds[i]:
                self.holds[i] = wanted
                (self.buy if wanted else self.sell)(data=feed, size=SHARES)


bars = sitting.pandas()
bars["ts"] = bars["ts"].dt.tz_convert(None)
bars["openinterest"] = 0
cerebro = backtrader.Cerebro(stdstats=False)
for symbol, part in bars.groupby("symbol", sort=True):
    frame = part.drop(columns="symbol").set_index("ts")
    cerebro.adddata(
        backtrader.feeds.PandasData(dataname=frame, timeframe=backtrader.TimeFrame.Minutes, compression=1, name=symbol)
    )
cerebro.broker.setcash(CASH)
cerebro.broker.addcommissioninfo(PerShare(commission=COMMISSION))
cerebro.addstrategy(Sma)
cerebro.run(maxcpus=1)
sitting.tell(version=backtrader.__version__, bars=seen[0], trades=trades[0], pnl=cerebro.broker.getvalue() - CASH)
