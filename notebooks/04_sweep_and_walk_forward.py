# %% [markdown]
# # 04 Sweeps and walk-forward, without fooling yourself
#
# Trying many parameters finds the luckiest. This shows what a sweep says, what the best of many tries is worth, and what is left out of sample.

# %%
import sys

import polars as pl

import bt

sys.path.insert(0, "../data/strategies")
from sma_cross import SmaCross

market = {"bars": "../data/sample", "calendar": "XNYS", "execution": {"commission_per_share": 0.005}, "save": False}

# %% [markdown]
# ## Many sets, one pass over the data
#
# Every set has its own account and comes to exactly what it would alone.

# %%
sweep = bt.sweep(
    **market,
    strategy=SmaCross,
    start="2024-11-04",
    end="2024-12-06",
    grid={"fast": [5, 10, 20], "slow": [30, 60, 120]},
    where="fast < slow",
)
sweep.frame.select("fast", "slow", "sharpe", "net_pnl", "trades")

# %% [markdown]
# The prices are invented and know no trend, so whatever is on top is luck. On real prices it looks just the same.
#
# ## Choose on the past, earn on what follows
#
# A walk-forward run chooses the best set on some sessions and plays it on the next ones, flat at the start and closed at the end of each fold. What it earned is chained.

# %%
forward = bt.walk_forward(
    **market,
    strategy=SmaCross,
    start="2024-10-28",
    end="2024-12-06",
    grid={"fast": [5, 10, 20], "slow": [30, 60, 120]},
    where="fast < slow",
    train="10d",
    test="5d",
    step="5d",
    embargo="1d",
)
forward.folds.select("test_start", "test_end", "fast", "slow", "train_sharpe", "test_sharpe")

# %% [markdown]
# ## What the best of so many tries is worth
#
# The best Sharpe ratio of many trials is high by chance alone. The deflated one is the probability that the true ratio is above zero, given how many were tried.

# %%
forward.trials, forward.deflated

# %%
pl.DataFrame(
    {
        "sharpe": ["best of the sweep, in sample", "walk-forward, out of sample"],
        "value": [sweep.frame["sharpe"].max(), forward.metrics.sharpe],
    }
)
