"""The commands and their options. typer only parses: a command returns its job, which `main` runs.

Jobs import what they need when they run, so that help and usage errors are instant. It is long because every option with its help is here.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from bt.cli.cores import limit_polars
from bt.cli.failures import DONE, USAGE, failed, refused
from bt.cli.streams import Output, forget, results_stream
from bt.collector import START, seldom


@dataclass(frozen=True)
class Job:
    """What a command line asks for. `run` gives the exit code."""

    run: Callable[[Output], int]
    as_json: bool = False
    quiet: bool = False


# The markup mode None keeps rich out of help: half of the time would go into importing it.
app = typer.Typer(
    rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)  # fmt: skip

Bars = Annotated[str, typer.Argument(metavar="STORE|GLOB", help="A store's folder, a Parquet file or a glob.")]
Calendar = Annotated[
    str, typer.Option(metavar="NAME", help="XNYS, XLON, CME_EQUITY, ... or a Parquet file of sessions.")
]
Stamp = Annotated[str, typer.Option(metavar="start|end", help="What the files' times mean.")]
Zone = Annotated[str, typer.Option("--tz", metavar="ZONE", help="Zone of times without one, as America/New_York.")]
Columns = Annotated[
    list[str], typer.Option("--column", metavar="OURS=THEIRS", help="Where names differ: open_time=ts. Repeatable.")
]
Start = Annotated[str, typer.Option(metavar="DATE", help='First session, as 2024-11-25 or "-60 sessions".')]
End = Annotated[
    str, typer.Option(metavar="DATE", help="Last session, included: a date, last (complete in the data) or previous.")
]
Symbols = Annotated[
    list[str],
    typer.Option("--symbols", metavar="A,B,...", help="Only these; a name in .txt is a file with one symbol a line."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, and nothing else.")]
All = Annotated[bool, typer.Option("--all", help="Every row of long tables.")]


def _version(asked: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if asked:
        found = {}
        for package in ("minute-bt", "polars", "duckdb", "pyarrow", "numpy", "exchange-calendars"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                found[package] = metadata.version(package)
        own = f"bt {found.pop('minute-bt', 'not installed, run from its source')}"
        libraries = [f"{name} {version}" for name, version in found.items()]
        typer.echo(", ".join([own, f"Python {platform.python_version()}", *libraries]))
        raise typer.Exit


@app.callback()
def bt(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Versions of bt and what it uses.")
    ] = False,
) -> None:
    """Backtests trading strategies on minute bars over whole universes, one trading day at a time."""


@app.command(short_help="Write the sample market, to try things on.")
def sample(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made if missing.")],
    as_json: AsJson = False,
) -> Job:
    """Write the sample market: a store, strategies and configurations, the same to the byte everywhere."""

    def run(output: Output) -> int:
        from bt.cli.intake import write_the_sample

        return write_the_sample(output, folder)

    return Job(run, as_json)


@app.command(short_help="Turn vendors' files into a store.")
def ingest(  # noqa: PLR0913 - a parameter an option
    *,
    sources: Annotated[list[str], typer.Argument(metavar="SRC", help="Files, folders and globs.")],
    to: Annotated[Path, typer.Option(metavar="STORE", help="The store's folder; made if missing, else added to.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="auto, csv, parquet, json, alpaca, massive, lean, databento, yfinance or ninjatrader.",
        ),
    ] = "auto",
    stamp: Annotated[str, typer.Option(metavar="start|end", help="What times mean.  [default: the format's]")] = "",
    tz: Annotated[str, typer.Option(metavar="ZONE", help="Zone of times without one: a name or -05:00.")] = "",
    price_divisor: Annotated[str, typer.Option(metavar="N", help="Prices are N times too large.")] = "",
    price_decimals: Annotated[str, typer.Option(metavar="auto|K", help="Round prices to K decimals.")] = "auto",
    column: Columns = [],  # noqa: B006 - typer reads the default and gives each call its own list
    symbol: Annotated[str, typer.Option(metavar="NAME", help="Of files that have no symbol in a column.")] = "",
    quotes: Annotated[
        str, typer.Option(metavar="refuse|mid", help="Files of bid and ask bars: store the mid with volume 0.")
    ] = "refuse",
    time_format: Annotated[str, typer.Option(metavar="TEXT", help="Of unusual times, as %d/%m/%Y %H:%M.")] = "",
    calendar: Calendar = "",
    on_bad: Annotated[
        str, typer.Option(metavar="isolate|raise", help="Refuse bad rows one by one, or stop at the first.")
    ] = "isolate",
    everything: All = False,
    as_json: AsJson = False,
) -> Job:
    """Turn vendors' files into a store, the layout that reads fastest. Again: only new and changed files are read.

    With --calendar the report counts bars outside the sessions and says when times look stamped otherwise than declared.
    """

    def run(output: Output) -> int:
        from bt.cli.intake import ingest_the_files

        return ingest_the_files(
            output, sources, to, calendar=calendar, price_divisor=price_divisor, price_decimals=price_decimals,
            column=column, format=form, stamp=stamp or None, tz=tz, on_bad=on_bad, symbol=symbol, quotes=quotes,
            time_format=time_format, everything=everything,
        )  # fmt: skip

    return Job(run, as_json)


@app.command(short_help="Show what is in a store.")
def data(
    *,
    bars: Bars,
    calendar: Calendar = "",
    stamp: Stamp = "start",
    tz: Zone = "",
    column: Columns = [],  # noqa: B006
    everything: All = False,
    as_json: AsJson = False,
) -> Job:
    """Show what is in a store: symbols, sessions, bars, bytes, price decimals and problems.

    With --calendar sessions are counted, and rows outside them by reason.
    """

    def run(output: Output) -> int:
        from bt.cli.asked import Asked
        from bt.cli.contents import show_data

        return show_data(output, Asked(bars, calendar, stamp, tz, column), everything=everything)

    return Job(run, as_json)


@app.command(short_help="Show how complete a store is.")
def quality(  # noqa: PLR0913 - a parameter an option
    *,
    bars: Bars,
    calendar: Calendar = "",
    start: Start = "",
    end: End = "",
    symbols: Symbols = [],  # noqa: B006
    interval: Annotated[
        str, typer.Option(metavar="1m", help="1m, 5m, ... 1d: of coarser bars, the complete ones.")
    ] = "1m",
    stamp: Stamp = "start",
    tz: Zone = "",
    column: Columns = [],  # noqa: B006
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the same as a page with a heat map.", show_default=False)
    ] = None,
    everything: All = False,
    as_json: AsJson = False,
) -> Job:
    """Show how complete a store is: present against expected minutes by symbol and session, and the worst gaps.

    Needs --calendar, which says what is expected.
    """

    def run(output: Output) -> int:
        from bt.cli.asked import Asked
        from bt.cli.completeness import show_quality

        asked = Asked(bars, calendar, stamp, tz, column, symbols, start, end)
        return show_quality(output, asked, interval=interval, everything=everything, html=html)

    return Job(run, as_json)


@app.command(short_help="Replay a strategy over minute bars.")
def replay(  # noqa: PLR0913 - a parameter an option
    *,
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file.")],
    start: Start = "",
    end: End = "",
    symbols: Symbols = [],  # noqa: B006
    speed: Annotated[
        str, typer.Option(metavar="K", help="0 as fast as possible, 1 real time, 60 sixty times as fast.")
    ] = "",
    threads: Annotated[int | None, typer.Option(metavar="N", help="0 uses every core.", show_default=False)] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that share the work.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="KEY=VALUE", help="Any key: strategy.params.fast=5. Repeatable."),
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder itself, new or empty.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="Names the run.", show_default=False)] = None,
    html: Annotated[bool, typer.Option("--html", help="Write report.html with the run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the run's folder.")] = False,
    as_json: AsJson = False,
) -> Job:
    """Replay a strategy over minute bars, one trading day at a time, and write the run's folder.

    Options win over BT_ variables, which win over the file. Exit code 0: done; 1: an internal error, a full disk or a
    strategy that raised; 2: a wrong request; 3: more symbols failed than run.tolerate_failed allows, or a strategy was
    stopped after raising; 130: interrupted.
    """

    def run(output: Output) -> int:
        limit_polars(config, threads, settings)
        from bt.cli.replaying import replay_config

        flags = {
            "session.start": start, "session.end": end, "session.speed": speed, "engine.threads": threads,
            "engine.workers": workers, "run.name": name, "output.html": html or None,
        }  # fmt: skip
        return replay_config(output, config, flags, symbols=symbols, settings=settings, out=out)

    return Job(run, as_json, quiet)


@app.command(short_help="Try the parameter sets of a configuration.")
def sweep(  # noqa: PLR0913 - a parameter an option
    *,
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file with [sweep].")],
    start: Start = "",
    end: End = "",
    symbols: Symbols = [],  # noqa: B006
    threads: Annotated[int | None, typer.Option(metavar="N", help="0 uses every core.", show_default=False)] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that share the work.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="KEY=VALUE", help="Any key: sweep.grid.fast=[5, 10]. Repeatable."),
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The sweep's folder: new, empty or this sweep's.", show_default=False),
    ] = None,
    everything: All = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the sweep's folder.")] = False,
    as_json: AsJson = False,
) -> Job:
    """Replay many parameter sets over one pass of the data, each with its own account, and rank them; or choose them fold by
    fold, where [sweep.walk_forward] is there.

    A sweep that was stopped goes on where the same command is given again. Exit code 0: done; 1: an internal error, a full disk, or a
    walk-forward whose choice raised; 2: a wrong request; 3: more sets failed than run.tolerate_failed allows; 75: another process is
    sweeping into the folder; 130: interrupted.
    """

    def run(output: Output) -> int:
        limit_polars(config, threads, settings)
        from bt.cli.sweeping import sweep_config

        flags = {"session.start": start, "session.end": end, "engine.threads": threads, "engine.workers": workers}
        return sweep_config(
            output, config, flags, symbols=symbols, settings=settings, out=out, everything=everything
        )  # fmt: skip

    return Job(run, as_json, quiet)


@app.command(short_help="Write a run's report.html, or runs side by side.")
def report(
    *,
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="A run's folder, or a sweep's; several runs: side by side.")
    ],
    symbol: Annotated[str, typer.Option(metavar="NAME", help="Whose candle charts come first.")] = "",
    session: Annotated[str, typer.Option(metavar="DATE", help="Of which session.")] = "",
    sweep_folder: Annotated[
        Path | None,
        typer.Option(
            "--sweep", metavar="DIR", help="The sweep that the run comes from, to be shown with it.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to write.  [default: report.html in the folder; of several compared.html here]",
            show_default=False,
        ),
    ] = None,
    look: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: AsJson = False,
) -> Job:
    """Write a run (or a sweep) as one file of HTML that needs no network, again if it is there.

    A page of 2 MB cannot hold the candle charts of every symbol and session of a large run: --symbol and --session say which come first.
    Of several runs it has their growth over one another and their figures side by side.
    """

    def run(output: Output) -> int:
        from bt.cli.reporting import write_the_report

        return write_the_report(output, folders, symbol=symbol, session=session, sweep=sweep_folder, out=out, look=look)

    return Job(run, as_json)


@app.command(short_help="List the runs in a folder.")
def runs(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of runs: output.dir.")],
    everything: All = False,
    as_json: AsJson = False,
) -> Job:
    """List the runs in a folder, the latest first: when, strategy, parameters, headline metrics and how they finished."""

    def run(output: Output) -> int:
        from bt.cli.catalog import show_runs

        return show_runs(output, folder, everything=everything)

    return Job(run, as_json)


actions = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Make tables of corporate actions: splits, dividends, renames, delistings.",
)  # fmt: skip
app.add_typer(actions, name="actions", short_help="Make tables of corporate actions.")


@actions.command(short_help="From LEAN's factor and map files.")
def lean(
    *,
    factors: Annotated[Path, typer.Argument(metavar="FACTORS", help="A folder of factor files, or one.")],
    maps: Annotated[list[Path] | None, typer.Argument(metavar="[MAPS]", help="A folder of map files, or one.")] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The table to write.")] = Path("actions.parquet"),
    as_json: AsJson = False,
) -> Job:
    """Make a table of corporate actions of LEAN's factor_files and map_files, for data.actions or as actions.parquet in a store."""

    def run(output: Output) -> int:
        from bt.cli.companies import import_lean

        return import_lean(output, factors, maps or (), out)

    return Job(run, as_json)


# ---------------------------------------------------------------------------------------------------------- running


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one command line, by default the process's own."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with results_stream() as results:
        output = Output(results, as_json="--json" in given)
        try:
            return _run(given, output)
        except BrokenPipeError:  # whoever read our messages has gone away
            forget(sys.stderr)
            return DONE
        except KeyboardInterrupt as error:
            return failed(output, error)


def _run(given: list[str], output: Output) -> int:
    with contextlib.redirect_stdout(output.results):  # of help, version and completion
        try:
            job: Any = get_command(app).main(given or ["--help"], prog_name="bt", standalone_mode=False)
        except typer.TyperException as error:
            context = getattr(error, "ctx", None)
            return refused(output, error, "bt" if context is None else context.command_path)
    if not given:
        return USAGE
    if not isinstance(job, Job):  # help and the like end with a code of their own
        return int(job or DONE)
    output.quiet, code = job.quiet, DONE
    try:
        with seldom(START):  # a job begins with what it imports
            code = job.run(output)
        output.flush()
    except BrokenPipeError:
        forget(output.results)
    except BaseException as error:  # noqa: BLE001 - the last stop: every exception has its message and code
        code = failed(output, error)
    return code
