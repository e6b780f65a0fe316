"""The files that an ingest was given: found, opened, hashed."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import IO, cast
from zipfile import BadZipFile

import pyarrow as pa

from bt.errors import DataError, UsageError

HEAD = 1 << 16
"""Bytes of a source that are looked at to tell its format."""

GZIP, ZSTD, ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
UNREADABLE = (OSError, EOFError, zlib.error, BadZipFile, pa.ArrowException)
"""What reading a damaged source raises."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to ingest. `named` is False when it was found in a folder, where what is no bar file is skipped."""

    path: Path
    named: bool


def find(sources: Sequence[Path | str]) -> list[Source]:
    """The files meant by files, folders (searched recursively) and globs, by path.

    Names that start with a dot or an underscore are left out of folders.

    Raises
    ------
    UsageError
        Where nothing is found.
    """
    found: dict[Path, bool] = {}
    for given in sources:
        path = Path(given).expanduser()
        if path.is_dir():
            inside = [p for p in path.rglob("*") if p.is_file() and not _hidden(p.relative_to(path))]
            named = False
        elif path.is_file():
            inside, named = [path], True
        else:
            matches = glob(str(path), recursive=True) if has_magic(str(path)) else []  # noqa: PTH207  ** with any root
            inside, named = [Path(match) for match in matches if Path(match).is_file()], True
        if not inside:
            raise UsageError(
                f"{given}: a source must be a file, a folder with files or a glob that matches, found nothing"
            )
        for file in (p.resolve() for p in inside):
            found[file] = found.get(file, False) or named
    return [Source(path, found[path]) for path in sorted(found)]


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def digest(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with reading(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_stream(path: Path) -> IO[bytes]:
    """The bytes of a file, decompressed when it is gzip or Zstandard."""
    with path.open("rb") as raw:
        magic = raw.read(4)
    if magic.startswith(GZIP):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if magic == ZSTD:
        return cast("IO[bytes]", pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    return path.open("rb")


def head(path: Path) -> bytes:
    """The first bytes of a file, decompressed, without a byte order mark."""
    with reading(path), open_stream(path) as stream:
        return bytes(stream.read(HEAD)).removeprefix(b"\xef\xbb\xbf")


@contextmanager
def reading(path: Path, member: str = "") -> Iterator[None]:
    """Whatever damage a read inside meets becomes a DataError that names the file."""
    try:
        yield
    except DataError:
        raise
    except UNREADABLE as error:
        where = f"{path}!{member}" if member else str(path)
        hint = "it is damaged or was cut short: fetch it again"
        raise DataError(f"{where}: file must be readable to its end, was not ({error}); {hint}") from error


def first_lines(data: bytes, count: int = 5) -> list[str]:
    """The first non-empty lines of some text; [] when it is not UTF-8 text. The last line may be cut."""
    text = data.decode("utf-8", errors="ignore")
    if "\0" in text:
        return []
    return [line for line in text.splitlines() if line.strip()][:count]
