"""Pairs: the spread of two log prices, with a hedge ratio that is fitted before each open."""

import numpy as np

import bt


class Leg(bt.Row):
    close: float
    weight: float  # from `at_open`: 1 and minus the hedge ratio, in deviations of the spread
    mean: float  # from `at_open`: the log close's


class Pairs:
    """Against a spread of more than `entry` deviations, until it crosses its mean or the session closes."""

    row = Leg

    def __init__(self, first: str = "NORD", second: str = "PEBL", entry: float = 1.5, value: float = 50_000.0) -> None:
        self.legs, self.entry, self.value = [first, second], entry, value

    def at_open(self, session: bt.Session, past: bt.Past) -> dict[str, object] | None:
        daily = past("1d", 20, "close").pivot("symbol", on_columns=self.legs, index="session", values="close")
        y, x = np.log(daily.drop_nulls().select(self.legs).to_numpy().T)
        if len(x) < 10:
            return None
        ratio, _ = np.polyfit(x, y, 1)
        weight = np.array([1, -ratio]) / np.std(y - ratio * x)
        return {"symbol": self.legs, "weight": weight, "mean": [y.mean(), x.mean()]}

    @bt.every("1m", start="open+1m", end="close-15m")
    def trade(self, rows: bt.Rows, book: bt.Book) -> None:
        pair = rows.take(self.legs)
        spread = (pair.weight * (np.log(pair.close) - pair.mean)).sum()  # NaN unless both have a bar: nothing is done
        if pair.position[0] * spread > 0:  # long below the mean, short above: it was crossed
            book.targets(pair, shares=0, tag="mean")
        elif not pair.position.any() and abs(spread) > self.entry:
            book.targets(pair, value=-np.sign(spread) * self.value * pair.weight / pair.weight[0], tag="spread")
            book.exit_at_close()
