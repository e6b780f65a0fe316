"""Where the rules keep what they know of some accounts that share their money: places in two arrays, and codes for words.

An account's number is `a`, a symbol's `code`; what is kept of a symbol by account is at ``a * symbols + code``. Every value is an int64: money in units of 1e-8, times in UTC microseconds, words as codes. `NULL` is nothing.
"""

from __future__ import annotations

from typing import Literal

from bt.jit import IntArray, inner

NULL = -(2**63)
"""No value; of a kept level, that the symbol has to be looked at."""

EVERY = -1
"""The code of an order that is about every symbol: exit_at_close without one."""

# words: a code is an index
OrderType = Literal[
    "market", "target", "exit_at_close", "market_on_open", "market_on_close", "limit", "stop", "stop_limit", "trailing_stop",
    "stop_loss", "take_profit", "trailing_loss", "delisting", "split", "expiry",
]  # fmt: skip
TYPES: tuple[OrderType, ...] = (
    "market", "target", "exit_at_close", "market_on_open", "market_on_close", "limit", "stop", "stop_limit", "trailing_stop",
    "stop_loss", "take_profit", "trailing_loss", "delisting", "split", "expiry",
)  # fmt: skip
(
    MARKET, TARGET, EXIT, ON_OPEN, ON_CLOSE, LIMIT_ORDER, STOP_ORDER, STOP_LIMIT, TRAILING_STOP, STOP_LOSS, TAKE_PROFIT, TRAILING_LOSS,
    DELISTED_AT, SPLIT_AT, EXPIRY_AT,
) = range(15)  # fmt: skip
"""From `ON_OPEN` on an order may have to do with a bar that no market order meets, from `LIMIT_ORDER` on it waits for a price, from `STOP_LOSS` on it is
the leg of another; from `DELISTED_AT` on it is no order of the strategy's and never live: what a company did, or its last day, has closed the position."""
TIFS = ("day", "gtc", "ioc")
DAY, GTC, IOC = range(3)
STATUSES = ("open", "filled", "cancelled", "rejected", "expired")
OPEN, FILLED, CANCELLED, REJECTED, EXPIRED = range(5)
REASONS = (
    "", "retargeted", "at_target", "no_bar", "zero_shares", "buying_power", "quality", "completeness", "not_in_universe", "warm_up",
    "left_universe", "exit_at_close", "flat", "split", "strategy_raised", "no_price", "cancelled", "parent", "oco", "unfilled", "ioc",
    "replaced", "delisted", "not_listed", "not_tradable", "lot", "tick",
)  # fmt: skip
(
    NONE, RETARGETED, AT_TARGET, NO_BAR, ZERO_SHARES, BUYING_POWER, QUALITY, COMPLETENESS, NOT_IN_UNIVERSE, WARM_UP,
    LEFT_UNIVERSE, AT_CLOSE, FLAT, SPLIT, STRATEGY_RAISED, NO_PRICE, WITHDRAWN, PARENT, OCO, UNFILLED, HAD_ITS_MINUTE, REPLACED, DELISTED,
    NOT_LISTED, NOT_TRADABLE, LOT, TICK,
) = range(27)  # fmt: skip

