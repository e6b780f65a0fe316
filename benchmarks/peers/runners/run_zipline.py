"""zipline-reloaded: a bundle of its own made from the files, then a minute simulation. Fills are at the open of the next minute.

Its fill models take a bar's close; the one here takes the open and the whole order. Making the bundle counts: it cannot read Parquet.
"""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

warnings.filterwarnings("ignore")  # of pandas, from inside it
logging.disable(logging.CRITICAL)
ROOT = tempfile.TemporaryDirectory()
os.environ["ZIPLINE_ROOT"] = ROOT.name

import pandas as pd  # noqa: E402 - zipline looks for its root when it is imported
import zipline  # noqa: E402
from market import CASH, COMMISSION, SHARES, Crossing, Sitting  # noqa: E402
from zipline import run_algorithm  # noqa: E402
from zipline.api import order, set_commission, set_slippage, sid  # noqa: E402
from zipline.data.bundles import ingest, register  # noqa: E402
from zipline.finance import commission, slippage  # noqa: E402

sitting = Sitting()
first, last = pd.Timestamp(sitting.first), pd.Timestamp(sitting.last)
flat = pd.Timestamp(sitting.flat_us, unit="us", tz="UTC") + pd.Timedelta(minutes=1)  # minutes are stamped when they end
seen, trades = [0], [0]
DAILY = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}


def bundle(environ: Any, assets: Any, minutes: Any, days: Any, adjustments: Any, *_: Any) -> None:  # noqa: ARG001 - its interface
    """Write the files' bars as zipline keeps them."""
    bars = sitting.pandas()
    bars["ts"] += pd.Timedelta(minutes=1)
    equities = pd.DataFrame(
        {
            "symbol": sitting.symbols, "asset_name": sitting.symbols, "start_date": first, "end_date": last,
            "first_traded": first, "auto_close_date": last + pd.Timedelta(days=10), "exchange": "XNYS",
        },
        index=range(len(sitting.symbols)),
    )  # fmt: skip
    names = pd.DataFrame([["XNYS", "XNYS", "US"]], columns=["exchange", "canonical_name", "country_code"])
    assets.write(equities=equities, exchanges=names)
    codes = {symbol: code for code, symbol in enumerate(sitting.symbols)}

    def by_minute() -> Iterator[tuple[int, pd.DataFrame]]:
        for symbol, part in bars.groupby("symbol", sort=True):
            yield codes[symbol], part.drop(columns="symbol").set_index("ts")

    def by_day() -> Iterator[tuple[int, pd.DataFrame]]:
        for code, part in by_minute():
            day = part.index.tz_convert("America/New_York").normalize().tz_localize(None)
            yield code, part.groupby(day).agg(DAILY)

    minutes.write(by_minute(), show_progress=False)
    days.write(by_day(), show_progress=False)
    adjustments.write()


class AtOpen(slippage.SlippageModel):
    """The whole order at the open of the bar after the decision."""

    def process_order(self, data: Any, order: Any) -> tuple[float, int]:
        return float(data.current(order.asset, "open")), order.open_amount


def initialize(context: Any) -> None:
    """Costs, and the strategy's state."""
    set_commission(commission.PerShare(cost=COMMISSION, min_trade_cost=0.0))
    set_slippage(AtOpen())
    context.crossings = [(sid(code), Crossing()) for code in range(len(sitting.symbols))]
    context.holds = dict.fromkeys(range(len(sitting.symbols)), 0)


def handle_data(context: Any, data: Any) -> None:
    """The strategy, per minute."""
    flat_now = data.current_dt >= flat
    for code, (asset, crossing) in enumerate(context.crossings):
        if not data.current(asset, "volume"):  # no bar this minute
            continue
        seen[0] += 1
        wanted = crossing.on_close(data.current(asset, "close"))
        wanted = 0 if flat_now else wanted
        if wanted != context.holds[code]:
            context.holds[code] = wanted
            order(asset, SHARES if wanted else -SHARES)
            trades[0] += not wanted


register("made", bundle, calendar_name="XNYS", start_session=first, end_session=last, minutes_per_day=390)
ingest("made", show_progress=False)
flat_benchmark = pd.Series(0.0, pd.date_range(first, last, freq="D"))
result = run_algorithm(
    start=first, end=last, initialize=initialize, handle_data=handle_data, capital_base=CASH, data_frequency="minute",
    bundle="made", benchmark_returns=flat_benchmark,
)  # fmt: skip
pnl = float(result["portfolio_value"].iloc[-1]) - CASH
sitting.tell(version=zipline.__version__, bars=seen[0], trades=trades[0], pnl=pnl)
ROOT.cleanup()
