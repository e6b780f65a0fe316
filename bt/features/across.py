"""Features of other symbols: of, and across the universe at one minute cross_rank cross_zscore cross_demean.

They work on the values of another feature, on the rows that show them: a `Feature`, or the name of one of the strategy's.
"""

from __future__ import annotations

from bt.errors import StrategyError
from bt.features.declared import Feature, Within, check_within


def of(symbol: str, feature: Feature | str, *, within: Within = None) -> Feature:
    """Another symbol's feature, as it is known when the row ends: at its last bar until then.

    Parameters
    ----------
    symbol : str
        A symbol of the store; it is read even where the universe, or ``data.symbols``, does not hold it.
    feature : Feature or str
        A feature over bars or past sessions (a trailing one is that of the row's session), or the name of one.
    within : {"session"}, optional
        "session": null until the other symbol has a bar in this session. Otherwise its last value of an earlier session
        is known until then.

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.

    Notes
    -----
    Source: as-of join, https://code.kx.com/q/ref/asof/
    """
    check_within(within, "of")
    if not symbol or not isinstance(symbol, str):
        raise StrategyError(f"of: symbol must be the name of one, was {symbol!r}")
    return Feature("of", within=within, symbol=symbol, inputs_=(input_("of", feature),))


def cross_rank(feature: Feature | str) -> Feature:
    """Where a symbol's value stands among the universe's at this minute, from 0 (lowest) to 1 (highest).

    (rank - 1) / (n - 1) over the n symbols of the universe that have a bar ending now and a known value; equal values share
    their average rank; 0.5 where there is one. Null for a symbol outside the universe, or with an unknown value.

    Source: percentile rank with average ranks of ties, https://en.wikipedia.org/wiki/Ranking#Fractional_ranking_(%221_2.5_2.5_4%22_ranking)

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    return Feature("cross", aggregate="rank", inputs_=(input_("cross_rank", feature),))


def cross_zscore(feature: Feature | str) -> Feature:
    """How many standard deviations a symbol's value is from the universe's mean at this minute.

    The deviation is the population's (divided by n): the universe is all there is. Null where it is 0; otherwise as `cross_rank`.

    Source: standard score, https://en.wikipedia.org/wiki/Standard_score

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    return Feature("cross", aggregate="zscore", inputs_=(input_("cross_zscore", feature),))


def cross_demean(feature: Feature | str) -> Feature:
    """A symbol's value less the universe's mean at this minute; null as `cross_rank`.

    Source: centering, https://en.wikipedia.org/wiki/Centering_matrix

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    return Feature("cross", aggregate="demean", inputs_=(input_("cross_demean", feature),))


def input_(name: str, given: object) -> Feature | str:
    """`given`, if it is a feature or may be the name of one."""
    if not isinstance(given, Feature | str):
        raise StrategyError(f"{name}: it must be given a feature or the name of one, was {given!r}")
    return given
