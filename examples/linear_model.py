"""A model scored inside the strategy: a linear one, trained by linear_model_train.py on the rows this strategy is shown."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

import bt

INPUTS = ("short", "long", "stretch")


class Stock(bt.Row):
    """The model's inputs, which training reads too, and what it makes of them."""

    symbol: str
    short: float
    long: float
    stretch: float
    edge: float


class LinearModel:
    """Every quarter of an hour `value` long or short where the model expects a move of more than `least`."""

    row = Stock

    def __init__(self, model: str = "linear_model.json", value: float = 5_000.0, least: float = 0.0001) -> None:
        self.weights = np.array(json.loads(Path(__file__).with_name(model).read_text())) if model else np.zeros(4)
        self.value, self.least = value, least

    def features(self) -> dict[str, bt.Feature]:
        """The score is made from the others, by name."""
        moves = {"short": bt.ret("close", 5), "long": bt.ret("close", 60), "stretch": bt.zscore("close", 30)}
        return {**moves, "edge": bt.score(self.predict, inputs=INPUTS)}

    def predict(self, inputs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The expected return of each row; sums within a row, so that it depends on no other."""
        return np.asarray((inputs * self.weights[1:]).sum(axis=1) + self.weights[0])

    @bt.every("15m", start="open+30m", end="close-15m")
    def trade(self, rows: bt.Rows, book: bt.Book) -> None:
        """Flat where nothing is expected, or nothing is known."""
        side = np.sign(rows.edge) * (np.abs(rows.edge) > self.least)
        book.targets(rows, value=self.value * np.nan_to_num(side))

    @bt.at("close-15m")
    def flatten(self, rows: bt.Rows, book: bt.Book) -> None:
        """Nothing is held overnight."""
        book.targets(rows, shares=np.zeros(len(rows)))
