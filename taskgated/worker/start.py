"""Starting an attempt: its environment, its command or script, its main process; and in words why that cannot be."""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import dataclass, field, replace

from taskgated.attempts.scripts import Scripts
from taskgated.core.job import NEVER_RAN, Outcome, Result, Spec
from taskgated.core.streams import expand
from taskgated.errors import Trouble
from taskgated.host import users
from taskgated.host.clock import wall
from taskgated.protocol.messages import Run
from taskgated.protocol.serving import Settings
from taskgated.text import printable, to_bytes
from taskgated.worker import cookie, foreign
from taskgated.worker.cgroup import Cgroup
from taskgated.worker.place import Launched, Place

# As the shell has it, POSIX.1-2017, XCU 2.8.2.
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_NO_FORMAT = "a script names in its first line what runs it, as in #!/bin/sh; else it is for another machine"
"""What ENOEXEC means (execve(2)). A shell would run such a file by itself, so its author may never have noticed."""

PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for that a job, or a probe, names without a directory."""


@dataclass(frozen=True, slots=True)
class Host:
    """What all attempts of a worker share."""

    settings: Settings
    scripts: Scripts
    cgroup: Cgroup | None
    env: dict[bytes, bytes]
    devnull: int = field(default_factory=lambda: os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


def clean_env() -> dict[bytes, bytes]:
    """What every job finds in its environment, whatever the daemon's own is: like login(1) sets it.

    Asked once for all the jobs of a server. So where the user database cannot be asked now, what the service manager
    has set (systemd.exec(5), ``User=``) is better than nobody's home.
    """
    uid = os.getuid()
    name, home = str(uid), "/"
    try:
        if known := users.user(uid):
            name, home = known.name, known.home
    except Trouble:
        name, home = os.environ.get("USER", name), os.environ.get("HOME", home)
    return {
        b"PATH": PATH,
        b"HOME": os.fsencode(home),
        b"USER": os.fsencode(name),
        b"LOGNAME": os.fsencode(name),
        b"SHELL": b"/bin/sh",
        b"LANG": b"C.UTF-8",
    }


# What the host is short of: no fault of the job, and it passes. (Room and inodes: for the copy of a script.)
SHORT = (
    errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EROFS,
)  # fmt: skip


class NotNow(Exception):
    """The attempt could not be started, for want of something that the host will have again."""


class CannotRun(Exception):
    """The attempt could not be started; the outcome says why."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.message)


