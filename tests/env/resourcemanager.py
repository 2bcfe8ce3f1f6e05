"""A stand-in for the ResourceManager of a YARN cluster, and for the spark-submit that starts applications there.

It speaks what the documents of Hadoop say (ResourceManagerRest.html): the capacity scheduler's answer, the list of
applications, and how one is submitted. Its queue has room for so many applications. One more is taken and fails at
once, as the capacity scheduler's do beyond maximum-applications (LeafQueue.java: "Queue root.etl already has 5
applications, cannot accept submission of application: ..."). An application lives as long as the connection that
has submitted it, so none outlives its spark-submit.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

SPARK_SUBMIT = """\
#!{python} -IS
# spark-submit [--OPTION VALUE]... [PROGRAM] [SECONDS]: runs an application; fails if there is no room.
import http.client, json, os, sys, time
words = sys.argv[1:]
options = {{}}
while words and words[0].startswith("--"):
    options[words.pop(0)] = words.pop(0)
seconds = float(words[-1]) if words and words[-1].replace(".", "").isdigit() else {seconds}
link = http.client.HTTPConnection("127.0.0.1", {port})
def ask(method, path, body=None):
    text = json.dumps(body) if body else None
    link.request(method, "/ws/v1/cluster" + path, text, {{"Content-Type": "application/json"}})
    return json.loads(link.getresponse().read() or b"null")
app = ask("POST", "/apps/new-application")["application-id"]
name, queue = options.get("--name", "app"), options.get("--queue", "{queue}")
ask("POST", "/apps", {{"application-id": app, "application-name": name, "queue": queue}})
while True:
    report = ask("GET", "/apps/" + app)["app"]
    if report["state"] != "ACCEPTED":
        break
    time.sleep(0.02)
print("Application report for " + app + " (state: " + report["state"] + ")", flush=True)
if report["state"] == "FAILED":
    sys.exit(report["diagnostics"])
