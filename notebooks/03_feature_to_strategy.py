# %% [markdown]
# # 03 From a feature to a strategy
#
# A question is asked of a feature first, then the feature becomes a strategy: written in three styles, which give the same fills to the cent.

# %%
import numpy as np
import polars as pl

import bt

store, start, end = "../data/sample", "2024-11-04", "2024-12-06"

# %% [markdown]
# ## Does the feature tell anything?
#
# The return of the last 15 minutes, and what came after it. `price="next_open"` counts from the price that an order could have had, and nothing leaks over the close.

# %%
feature = {"move": bt.ret("close", 15, within="session")}
bars = bt.load_bars(store, "XNYS", start, end, features=feature)["1m"]
frame = bt.forward_returns(bars, ("5m", "15m", "30m"), price="next_open")
bt.decay(frame, "move", ("5m", "15m", "30m"))

# %%
bt.quantile_returns(frame, "move", ["15m"], quantiles=5)

# %% [markdown]
# ## Row by row
#
# One call a bar. The annotations of the row are what is read and computed; `float` without `| None` withholds the row until the value is known.


# %%
class Moved(bt.Row):
    """What is looked at."""

    symbol: str
    move: float


class Base:
    """Long 100 shares of what fell by more than `by` in the last 15 minutes, flat again when it is back."""

    row = Moved

    def __init__(self, by: float = 0.002) -> None:
        self.by = by

    def features(self) -> dict[str, bt.Feature]:
        """The return of the last 15 minutes."""
        return {"move": bt.ret("close", 15, within="session")}


class ByRows(Base):
    """In `on_bar`."""

    def on_bar(self, row: Moved, book: bt.Book) -> None:
        """Each finished minute of each symbol."""
        if row.move < -self.by:
            book.target(row.symbol, 100)
        elif row.move > 0:
            book.target(row.symbol, 0)


# %% [markdown]
# ## Minute by minute
#
# One call a minute: every field is an array over the universe. NaN is no decision.


# %%
class ByMinutes(Base):
    """In `on_minute`."""

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        """Each minute in which a symbol has a bar."""
        book.targets(rows, shares=np.where(rows.move < -self.by, 100.0, np.where(rows.move > 0, 0.0, np.nan)))


# %% [markdown]
# ## As expressions
#
# No Python while it runs: the target is a Polars expression, null is no decision.


# %%
class ByColumns(Base):
    """In `signals`."""

    def signals(self) -> dict[str, pl.Expr]:
        """What every bar asks for."""
        move = pl.col("move")
        return {"target": pl.when(move < -self.by).then(100).when(move > 0).then(0)}


# %%
runs = {
    style.__name__: bt.replay(
        bars=store,
        calendar="XNYS",
        start=start,
        end=end,
        strategy=style,
        execution={"commission_per_share": 0.005},
        save=False,
    )
    for style in (ByRows, ByMinutes, ByColumns)
}
pl.DataFrame(
    [{"style": name, "fills": run.fills.height, "net_pnl": run.summary["net_pnl"]} for name, run in runs.items()]
)

# %%
fills = [run.fills.drop("strategy") for run in runs.values()]
assert fills[0].equals(fills[1])
assert fills[0].equals(fills[2])

# %% [markdown]
# ## A chart
#
# `run.plot` draws with Altair; `run.report()` writes all of it as one page.

# %%
runs["ByRows"].plot.equity()
