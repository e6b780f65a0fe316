"""The schemas of files whose content is known: remembered beside the verdicts, so that a store is opened without opening its files."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from bt.arrays import arrow, plain, text
from bt.store.files import load_table, remembered_hashes, save_table

FILE = "schemas-1.arrow"

_COLUMNS = pa.schema([("hash", pa.string()), ("schema", pa.dictionary(pa.int32(), pa.string()))])


def known_schemas(cache: Path) -> dict[str, pa.Schema]:
    """By content hash, the schema without its metadata; equal ones are one object. None are known where the cache is absent or damaged."""
    table = load_table(cache / FILE)
    if table is None or table.schema != _COLUMNS or not table.num_rows:
        return {}
    column = table["schema"].combine_chunks()
    try:
        schemas = [pa.ipc.read_schema(pa.py_buffer(b64decode(told.as_py()))) for told in column.dictionary]
    except (pa.ArrowException, ValueError):
        return {}
    numbers = plain(column.indices).tolist()
    return dict(zip(table["hash"].to_pylist(), map(schemas.__getitem__, numbers), strict=True))


def remember_schemas(cache: Path, known: Mapping[str, pa.Schema], fresh: Mapping[str, pa.Schema]) -> None:
    """Keep `fresh` schemas beside those that are `known`, by content hash; of files that are gone none."""
    live = remembered_hashes(cache)
    kept = {digest: schema for digest, schema in {**known, **fresh}.items() if digest in live}
    words: dict[str, int] = {}
    told = (b64encode(schema.remove_metadata().serialize()).decode() for schema in kept.values())
    numbers = np.array([words.setdefault(word, len(words)) for word in told], dtype=np.int32)
    column = pa.DictionaryArray.from_arrays(arrow(numbers), text(list(words)))
    save_table(cache / FILE, pa.Table.from_arrays([text(list(kept)), column], schema=_COLUMNS))
