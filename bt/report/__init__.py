"""Reports that are one file: a run's `report.html`, the page of `bt quality --html`, and what a notebook shows of a run.

Frames in, HTML out. A page has its styles, scripts and data in itself and asks no network for anything; any text of data or configuration is escaped.

`subject` says what a page is made of; `words` and `parts` are texts, cells and tables; `headline`, `series`, `trading`, `heat`, `surface` and `compared` make the sections,
`candles` the charts of symbols and sessions; `page` puts all into the templates; `inline` is the small picture of a notebook. `assets` and
`templates` are ours, `vendored` is not.
"""

from bt.report.compared import ComparedTold, compared_html
from bt.report.inline import notebook_html
from bt.report.page import MOST_BYTES, compared_page, quality_page, run_page, sweep_page
from bt.report.subject import BarSource, QualityTold, RunTold, SweepTold, Wish

__all__ = [
    "MOST_BYTES",
    "BarSource",
    "ComparedTold",
    "QualityTold",
    "RunTold",
    "SweepTold",
    "Wish",
    "compared_html",
    "compared_page",
    "notebook_html",
    "quality_page",
    "run_page",
    "sweep_page",
]
