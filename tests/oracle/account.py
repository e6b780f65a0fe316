"""Orders, fills, positions, trades and cash: whole numbers of 1e-8 of the currency (decision 0002)."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from oracle.features import as_decimal
from oracle.market import instant

UNIT = 10**8
LIMIT = 2**63 - 1


def units(value: float) -> int:
    """A price or amount in units of 1e-8, rounded half to even from its decimals as written."""
    return round(Fraction(as_decimal(value)) * UNIT)


def money(amount: int) -> float:
    """Units as currency, for reading."""
    return amount / UNIT


def fits(amount: int) -> int:
    """The amount itself; an amount beyond int64 is an error."""
    if abs(amount) > LIMIT:
        raise OverflowError(f"money: an amount must fit int64 units of 1e-8, was {amount}")
    return amount


def fill_price(
    reference: int,
    shares: int,
    slippage_bps: float,
    *,
    spread_bps: float = 0.0,
    quoted: int | None = None,
    a_share: float | None = None,
) -> int:
    """What a buy pays or a sell gets a share, in units: the reference and half the spread, or what is quoted, moved by basis points, rounded
    once; and moved by the square root of the shares, of which one moves it by `a_share` of itself."""
    base = reference if quoted is None else quoted
    moved = Fraction(as_decimal(slippage_bps)) / 10_000
    if quoted is None:
        moved += Fraction(as_decimal(spread_bps)) / 20_000
    price = round(base * (1 + moved if shares > 0 else 1 - moved))
    if a_share is None:
        return price
    more = round(float(base) * a_share * math.sqrt(abs(shares)))
    return fits(price + more) if shares > 0 else max(price - more, 1)


@dataclass(frozen=True)
class Commission:
    """What brokers charge (decision 0030): so much a share, or by `tiers` of the month's shares; basis points of the value; so much an order, and
    `minimum` of it at least."""

    per_share: float = 0.0
    minimum: float = 0.0
    per_trade: float = 0.0
    bps: float = 0.0
    tiers: tuple[tuple[int, float], ...] = ()

    def _tiered(self, shares: int) -> int:
        """What the first so many shares of a month cost, units."""
        return sum(max(shares - start, 0) * units(rate) - max(shares - start, 0) * units(before)
                   for (start, rate), before in zip(self.tiers, (0.0, *(rate for _, rate in self.tiers)), strict=False))  # fmt: skip

    def charge(self, order: Order, shares: int, price: int, month: int, a_share: Fraction | None = None) -> int:
        """One more fill of an order, after `month` shares in the calendar month: its commission in units; `a_share` is that of an instrument with its own."""
        size = abs(shares)
        if a_share is not None:
            own = round(size * a_share * UNIT)
        elif self.tiers:
            own = self._tiered(month + size) - self._tiered(month)
        else:
            own = round(size * Fraction(as_decimal(self.per_share)) * UNIT)
        own += round(Fraction(size * price) * Fraction(as_decimal(self.bps)) / 10_000)
        if order.fills == 0:
            own += units(self.per_trade)
        order.fills += 1
        order.own_fees += own
        paid, order.fees = order.fees, max(order.own_fees, units(self.minimum))
        return order.fees - paid


def share_of(amount: int, part: int, whole: int) -> int:
    """`amount` x `part` / `whole`, rounded half to even."""
    return round(Fraction(amount * part, whole))


LEGS = ("stop_loss", "take_profit", "trailing_loss")
RESTING = ("limit", "stop", "stop_limit", "trailing_stop", *LEGS)
"""Types that wait for a price."""


@dataclass
class Order:
    """An order and what became of it (decisions 0002 and 0028).

    `shares` is signed (None: taken at the match, or a leg that waits), `filled` what filled so far; `side` is 1 to buy, -1 to sell, 0
    where that is not known yet; `level` is a target's. Prices and distances are units. `waiting` is a leg whose parent has opened nothing yet,
    `live_us` the open of the first bar that a leg may meet. `reduces`: it may only reduce what is held. `triggered`: its stop was reached, it
    is a limit or a market order from then on. `extreme` is the best price of a trailing stop so far. `group_number` is that of an oco group.
    `asked`, `opening` and `each` (units a share) are what was checked at the decision. It has had so many `fills`, whose commissions are `own_fees`, and of which
    `fees` were charged: at least the least there is.
    """

    id: int
    symbol: str
    type: str
    shares: int | None
    level: int | None
    tif: str
    tag: str
    session: Any
    decided_us: int
    ended_us: int | None = None
    minutes_before: int = 0
    status: str = "open"
    reason: str = ""
    reserved: int = 0
    filled: int = 0
    side: int = 0
    limit: int | None = None
    stop: int | None = None
    trail: int | None = None
    parent: int | None = None
    group_number: int = 0
    waiting: bool = False
    live_us: int = 0
    reduces: bool = False
    triggered: bool = False
    extreme: int | None = None
    asked: int = 0
    opening: int = 0
    each: int = 0
    fills: int = 0
    own_fees: int = 0
    fees: int = 0

    @property
    def live(self) -> bool:
        return self.status == "open"

    @property
    def leg(self) -> bool:
        return self.type in LEGS

    @property
    def group(self) -> int:
        """Orders of one group have the same; an order without one is alone in its own."""
        return self.group_number or self.id

    @property
    def left(self) -> int:
        """Signed shares that an order for a number of shares has still to fill."""
        return (self.shares or 0) - self.filled

    @property
    def works_as(self) -> str:
        """limit, stop or trail while it waits for a price, else market."""
        if self.type not in RESTING:
            return "market"
        if self.trail is not None and not self.triggered:
            return "trail"
        if self.stop is not None and not self.triggered:
            return "stop"
        return "limit" if self.limit is not None else "market"

    @property
    def slips(self) -> bool:
        """Whether slippage moves its price: not where a limit is promised."""
        return self.limit is None

    def end(self, status: str, reason: str = "") -> None:
        """The order is over (only live orders reserve). A cut order that fills keeps its reason."""
        self.status = status
        self.reason = reason or self.reason


@dataclass
class Position:
    """What is held of one symbol since it was last flat. Notionals and costs are units, `shares` is signed."""

    symbol: str
    opened_us: int
    entry_tag: str
    shares: int = 0
    cost: int = 0
    realized: int = 0
    commission: int = 0
    entry_shares: int = 0
    entry_notional: int = 0
    exit_shares: int = 0
    exit_notional: int = 0
    mae: int = 0
    mfe: int = 0
    bars_held: int = 0
    ambiguous: bool = False

    @property
    def side(self) -> int:
        return 1 if self.shares > 0 else -1

    def add(self, shares: int, price: int, commission: int) -> None:
        """Open or add."""
        self.shares += shares
        self.cost += abs(shares) * price
        self.entry_shares += abs(shares)
        self.entry_notional += abs(shares) * price
        self.commission += commission

    def reduce(self, count: int, price: int, commission: int) -> None:
        """Close `count` of the shares held; the average price of the rest stays."""
        held, side = abs(self.shares), self.side
        removed = share_of(self.cost, count, held)
        self.cost -= removed
        self.realized += side * (count * price - removed)
        self.exit_shares += count
        self.exit_notional += count * price
        self.commission += commission
        self.shares -= side * count

    def unrealized(self, mark: int) -> int:
        """Gross P&L of the shares still held at `mark`, units."""
        return self.shares * mark - self.side * self.cost

    def sample(self, mark: int) -> None:
        """A minute has closed with the position held."""
        now = self.realized + self.unrealized(mark)
        self.mae = min(self.mae, now)
        self.mfe = max(self.mfe, now)


@dataclass
class Ledger:
    """One strategy's cash and positions, and its trades as dicts. `minutes` holds the start of every minute of the
    calendar's sessions, sorted: minutes held are counted on it."""

    strategy: str
    cash: int
    positions: dict[str, Position] = field(default_factory=dict)
    trades: list[dict[str, Any]] = field(default_factory=list)
    minutes: list[int] = field(default_factory=list)

    def position(self, symbol: str) -> int:
        """Signed shares held."""
        held = self.positions.get(symbol)
        return held.shares if held else 0

    def book(
        self, order: Order, shares: int, price: int, commission: int, time_us: int, *, ambiguous: bool = False
    ) -> None:
        """Book a fill of signed `shares`: cash, position, and the trade it may end."""
        symbol = order.symbol
        fits(abs(shares) * price)
        self.cash = fits(self.cash - shares * price - commission)
        held = self.positions.get(symbol)
        rest = shares
        if held is not None and held.shares * shares < 0:
            closed = min(abs(shares), abs(held.shares))
            part = share_of(commission, closed, abs(shares))
            side = held.side
            held.reduce(closed, price, part)
            held.ambiguous |= ambiguous
            commission -= part
            rest = shares + side * closed
            if held.shares == 0:
                del self.positions[symbol]
                minutes = bisect.bisect_left(self.minutes, time_us) - bisect.bisect_left(self.minutes, held.opened_us)
                self.trades.append(trade(self.strategy, held, side, time_us, order.type, minutes))
        if rest != 0:
            held = self.positions.setdefault(symbol, Position(symbol, time_us, order.tag))
            held.add(rest, price, commission)
            held.ambiguous |= ambiguous

    def value(self, symbol: str, marks: dict[str, int]) -> int:
        """Signed value of what is held, at the last close shown, or at cost while none has been shown."""
        held = self.positions[symbol]
        return held.shares * marks[symbol] if symbol in marks else held.side * held.cost

    def net(self, marks: dict[str, int]) -> int:
        return sum(self.value(s, marks) for s in self.positions)

    def gross(self, marks: dict[str, int]) -> int:
        return sum(abs(self.value(s, marks)) for s in self.positions)

    def equity(self, marks: dict[str, int]) -> int:
        return fits(self.cash + self.net(marks))


