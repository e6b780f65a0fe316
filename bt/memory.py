"""How this process keeps its memory: freed blocks stay with it instead of going back and forth to the system.

A replay frees and asks for the same few dozen megabytes every session. glibc returns such blocks to the system at once and
gets them back page by page, zeroed: a fifth of a run's CPU time (docs/decisions/0006).
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 256 * 1024 * 1024


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks up to 256 MB; whether it was told. Elsewhere nothing is done."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(tell(_M_MMAP_THRESHOLD, _LARGE)) and bool(tell(_M_TRIM_THRESHOLD, 2 * _LARGE))
