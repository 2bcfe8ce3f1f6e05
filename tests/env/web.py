"""A stand-in for a server of HTTP or HTTPS: it answers as a test says, and keeps what it was asked."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest


@dataclass
class Answer:
    """What is said to one request. ``body``: bytes or text as they are, anything else as JSON."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def encoded(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass
class Web:
    """A server on a port of its own while it is entered. ``answers``: by path, without the query; or a function that
    does it all itself, with the socket. ``certificate``: a file of key and certificate, for HTTPS."""

    answers: dict[str, Answer] = field(default_factory=dict)
    raw: Callable[[socket.socket], None] | None = None
    certificate: Path | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Each request: its path with the query, and its headers by their names in lower case."""

    def __enter__(self) -> Web:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                if web.raw is not None:
                    web.raw(self.connection)
                    return
                super().handle()

            def do_GET(self) -> None:
                web.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                answer = web.answers.get(self.path.partition("?")[0], Answer("nothing here", 404))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.encoded)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:  # a client that has gone away is what some tests are about
                pass

            def finish_request(self, request: Any, client_address: Any) -> None:
                if web.certificate is not None:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(web.certificate)
                    request = context.wrap_socket(request, server_side=True)
                super().finish_request(request, client_address)

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.block_on_close = False  # who hangs is to hang on
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificate else ''}://localhost:{self.port}"


def certificate(path: Path) -> Path:
    """Make a key and a certificate for localhost, signed by itself, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2",
         "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
