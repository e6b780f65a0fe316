# %% [markdown]
# # 01 A first run
#
# Replays a strategy of the sample over its invented market and looks at what happened. Run it from the project's folder `notebooks/`, in the environment that `python3 tasks.py setup` makes.

# %%
import polars as pl

import bt

run = bt.replay("../data/configs/sma_cross.toml", save=False)
run

# %% [markdown]
# ## What it earned
#
# Metrics are plain numbers; their units are in `docs/results.md`. On invented prices they mean nothing, but they are computed as on real ones.

# %%
metrics = run.metrics
pl.DataFrame(
    {
        "metric": ["total return", "Sharpe ratio", "maximum drawdown", "hit rate"],
        "value": [metrics.total_return, metrics.sharpe, metrics.max_drawdown, metrics.hit_rate],
    }
)

# %% [markdown]
# ## By symbol
#
# A trade runs from flat to flat. Every table is a Polars frame.

# %%
by_symbol = (
    run.trades.group_by("symbol", maintain_order=True)
    .agg(trades=pl.len(), net_pnl=pl.col("net_pnl").sum(), costs=pl.col("costs").sum())
    .sort("net_pnl", descending=True)
)
by_symbol.head(10)

# %% [markdown]
# ## What was withheld
#
# Rows outside the session and faulty rows are never shown to the strategy, and never dropped in silence.

# %%
run.guards.group_by("reason", maintain_order=True).agg(pl.col("rows").sum(), symbols=pl.col("symbol").n_unique())

# %%
run.quality.filter(pl.col("quality") < 90).select("session", "symbol", "quality", "longest_gap_minutes").head(10)


# %% [markdown]
# ## Another strategy, written here
#
# A strategy is a plain class; one from a notebook cell works as well as one from a file.


# %%
class Minute(bt.Row):
    """What is read of each minute."""

    symbol: str
    close: float
    mean: float


class BelowTheMean:
    """Long 100 shares while the close is below its mean of `n` bars."""

    row = Minute

    def __init__(self, n: int = 50) -> None:
        self.n = n

    def features(self) -> dict[str, bt.Feature]:
        """The mean of the last closes."""
        return {"mean": bt.sma("close", self.n)}

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        """Each finished minute of each symbol."""
        book.target(row.symbol, 100 if row.close < row.mean else 0)


# %%
other = bt.replay(
    bars="../data/sample",
    calendar="XNYS",
    strategy=BelowTheMean(n=120),
    start="2024-11-25",
    end="2024-12-06",
    execution={"commission_per_share": 0.005},
    save=False,
)
other.by_session.select("session", "early_close", "bars", "fills", "net_pnl")
