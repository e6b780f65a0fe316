"""A model scored inside the strategy: a linear one, trained by linear_model_train.py on the rows this strategy is shown."""

import json
from pathlib import Path

import numpy as np

import bt


class Stock(bt.Row):
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
        moves = {"short": bt.ret("close", 5), "long": bt.ret("close", 60), "stretch": bt.zscore("close", 30)}
        return {**moves, "edge": bt.score(self.predict, inputs=list(moves))}

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return np.asarray((inputs * self.weights[1:]).sum(axis=1) + self.weights[0])

    @bt.every("15m", start="open+30m", end="close-15m")
    def trade(self, rows: bt.Rows, book: bt.Book) -> None:
        side = np.sign(rows.edge) * (np.abs(rows.edge) > self.least)
        book.targets(rows, value=self.value * np.nan_to_num(side))
        book.exit_at_close()
