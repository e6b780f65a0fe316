"""Where bt keeps what it can make again: schedules of calendars, what is remembered of stores that may not be written."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def user_cache() -> Path:
    r"""The user's cache folder of bt: ``BT_CACHE``, else the platform's. It need not exist.

    Linux ``$XDG_CACHE_HOME/bt`` or ``~/.cache/bt``, macOS ``~/Library/Caches/bt``, Windows ``%LOCALAPPDATA%\bt``. A user without a home has a folder of
    its own among the temporary ones.
    """
    if given := os.environ.get("BT_CACHE"):
        return Path(given)
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "bt"
    if sys.platform not in ("win32", "darwin") and (given := os.environ.get("XDG_CACHE_HOME")):
        return Path(given) / "bt"
    try:
        home = Path.home()
    except RuntimeError:
        return _without_home()
    if sys.platform == "win32":
        return home / "AppData" / "Local" / "bt"
    return home / "Library" / "Caches" / "bt" if sys.platform == "darwin" else home / ".cache" / "bt"


def _without_home() -> Path:
    """A folder among the temporary ones that nobody else may write: what lies there is read again."""
    if sys.platform == "win32":  # temporary folders are a user's own there
        return Path(tempfile.gettempdir(), "bt-cache")
    folder = Path(tempfile.gettempdir(), f"bt-cache-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="bt-cache-"))
    ours = folder.is_dir() and not folder.is_symlink() and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if ours else Path(tempfile.mkdtemp(prefix="bt-cache-"))