# What is kept lies in two arrays, because a call of compiled code costs by the array. The first has places for good: the terms, then a
# row an account, then regions whose beginnings are among the terms.
(
    SYMBOLS, ACCOUNTS, BY_SYMBOL, SLIP_UP, SLIP_DOWN, QUOTED_UP, QUOTED_DOWN, QUOTES, IMPACT, FEE_UP, FEE_DOWN, SCHEDULED, LEAST_FEE, ORDER_FEE, RATE_UP, RATE_DOWN, TIERS, LEVERAGE_UP, LEVERAGE_DOWN, TIF, GATE, LIMIT, AFTER,
    TOUCH, OPTIMIST, CAP_UP, CAP_DOWN, SKIPS, TABLED, OWN_FEES, MARGINED,
    RESERVED, MONTH, NET, GROSS, TIED, VALUED, AMPLE, SHOWN, ELAPSED, NOW, SESSION, OPENS, CLOSES, MINUTES, HAS_MEMBERS,
    HIGH, FREE, RECORDS, EVENTS, FILLS, TRADES, RESTING, MINUTED, GROUPED,
    POSITIONS_AT, SHARES_AT, LEVELS_AT, WAKES_AT, KNOWN_AT, MEMBERS_AT, USUAL_AT, TIERS_AT, IMPACTS_AT, INSTRUMENTS_AT, TERMS,
) = range(66)  # fmt: skip
"""Settings to `MARGINED` (a price slips by `SLIP_UP` of `SLIP_DOWN`, a quote by `QUOTED_UP` of `QUOTED_DOWN`; `QUOTES` says that bars have some, `IMPACT` that volume moves prices;
`SCHEDULED` says that commission is more than `FEE_UP` of `FEE_DOWN` units a share: at least `LEAST_FEE` and `ORDER_FEE` more an order, `RATE_UP` of
`RATE_DOWN` of the value, and where there are `TIERS` they are what a share costs; `LIMIT` is the bits of a double: the percent that the gate asks for; `CAP_UP` of `CAP_DOWN` is the part of a bar's volume that
may fill, 0 for no cap; `SKIPS` that a bar without volume fills nothing; `TABLED` that symbols have rows of a table of instruments, `OWN_FEES` and `MARGINED` that any of them has a commission or a
margin of its own); money reserved by live orders, shares filled in the calendar `MONTH`, the positions'
worth, and what they take of buying power (`VALUED` is -1 where they have to be worked out again, `AMPLE` says that whatever they are what is decided next can be paid for, `SHOWN` is the minute of which what is held was last looked up); the clock (`NOW` is the time of the decision or of the bar that orders are ended by) and the session; how many rows of the second array are in use: orders up to `HIGH`,
of which `FREE` is the first free one; how many live orders are `RESTING` (from ON_OPEN on) or `MINUTED` (ioc), and whether any have ever been `GROUPED`. Then regions: positions (a row an account and symbol), shares, kept levels, and the minutes before which no live order meets anything (an entry each), what
is known (a market: `LAST` close, its end, bars seen now and at the open, by symbol), members of the universe, twice the usual bars by now, tiers of
commission (from how many shares of the month on, units a share), and of each symbol the bits of a double: by what part of itself one share moves its price, NaN where that is not known; and where there is a table of instruments a row a symbol."""

UNSHOWN = -2
"""The minute of which what is held was last looked up, where it has not been in the session."""
AWAKE, NEVER = 0, 2**62
"""The minute before which no live order of a symbol meets anything: the orders have to be looked at; there are none, or nothing comes in this session."""

LAST, ENDED, SEEN, SEEN_BEFORE, KNOWN_ROWS = range(5)

# instrument: a row a symbol
I_LOT, I_TICK, I_CLOSED, I_ENDS, I_FEE, I_MARGIN, INSTRUMENT_COLUMNS = range(7)
"""Orders are of whole `I_LOT`s and prices of whole `I_TICK`s (0: any); `I_CLOSED` is why nothing may be ordered, NONE where it may; `I_ENDS` that it has its last session; `I_FEE` is the commission
of a share in units, NULL where that is as of others; `I_MARGIN` what a share takes of buying power, 0 for its value."""

# the second array grows: where its tables begin, and for how many rows there is room; last come two numbers an order for whoever puts orders in their turns
ORDERS_AT, RECORDS_AT, EVENTS_AT, FILLS_AT, TRADES_AT, MET_AT, ORDER_ROOM, ROOM, GROWS = range(9)

# account: one row each
(
    CASH, NEXT_ID, GIVEN, LIVE, STANDING, TRADING, HEARS, DECIDED, OPENING_CASH, EXIT_ALL, KNOWS, UNSURE_BARS, OTHERWISE, AT_QUOTES, ACCOUNT_COLUMNS,
) = range(15)  # fmt: skip
"""`LIVE` orders wait for prices, `STANDING` ones for the close; `HEARS` of the ends of its orders; `EXIT_ALL` is the order that
closes everything; `KNOWS` is the number of the market that it knows; `UNSURE_BARS` are the ambiguous bars of the session, `OTHERWISE` what the
other path would have been worth more in them; `AT_QUOTES` counts the session's fills at a quote."""

# position: one row an account and symbol
(
    COST, OPENED, BARS_BEFORE, ENTRY_TAG, REALIZED, COMMISSION, ENTERED, ENTERED_VALUE, EXITED, EXITED_VALUE, WORST, BEST, DOUBTED, BEGIN,
    HEAD, TAIL, EXIT_ORDER, BUT, OWN_ID, OWN_CASH, OWN_RESERVED, OWN_MONTH, AT_OPEN, ROOM_ROW, ROOM_LEFT, POSITION_COLUMNS,
) = range(26)  # fmt: skip
"""To `DOUBTED` (a fill of it was in an ambiguous bar) the trade that is open; from slot `BEGIN` on it has not changed. `HEAD` and `TAIL` are the first and last live order,
`EXIT_ORDER` the one that stands until the close, `BUT` that EXIT_ALL leaves the symbol out. `OWN_`... are of a symbol that has money of
its own; `AT_OPEN` is what was held as the session opened; `ROOM_LEFT` is what may still fill of the bar in row `ROOM_ROW`."""

