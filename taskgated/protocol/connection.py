"""A connection on the main loop: messages in and out, and one end, whatever it is that ends it.

The peer closes it, breaks the protocol, or is hung up on; a send fails, or there is nothing left to send it with:
it always ends here. The descriptor leaves the loop, and ``gone`` is called, once, also where the owner only sends.
So that no caller is surprised in the middle of something, ``gone`` is never called from within ``send``, ``flush`` or
``hang_up``, but a moment later, by the loop.
"""

from __future__ import annotations

import fcntl
import termios
from collections.abc import Callable, Iterator

from taskgated.errors import ProtocolError
from taskgated.host.loop import Loop, Timer
from taskgated.protocol.channel import SHORTLY, Channel, Message

UNREAD = 64 * 1024
"""Bytes that a peer may leave unread before its next message is heard."""


class Connection:
    """``heard`` is called with each message; its ``ProtocolError`` ends the connection, and so does any that the
    framing meets. ``heard`` and ``gone`` may be replaced. Raises ``OSError`` when the loop cannot watch one more.

    Between ``hold`` and ``go_on`` nothing is heard. What comes meanwhile is kept as it is, up to the channel's limit.
    """

    def __init__(
        self, loop: Loop, channel: Channel, heard: Callable[[Message], None], gone: Callable[[], None]
    ) -> None:
        self.heard = heard
        self._loop = loop
        self._channel = channel
        self.gone: Callable[[], None] | None = gone
        self._wants_write = False
        self._later: Timer | None = None  # to flush again what there was no memory for
        self._held = False
        self._hearing = False
        self._goes_on = False  # when enough of what was sent has been taken
        loop.add(channel, self._readable)

    @property
    def closed(self) -> bool:
        """It is over, also when ``gone`` has still to be called."""
        return self._channel.closed

    @property
    def pending(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self._channel.pending

    @property
    def unread(self) -> bool:
        """Whether the peer has still to read some of what it was sent: it may be in the socket's queue (SIOCOUTQ,
        unix(7))."""
        if self.pending or self.closed:
            return self.pending > 0
        return any(fcntl.ioctl(self._channel, termios.TIOCOUTQ, bytes(4)))

    def send(self, message: Message) -> None:
        self._channel.queue(message)
        self.flush()

    def queue(self, message: Message) -> None:
        """Only queue it, to be sent by ``flush`` with what else is queued."""
        self._channel.queue(message)

    def flush(self) -> None:
        """Send what the peer takes now, and the rest as soon as it takes more."""
        self._channel.flush()
        if self._channel.closed:
            self.hang_up()
            return
        wanted = self._channel.pending > 0 and not self._channel.short
        if wanted != self._wants_write:
            self._wants_write = wanted
            self._loop.want_write(self._channel, self.flush if wanted else None)
        if self._channel.short and self._later is None:
            self._later = self._loop.after(SHORTLY, self._try_again)
        if self._goes_on and self._channel.pending <= UNREAD:
            self.go_on()

    def hold(self) -> None:
        """Hear nothing more for now."""
        self._held = True

    def go_on(self) -> None:
        """Hear the next message, as soon as no more than ``UNREAD`` bytes are unread: a peer that asks and asks, and
        does not read, waits for itself."""
        self._goes_on = self._channel.pending > UNREAD
        if not self._goes_on and not self._channel.closed:
            self._held = False
            if not self._hearing:
                self._loop.after(0, self._hear_kept)

    def hang_up(self) -> None:
        """End it; ``gone`` is called soon."""
        self._leave()
        self._loop.after(0, self._ended)

    def close(self) -> None:
        """End it without a word: ``gone`` is not called any more."""
        self.gone = None
        self._leave()

    # -- inside ----------------------------------------------------------------------------------

    def _readable(self) -> None:
        self._hear(self._channel.keep() if self._held else self._channel.receive())

    def _hear_kept(self) -> None:
        if not self._channel.closed and not self._held:
            self._hear(self._channel.kept())

    def _hear(self, messages: Iterator[Message]) -> None:
        self._hearing = True
        try:
            for message in messages:
                self.heard(message)
                if self._channel.closed or self._held:  # its receiver has had enough
                    break
        except ProtocolError:
            self._channel.closed = True
        finally:
            self._hearing = False
        if self._channel.closed:
            self._leave()
            self._ended()

    def _try_again(self) -> None:
        self._later = None
        if not self._channel.closed:
            self.flush()

    def _leave(self) -> None:
        self._wants_write = False
        self._loop.remove(self._channel)
        self._channel.close()

    def _ended(self) -> None:
        gone, self.gone = self.gone, None
        if gone is not None:
            gone()
