"""Notices whoever opens, reads or changes what nobody may touch (inotify(7)).

A watch on a directory sees what is done by way of it, one on a file what is done to it, whatever its name. Neither
sees who just asks what is there (stat(2)).
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_WORDS = {
    0x001: "read", 0x002: "written to", 0x004: "changed (mode, owner, links)", 0x008: "closed after writing",
    0x010: "closed", 0x020: "opened", 0x040: "moved away", 0x080: "moved here", 0x100: "made", 0x200: "deleted",
    0x400: "deleted", 0x800: "moved", 0x4000: "done so much to that nobody can say what",
}  # fmt: skip
_ALL = 0xFFF
_HEADER = struct.Struct("iIII")  # wd, mask, cookie, length of the name with its padding
_libc = ctypes.CDLL(None, use_errno=True)


class Tripwire:
    """From now on, until ``close``. ``directory`` is to be one that the suspects may not list."""

    def __init__(self, directory: Path, files: Iterable[Path]) -> None:
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._paths: dict[int, Path] = {-1: directory}
        for path in (directory, *files):
            watch = _libc.inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint32(_ALL))
            if watch < 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(path))
            self._paths[watch] = path

    def touched(self) -> list[str]:
        """What was done since this was last asked, in words, each once."""
        found: dict[str, None] = {}
        while data := self._read():
            at = 0
            while at < len(data):
                watch, mask, _, length = _HEADER.unpack_from(data, at)
                at += _HEADER.size
                name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
                at += length
                path = self._paths[watch] / name
                found |= {f"{path.name} was {word}": None for bit, word in _WORDS.items() if mask & bit}
        return list(found)

    def close(self) -> None:
        os.close(self._fd)

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 64 * 1024)
        except BlockingIOError:
            return b""
