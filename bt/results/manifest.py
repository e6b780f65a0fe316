"""manifest.json: what was run, on what, with what, and how it ended."""

from __future__ import annotations

import contextlib
import functools
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any


def versions() -> dict[str, str]:
    """Versions of bt, Python and the libraries that results may depend on, without importing them."""
    return dict(_versions())


@functools.cache
def _versions() -> Mapping[str, str]:
    found = {"bt": "unknown", "python": platform.python_version()}
    for name, package in {"bt": "minute-bt", **{p: p for p in ("polars", "duckdb", "numpy", "pyarrow")}}.items():
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(package)
    return found


def manifest(
    spec: Mapping[str, Any], *, spec_hash: str, strategy_hashes: Mapping[str, str], data_fingerprint: str,
    finish_reason: str, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """manifest.json: what was run, on what, with what, and how it ended. No wall-clock figure.

    Parameters
    ----------
    spec : mapping
        The run as `bt.config.to_dict` tells it, dates and paths resolved.
    spec_hash : str
        Of `bt.config.spec_hash`.
    strategy_hashes : mapping
        Strategy name to the hash of its source.
    data_fingerprint : str
        Of the files read.
    finish_reason : str
        end_date, no_more_data or stopped.
    **more
        Further entries, JSON-able and without time of day.
    """
    if finish_reason not in ("end_date", "no_more_data", "stopped"):
        raise ValueError(f"manifest: finish_reason must be end_date, no_more_data or stopped, was {finish_reason!r}")
    return {
        "finish_reason": finish_reason,
        "spec_hash": spec_hash,
        "spec": dict(spec),
        "strategy_hashes": dict(strategy_hashes),
        "data_fingerprint": data_fingerprint,
        "versions": versions(),
        **more,
    }
