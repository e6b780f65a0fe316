"""A store that `bt ingest` wrote is read by its manifest: leftovers of an interrupted ingest are not part of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from store_bars import bars, spec, write

from bt.errors import DataError
from bt.store import Store


def make_store(folder: Path) -> Path:
    write(folder, {"2024/2024-01-02.aaa.parquet": bars()})
    days = {"2024-01-02": {"file": "2024/2024-01-02.aaa.parquet"}}
    (folder / "_store.json").write_text(json.dumps({"version": 1, "days": days}))
    return folder


def test_only_the_files_of_the_manifest_are_read(tmp_path: Path) -> None:
    folder = make_store(tmp_path / "store")
    shutil.copy(folder / "2024" / "2024-01-02.aaa.parquet", folder / "2024" / "2024-01-02.bbb.parquet")
    assert [Path(p).name for p in Store.open(spec(folder)).files["path"]] == ["2024-01-02.aaa.parquet"]


def test_a_file_the_manifest_names_must_be_there(tmp_path: Path) -> None:
    folder = make_store(tmp_path / "store")
    (folder / "2024" / "2024-01-02.aaa.parquet").unlink()
    with pytest.raises(DataError, match=r"2024-01-02\.aaa\.parquet: file must exist as .*_store\.json names it"):
        Store.open(spec(folder))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"days": {"2024-01-02": {}}}', '{"days": {}}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    folder = make_store(tmp_path / "store")
    (folder / "_store.json").write_text(text)
    with pytest.raises(DataError, match=r"_store\.json|empty store"):
        Store.open(spec(folder))
