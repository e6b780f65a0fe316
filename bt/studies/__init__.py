"""Research without a strategy: what comes after bars, features and events. Frames in, frames out.

Where to look:

1. `asked` reads what is asked for; `minutes` puts bars on the exchange's own clock;
2. `returns` are forward returns and statistics by minute of the session; `events` are paths around events;
3. `sections` cut rows into cross-sections, ranks and quantiles, `statistics` are their means and correlations;
4. `factors` asks whether a feature tells what comes, `summary` asks all of it at once.
"""

from bt.studies.events import event_paths, event_study
from bt.studies.factors import (
    decay,
    information_coefficient,
    quantile_returns,
    quantile_spread,
    rank_autocorrelation,
    turnover,
)
from bt.studies.returns import by_minute, forward_returns
from bt.studies.summary import Study, study

__all__ = [
    "Study",
    "by_minute",
    "decay",
    "event_paths",
    "event_study",
    "forward_returns",
    "information_coefficient",
    "quantile_returns",
    "quantile_spread",
    "rank_autocorrelation",
    "study",
    "turnover",
]
