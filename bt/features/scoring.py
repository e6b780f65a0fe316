"""Features of a model: score."""

from __future__ import annotations

from collections.abc import Sequence

from bt.errors import StrategyError
from bt.features.across import input_
from bt.features.declared import Feature, Predict


def score(predict: Predict, inputs: Sequence[Feature | str]) -> Feature:
    """What a model says of each row of other features.

    Parameters
    ----------
    predict : callable
        Gets an array of float64, shape (rows, inputs), of one symbol and session, and returns one float a row. It must be
        row-wise: seeded samples of rows, at the start and ever more rarely, are scored again with the others replaced by noise, and must not change.
        It belongs to the run's state: a function of a module, or an attribute of the strategy that pickles.
    inputs : sequence of Feature or str
        In the order of the array's columns: features, or names of the strategy's. Rows with an unknown input are not passed,
        and their score is null; so is one that is NaN.

    Raises
    ------
    StrategyError
        `predict` cannot be called, or there is no input.

    Notes
    -----
    Source: the model's own.
    """
    if not callable(predict):
        raise StrategyError(f"score: predict must be callable, was {predict!r}")
    given = (inputs,) if isinstance(inputs, str | Feature) else tuple(inputs)
    if not given:
        raise StrategyError("score: inputs must be at least one feature, was none")
    return Feature("score", predict=predict, inputs_=tuple(input_("score", i) for i in given))
