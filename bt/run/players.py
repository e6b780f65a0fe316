"""Who plays in a run: each strategy with its book, over an account of its own, a shared one, or one a symbol."""

from __future__ import annotations

from collections.abc import Sequence

from bt.book import Account, Carry, Desk, Market, StrategyBook, Terms
from bt.engine import Player
from bt.errors import ConfigError
from bt.execution import to_units
from bt.model import Instruments, RunSpec
from bt.strategy import Declaration


def make_players(
    spec: RunSpec,
    declarations: Sequence[Declaration],
    ids: Sequence[Sequence[dict[str, str]]],
    markets: Sequence[Market],
    instruments: Instruments | None = None,
) -> list[Player]:
    """A player for each declaration; `ids` are the columns behind the fields of their row types, `markets` what each knows:
    who begins later knows less; `instruments` are the terms of the symbols.

    Raises
    ------
    ConfigError
        What [account] says does not fit the strategies.
    """
    independent = [declared.name for declared in declarations if declared.independent]
    if independent and spec.account.shared:
        raise ConfigError(
            f"{spec.source}: account.shared must be false with an independent strategy, was true with {independent[0]}: every "
            "symbol of it has its own cash"
        )
    if spec.account.cash_per_symbol and not independent:
        raise ConfigError(
            f"{spec.source}: account.cash_per_symbol must be 0 without an independent strategy, was "
            f"{spec.account.cash_per_symbol:g}; set independent = True on the class, or account.cash"
        )
    shared = Desk() if spec.account.shared else None
    players = []
    for number, (declared, fields) in enumerate(zip(declarations, ids, strict=True)):
        cash = starting_cash(spec, number)
        market = markets[number]
        if declared.independent:
            cash = cash_per_symbol(spec, cash, len(market.symbols))
        rules = spec.account
        liquidates = rules.margin_call == "liquidate"
        carry = Carry.of(rules, instruments)
        terms = Terms(
            spec.execution, spec.quality, rules.buying_power, cash, carry, rules.margin, liquidates, instruments
        )
        desk = Desk(by_symbol=declared.independent) if shared is None else shared
        account = Account(declared.name, market, terms, desk=desk, hears="on_order" in declared.callbacks)
        seed = (spec.run.seed, *declared.name.encode())
        book = StrategyBook(account, seed=seed, independent=declared.independent)
        players.append(Player(declared, account, book, fields))
    return players


def starting_cash(spec: RunSpec, number: int) -> int:
    """A strategy's cash in units: its own, the account's, or of a shared account an equal part.

    The parts add up: the first strategies have a unit more where the cash cannot be divided.
    """
    own = spec.strategies[number].cash
    cash, strategies = to_units(spec.account.cash if own is None else own), len(spec.strategies)
    if not spec.account.shared:
        return cash
    return cash // strategies + (number < cash % strategies)


def cash_per_symbol(spec: RunSpec, cash: int, symbols: int) -> int:
    """What each symbol of an independent strategy begins with, units: as configured, or an equal part of `cash`, cut.

    Raises
    ------
    ConfigError
        The part is nothing.
    """
    part = to_units(spec.account.cash_per_symbol) or cash // symbols
    if part <= 0:
        raise ConfigError(
            f"{spec.source}: account.cash must be enough for {symbols} symbols, was {spec.account.cash:g}"
        )
    return part