class Start:
    """That of one attempt, on this host; or of one look of the probe of that name, which finds nothing of a job in
    its environment."""

    def __init__(self, run: Run, spec: Spec, host: Host, probe: str | None = None) -> None:
        self._run = run
        self._probe = probe
        self._job = run.job
        self._attempt = run.attempt
        self._spec = spec
        self._host = host
        self._copied = False  # its script, or a part of it
        self._launched: Launched | None = None

    def spawn(self, output: int, errors: int | None = None) -> int:
        """Start the main process, with ``output`` for both of its outputs, or with ``errors`` for the second; returns
        its pid. Raises ``NotNow`` or ``CannotRun``."""
        try:
            if self._file_is_gone():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            stdin = self._stdin()
            try:
                if self._spec.tty or self._paths():
                    return self._launch(stdin, output)
                return self._spawn(stdin, output, output if errors is None else errors)
            finally:
                if stdin != self._host.devnull:
                    os.close(stdin)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in SHORT:
                raise NotNow(error.strerror) from None
            raise CannotRun(self._failure(error)) from None

    def failure(self) -> Outcome | None:
        """To be asked when the main process has ended: the outcome if that never came to be the job."""
        stuck = self._launched.stuck() if self._launched is not None else None
        if stuck is None:
            return None
        if stuck.error and stuck.step in ("cwd", "run"):
            return self._failure(OSError(stuck.error, os.strerror(stuck.error)))
        where = ""
        if path := self._paths().get(stuck.step):
            where = f" {path!r}"
        why = os.strerror(stuck.error) if stuck.error else "it was still being opened when the job was ended"
        return self._failed(f"start: {stuck.step}{where}: {why}", _NOT_EXECUTABLE)

    def no_terminal(self, error: OSError) -> Outcome:
        """The outcome if there is no terminal to be had for it, and waiting brings none."""
        hint = "a terminal needs devpts at /dev/pts, and /dev/ptmx; or leave out tty"
        return self._failed(f"start: no terminal can be had: {error.strerror} ({hint})", _NOT_EXECUTABLE)

    def leave_nothing(self) -> None:
        """Close what it has open, and delete the private copy of a script, also one that is half written."""
        if self._launched is not None:
            self._launched.close()
        if self._copied:
            self._host.scripts.forget(self._job, self._attempt)

    def _spawn(self, stdin: int, output: int, errors: int) -> int:
        # Everything that is given here keeps Popen on its vfork path; user= or preexec_fn= would not, and
        # cost several times as much. The child's descriptors: our write end stays open in the worker, so the
        # pipe never reports a hang-up, which would wake us once more for every job.
        process = subprocess.Popen(
            self._argv(),
            stdin=stdin,
            stdout=output,
            stderr=errors,
            cwd=to_bytes(self._spec.cwd),
            env=self._env(),
            umask=self._host.settings.umask,
            start_new_session=True,
        )
        process.returncode = 0  # we reap it ourselves, with wait4(2); Popen is to keep its hands off
        return process.pid

    def _launch(self, stdin: int, output: int) -> int:
        """The same for a job that has files of its own, or a terminal."""
        spec, paths = self._spec, self._paths()
        place = Place(
            self._argv(),
            self._env(),
            to_bytes(spec.cwd),
            self._host.settings.umask,
            paths.get("stdin") or stdin,
            spec.stdout and replace(spec.stdout, path=paths["stdout"]),
            spec.stderr and replace(spec.stderr, path=paths["stderr"]),
            output,
            tty=spec.tty,
        )
        self._launched = Launched(place)
        return self._launched.pid

    def _stdin(self) -> int:
        """A descriptor of what it reads, if that is no file: nothing, or a text that lies in memory."""
        stdin = self._spec.stdin
        if stdin is None or stdin.path:
            return self._host.devnull
        fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(to_bytes(stdin.text))
            os.lseek(fd, 0, os.SEEK_SET)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _paths(self) -> dict[str, str]:
        """Those of its streams that are files, for this attempt."""
        spec = self._spec
        streams = {"stdin": spec.stdin, "stdout": spec.stdout, "stderr": spec.stderr}
        array = (self._run.array, spec.array.index) if self._run.array is not None else None
        return {
            name: expand(stream.path, self._job, spec.name, self._attempt, array)
            for name, stream in streams.items()
            if stream is not None and stream.path
        }

    def _file_is_gone(self) -> bool:
        """Whether there is nothing to work on: an attempt may do with its file what it likes, also take it away."""
        return self._spec.file is not None and not os.path.lexists(to_bytes(self._spec.file))

    def _argv(self) -> list[bytes]:
        spec = self._spec
        if spec.script is not None:
            self._copied = True
            return [os.fsencode(self._host.scripts.write(self._job, self._attempt, spec.script))]
        if isinstance(spec.command, str):
            return [*map(to_bytes, spec.shell), to_bytes(spec.command)]
        return [to_bytes(argument) for argument in spec.command or ()]

    def _env(self) -> dict[bytes, bytes]:
        spec = self._spec
        env = dict(self._host.env)
        if self._probe is not None:
            env[b"TASKGATE_PROBE"] = to_bytes(self._probe)
            env[cookie.NAME] = cookie.of(self._host.settings.instance, self._job, self._attempt)
            return env
        if spec.tty:
            env[b"TERM"] = b"xterm-256color"
        source = to_bytes(self._run.source)
        # Before what the job says: who drops files for others, or from another host, knows better.
        env[b"TASKGATE_SUBMIT_HOST"] = os.fsencode(os.uname().nodename)
        if source:
            env[b"TASKGATE_SUBMIT_DIR"] = os.path.dirname(source)
        for name, value in spec.env.items():
            env[to_bytes(name)] = to_bytes(value)
        if spec.dialect is not None:
            env |= foreign.variables(spec.dialect, self._run, spec, self._host.env)
        # Last, because these names are ours: a job that could choose its cookie could not be found again.
        env[b"TASKGATE_JOB_ID"] = b"%d" % self._job
        env[b"TASKGATE_JOB_NAME"] = to_bytes(spec.name)
        env[b"TASKGATE_QUEUE"] = to_bytes(spec.queue)
        env[b"TASKGATE_ATTEMPT"] = b"%d" % self._attempt
        if source:
            env[b"TASKGATE_SOURCE"] = source
        if self._run.array is not None:
            env[b"TASKGATE_ARRAY_ID"] = b"%d" % self._run.array
        if spec.array.count:
            env[b"TASKGATE_ARRAY_INDEX"] = b"%d" % spec.array.index
            env[b"TASKGATE_ARRAY_COUNT"] = b"%d" % spec.array.count
            if spec.array.line is not None:
                env[b"TASKGATE_ARRAY_LINE"] = to_bytes(spec.array.line)
        env[cookie.NAME] = cookie.of(self._host.settings.instance, self._job, self._attempt)
        return env

    def _failure(self, error: OSError | ValueError) -> Outcome:
        """The outcome of an attempt that could not be started, in words for the author of the job."""
        spec = self._spec
        code = _NOT_EXECUTABLE
        cwd = to_bytes(spec.cwd)
        if not isinstance(error, OSError):
            message = f"start: {error}"
        elif self._file_is_gone():
            message = "start: its file is gone, an earlier attempt has removed or moved it"
        elif not os.path.isdir(cwd):
            message = f"start in {spec.cwd!r}: no such directory"
        elif not os.access(cwd, os.X_OK):
            message = f"start in {spec.cwd!r}: permission denied"
        elif spec.script is not None:
            message = f"run the script: {error.strerror}"
            if isinstance(error, FileNotFoundError):
                code = _NOT_FOUND
                first = printable(spec.script.split("\n", 1)[0][:100])
                message = f"run the script: its interpreter was not found: {first}"
            elif isinstance(error, PermissionError):
                message += f" (is {self._host.settings.scripts} on a file system mounted noexec?)"
            elif error.errno == errno.ENOEXEC:
                message += " (its first line must name a program, as in #!/bin/sh)"
        else:
            what = spec.shell[0] if isinstance(spec.command, str) else (spec.command or ("",))[0]
            message = f"run {what!r}: {error.strerror}"
            if isinstance(error, FileNotFoundError):
                code = _NOT_FOUND
                message = f"run {what!r}: command not found"
            elif error.errno == errno.ENOEXEC:
                message += f" ({_NO_FORMAT}; or say command: [/bin/sh, FILE])"
        return self._failed(message, code)

    def _failed(self, what: str, code: int) -> Outcome:
        now, message = wall(), f"{NEVER_RAN}{what}"
        return Outcome(
            self._job, self._attempt, Result.FAILED, exit_code=code, started=now, finished=now, message=message
        )
