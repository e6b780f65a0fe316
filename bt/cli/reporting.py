"""`bt report`: a run's report.html, a sweep's, or runs side by side."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from bt.cli.failures import DONE
from bt.cli.streams import Output
from bt.cli.tables import facts, size
from bt.errors import UsageError
from bt.report import sweep_page
from bt.run import REPORT, compare, open_run, session_given, write_page
from bt.sweeps import is_sweep, sweep_told

COMPARED = "compared.html"


def write_the_report(
    output: Output,
    folders: Sequence[Path],
    *,
    symbol: str,
    session: str,
    sweep: Path | None,
    out: Path | None,
    look: bool,
) -> int:
    """Write the report of what is in `folders`; `look` opens it in the browser."""
    day = session_given(session or None)
    folder = folders[0]
    if (symbol or day is not None or sweep is not None) and (len(folders) > 1 or is_sweep(folder)):
        told_of = "several" if len(folders) > 1 else "a sweep"
        raise UsageError(f"bt report: --symbol, --session and --sweep must be of one run, were with {told_of}")
    if len(folders) > 1:
        page = compare(folders).report(Path.cwd() / (COMPARED if out is None else out))
    elif is_sweep(folder):
        page = Path.cwd() / (folder / REPORT if out is None else out)
        write_page(page, sweep_page(sweep_told(folder)))
    else:
        told = None if sweep is None else sweep_told(sweep)
        page = open_run(folder).report(
            None if out is None else Path.cwd() / out, symbol=symbol or None, session=day, sweep=told
        )
    count = page.stat().st_size
    if output.as_json:
        output.json({"report": page, "bytes": count})
    else:
        facts(output, [("size", size(count))], whole=[("report", str(page))])
    if look:
        webbrowser.open(page.as_uri())
    return DONE
