"""bt, this checkout: MODE is what counts as reaching a limit, `touch` or `trade_through`."""

from importlib.metadata import version

import polars as pl
from market import CASH, Sitting
from orders import SHARES, Asked, asked, price_of, tell

import bt

sitting = Sitting()


class Bar(bt.Row):
    """What is looked at."""

    symbol: str
    close: float


class Orders:
    """The common run."""

    row = Bar

    def __init__(self, bars: int) -> None:
        self.asked = asked(bars)
        self.seen = -1
        self.order: Asked | None = None
        self.id = 0

    def on_bar(self, row: Bar, book: bt.Book) -> None:
        self.seen += 1
        if self.order is not None and self.seen == self.order.until:
            book.cancel(self.id)
            self.order = None
        given = self.asked.get(self.seen)
        if given is None:
            return
        held = book.position(row.symbol)
        buys = given.buys if held == 0 else held < 0
        price = None if given.kind == "market" else price_of(given, buys=buys, close=row.close)
        self.order = given
        self.id = book.order(
            row.symbol, SHARES if buys else -SHARES, tif="gtc",
            limit=price if given.kind == "limit" else None, stop=price if given.kind == "stop" else None,
        )  # fmt: skip


run = bt.replay(
    bars=sitting.folder / "*.parquet", columns={"open_time": "ts"}, calendar="XNYS", start=sitting.first, end=sitting.last, cash=CASH,
    strategy=Orders(sitting.arrow().num_rows), execution={"limit_fill": sitting.mode}, save=False,
)  # fmt: skip
tell(version("minute-bt"), run.fills.select(pl.col("time").dt.epoch("us"), "shares", "price").rows())
