"""``taskgatectl``: see what the gate does, ask about jobs, wait for them, cancel them, check files.

Exit status: 0 when what was asked for is so; 1 when it is not (a file is refused, the gate is not ready, no
such job); 2 for a wrong command line (argparse); 69 (EX_UNAVAILABLE) when no daemon answers. ``wait`` leaves
with the job's own exit code: of several, the first that is not 0.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from taskgated import __version__, acl
from taskgated.ctl import show
from taskgated.ctl.client import CallError, Client, Gone, Unreachable
from taskgated.ctl.patience import Patience, passes
from taskgated.ctl.show import say
from taskgated.errors import ConfigError, Refused, TaskgateError
from taskgated.identity import how_to_drop, service_user
from taskgated.paths import Layout, add_options
from taskgated.wire import Message

OVER = ("succeeded", "failed", "cancelled")
STATES = ("queued", "held", "running", *OVER)
FOLLOW = 0.3
"""Seconds between looks at an output that is being followed."""
AT_ONCE = 500
"""Jobs that one call waits for at most."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("taskgatectl", description="Ask the gate, and tell it.")
    _common(top)
    top.add_argument("--version", action="version", version=f"taskgatectl {__version__}")
    # The common options may stand before or after the command; a second default must not undo the first.
    common = argparse.ArgumentParser(add_help=False)
    _common(common, defaults=False)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, help: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help.capitalize() + ".", parents=[common])

    command("status", "what the gate does now; exit status 0 only when it is ready")
    listing = command("list", "jobs, oldest first")
    listing.add_argument(
        "--state", action="append", choices=STATES, default=[], help="only in this state (repeatable)"
    )
    listing.add_argument(
        "--queue", action="append", metavar="QUEUE", default=[], help="only of this queue (repeatable)"
    )
    listing.add_argument("--after", type=int, metavar="ID", default=0, help="only with a higher id")
    listing.add_argument("--limit", type=_positive, metavar="N", help="at most N jobs")
    shown = command("show", "all about one job, and everything it waits for")
    shown.add_argument("id", type=int)
    shown.add_argument("--before", type=_positive, metavar="N", help="attempts before N (default: the last)")
    logs = command("logs", "the output of a job")
    logs.add_argument("id", type=int)
    logs.add_argument("--attempt", type=_positive, metavar="N", help="of attempt N (default: the last)")
    logs.add_argument("-f", "--follow", action="store_true", help="until the job is over, with all attempts to come")
    _patience(logs)
    wait = command("wait", "until jobs are over; exits with the job's own exit code")
    wait.add_argument("id", type=int, nargs="+")
    _patience(wait)
    command("reload", "put the configuration in force; an unusable one is refused and changes nothing")
    command("cancel", "end a job, or see to it that it never starts").add_argument("id", type=int)
    check = command("check", "what the daemon would say of these files")
    check.add_argument("--queue", metavar="QUEUE", default="default", help="as if dropped for this queue")
    check.add_argument("--config", type=Path, metavar="FILE", help="with this configuration")
    check.add_argument("file", nargs="+")
    return top


def _common(parser: argparse.ArgumentParser, *, defaults: bool = True) -> None:
    add_options(parser, defaults=defaults)
    json_ = False if defaults else argparse.SUPPRESS
    parser.add_argument("--json", action="store_true", default=json_, help="print JSON, as the control socket has it")


def _patience(parser: argparse.ArgumentParser) -> None:
    what = "how long the daemon may be away meanwhile, as in a restart (default: for ever)"
    parser.add_argument("--patience", type=_duration, metavar="DURATION", help=what)


