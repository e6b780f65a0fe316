"""A run from its specification to its results.

`result` is the `Run` object, `making` gathers all that one needs, `replaying` plays it, `finishing` closes its results, `warming` counts the sessions before it, `dates` resolves its dates, `interrupt` minds Ctrl-C,
`opening` reads one back, `players` gives every strategy its account, `sharding` says how a run
may be divided, `span` which sessions it has, `benchmark` reads the symbol that metrics compare with; `reporting` writes report.html, for which `bars` reads
the bars again, `plotting` makes `run.plot`, `bridge` goes to pandas, `comparing` puts runs side by side.
"""

from bt.run.comparing import Comparison, compare
from bt.run.dates import check_dates, resolved
from bt.run.making import Made, made
from bt.run.opening import open_run
from bt.run.plotting import plots
from bt.run.replaying import run_spec
from bt.run.reporting import REPORT, session_given, write_page
from bt.run.result import Run, summary_lines
from bt.run.span import Range, session_range

__all__ = [
    "REPORT",
    "Comparison",
    "Made",
    "Range",
    "Run",
    "check_dates",
    "compare",
    "made",
    "open_run",
    "plots",
    "resolved",
    "run_spec",
    "session_given",
    "session_range",
    "summary_lines",
    "write_page",
]
