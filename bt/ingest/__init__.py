"""Vendor files into a store: `ingest_files` reads, checks, sorts by day and writes; `pipeline` says in which steps. `lean_actions` are corporate actions."""

from bt.ingest.lean_factors import lean_actions
from bt.ingest.options import IngestOptions
from bt.ingest.pipeline import Progress, ingest_files
from bt.ingest.report import Conflict, IngestReport, Refusal, Sample, SourceReport

__all__ = [
    "Conflict",
    "IngestOptions",
    "IngestReport",
    "Progress",
    "Refusal",
    "Sample",
    "SourceReport",
    "ingest_files",
    "lean_actions",
]