# order: a live one
(
    O_USED, O_LIVE, O_TYPE, O_CODE, O_WAITS, O_TIF, O_REACHED, O_SIDE, O_TRAIL, O_STOP, O_LIMIT, O_DECIDED, O_SINCE, O_BEST, O_ACCOUNT, O_NEXT,
    O_ID, O_SHARES, O_LEVEL, O_SESSION, O_TAG, O_NEED, O_REASON, O_BEFORE, O_FILLED, O_PARENT, O_GROUP, O_HAS_LEGS,
    O_REDUCES, O_ASKED, O_OPENING, O_EACH, O_TIMES, O_FEES, ORDER_COLUMNS,
) = range(35)  # fmt: skip
"""First what every minute asks of every order, two lines of the processor's cache. `O_NEED` is reserved for it; `O_LIVE` tells that it is among the live orders
of its symbol, `O_USED` that the row is in use. `O_SHARES` is NULL of a leg that waits, and of a target or exit nothing. Of `O_LIMIT`, `O_STOP` and the distance `O_TRAIL` (units) NULL is none; `O_BEST` is the best price of a trailing stop
so far. `O_PARENT` and `O_GROUP` are ids (no parent: 0; no group: its own). `O_REDUCES`: it never opens; `O_WAITS`: a leg whose parent has opened
nothing; `O_SINCE` is the open of the first bar that a leg may meet; `O_REACHED`: its stop was. Checked were `O_ASKED` shares, of which `O_OPENING` at `O_EACH`.
With a schedule of commission it has filled `O_TIMES` times and its commission came to `O_FEES`, the least one left out."""

# record: the end of an order's life, and what of it is told
(
    R_ID, R_ACCOUNT, R_CODE, R_SESSION, R_DECIDED, R_TYPE, R_SHARES, R_LEVEL, R_TIF, R_STATUS, R_REASON, R_TAG, R_FILLED, R_SIDE, R_LIMIT, R_STOP,
    R_TRAIL, R_PARENT, R_ENDED, RECORD_COLUMNS,
) = range(20)  # fmt: skip

# fill
(
    F_ORDER, F_ACCOUNT, F_CODE, F_TIME, F_SLOT, F_SHARES, F_PRICE, F_REFERENCE, F_COMMISSION, F_AFTER, F_STALE, F_TAG, F_BAR,
    F_DOUBTED, FILL_COLUMNS,
) = range(15)  # fmt: skip
"""`F_SLOT` is the minute of session, `F_BAR` the one of the bar that gave the price, -1 for an exit at the session's close; `F_DOUBTED` says that the bar was ambiguous."""

# trade
(
    T_ACCOUNT, T_CODE, T_SHARES, T_ENTERED, T_EXITED, T_ENTRY_VALUE, T_EXIT_VALUE, T_GROSS, T_COMMISSION, T_WORST, T_BEST,
    T_TAG, T_REASON, T_DOUBTED, TRADE_COLUMNS,
) = range(15)  # fmt: skip


@inner
def account_at(a: int) -> int:
    """Where the row of an account begins."""
    return TERMS + a * ACCOUNT_COLUMNS


@inner
def position_at(b: IntArray, at: int) -> int:
    """Where the row of a position begins; `at` is account x symbols + code, as of shares and levels."""
    return b[POSITIONS_AT] + at * POSITION_COLUMNS


@inner
def known_at(b: IntArray, market: int, what: int) -> int:
    """Where what a market knows begins."""
    return b[KNOWN_AT] + (market * KNOWN_ROWS + what) * b[SYMBOLS]


@inner
def instrument_at(b: IntArray, code: int) -> int:
    """Where the row of an instrument begins."""
    return b[INSTRUMENTS_AT] + code * INSTRUMENT_COLUMNS


@inner
def order_at(g: IntArray, k: int) -> int:
    """Where the row of an order begins."""
    return g[ORDERS_AT] + k * ORDER_COLUMNS


@inner
def record_at(g: IntArray, k: int) -> int:
    """Where the row of a record begins."""
    return g[RECORDS_AT] + k * RECORD_COLUMNS


@inner
def event_at(g: IntArray, k: int) -> int:
    """Where the row of an event begins."""
    return g[EVENTS_AT] + k * RECORD_COLUMNS


@inner
def fill_at(g: IntArray, k: int) -> int:
    """Where the row of a fill begins."""
    return g[FILLS_AT] + k * FILL_COLUMNS


@inner
def trade_at(g: IntArray, k: int) -> int:
    """Where the row of a trade begins."""
    return g[TRADES_AT] + k * TRADE_COLUMNS
