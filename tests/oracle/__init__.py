"""A slow, obvious backtester that judges bt and imports nothing from it.

It implements docs/concepts, docs/strategies.md, docs/fills.md and docs/decisions (0002, 0003 and 0028 first) from their text, in plain
Python: dicts, loops, whole numbers for money, fractions for means. Rooms, in reading order:

* `market`    Day, Bar, Parquet in, `classify` (which row belongs where, and why one is withheld), History
* `bins`      `resample`, `quality`, `completeness`, `outages`
* `features`  `sma`, `window_feature`, `trailing`, and how a value reaches a row (as of its close_time)
* `derived`   features of other features; `vocabulary` the ready-made features over bars, the session so far and past sessions
* `tables`    outside tables, as of what was known
* `past`      what at_open is told, and what a book remembers of bars
* `liquidity` by what part of itself one share moves a price
* `account`   orders, fills, positions, trades and cash in units of 1e-8
* `asking`    what the keywords of an order make; `bar` what one bar does to the orders of one symbol, along two paths
* `actions`   what corporate actions do to positions and orders; `instruments` what a share is worth, and how it may be traded
* `book`      what a strategy may ask for and when it is refused
* `settings`  what a backtest is given and what it returns; `rows` what a strategy is shown, `timers` when it is called
* `backtest`  the minute: match, move time, show, collect; the session's end
* `apart`     an independent strategy: one backtest a symbol
* `metrics`   returns, drawdown, Sharpe, trade statistics

Times are UTC microseconds inside and aware datetimes in tables and callbacks. Money is int units of 1e-8 inside; tables
carry it twice, as ``<column>_units`` (exact) and as ``<column>`` (float, for reading).
"""

from oracle.account import UNIT, units
from oracle.actions import Action
from oracle.apart import play_apart
from oracle.backtest import Backtest
from oracle.bins import Bin, completeness, interval_minutes, outages, quality, quality_at, resample
from oracle.book import Book
from oracle.derived import cross, of, relative_volume, score
from oracle.features import Trailing, sma, trailing, trailing_value, window_feature
from oracle.instruments import Instrument
from oracle.market import (
    MINUTE,
    Bar,
    Classified,
    Day,
    History,
    bars_from_rows,
    classify,
    days_from_rows,
    instant,
    load_parquet,
    micros,
    regular_day,
)
from oracle.metrics import Metrics, against, combined, metrics
from oracle.past import past, remembered
from oracle.settings import Account, Execution, Gate, Result, RowType, Strategy
from oracle.tables import Outside
from oracle.timers import Timer
from oracle.universe import Universe
from oracle.vocabulary import atr, ema, opening_range, prior, rsi, so_far, vwap, window

__all__ = [
    "MINUTE",
    "UNIT",
    "Account",
    "Action",
    "Backtest",
    "Bar",
    "Bin",
    "Book",
    "Classified",
    "Day",
    "Execution",
    "Gate",
    "History",
    "Instrument",
    "Metrics",
    "Outside",
    "Result",
    "RowType",
    "Strategy",
    "Timer",
    "Trailing",
    "Universe",
    "against",
    "atr",
    "bars_from_rows",
    "classify",
    "combined",
    "completeness",
    "cross",
    "days_from_rows",
    "ema",
    "instant",
    "interval_minutes",
    "load_parquet",
    "metrics",
    "micros",
    "of",
    "opening_range",
    "outages",
    "past",
    "play_apart",
    "prior",
    "quality",
    "quality_at",
    "regular_day",
    "relative_volume",
    "remembered",
    "resample",
    "rsi",
    "score",
    "sma",
    "so_far",
    "trailing",
    "trailing_value",
    "units",
    "vwap",
    "window",
    "window_feature",
]
