# %% [markdown]
# # 02 Looking at data and its quality
#
# Before a strategy: what is in the store, which minutes are missing, and whether a symbol is thin or its feed is broken. Run it from the project's
# folder `notebooks/`; the market is the invented sample, so the faults in it were put there.

# %%
import polars as pl

import bt

# %% [markdown]
# ## Bars
#
# One call gives bars that passed the guards, with features. Times are UTC: `open_time` is when a minute starts, `close_time` when it is over and known.

# %%
bars = bt.load_bars(
    "../data/sample", "XNYS", "2024-11-25", "2024-12-06", intervals=["1m", "30m"], features={"vwap": bt.vwap()}
)
bars["1m"].head()

# %% [markdown]
# Coarser bars say how many minutes they are made of, so that a bar of three minutes is not taken for one of thirty. 29 November ends at 13:00.

# %%
bars["30m"].filter(pl.col("n_obs") < pl.col("n_expected")).select(
    "symbol", "session", "open_time", "n_obs", "n_expected"
).head()

# %% [markdown]
# ## Quality
#
# Quality is the share of the expected minutes that are there. A thin symbol lacks minutes because nobody traded; a broken feed lacks them for everybody at once.

# %%
quality = bt.load_quality("../data/sample", "XNYS")
quality.table.group_by("symbol").agg(pl.col("quality").median(), pl.col("completeness").median()).sort("quality").head()

# %% [markdown]
# `completeness` compares a symbol with what is usual for itself: a thin symbol on an ordinary day has a low quality and a completeness near 100.
# Gaps that nearly all liquid symbols share are outages. They are told in hindsight, and never gate a strategy.

# %%
quality.outages

# %%
quality.worst.head()

# %% [markdown]
# ## What was withheld
#
# Faulty rows are never shown to a strategy, and never dropped in silence.

# %%
quality.guards.group_by("reason").agg(pl.col("rows").sum()).sort("rows", descending=True)

# %% [markdown]
# `bt quality ../data/sample --html quality.html` draws all of this as a page.
