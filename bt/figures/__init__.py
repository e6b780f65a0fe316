"""What pictures of a run are made of: frames in, frames and arrays out, cut to what a screen can show.

`account` sums strategies and says how deep equity lies under its peak; `thinning` keeps of a series the points that a screen shows; `returns`
tells them by session, month and minute; `attribution` tells what each symbol earned in each session; `grids` shrinks a table of symbols and
sessions; `placing` puts fills beside the bars they belong to; `waiting` tells the prices that orders waited at; `summing` sums floats in a fixed order.
"""

from bt.figures.account import account, drawdown
from bt.figures.attribution import by_symbol_and_session, traded
from bt.figures.grids import Grid, grid
from bt.figures.placing import missing, placed
from bt.figures.returns import by_minute, by_month, session_returns
from bt.figures.thinning import evenly, thinned
from bt.figures.waiting import Levels, levels, met

__all__ = [
    "Grid",
    "Levels",
    "account",
    "by_minute",
    "by_month",
    "by_symbol_and_session",
    "drawdown",
    "evenly",
    "grid",
    "levels",
    "met",
    "missing",
    "placed",
    "session_returns",
    "thinned",
    "traded",
]
