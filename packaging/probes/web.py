"""One request of HTTP for the probes beside this file, bounded in time and in size.

No proxy is asked, whatever the environment says, and no redirection is followed here: both are the caller's.
"""

from __future__ import annotations

import argparse
import http.client
import json
from urllib.parse import SplitResult, urljoin, urlsplit

from probe import LARGEST, Unknown, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from email.message import Message
    from typing import Any

REDIRECTIONS = (301, 302, 303, 307, 308)
"""Statuses with a Location that a GET may go on to (RFC 9110, section 15.4)."""


class Reply:
    """What a server has said."""

    def __init__(self, url: str, status: int, reason: str, headers: Message, body: bytes) -> None:
        self.url = url
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body

    @property
    def host(self) -> str:
        return place(self.url)

    @property
    def location(self) -> str | None:
        """Where the server sends us on to, as a whole address; raises Unknown if that is none."""
        target = self.headers.get("Location") if self.status in REDIRECTIONS else None
        if not target:
            return None
        try:
            return address(urljoin(self.url, target))
        except argparse.ArgumentTypeError as error:
            raise Unknown(f"{self.host} sends us on to what is no address: {error}") from None

    def json(self) -> Any:
        """The body as JSON; raises Unknown if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            begin = one_line(self.body[:400].decode(errors="replace"), 60)
            raise Unknown(f"the answer of {self.host} is no JSON; it begins with {begin!r}") from None


def address(text: str) -> str:
    """An address of HTTP as it is, for argparse: with a host, and no password in it."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"{one_line(text)!r} is no address like http://host:8088/path")
    if "@" in parts.netloc:
        raise argparse.ArgumentTypeError("a user or password in an address can be read by everybody on the host")
    return text


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what a secret is meant for (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]


def place(url: str) -> str:
    """Host and port of an address, for people."""
    return urlsplit(url).netloc


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """What checks a server of https: against the authorities of the system, or those in a file of PEM alone."""
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise Unknown(f"{ca_file}: no certificates can be read from it: {error.strerror or error}") from None


def get(url: str, headers: Mapping[str, str], ca_file: str | None) -> Reply:
    """Ask once; raises Unknown if there is no answer, or one that is too large. The caller has set a deadline."""
    parts = urlsplit(url)
    connection = _connection(parts, ca_file)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        asked = {"Accept": "application/json, */*;q=0.5", "User-Agent": "taskgated-probe", "Connection": "close"}
        connection.request("GET", path, headers=asked | dict(headers))
        answer = connection.getresponse()
        body = answer.read(LARGEST + 1)
        if len(body) > LARGEST:
            raise Unknown(f"the answer of {parts.netloc} is larger than {LARGEST // 2**20} MiB")
        if answer.length:  # what Content-Length has promised and did not come
            raise Unknown(f"the answer of {parts.netloc} breaks off")
        return Reply(url, answer.status, answer.reason, answer.headers, body)
    except http.client.HTTPException as error:
        raise Unknown(f"{parts.netloc} does not speak HTTP: {type(error).__name__} {error}".rstrip()) from None
    except OSError as error:
        raise Unknown(f"{parts.netloc} cannot be asked: {error.strerror or error}") from None
    except ValueError:  # its text may have the value of a header in it
        raise Unknown(f"{parts.netloc} cannot be asked with these headers") from None
    finally:
        connection.close()


def _connection(parts: SplitResult, ca_file: str | None) -> http.client.HTTPConnection:
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname or "", parts.port, context=trusting(ca_file))
    return http.client.HTTPConnection(parts.hostname or "", parts.port)
