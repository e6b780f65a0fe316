"""`bt actions lean`: LEAN's factor and map files to a table of corporate actions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bt.cli.failures import DONE
from bt.cli.streams import Output
from bt.cli.tables import facts, plural
from bt.errors import ResultsError
from bt.ingest import lean_actions
from bt.model import ACTION_KINDS
from bt.prepare import read_actions


def import_lean(output: Output, factors: Path, maps: Sequence[Path], out: Path) -> int:
    """Write the actions of LEAN's files to the Parquet file `out`, and read it as a run would."""
    frame = lean_actions([factors], list(maps))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = out.with_name(f".{out.name}.part")
        frame.write_parquet(scratch)
        scratch.replace(out)
    except OSError as error:
        raise ResultsError(f"{out}: it must be writable, was not ({error.strerror}); choose another file") from error
    rows = read_actions(str(out)).rows
    counts: dict[str, int] = {kind: rows.filter(kind=kind).height for kind in ACTION_KINDS}
    days = rows["session"].dt.to_string("iso").to_list() or [""]
    if output.as_json:
        output.json(
            {
                "table": out,
                "rows": rows.height,
                "symbols": rows["symbol"].n_unique(),
                **counts,
                "first": days[0],
                "last": days[-1],
            }
        )
        return DONE
    told = ", ".join(plural(count, kind) for kind, count in counts.items() if count) or "nothing"
    facts(output, [
        ("written", f"{out}: {told}, of {plural(rows['symbol'].n_unique(), 'symbol')}"),
        ("sessions", f"{days[0]} to {days[-1]}"),
    ], whole=[("use it as", f"--set data.actions={out}, or as actions.parquet in a store")])  # fmt: skip
    return DONE
