"""JSON messages, each ended by one NUL byte, over a non-blocking stream socket.

The framing of Varlink (https://varlink.org/Method-Call), used on every socket of taskgated: control,
workers and worker server. A peer that sends an endless or malformed message costs at most ``LIMIT`` bytes.
"""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable, Iterator

from taskgated.core.fixed import LARGEST_SPEC
from taskgated.errors import MessageTooLong, ProtocolError
from taskgated.protocol.strict import unicode_json

Message = dict[str, object]

LIMIT = LARGEST_SPEC + 1024 * 1024
_CHUNK = 64 * 1024
SHORTLY = 0.1
"""Seconds until the kernel is asked again to take what it had no memory for, though the socket has room."""
_SHORT = (errno.ENOBUFS, errno.ENOMEM)
"""The kernel has no memory for it now; of the peer that says nothing (send(2))."""
_ENCODER = json.JSONEncoder(separators=(",", ":"))  # made once: json.dumps would make one for each message
_DECODER = json.JSONDecoder()  # and json.loads would guess the encoding of each


def encode(message: Message) -> bytes:
    """One framed message. Lone surrogates (undecodable bytes of names) travel as ``\\udcXX`` escapes."""
    return _ENCODER.encode(message).encode("ascii") + b"\0"


def encode_unicode(message: Message) -> bytes:
    """One framed message for programs of others, which is valid Unicode."""
    return unicode_json(message, _ENCODER.encode).encode("ascii") + b"\0"


def decode(frame: bytes | bytearray) -> Message:
    """The message in a frame without its NUL; ``ProtocolError`` when it is not a JSON object."""
    try:
        message = _DECODER.decode(frame.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a JSON message: {error}") from None
    if not isinstance(message, dict):
        raise ProtocolError("not a JSON object")
    return message


class Channel:
    """One end of a connection: buffered both ways, never blocking once ``setblocking(False)``.

    ``receive`` yields the whole messages that have arrived; ``closed`` is set when the peer is gone.
    ``send`` queues and tries to write at once; ``pending`` says that the caller should poll for writing
    and call ``flush``, or, if ``short``, try again a moment later: there is room, and no memory. On the main loop
    a ``Connection`` does that, which tells of the end, too.

    ``encode``: how a message becomes a frame.
    """

    __slots__ = ("_encode", "_in", "_limit", "_out", "_searched", "closed", "short", "sock")

    def __init__(self, sock: socket.socket, limit: int = LIMIT, encode: Callable[[Message], bytes] = encode) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.closed = False
        self.short = False
        self._in = bytearray()
        self._searched = 0
        self._out = bytearray()
        self._limit = limit
        self._encode = encode

    def fileno(self) -> int:
        return self.sock.fileno()

    @property
    def pending(self) -> int:
        """Bytes that the peer has not taken yet."""
        return len(self._out)

    def receive(self) -> Iterator[Message]:
        """Messages that are here now. Raises ``ProtocolError`` on garbage or on a message over the limit."""
        data = self._read()
        if not data:
            return
        if not self._in and data[-1] == 0 and data.count(b"\0") == 1:  # the usual case: exactly one message
            yield decode(data[:-1])
            return
        # One chunk is read a call, so another peer has its turn; level-triggered polling brings us back.
        self._in += data
        yield from self.kept()
        if len(self._in) > self._limit:
            raise ProtocolError(f"message longer than {self._limit} bytes")

    def keep(self) -> Iterator[Message]:
        """Only read, of a peer whose next message has to wait, so that its end is seen; yields nothing. Raises
        ``ProtocolError`` when that is more than the limit."""
        self._in += self._read()
        if len(self._in) > self._limit:
            raise ProtocolError(f"more than {self._limit} bytes, before the last message was answered")
        yield from ()

    def _read(self) -> bytes:
        """What is here now, a chunk of it; nothing also at the end, which sets ``closed``."""
        try:
            data = self.sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError:
            data = b""
        self.closed = self.closed or not data
        return data

    def kept(self) -> Iterator[Message]:
        """Messages that have been read already. Raises ``ProtocolError`` on garbage."""
        while (end := self._in.find(b"\0", self._searched)) >= 0:
            self._searched = 0
            frame = self._in[:end]
            del self._in[: end + 1]
            yield decode(frame)
        self._searched = len(self._in)  # there is no end in it: a long message is not looked through again and again

    def send(self, message: Message) -> None:
        """Queue a message and write what the socket takes. A peer that is gone sets ``closed``."""
        self.queue(message)
        self.flush()

    def queue(self, message: Message) -> None:
        """Only queue it; ``flush`` will send it, together with what else was queued. Raises ``MessageTooLong`` for
        one that no peer would take."""
        if not self.closed:
            frame = self._encode(message)
            if len(frame) > LIMIT:
                raise MessageTooLong(len(frame), LIMIT)
            self._out += frame

    def flush(self) -> None:
        self.short = False
        while self._out and not self.closed:
            try:
                sent = self.sock.send(self._out)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self.short = error.errno in _SHORT
                self.closed = not self.short
                return
            del self._out[:sent]

    def close(self) -> None:
        self.closed = True
        self.sock.close()
