"""Sections into templates: one file of HTML, with its styles, scripts and data in it.

What the browser may do is said in the page itself: no network at all, no script but ours (by hash). Data is JSON in which no `<` is left; everything else goes
through jinja2 with escaping on.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from bt.report import compared, headline, heat, series, trading
from bt.report.candles import Charts, charts
from bt.report.compared import ComparedTold
from bt.report.subject import QualityTold, RunTold, SweepTold, Wish
from bt.report.surface import surface

MOST_BYTES = 2_000_000
"""No page is larger."""

_SPARE = 60_000
"""Bytes of MOST_BYTES that charts leave free."""

_HERE = Path(__file__).parent
_SCRIPTS = ("page.js", "lines.js", "heat.js", "candles.js")
_LIBRARY = "vendored/lightweight-charts/lightweight-charts.standalone.production.js"
_SOURCES = 60_000
"""Bytes of strategies' sources that a page shows."""


_ANY = Wish()


def run_page(run: RunTold, *, wish: Wish = _ANY) -> str:
    """The report of a run; the same bytes for the same run."""
    curves = series.curves(run)
    pnl = trading.earned(run)
    quality, early, quality_note = _quality(run)
    data: dict[str, Any] = {"curves": curves.data, "quality": quality}
    content: dict[str, Any] = {
        "title": _title(run),
        "cards": headline.cards(run),
        "warnings": headline.warnings(run),
        "told": headline.facts(run),
        "assumptions": headline.assumptions(run),
        "metrics": headline.metrics_table(run, curves.closing_drawdown),
        "closes": curves.closes,
        "months": curves.months,
        "times": curves.times,
        "trading": trading.tables(run, pnl),
        "costs": headline.costs(run, trading.costs_by_symbol(run)),
        "quality_note": quality_note,
        "quality_tables": _quality_tables(run, early),
        "guards": heat.guards(run.tables["guards"].lazy().collect(engine="in-memory"), ZoneInfo(run.zone)),
        "sweep": run.sweep,
        "sweep_tables": [] if run.sweep is None else surface(run.sweep),
        "sources": _cut(run.manifest.get("strategy_sources") or {}),
        "manifest": _pretty({k: v for k, v in run.manifest.items() if k not in ("strategy_sources", "strategy_modules")}),
        "why_no_bars": run.why_no_bars,
        "bars_note": run.bars.note if run.bars is not None else "",
        "traded": 0, "shown": 0,
    }  # fmt: skip
    if run.bars is None:
        return _rendered("run.html", content, data, library=False)
    without = len(_rendered("run.html", content, data, library=True).encode())
    made: Charts = charts(run, pnl, run.bars, wish=wish, budget=MOST_BYTES - _SPARE - without)
    content |= {"traded": made.traded, "shown": made.shown}
    return _rendered("run.html", content, {**data, "candles": made.data}, library=bool(made.shown))


def quality_page(told: QualityTold) -> str:
    """The page of `bt quality --html`."""
    zone = ZoneInfo(told.zone)
    early = heat.early_days(told.sessions)
    out = told.outages["session"].unique().to_list()
    data = heat.map_data(told.table, early=early, out=out)
    content = {
        "title": "Data quality",
        "told": told.lines,
        "interval": told.interval,
        "quality_note": heat.shrunk(data),
        "half_days": [f"{day}" for day in sorted(early)],
        "tables": [
            heat.by_symbol(told.table), heat.by_session(told.table, early), heat.outages(told.outages, zone),
            heat.worst_gaps(told.worst, told.outages, zone), heat.gap_causes(told.table, told.outages),
        ],
        "guards": [[reason, f"{rows:,}"] for reason, rows in told.guards.group_by("reason").agg(pl.col("rows").sum()).sort("rows", "reason", descending=[True, False]).iter_rows()],
    }  # fmt: skip
    return _rendered("quality.html", content, {"quality": data}, library=False)


def sweep_page(sweep: SweepTold) -> str:
    """The report of a sweep."""
    content = {
        "title": "Sweep",
        "told": sweep.lines,
        "tables": surface(sweep),
        "document": _pretty(sweep.document),
    }
    return _rendered("sweep.html", content, {}, library=False)


def compared_page(runs: ComparedTold) -> str:
    """The page of runs side by side."""
    curves = compared.curves(runs)
    content = {
        "title": ", ".join(one["name"] for one in curves["runs"]),
        "runs": curves["runs"],
        "tables": [compared.side_by_side(runs), compared.by_month(runs)],
    }
    return _rendered("compared.html", content, {"compared": curves}, library=False)


# ------------------------------------------------------------------------------------------------------------- content


def _title(run: RunTold) -> str:
    names = ", ".join(one["name"] for one in run.manifest["spec"]["strategies"])
    return run.summary.get("name") or names


def _quality(run: RunTold) -> tuple[dict[str, Any], set[date], str]:
    days = run.tables["sessions"].lazy().select("session", "early_close").collect(engine="in-memory")
    early = set(days.filter("early_close")["session"].to_list())
    table = _minutes(run, "session", "symbol", "quality")
    data = heat.map_data(table, early=early, out=run.outages["session"].unique().to_list())
    return data, early, heat.shrunk(data)


def _minutes(run: RunTold, *columns: str) -> pl.DataFrame:
    return run.tables["quality"].lazy().filter(pl.col("interval") == "1m").select(columns).collect(engine="in-memory")


def _quality_tables(run: RunTold, early: set[date]) -> list[Any]:
    table = _minutes(run, "session", "symbol", "quality", "completeness", "present", "expected", "longest_gap_minutes")
    return [heat.by_symbol(table), heat.by_session(table, early), heat.outages(run.outages, ZoneInfo(run.zone))]


def _cut(sources: Mapping[str, str]) -> list[tuple[str, str]]:
    """Strategies' sources, as far as there is room."""
    room, found = _SOURCES, []
    for name, text in sources.items():
        shown = text if len(text) <= room else text[:room] + "\n... cut; the whole is in manifest.json"
        found.append((name, shown))
        room = max(room - len(shown), 0)
    return found


def _pretty(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return text if len(text) <= _SOURCES else text[:_SOURCES] + "\n... cut; the whole is in manifest.json"


# ------------------------------------------------------------------------------------------------------------ the file


def _rendered(template: str, content: Mapping[str, Any], data: Mapping[str, Any], *, library: bool) -> str:
    scripts = [*([_asset(_LIBRARY)] if library else []), "\n".join(_asset(f"assets/{name}") for name in _SCRIPTS)]
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {hashes}; base-uri 'none'; form-action 'none'"
    page: str = (
        _environment()
        .get_template(template)
        .render(
            content, policy=policy, css=_asset("assets/page.css"), scripts=scripts, data=as_json(data), library=library
        )
    )
    return page


def as_json(data: Any) -> str:
    """JSON that may stand in a script element: nothing in it can end it, or begin a comment."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _environment() -> Any:
    import jinja2  # a replay without a report does without

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
