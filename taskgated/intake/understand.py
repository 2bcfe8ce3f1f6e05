"""Reading a file that was dropped, whatever it is: it is understood, or it is refused, or it has to wait because
something beside it is in trouble. Nothing else comes out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from taskgated.core.job import Spec
from taskgated.errors import Problem, Refused, Trouble, Unexplained
from taskgated.intake import settle
from taskgated.intake.settle import Opened
from taskgated.language import jobfile, scripts
from taskgated.language.config import Config
from taskgated.language.kinds import HEAD, Kind, check_script
from taskgated.language.source import BOM
from taskgated.text import to_text

T = TypeVar("T")


def understand(name: bytes, read: Callable[[], T]) -> T:
    """What ``read`` returns. Raises ``Refused`` for what is wrong with the file, ``Unexplained`` for data without a
    handler, ``Trouble`` for the rest.

    A reader that trips over one file must not take the gate with it, now and at each start. What the system says
    (``OSError``) is never the fault of a file that is open already.
    """
    try:
        return read()
    except (Refused, Trouble, Unexplained):
        raise
    except OSError as error:
        raise Trouble(error.strerror or str(error)) from error
    except MemoryError as error:
        raise Trouble("there is not enough memory to read it") from error
    except Exception as error:
        problem = Problem(to_text(name), 0, 0, f"cannot be understood: {error!r}", hint="a bug in taskgated")
        raise Refused([problem]) from error


def specs_of(kind: Kind, name: bytes, queue: str, opened: Opened, config: Config) -> Sequence[Spec]:
    """The jobs of a spec or a script; ``Jobs`` if there are arrays."""
    source = to_text(name)
    if kind is Kind.SCRIPT:
        check_script(source, understand(name, lambda: read_at(opened.fd, len(BOM) + HEAD, 0)), queue)
    data = read_all(name, opened, config.max_file_size)
    if kind is Kind.SCRIPT:
        return understand(name, lambda: scripts.read_script(source, data, queue, config))
    return understand(name, lambda: jobfile.read_specs(source, data, queue, config))


def read_all(name: bytes, opened: Opened, limit: int) -> bytes:
    """The whole file."""
    check_size(name, opened, limit)
    data = understand(name, lambda: read_at(opened.fd, opened.stat.st_size, 0))
    if len(data) < opened.stat.st_size:
        raise Trouble("it has become shorter while it was read")
    return data


def read_at(fd: int, size: int, offset: int) -> bytes:
    """So many bytes from there, fewer only at the end of the file. Raises ``OSError``.

    A read that fails in its middle returns what came before the failure, and only the next one fails (read(2)):
    without that next one, half of a file would pass for all of it.
    """
    pieces = []
    while size > 0 and (piece := os.pread(fd, size, offset)):
        pieces.append(piece)
        size -= len(piece)
        offset += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def check_size(name: bytes, opened: Opened, limit: int) -> None:
    """Raises ``Refused`` for a file of more than ``limit`` bytes."""
    if (size := opened.stat.st_size) > limit:
        raise settle.unfit(name, f"is too large: {size} bytes, the limit is {limit}", "split it")
