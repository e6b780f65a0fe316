"""Pairs: the spread of two log prices, with a hedge ratio that is fitted before each open."""

import numpy as np
import polars as pl

import bt


class Leg(bt.Row):
    """The last three come from `at_open`: the same for both legs, fixed for the session."""

    minutes_left: int
    close: float
    ratio: float
    level: float
    width: float


class Pairs:
    """Against a spread of more than `entry` deviations, until it crosses its mean or the session closes."""

    row = Leg

    def __init__(
        self, first: str = "NORD", second: str = "PEBL", sessions: int = 20, entry: float = 1.5, value: float = 50_000.0
    ) -> None:
        self.first, self.second, self.sessions, self.entry, self.value = first, second, sessions, entry, value

    def at_open(self, session: bt.Session, past: bt.Past) -> pl.DataFrame | None:
        """Least squares of the first log close on the second, over the last daily bars that both have."""
        daily = past("1d", self.sessions, ["close"])
        y, x = (daily.filter(pl.col("symbol") == s).select("session", "close") for s in (self.first, self.second))
        both = y.join(x, on="session", maintain_order="left")
        if both.height < self.sessions // 2:
            return None
        ys, xs = np.log(both["close"].to_numpy()), np.log(both["close_right"].to_numpy())
        ratio, level = np.polyfit(xs, ys, 1)
        width = np.std(ys - ratio * xs - level)
        return pl.DataFrame({"symbol": [self.first, self.second], "ratio": ratio, "level": level, "width": width})

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        """Nothing is held overnight, so that no day depends on the one before."""
        book.exit_at_close()

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        """Decide when both legs have a bar."""
        pair = rows.take([rows.symbol.index(self.first), rows.symbol.index(self.second)])
        if not pair.fresh.all():
            return
        y, x = np.log(pair.close)
        spread = (y - pair.ratio[0] * x - pair.level[0]) / pair.width[0]
        if pair.position[0] * spread > 0:  # long below the mean, short above: it was crossed
            book.targets(pair, shares=np.zeros(2), tag="mean")
        elif not pair.position.any() and abs(spread) > self.entry and rows.minutes_left >= 15:
            book.targets(pair, value=self.value * np.sign(spread) * np.array([-1.0, pair.ratio[0]]), tag="spread")