def trade(strategy: str, held: Position, side: int, exit_us: int, exit_reason: str, minutes: int) -> dict[str, Any]:
    """A closed trade's row. `return` is net P&L over everything paid (or got) to open; a mean price is money, rounded
    once."""
    gross = side * (held.exit_notional - held.entry_notional)
    net = gross - held.commission
    row = {
        "strategy": strategy,
        "symbol": held.symbol,
        "side": "long" if side > 0 else "short",
        "entry_time": instant(held.opened_us),
        "exit_time": instant(exit_us),
        "shares": held.entry_shares,
        "return": net / held.entry_notional,
        "minutes_held": minutes,
        "entry_tag": held.entry_tag,
        "exit_reason": exit_reason,
        "ambiguous": held.ambiguous,
        "entry_notional_units": held.entry_notional,
        "exit_notional_units": held.exit_notional,
    }
    amounts = {
        "entry_price": share_of(held.entry_notional, 1, held.entry_shares),
        "exit_price": share_of(held.exit_notional, 1, held.exit_shares),
        "gross_pnl": gross,
        "costs": held.commission,
        "net_pnl": net,
        "mae": held.mae,
        "mfe": held.mfe,
    }
    return row | priced(amounts)


def priced(amounts: dict[str, int]) -> dict[str, Any]:
    """Each amount twice: ``name_units`` exact, ``name`` in currency."""
    return {f"{k}_units": v for k, v in amounts.items()} | {k: money(v) for k, v in amounts.items()}


def whole(shares: Any) -> int:
    """A share count as int; anything but a whole number raises in the strategy."""
    if isinstance(shares, str) or Decimal(str(shares)) != int(shares):
        raise ValueError(f"book: shares must be a whole number, was {shares!r}")
    return int(shares)
