"""Names among the inputs of features become the features themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from bt.errors import StrategyError
from bt.features.declared import Feature
from bt.schema import BAR_COLUMNS, OPTIONAL_COLUMNS

OVER_BARS = ("expression", "window", "recursive", "today", "trailing")
"""Kinds that need no other feature."""


def linked(features: Mapping[str, Feature], owner: str) -> dict[str, Feature]:
    """The features, with every name among their inputs replaced by what it names.

    Raises
    ------
    StrategyError
        A name is not one of `features`, a feature needs itself, an expression gives neither numbers nor booleans, or `of` is asked for
        what only a universe has.
    """
    made: dict[str, Feature] = {}

    def named(name: str, path: tuple[str, ...]) -> Feature:
        if name not in features:
            raise StrategyError(
                f"{owner}: feature {path[-1]!r} must be made from features of the strategy, was given {name!r}, which is none of "
                f'{", ".join(features)}; a bar\'s own value is bt.lag("close", 0)'
            )
        if name in path:
            raise StrategyError(
                f"{owner}: a feature must not need itself, was {' -> '.join((*path[path.index(name) :], name))}"
            )
        if name not in made:
            made[name] = whole(features[name], (*path, name))
        return made[name]

    def whole(feature: Feature, path: tuple[str, ...]) -> Feature:
        if feature.kind == "expression":
            _check_kind(feature, f"{owner}: feature {path[-1]!r}")
        if not feature.inputs_:
            return feature
        inputs = tuple(named(i, path) if isinstance(i, str) else whole(i, path) for i in feature.inputs_)
        done = replace(feature, inputs_=inputs)
        return _of(done, f"{owner}: feature {path[-1]!r}") if done.kind == "of" else done

    return {name: named(name, ()) for name in features}


SCHEMA = {
    **dict.fromkeys((*BAR_COLUMNS, *OPTIONAL_COLUMNS), pl.Float64()),
    "volume": pl.Int64(),
    "n_trades": pl.Int64(),
}
"""What an expression works on."""


def _check_kind(feature: Feature, where: str) -> None:
    """Refuse an expression of texts, dates or lists; one that Polars cannot type yet is judged by its values."""
    assert feature.expr is not None
    try:
        (kind,) = pl.LazyFrame(schema=SCHEMA).select(feature.expr.alias("it")).collect_schema().dtypes()
    except Exception:  # noqa: BLE001 - it cannot be evaluated, or calls code that raises: told where symbols are dropped
        return
    if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null, pl.Unknown)):
        raise StrategyError(
            f"{where} must be a number or a boolean a bar, was {kind}: {feature.expr}; give a number, or keep text in an outside table"
        )


def _of(feature: Feature, where: str) -> Feature:
    """Another symbol's relative volume is its volume so far by its usual one; other features of features have no meaning
    apart from their universe."""
    inner = feature.needs[0]
    if inner.kind in OVER_BARS:
        return feature
    if inner.kind == "ratio" and inner.at == "cumulative":
        return replace(inner, inputs_=tuple(replace(feature, inputs_=(i,)) for i in inner.needs))
    raise StrategyError(
        f"{where}: of must be given a feature over a symbol's bars or past sessions, was a {inner.kind} of other features; "
        "it is known on rows only: take `of` of the features it is made from"
    )
