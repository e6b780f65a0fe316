"""What a strategy trades with: the `Book` of bt.strategy over an account. It knows the present only.

It is long because it is one class: every word that a strategy may say.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from bt.book.account import Account
from bt.book.asking import NO_LEGS, Asked, Legs, check_change, in_units, legs_of, type_of
from bt.book.crosswise import aim_all
from bt.book.levels import shares_worth
from bt.book.recall import Recall
from bt.book.records import Spoken
from bt.errors import StrategyError
from bt.execution import IntArray
from bt.execution import layout as at
from bt.model import UNIT, Order, instant
from bt.schema import MINUTE
from bt.strategy import Holding, PastBars, Rows, nearest

MOST = 1 << 60
"""More shares than this are refused."""


Prices = tuple[int | None, int | None, int | None]


class StrategyBook:
    """The `Book` of one strategy. See `bt.strategy.Book` for what its methods mean.

    `shown` is (iterator of the rows being shown, their codes) while on_bar runs, kept by the engine. The book of an `independent` strategy
    knows one symbol alone: `about` is the code of the row, fill or order being told, kept by the engine too.
    """

    def __init__(self, account: Account, *, seed: tuple[int, ...], independent: bool = False) -> None:
        self._account, self._independent = account, independent
        self._market = account.market
        self._index = account.market.index
        self._seed = seed
        self._rngs: dict[tuple[int, ...], np.random.Generator] = {}  # the session's and this minute's
        self._rngs_of: tuple[int, ...] = ()
        self.shown: tuple[Any, IntArray] | None = None
        self.about: int | None = None
        self.recall: Recall | None = None
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
        return self._account.trading

    @property
    def cash(self) -> float:
        return self._account.cash(self._own()) / UNIT

    @property
    def equity(self) -> float:
        return self._account.equity(self._own()) / UNIT

    @property
    def gross(self) -> float:
        return self._account.value(self._own())[1] / UNIT

    @property
    def net(self) -> float:
        return self._account.value(self._own())[0] / UNIT

    @property
    def session_pnl(self) -> float:
        own = self._own()
        return (self._account.equity(own) - self._account.equity_at_open(own)) / UNIT

    @property
    def buying_power(self) -> float:
        own = self._own()
        return self._account.buying_power(own) if self._account.leverage else math.inf

    @property
    def holdings(self) -> dict[str, Holding]:
        symbols = self._market.symbols
        held = self._account.held_codes()
        if self._independent:
            own = self._own()
            held = [code for code in held if code == own]
        return {symbols[code]: self._holding(code) for code in held}

    def _holding(self, code: int) -> Holding:
        shares, held = int(self._account.shares[code]), self._account.positions[code].tolist()
        price, cost = int(self._market.last[code]), held[at.COST]
        value = shares * price if price else cost  # filled at the open of its first bar: no close yet
        return Holding(
            symbol=self._market.symbols[code],
            shares=shares,
            avg_price=self._average(code, cost, shares),
            price=self._account.priced(code, price) if price else math.nan,
            value=value / UNIT,
            unrealized_pnl=(value - cost) / UNIT,
            realized_pnl=held[at.REALIZED] / UNIT,
            opened=instant(held[at.OPENED]),
            bars_held=int(self._market.seen[code]) - held[at.BARS_BEFORE],
        )

    def _average(self, code: int, cost: int, shares: int) -> float:
        """The average price of what is held at a cost."""
        listed = self._account.desk.instruments
        if listed is None:
            return cost / (shares * UNIT)
        number = listed.multiplier[code]
        return cost * number.denominator / (shares * number.numerator * UNIT)

    def _code(self, symbol: str) -> int:
        code = self._index.get(symbol)
        if code is None:
            hint = nearest(symbol, self._market.symbols) or "it is not among the run's symbols"
            raise StrategyError(f"strategy {self._account.name}: symbol must be known, was {symbol!r}; {hint}")
        if self._independent and code != self._own():
            raise StrategyError(
                f"strategy {self._account.name}: an independent strategy's book knows the symbol of its row, fill or order "
                f"alone, was asked for {symbol!r}; leave `independent` out to see several"
            )
        return code

    def _own(self) -> int:
        """The code of the only symbol that an independent strategy's book knows now; of others it means nothing."""
        if not self._independent:
            return -1
        if self.about is None:
            raise StrategyError(
                f"strategy {self._account.name}: an independent strategy's book knows a symbol in on_bar, on_fill and on_order "
                "only; use it there, or leave `independent` out"
            )
        return self.about

    def position(self, symbol: str) -> int:
        return self._account.position(self._code(symbol))

    def holding(self, symbol: str) -> Holding | None:
        code = self._code(symbol)
        return self._holding(code) if self._account.position(code) else None

    def price(self, symbol: str) -> float | None:
        code = self._code(symbol)
        last = int(self._market.last[code])
        return self._account.priced(code, last) if last else None

    def bars(self, symbol: str, n: int, interval: str = "1m") -> PastBars:
        assert self.recall is not None
        return self.recall.bars(self._code(symbol), n, interval, self._market.elapsed)

    def age(self, symbol: str) -> float:
        code = self._code(symbol)
        return (self._market.now - int(self._market.last_end[code])) / MINUTE if self._market.last[code] else math.nan

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        return self._account.open_orders(self._one_or_all(symbol))

    def _one_or_all(self, symbol: str | None) -> int | None:
        """A symbol's code, None for every symbol that the book knows, if those are more than one."""
        if symbol is not None:
            return self._code(symbol)
        return self._own() if self._independent else None

    @property
    def rng(self) -> np.random.Generator:
        market = self._market
        assert market.session is not None
        day = (*self._seed, market.session.name.toordinal())
        minute = (*day, market.elapsed)
        if self._rngs_of != minute:  # a minute never comes back
            self._rngs_of = minute
            self._rngs = {key: made for key, made in self._rngs.items() if key == day}
        code = self.current_code
        key = day if code is None else (*day, *market.symbols[code].encode(), market.elapsed)
        if key not in self._rngs:
            self._rngs[key] = np.random.default_rng(key)
        return self._rngs[key]

    def order(  # noqa: PLR0913 - all that an order may be
        self,
        symbol: str,
        shares: int,
        *,
        limit: float | None = None,
        stop: float | None = None,
        trail: float | None = None,
        at: str | None = None,
        tif: str | None = None,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        trailing_loss: float | None = None,
        oco: int | None = None,
        tag: str = "",
    ) -> int:
        code, shares = self._code(symbol), self._whole(shares)
        tag, owner = self._tagged(tag), self._owner
        kind = type_of(owner, limit=limit, stop=stop, trail=trail, at=at, tif=tif)
        legs = NO_LEGS
        if stop_loss is not None or take_profit is not None or trailing_loss is not None:
            legs = self._legs(code, shares, stop_loss, take_profit, trailing_loss)
        tif = "day" if at is not None else self._account.execution.time_in_force if tif is None else tif
        partner = None if oco is None else self._number(oco, "oco")
        if kind == "market":
            asked = Asked(kind, tif, legs=legs, partner=partner)
        else:
            prices = self._worths(code, self._prices(limit, stop, trail))
            asked = Asked(kind, tif, *prices, legs, partner)
        return self._account.order(code, shares, asked, tag)

    def replace(
        self,
        id: int,
        *,
        shares: int | None = None,
        limit: float | None = None,
        stop: float | None = None,
        trail: float | None = None,
    ) -> int:
        prices = self._prices(limit, stop, trail)
        count = None if shares is None else self._whole(shares)
        row = self._account.live_row(self._one_or_all(None), self._number(id, "id"))
        if row is None:
            return 0
        order = self._account.desk.tables.order[row].tolist()
        check_change(self._owner, order, count, prices)
        return self._account.replace(row, count, self._worths(order[at.O_CODE], prices))

    def _prices(self, limit: Any, stop: Any, trail: Any) -> Prices:
        """Prices of an order and the distance that it trails, units."""
        owner = self._owner
        return in_units(owner, "limit", limit), in_units(owner, "stop", stop), in_units(owner, "trail", trail)

    def _worths(self, code: int, prices: Prices) -> Prices:
        """Prices as money of a share."""
        worth = self._account.worth
        return worth(code, prices[0]), worth(code, prices[1]), worth(code, prices[2])

    def _legs(self, code: int, shares: int, stop_loss: Any, take_profit: Any, trailing_loss: Any) -> Legs:
        """The legs of what is held long or short by `shares`, in money of a share."""
        return Legs(*self._worths(code, legs_of(self._owner, shares, stop_loss, take_profit, trailing_loss)))

    @property
    def _owner(self) -> str:
        """Whose mistakes are told."""
        return f"strategy {self._account.name}"

    def _number(self, given: Any, name: str) -> int:
        """An order's id."""
        if isinstance(given, bool) or not isinstance(given, int | np.integer):
            raise StrategyError(f"{self._owner}: {name} must be an order's id, was {given!r}")
        return int(given)

    def target(  # noqa: PLR0917 - Python calls what has keyword-only parameters slower, and this is called for every row
        self,
        symbol: str,
        shares: int,
        tag: str = "",
        stop_loss: float | None = None,
        take_profit: float | None = None,
        trailing_loss: float | None = None,
    ) -> None:
        try:
            code = self._index[symbol]
        except KeyError:
            code = self._code(symbol)  # says which are near
        if stop_loss is not None or take_profit is not None or trailing_loss is not None:
            level, tag = self._whole(shares), self._tagged(tag)
            code = self._code(symbol)
            legs = self._legs(code, level, stop_loss, take_profit, trailing_loss)
            self._account.aim_with_legs(code, level, legs, tag)
            return
        if self._account.kept[code] == shares and (not self._independent or code == self.about):
            return
        self._aim(self._code(symbol), self._whole(shares), tag)

    def _aim(self, code: int, level: int, tag: str) -> None:
        """A target that is looked at before anything else is asked of the account."""
        account = self._account
        account.waiting_targets.put(code, level, account.desk.code_of(self._tagged(tag)) if tag else 0)
        account.kept[code] = at.NULL

    def _tagged(self, tag: str) -> str:
        given: object = tag
        if not isinstance(given, str):
            raise StrategyError(f"strategy {self._account.name}: tag must be text, was {tag!r}; write str(...)")
        return tag

    def target_percent(self, symbol: str, fraction: float, tag: str = "") -> None:
        code = self._code(symbol)
        self._aim_at_worth(code, max(self._account.equity(code), 0), fraction, tag)

    def target_value(self, symbol: str, money: float, tag: str = "") -> None:
        self._aim_at_worth(self._code(symbol), UNIT, money, tag)

    def _aim_at_worth(self, code: int, base: int, number: float, tag: str) -> None:
        given: object = number
        if not isinstance(given, int | float | np.number) or not math.isfinite(number):
            raise StrategyError(f"strategy {self._account.name}: a target must be a finite number, was {number!r}")
        price = int(self._market.last[code])
        if number == 0 or base == 0:
            self._aim(code, 0, tag)
        elif price == 0:
            self._aim(code, at.NULL, tag)
        else:
            self._aim(code, self._account.in_lots(code, self._whole(shares_worth(base, number, price))), tag)

    def target_risk(self, symbol: str, fraction: float, stop: float, tag: str = "") -> None:
        code = self._code(symbol)
        level = self._account.worth(code, in_units(self._owner, "stop", stop))
        given: object = fraction
        if not isinstance(given, int | float | np.number) or not math.isfinite(fraction) or fraction < 0:
            raise StrategyError(f"{self._owner}: a fraction at risk must be a finite number >= 0, was {fraction!r}")
        if level is None:
            raise StrategyError(f"{self._owner}: target_risk must have a stop, was None; give the price that ends it")
        price, base = int(self._market.last[code]), max(self._account.equity(code), 0)
        if price == level:
            raise StrategyError(f"{self._owner}: stop must not be the last close shown, was {stop!r}")
        shares = 0 if price == 0 else shares_worth(base, fraction, abs(price - level)) * (1 if level < price else -1)
        shares = self._account.in_lots(code, self._whole(shares))
        if price == 0 and base and fraction:
            self._aim(code, at.NULL, tag)
        elif shares == 0:
            self._aim(code, 0, tag)
        else:
            self._account.aim_with_legs(code, shares, Legs(stop_loss=level), self._tagged(tag))

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
        own = self._own()
        given = {k: v for k, v in (("shares", shares), ("percent", percent), ("value", value)) if v is not None}
        if len(given) != 1 or others not in ("keep", "flat"):
            raise StrategyError(
                f'strategy {self._account.name}: targets takes one of shares=, percent= and value=, and others="keep" or '
                f'"flat", was {", ".join(given) or "none"} and {others!r}'
            )
        ((kind, numbers),) = given.items()
        base = None if kind == "shares" else UNIT if kind == "value" else max(self._account.equity(own), 0)
        aim_all(self._account, rows, kind, numbers, base, flat=others == "flat", tag=self._tagged(tag))

    def cancel(self, id: int | None = None, *, symbol: str | None = None) -> bool:
        if (id is None) == (symbol is None):
            raise StrategyError(f"strategy {self._account.name}: cancel takes an order id or symbol=, one of them")
        return self._account.cancel(self._one_or_all(symbol), id)

    def exit_at_close(self, symbol: str | None = None, minutes_before: int = 0) -> None:
        given: object = minutes_before
        if isinstance(given, bool) or not isinstance(given, int) or given < 0:
            raise StrategyError(
                f"strategy {self._account.name}: minutes_before must be a whole number >= 0, was {minutes_before!r}"
            )
        code = self._one_or_all(symbol)
        self._account.exit_at_close(at.EVERY if code is None else code, minutes_before)

    def record(self, **values: float) -> None:
        for name, value in values.items():
            try:
                number = float(value)
            except (TypeError, ValueError):
                raise StrategyError(
                    f"strategy {self._account.name}: record {name!r} must be a number, was {value!r}; book.log keeps words"
                ) from None
            self._account.records.append((self._market.now, name, number, self.teller))

    def log(self, message: str, **fields: Any) -> None:
        text = json.dumps(fields, default=str, sort_keys=True) if fields else "{}"
        self._account.log.append(Spoken(self._market.now, str(message), text, self.teller))

    def stop(self, reason: str) -> None:
        if self._independent:
            raise StrategyError(
                f"strategy {self._account.name}: stop must not be called by an independent strategy: it would end the other "
                "symbols' runs; leave `independent` out"
            )
        if self.stop_reason is None:
            self.stop_reason = str(reason)

    def _whole(self, shares: Any) -> int:
        if (isinstance(shares, int | np.integer) and not isinstance(shares, bool)) or (
            isinstance(shares, float | np.floating) and float(shares).is_integer()
        ):
            if abs(int(shares)) > MOST:
                raise StrategyError(f"strategy {self._account.name}: shares must fit 2^60, was {shares!r}")
            return int(shares)
        raise StrategyError(
            f"strategy {self._account.name}: shares must be a whole number, was {shares!r}; round it first"
        )

    @property
    def current_code(self) -> int | None:
        """The symbol whose row is being shown, read off how far the rows' iterator has come; None outside on_bar.

        Of an independent strategy also the symbol of the fill or order being told.
        """
        if self._independent:
            return self.about
        if self.shown is None:
            return None
        progress, codes = self.shown
        return int(codes[len(codes) - progress.__length_hint__() - 1])

    @property
    def teller(self) -> int:
        """The symbol that an independent strategy speaks of: rows of its records and log are sorted by it; `EVERY` for none."""
        code = self.current_code if self._independent else None
        return at.EVERY if code is None else code
