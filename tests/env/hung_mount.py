"""A file system that does not answer, as of a server that is gone: who looks a name up in it waits, in state D."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select

import pytest

_NOSUID, _NODEV, _DETACH = 2, 4, 2  # mount(2), umount2(2)
_INIT = 26  # FUSE_INIT: the only question that is answered
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def hung_mount(directory: Path) -> Iterator[Path]:
    """The directory to look something up in; at the end everybody who did gets an error. For root, with FUSE."""
    directory.mkdir()
    try:
        fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        pytest.skip("there is no FUSE here")
    options = f"fd={fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other".encode()
    if _libc.mount(b"hung", os.fsencode(directory), b"fuse", _NOSUID | _NODEV, options) != 0:
        os.close(fd)
        pytest.skip(f"nothing may be mounted here: {os.strerror(ctypes.get_errno())}")
    stop, stopping = os.pipe()
    thread = threading.Thread(target=_listen, args=(fd, stop), daemon=True)
    thread.start()
    try:
        yield directory
    finally:
        _libc.umount2(os.fsencode(directory), _DETACH)
        os.close(stopping)
        thread.join()
        os.close(stop)
        os.close(fd)  # nobody else has it: that ends the connection, and who waits is told so


def _listen(fd: int, stop: int) -> None:
    """Take every question, so that nobody can give up on it any more; answer the first (fuse(4), linux/fuse.h)."""
    while stop not in (ready := select([fd, stop], [], [])[0]):
        assert ready
        _, opcode, unique = struct.unpack_from("=IIQ", os.read(fd, 256 * 1024))
        if opcode == _INIT:
            answer = struct.pack("=IIIIHHII32x", 7, 31, 65536, 0, 16, 12, 65536, 1)
            os.write(fd, struct.pack("=IiQ", 16 + len(answer), 0, unique) + answer)
