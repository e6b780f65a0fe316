"""What a strategy trades with: the `Book` of bt.strategy over an account. It knows the present only."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from bt.book.account import Account
from bt.book.crosswise import aim_all, aligned
from bt.book.levels import shares_worth
from bt.book.records import FillRecord, IntArray
from bt.errors import StrategyError
from bt.model import UNIT, Fill, Order, instant
from bt.schema import MINUTE
from bt.strategy import Holding, Rows, nearest


class StrategyBook:
    """The `Book` of one strategy. See `bt.strategy.Book` for what its methods mean.

    `shown` is (iterator of the rows being shown, their codes) while on_bar runs, kept by the engine.
    """

    def __init__(self, account: Account, *, seed: tuple[int, ...]) -> None:
        self._account = account
        self._market, self._ledger, self._level = account.market, account.ledger, account.levels.by_symbol
        self._seed = seed
        self._rngs: list[tuple[Any, np.random.Generator] | None] = [None, None]  # the session's, the row's
        self.shown: tuple[Any, IntArray] | None = None
        self.stop_reason: str | None = None

    @property
    def now(self) -> Any:
        return instant(self._market.now)

    @property
    def session(self) -> Any:
        assert self._market.session is not None
        return self._market.session.name

    @property
    def trading(self) -> bool:
        return True

    @property
    def cash(self) -> float:
        return self._ledger.cash / UNIT

    @property
    def equity(self) -> float:
        return (self._ledger.cash + self._account.value()[0]) / UNIT

    @property
    def gross(self) -> float:
        return self._account.value()[1] / UNIT

    @property
    def net(self) -> float:
        return self._account.value()[0] / UNIT

    @property
    def session_pnl(self) -> float:
        return (self._ledger.cash + self._account.value()[0] - self._account.equity_at_open) / UNIT

    @property
    def buying_power(self) -> float:
        if self._account.leverage[0] == 0:
            return math.inf
        up, down = self._account.power()
        return up / (down * UNIT)

    @property
    def holdings(self) -> dict[str, Holding]:
        symbols = self._market.symbols
        return {symbols[code]: self._holding(code) for code in sorted(self._ledger.positions)}

    def _holding(self, code: int) -> Holding:
        held = self._ledger.positions[code]
        price = int(self._market.last[code])
        value = held.shares * price if price else held.cost  # filled at the open of its first bar: no close yet
        return Holding(
            symbol=self._market.symbols[code],
            shares=held.shares,
            avg_price=held.cost / (held.shares * UNIT),
            price=price / UNIT if price else math.nan,
            value=value / UNIT,
            unrealized_pnl=(value - held.cost) / UNIT,
            realized_pnl=held.realized / UNIT,
            opened=instant(held.opened_at),
            bars_held=int(self._market.seen[code]) - held.bars_at_open,
        )

    def _code(self, symbol: str) -> int:
        code = self._market.index.get(symbol)
        if code is None:
            hint = nearest(symbol, self._market.symbols) or "it is not among the run's symbols"
            raise StrategyError(f"strategy {self._account.name}: symbol must be known, was {symbol!r}; {hint}")
        return code

    def position(self, symbol: str) -> int:
        held = self._ledger.positions.get(self._code(symbol))
        return 0 if held is None else held.shares

    def holding(self, symbol: str) -> Holding | None:
        code = self._code(symbol)
        return self._holding(code) if code in self._ledger.positions else None

    def price(self, symbol: str) -> float | None:
        last = int(self._market.last[self._code(symbol)])
        return last / UNIT if last else None

    def age(self, symbol: str) -> float:
        code = self._code(symbol)
        return (self._market.now - int(self._market.last_end[code])) / MINUTE if self._market.last[code] else math.nan

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        code = None if symbol is None else self._code(symbol)
        return [self._account.told(o, "open", o.reason) for o in self._account.all_live() if code in (None, o.code)]

    @property
    def rng(self) -> np.random.Generator:
        market = self._market
        assert market.session is not None
        day = (*self._seed, market.session.name.toordinal())
        if (code := self.current_code) is None:
            return self._generator(day)
        return self._generator((*day, *market.symbols[code].encode(), market.elapsed))

    def _generator(self, key: tuple[int, ...]) -> np.random.Generator:
        """One generator a key: the session's lasts for the session, a row's for that row."""
        kept = self._rngs[self.shown is not None]
        if kept is None or kept[0] != key:
            kept = self._rngs[self.shown is not None] = (key, np.random.default_rng(key))
        return kept[1]

    def order(self, symbol: str, shares: int, *, tif: str | None = None, tag: str = "") -> int:
        code = self._code(symbol)
        shares = self._whole(shares)
        tif = self._account.execution.time_in_force if tif is None else tif
        if tif not in ("day", "gtc"):
            raise StrategyError(f'strategy {self._account.name}: tif must be "day" or "gtc", was {tif!r}')
        order = self._account.new(code, "market", shares, tif=tif, tag=tag)
        if shares == 0:
            self._account.end(order, "rejected", "zero_shares")
        else:
            self._account.admit(order, shares)
        return order.id

    def target(self, symbol: str, shares: int, tag: str = "") -> None:
        if self._level.get(symbol) == shares:
            return
        self._account.aim(self._code(symbol), self._whole(shares), tag)

    def target_percent(self, symbol: str, fraction: float, tag: str = "") -> None:
        self._aim_at_worth(self._code(symbol), max(self._account.equity(), 0), fraction, tag)

    def target_value(self, symbol: str, money: float, tag: str = "") -> None:
        self._aim_at_worth(self._code(symbol), UNIT, money, tag)

    def _aim_at_worth(self, code: int, base: int, number: float, tag: str) -> None:
        given: object = number
        if not isinstance(given, int | float | np.number) or not math.isfinite(number):
            raise StrategyError(f"strategy {self._account.name}: a target must be a finite number, was {number!r}")
        price = int(self._market.last[code])
        if number == 0 or base == 0:
            self._account.aim(code, 0, tag)
        elif price == 0:
            self._account.refuse_target(code, "no_price", tag)
        else:
            self._account.aim(code, shares_worth(base, number, price), tag)

    def targets(
        self,
        rows: Rows,
        *,
        shares: npt.ArrayLike | None = None,
        percent: npt.ArrayLike | None = None,
        value: npt.ArrayLike | None = None,
        others: str = "keep",
        tag: str = "",
    ) -> None:
        given = {k: v for k, v in (("shares", shares), ("percent", percent), ("value", value)) if v is not None}
        if len(given) != 1 or others not in ("keep", "flat"):
            raise StrategyError(
                f'strategy {self._account.name}: targets takes one of shares=, percent= and value=, and others="keep" or '
                f'"flat", was {", ".join(given) or "none"} and {others!r}'
            )
        ((kind, numbers),) = given.items()
        wanted = aligned(rows, kind, numbers, self._account.name)
        base = {"shares": None, "percent": max(self._account.equity(), 0), "value": UNIT}[kind]
        aim_all(self._account, wanted, base, flat=others == "flat", tag=tag)

    def cancel(self, id: int | None = None, *, symbol: str | None = None) -> bool:
        if (id is None) == (symbol is None):
            raise StrategyError(f"strategy {self._account.name}: cancel takes an order id or symbol=, one of them")
        code = None if symbol is None else self._code(symbol)
        found = [o for o in self._account.all_live() if o.id == id or (code is not None and o.code == code)]
        for order in found:
            self._account.end(order, "cancelled", "cancelled")
        return bool(found)

    def exit_at_close(self, symbol: str | None = None, minutes_before: int = 0) -> None:
        given: object = minutes_before
        if isinstance(given, bool) or not isinstance(given, int) or given < 0:
            raise StrategyError(
                f"strategy {self._account.name}: minutes_before must be a whole number >= 0, was {minutes_before!r}"
            )
        if symbol is None:
            if self._account.exit_all is None:
                self._account.exit_all = minutes_before
            return
        code = self._code(symbol)
        if code not in self._account.exits:
            self._account.exits[code] = self._account.new(code, "exit_at_close", 0, tif="day", before=minutes_before)

    def record(self, **values: float) -> None:
        for name, value in values.items():
            self._account.output.records.append((self._market.now, name, float(value)))

    def log(self, message: str, **fields: Any) -> None:
        text = json.dumps(fields, default=str, sort_keys=True) if fields else "{}"
        self._account.output.log.append((self._market.now, str(message), text))

    def stop(self, reason: str) -> None:
        if self.stop_reason is None:
            self.stop_reason = str(reason)

    def _whole(self, shares: Any) -> int:
        if isinstance(shares, int | np.integer) and not isinstance(shares, bool):
            return int(shares)
        if isinstance(shares, float | np.floating) and float(shares).is_integer():
            return int(shares)
        raise StrategyError(
            f"strategy {self._account.name}: shares must be a whole number, was {shares!r}; round it first"
        )

    @property
    def current_code(self) -> int | None:
        """The symbol whose row is being shown, read off how far the rows' iterator has come; None outside on_bar."""
        if self.shown is None:
            return None
        progress, codes = self.shown
        return int(codes[len(codes) - progress.__length_hint__() - 1])

    def told_fill(self, fill: FillRecord) -> Fill:
        """A fill as on_fill is told of it."""
        return Fill(
            order_id=fill.order_id,
            symbol=self._market.symbols[fill.code],
            time=instant(fill.time),
            shares=fill.shares,
            price=fill.price / UNIT,
            reference_price=fill.reference / UNIT,
            slippage=abs(fill.price - fill.reference) * abs(fill.shares) / UNIT,
            commission=fill.commission / UNIT,
            position_after=fill.position_after,
            stale_minutes=fill.stale_minutes,
            tag=fill.tag,
        )
