"""The schemas of files whose content is known: remembered beside the verdicts, so that a store is opened without opening its files."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from bt.store.files import remembered_hashes, save_bytes

FILE = "schemas-1.json"
"""A line with the digest of the rest; then pyarrow's version, which may read a file otherwise than another one, the schemas, and by content hash which one it is."""


def known_schemas(cache: Path) -> dict[str, pa.Schema]:
    """By content hash, the schema without its metadata; equal ones are one object. None are known where the file is absent, damaged or of another pyarrow."""
    try:
        digest, told = (cache / FILE).read_bytes().split(b"\n", 1)
    except (OSError, ValueError):
        return {}
    if digest != _digest(told):
        return {}
    version, written, files = json.loads(told)
    if version != pa.__version__:
        return {}
    schemas = [pa.ipc.read_schema(pa.py_buffer(b64decode(schema))) for schema in written]
    return {content: schemas[number] for content, number in files.items()}


def remember_schemas(cache: Path, known: Mapping[str, pa.Schema], fresh: Mapping[str, pa.Schema]) -> None:
    """Keep `fresh` schemas beside those that are `known`, by content hash; of files that are gone none."""
    live = remembered_hashes(cache)
    written: dict[str, int] = {}
    files: dict[str, int] = {}
    for content, schema in {**known, **fresh}.items():
        if content in live:
            word = b64encode(schema.remove_metadata().serialize()).decode()
            files[content] = written.setdefault(word, len(written))
    told = json.dumps([pa.__version__, list(written), files]).encode()
    save_bytes(cache / FILE, _digest(told) + b"\n" + told)


def _digest(told: bytes) -> bytes:
    return hashlib.blake2b(told, digest_size=20).hexdigest().encode()
