"""backtesting.py: its own limit and stop orders, withdrawn by `cancel`. Its list of trades is what tells of fills: an entry and an exit each."""

import warnings

import backtesting
from backtesting import Backtest, Strategy
from market import Sitting
from orders import SHARES, Asked, asked, price_of, tell

warnings.filterwarnings("ignore")
backtesting.backtesting._tqdm = lambda bars, **_: bars  # noqa: SLF001 - no progress bar
sitting = Sitting()
CASH = 1e7


class Orders(Strategy):
    """The common run."""

    def init(self) -> None:
        self.asked = asked(len(bars))
        self.order: Asked | None = None
        self.given = None

    def next(self) -> None:
        seen = len(self.data) - 1
        if self.order is not None and seen == self.order.until:
            if self.given in self.orders:
                self.given.cancel()
            self.order = None
        given = self.asked.get(seen)
        if given is None:
            return
        held = self.position.size
        buys = given.buys if held == 0 else held < 0
        price = None if given.kind == "market" else price_of(given, buys=buys, close=self.data.Close[-1])
        self.order = given
        self.given = (self.buy if buys else self.sell)(
            size=SHARES,
            limit=price if given.kind == "limit" else None,
            stop=price if given.kind == "stop" else None,
        )


bars = sitting.pandas().drop(columns="symbol").set_index("ts")
bars.columns = [c.capitalize() for c in bars.columns]
run = Backtest(bars, Orders, cash=CASH, trade_on_close=False, finalize_trades=False).run()
fills: list[tuple[int, int, float]] = []
strategy = run["_strategy"]
for trade in [*strategy.closed_trades, *strategy.trades]:
    fills.append((bars.index[trade.entry_bar].value // 1000, trade.size, trade.entry_price))
    if trade.exit_bar is not None:
        fills.append((bars.index[trade.exit_bar].value // 1000, -trade.size, trade.exit_price))
tell(backtesting.__version__, sorted(fills))