time.sleep(seconds)
"""
"""The program; at its end its connection closes, and so the application is over."""


@dataclass
class App:
    """An application that was submitted. ``state``: as YarnApplicationState has it."""

    id: str
    name: str = ""
    queue: str = ""
    user: str = "etl"
    state: str = "NEW"
    diagnostics: str = ""

    def report(self) -> dict[str, Any]:
        final = {"FAILED": "FAILED", "FINISHED": "SUCCEEDED"}.get(self.state, "UNDEFINED")
        return {
            "id": self.id, "user": self.user, "name": self.name, "queue": self.queue, "state": self.state,
            "finalStatus": final, "diagnostics": self.diagnostics, "applicationType": "SPARK", "progress": 0.0,
        }  # fmt: skip


@dataclass
class ResourceManager:
    """A server of HTTP on a port of its own, with one queue ``root.QUEUE``, while it is entered.

    ``room``: so many applications the queue takes. ``slots``: so many of them run at once, the others are pending;
    None: all. What was counted is in ``submitted``, ``rejected`` (for want of room), ``finished``, and ``most``
    (applications in the queue at once).
    """

    room: int = 5
    slots: int | None = None
    queue: str = "etl"
    submitted: int = 0
    rejected: int = 0
    finished: int = 0
    most: int = 0
    _apps: dict[str, App] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _born: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def __enter__(self) -> ResourceManager:
        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # many that come at once are what it is about

        self._server = Server(("127.0.0.1", 0), type("Bound", (_Handler,), {"manager": self}))
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
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def spark_submit(self, path: Path, seconds: float = 1.0) -> Path:
        """Write the program to a file, which runs applications of so many seconds if it is not told otherwise."""
        port = self._server.server_address[1]
        path.write_text(SPARK_SUBMIT.format(python=sys.executable, port=port, queue=self.queue, seconds=seconds))
        path.chmod(0o755)
        return path

    # -- applications

    def in_queue(self) -> list[App]:
        """Those that take room, in the order in which they came."""
        with self._lock:
            return [app for app in self._apps.values() if app.state in ("ACCEPTED", "RUNNING")]

    def new(self) -> str:
        with self._lock:
            app = App(f"application_{self._born}_{len(self._apps) + 1:04}")
            self._apps[app.id] = app
            return app.id

    def submit(self, context: dict[str, Any], user: str = "etl") -> App:
        """An application comes, and is accepted, or fails at once."""
        with self._lock:
            app = self._apps[context["application-id"]]
            app.name, app.queue, app.user = context["application-name"], context["queue"], user
            self.submitted += 1
            there = len(self.in_queue())
            if app.queue.removeprefix("root.") != self.queue:
                app.state, app.diagnostics = (
                    "FAILED",
                    f"Application {app.id} submitted by user {user} to unknown queue",
                )
            elif there >= self.room:
                self.rejected += 1
                app.state = "FAILED"
                app.diagnostics = (
                    f"org.apache.hadoop.security.AccessControlException: Queue root.{self.queue} already has {there} "
                    f"applications, cannot accept submission of application: {app.id}"
                )
            else:
                app.state = "ACCEPTED"
                self.most = max(self.most, there + 1)
                self._promote()
            return app

    def over(self, app: App) -> None:
        """Who has submitted it is gone."""
        with self._lock:
            if app.state in ("ACCEPTED", "RUNNING"):
                app.state = "FINISHED"
                self.finished += 1
                self._promote()

    def _promote(self) -> None:
        for app in self.in_queue()[: self.slots]:
            app.state = "RUNNING"

    # -- answers

    def scheduler(self) -> dict[str, Any]:
        """The answer of /ws/v1/cluster/scheduler."""
        there = self.in_queue()
        running = sum(app.state == "RUNNING" for app in there)
        used = 100.0 * running / (self.slots or self.room)
        leaf = {
            "type": "capacitySchedulerLeafQueueInfo", "queueName": self.queue, "state": "RUNNING",
            "capacity": 100.0, "usedCapacity": used, "maxCapacity": 100.0,
            "absoluteCapacity": 100.0, "absoluteMaxCapacity": 100.0, "absoluteUsedCapacity": used,
            "numApplications": len(there), "numActiveApplications": running,
            "numPendingApplications": len(there) - running, "numContainers": running,
            "maxApplications": self.room, "maxApplicationsPerUser": self.room, "userLimit": 100,
            "userLimitFactor": 1.0, "users": None, "resourcesUsed": {"memory": 1024 * running, "vCores": running},
        }  # fmt: skip
        top = {
            "type": "capacityScheduler", "capacity": 100.0, "usedCapacity": used, "maxCapacity": 100.0,
            "queueName": "root", "queues": {"queue": [leaf]},
        }  # fmt: skip
        return {"scheduler": {"schedulerInfo": top}}

    def apps(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """The answer of /ws/v1/cluster/apps."""
        states = query.get("states", [""])[0].split(",")
        with self._lock:
            listed = [
                app.report()
                for app in self._apps.values()
                if (states == [""] or app.state in states)
                and query.get("user", [app.user]) == [app.user]
                and query.get("queue", [app.queue]) == [app.queue]
            ]
        return {"apps": {"app": listed} if listed else None}


class _Handler(BaseHTTPRequestHandler):
    """One connection: an application that was submitted over it ends with it."""

    manager: ResourceManager
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self._mine: list[App] = []

    def finish(self) -> None:
        for app in self._mine:
            self.manager.over(app)
        super().finish()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        match parts.path.removeprefix("/ws/v1/cluster").split("/")[1:]:
            case ["scheduler"]:
                self._say(self.manager.scheduler())
            case ["apps"]:
                self._say(self.manager.apps(parse_qs(parts.query)))
            case ["apps", name] if name in self.manager._apps:
                self._say({"app": self.manager._apps[name].report()})
            case _:
                self._say({"RemoteException": {"message": f"no {parts.path} here"}}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        match self.path:
            case "/ws/v1/cluster/apps/new-application":
                most = {"memory": 8192, "vCores": 32}
                self._say({"application-id": self.manager.new(), "maximum-resource-capability": most})
            case "/ws/v1/cluster/apps":
                app = self.manager.submit(json.loads(body))
                self._mine.append(app)
                self._say(None, 202, Location=f"{self.manager.url}{self.path}/{app.id}")
            case _:
                self._say(None, 404)

    def _say(self, answer: Any, status: int = 200, **headers: str) -> None:
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
