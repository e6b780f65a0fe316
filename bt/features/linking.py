"""Names among the inputs of features become the features themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bt.errors import StrategyError
from bt.features.declared import Feature

OVER_BARS = ("expression", "window", "recursive", "today", "trailing")
"""Kinds that need no other feature."""


def linked(features: Mapping[str, Feature], owner: str) -> dict[str, Feature]:
    """The features, with every name among their inputs replaced by what it names.

    Raises
    ------
    StrategyError
        A name is not one of `features`, a feature needs itself, or `of` is asked for what only a universe has.
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
        if not feature.inputs_:
            return feature
        inputs = tuple(named(i, path) if isinstance(i, str) else whole(i, path) for i in feature.inputs_)
        done = replace(feature, inputs_=inputs)
        return _of(done, f"{owner}: feature {path[-1]!r}") if done.kind == "of" else done

    return {name: named(name, ()) for name in features}


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
        "take `of` inside"
    )