def _duration(text: str) -> float:
    from taskgated.formats.units import duration  # most commands need none of the formats

    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    layout = Layout.chosen(options)
    # Names may hold bytes that are not UTF-8; they go out as they came in.
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    try:
        if options.command == "check":
            return _check(options, layout)
        with Client(layout.control_socket) as gate:
            return int(_COMMANDS[options.command](gate, options))
    except Unreachable as error:
        say(f"taskgatectl: {error}", file=sys.stderr)
        return os.EX_UNAVAILABLE
    except (CallError, ConfigError) as error:
        ours = isinstance(error, ConfigError) or error.kind == "BadConfiguration"  # its lines are, one a problem
        text = f"taskgatectl: {error}"
        say(*(text.split("\n") if ours else [text]), file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 130


def _print(options: argparse.Namespace, value: Any, lines: Sequence[str]) -> None:
    say(*([json.dumps(value)] if options.json else lines))


def _status(gate: Client, options: argparse.Namespace) -> int:
    reply = gate.call("Status")
    _print(options, reply, show.status(reply))
    return 0 if reply["ready"] else 1


def _pages(gate: Client, options: argparse.Namespace) -> Iterator[Message]:
    after, left = options.after, options.limit
    while True:
        page = gate.call("List", after=after, limit=min(500, left or 500), states=options.state, queues=options.queue)
        yield from page["jobs"]
        if left is not None:
            left -= len(page["jobs"])
        after = page["next"]
        if after is None or left == 0:
            return


def _list(gate: Client, options: argparse.Namespace) -> int:
    if not options.json:
        say(*show.table(show.JOB_HEAD, map(show.job_row, _pages(gate, options))))
        return 0
    between = "[\n"  # one job a line, printed as the pages come: a million jobs need no memory here
    for job in _pages(gate, options):
        sys.stdout.write(between + json.dumps(job))
        between = ",\n"
    print("[]" if between == "[\n" else "\n]")
    return 0


def _show(gate: Client, options: argparse.Namespace) -> int:
    earlier = {} if options.before is None else {"before": options.before}  # a daemon of before does not know it
    reply = gate.call("Show", id=options.id, **earlier)
    _print(options, reply, show.details(reply))
    return 0


def _logs(gate: Client, options: argparse.Namespace) -> int:
    patience = Patience(gate, options.patience)
    offset, attempt, waited = 0, options.attempt, False
    while True:
        asked = {} if attempt is None else {"attempt": attempt}
        try:
            reply = gate.call("Logs", id=options.id, offset=offset, **asked)
        except (Gone, CallError) as error:
            if not (options.follow and passes(error)):
                raise
            patience.lost(error)
            continue
        patience.answered()
        if waited and attempt is None and reply["attempt"] > 1:  # the first has begun and ended meanwhile
            attempt = 1
            continue
        sys.stdout.buffer.write(base64.b64decode(reply["data"]))
        sys.stdout.buffer.flush()
        offset = reply["next"]
        attempt = reply["attempt"] or None
        if reply["data"]:
            continue
        if not options.follow:
            return 0
        if reply["over"]:
            # A daemon of an earlier version does not say what comes after this attempt.
            last, state = reply.get("last", attempt or 0), reply.get("state", "failed")
            if options.attempt is not None or (state in OVER and last == (attempt or 0)):
                return 0
            if attempt is not None and last > attempt:
                attempt, offset = attempt + 1, 0
                say(f"taskgatectl: attempt {attempt} of job {options.id}", file=sys.stderr)
                continue
        waited = waited or attempt is None
        time.sleep(FOLLOW)


def _wait(gate: Client, options: argparse.Namespace) -> int:
    patience = Patience(gate, options.patience)
    over: dict[int, Message] = {}
    wanted = list(dict.fromkeys(options.id))
    while left := [id_ for id_ in wanted if id_ not in over][:AT_ONCE]:
        try:
            for reply in gate.stream("Wait", ids=left):
                patience.answered()
                for job in reply["jobs"]:
                    over[job["id"]] = job
                    if not options.json:
                        say("  ".join(str(cell) for cell in show.job_row(job) if cell is not None))
        except (Gone, CallError) as error:
            if not passes(error):
                raise
            patience.lost(error)
    jobs = [over[id_] for id_ in wanted]
    if options.json:
        say(json.dumps(jobs))
    return next((code for job in jobs if (code := exit_status(job))), 0)


def exit_status(job: Message) -> int:
    """The job's own exit code; 128 and the signal's number if one ended it; 1 if it never ran to an end."""
    if job["state"] == "succeeded":
        return 0  # also when its exit code is another of its success_exit_codes
    if job["signal"] is not None:
        return 128 + int(job["signal"])
    return int(job["exit_code"] or 1)


def _cancel(gate: Client, options: argparse.Namespace) -> int:
    job = gate.call("Cancel", id=options.id)["job"]
    told = "is told to end" if job["state"] == "running" else f"is {job['state']}"
    _print(options, job, [f"job {job['id']} {told}"])
    return 0


def _check(options: argparse.Namespace, layout: Layout) -> int:
    """What the daemon would say, from the same code; no daemon is needed."""
    from taskgated.config import load
    from taskgated.core.job import to_text
    from taskgated.formats.jobfile import read_file

    config = load(layout, options.config)
    results: list[dict[str, Any]] = []
    for path in options.file:
        name = to_text(os.fsencode(os.path.basename(path)))
        try:
            with open(path, "rb") as file:
                specs = read_file(name, file.read(), options.queue, config)
        except OSError as error:
            results.append({"file": path, "ok": False, "jobs": 0, "problems": [{"message": str(error.strerror)}]})
            lines = [f"{path}: {error.strerror}"]
        except Refused as error:
            fields = ("line", "column", "message", "hint")
            problems = [{f: getattr(p, f) for f in fields} for p in error.problems]
            results.append({"file": path, "ok": False, "jobs": 0, "problems": problems})
            lines = str(error).split("\n")
        else:
            results.append({"file": path, "ok": True, "jobs": len(specs), "problems": []})
            lines = [f"{path}: {len(specs)} job{'s' * (len(specs) != 1)}"]
        results[-1]["notes"] = notes = _notes(path, layout)
        if not options.json:
            say(*lines, *(f"{path}: note: {note}" for note in notes))
    if options.json:
        say(json.dumps(results))
    return 0 if all(result["ok"] for result in results) else 1


def _notes(path: str, layout: Layout) -> list[str]:
    """What the gate of the host would not be able to read as it is, if that is moved or copied there."""
    if layout != Layout.system():
        return []
    try:
        user = service_user()
        if acl.may_read(path, user.pw_uid):
            return []
        return [how_to_drop(user.pw_name, os.stat(path).st_mode, f"{layout.spool}/NAME")]
    except (OSError, TaskgateError):
        return []


def _reload(gate: Client, options: argparse.Namespace) -> int:
    try:
        reply = gate.call("Reload")
    except CallError:
        if _daemon_is_heard():
            return 1
        raise
    if not _daemon_is_heard():
        notes = reply.get("notes") or ()  # an older daemon has none
        _print(options, reply, ["configuration reloaded", *(f"note: {note}" for note in notes)])
    return 0


def _daemon_is_heard() -> bool:
    """Whether this is the unit's ExecReload=, whose words go where the daemon's own are. It has said all of it."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    journal = os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
    return journal and bool(os.environ.get("MAINPID"))  # systemd.exec(5): what it sets for ExecReload=


_COMMANDS = {
    "status": _status,
    "list": _list,
    "show": _show,
    "logs": _logs,
    "wait": _wait,
    "cancel": _cancel,
    "reload": _reload,
}

if __name__ == "__main__":
    sys.exit(main())
