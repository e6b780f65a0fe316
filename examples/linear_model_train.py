"""Fit linear_model.json by least squares: python linear_model_train.py"""

import json
from pathlib import Path

import numpy as np
from linear_model import LinearModel

import bt

HERE = Path(__file__).parent


def train(start: str = "2024-11-04", end: str = "2024-11-22") -> list[float]:
    """The intercept and one weight an input, from the rows of the sessions from `start` to `end`, both included."""
    rows = bt.load_rows(
        HERE / "linear_model.toml", strategy=LinearModel(model=""), start=start, end=end,
        label={"move": bt.forward_return("15m", within="session", price="next_open")},
    )  # fmt: skip
    rows = rows.drop_nulls("move")
    inputs = rows.select("short", "long", "stretch").to_numpy()
    weights, *_ = np.linalg.lstsq(np.column_stack([np.ones(len(inputs)), inputs]), rows["move"].to_numpy())
    return [float(f"{w:.6g}") for w in weights]


if __name__ == "__main__":
    (HERE / "linear_model.json").write_text(json.dumps(train()) + "\n")
