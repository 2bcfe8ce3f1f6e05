"""Running one attempt: from a spec to an outcome, with nothing left of it.

An ``Attempt`` never waits. Its worker polls: ``output_fd`` for reading, SIGCHLD, and ``deadline``; after
each wake-up it calls ``advance`` until that returns the outcome.

The worker is a subreaper and runs one attempt at a time. So whatever the job forks stays a descendant of the
worker, also what double-forks and calls setsid(2): an orphan becomes the worker's child. Hence the one test
for "nothing is left": waitpid(2) says that there is no child.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from math import inf

from taskgated import users
from taskgated.clock import boottime, wall
from taskgated.core.job import Outcome, Result, Spec, to_bytes
from taskgated.errors import Trouble, printable
from taskgated.output import Writer
from taskgated.worker import sweep
from taskgated.worker.cgroup import Cgroup
from taskgated.worker.spawn import Settings
from taskgated.worker.tojournal import lines_of

# When the main process has ended by itself, the rest of the job may take so long (seconds) to follow before
# it is killed: the `tee` of a script that says `exec > >(tee -a log)` has still to write the last lines.
PARTING = 0.5
# Until killing is tried again, seconds. What dies wakes us at once; the rest has to be found.
_AGAIN = 0.02

_CHUNK = 64 * 1024

# As the shell has it, POSIX.1-2017, XCU 2.8.2.
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


@dataclass(frozen=True, slots=True)
class Host:
    """What all attempts of a worker share."""

    settings: Settings
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
        b"PATH": b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        b"HOME": os.fsencode(home),
        b"USER": os.fsencode(name),
        b"LOGNAME": os.fsencode(name),
        b"SHELL": b"/bin/sh",
        b"LANG": b"C.UTF-8",
    }


# What the host is short of: no fault of the job, and it passes. (Room and inodes: for the copy of a script.)
_SHORT = (
    errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EROFS,
)  # fmt: skip


class NotNow(Exception):
    """The attempt could not be started, for want of something that the host will have again."""


class CannotRun(Exception):
    """The attempt could not be started; the outcome says why."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.message)


class Attempt:
    """One attempt that runs. Making one starts it; raises ``CannotRun`` or ``NotNow``, and then nothing is left."""

    def __init__(self, job: int, attempt: int, spec: Spec, log: str, host: Host) -> None:
        self.job = job
        self.attempt = attempt
        self._spec = spec
        self._host = host
        self._script = ""
        self._writer = Writer(log, spec.output.max_size)
        self._lines = lines_of(job, attempt, spec)
        self._status: int | None = None  # of the main process, as waitpid(2) gives it
        self._forced: Result | None = None
        self._swept = 0
        self._user = self._system = 0.0
        self._max_rss = 0
        try:
            self.output_fd, self._output_in = os.pipe()
        except OSError as error:
            raise NotNow(error.strerror) from None
        try:
            os.set_blocking(self.output_fd, False)
            self._began = boottime()
            self._pid = self._spawn()
        except (OSError, ValueError) as error:
            self._release()
            if isinstance(error, OSError) and error.errno in _SHORT:
                raise NotNow(error.strerror) from None
            raise CannotRun(self._failure(error)) from None
        now = time.monotonic()
        self._term_at = inf if spec.timeout is None else now + spec.timeout
        self._kill_at = inf

    # -- starting

    def _spawn(self) -> int:
        spec = self._spec
        if self._file_is_gone():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        # Everything that is given here keeps Popen on its vfork path; user= or preexec_fn= would not, and
        # cost several times as much. The child's descriptors: our write end stays open in the worker, so the
        # pipe never reports a hang-up, which would wake us once more for every job.
        process = subprocess.Popen(
            self._argv(),
            stdin=self._host.devnull,
            stdout=self._output_in,
            stderr=self._output_in,
            cwd=to_bytes(spec.cwd),
            env=self._env(),
            umask=self._host.settings.umask,
            start_new_session=True,
        )
        process.returncode = 0  # we reap it ourselves, with wait4(2); Popen is to keep its hands off
        return process.pid

    def _file_is_gone(self) -> bool:
        """Whether there is nothing to work on: an attempt may do with its file what it likes, also take it away."""
        return self._spec.file is not None and not os.path.lexists(to_bytes(self._spec.file))

    def _argv(self) -> list[bytes]:
        spec = self._spec
        if spec.script is not None:
            self._write_script(spec.script)
            return [self._script.encode("utf-8", "surrogateescape")]
        if isinstance(spec.command, str):
            return [b"/bin/sh", b"-c", to_bytes(spec.command)]
        return [to_bytes(argument) for argument in spec.command or ()]

    def _write_script(self, text: str) -> None:
        directory = self._host.settings.scripts
        os.makedirs(directory, 0o700, exist_ok=True)
        self._script = path = f"{directory}/{self.job}.{self.attempt}"  # also one that is half written goes again
        try:
            os.unlink(path)  # whatever it is: a job may have put it there, for us to wait for (fifo(7))
        except FileNotFoundError:
            pass
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700), "wb") as file:
            file.write(to_bytes(text))

    def _env(self) -> dict[bytes, bytes]:
        spec = self._spec
        env = dict(self._host.env)
        for name, value in spec.env.items():
            env[to_bytes(name)] = to_bytes(value)
        # Last, because these names are ours: a job that could choose its cookie could not be found again.
        env[b"TASKGATE_JOB_ID"] = b"%d" % self.job
        env[b"TASKGATE_JOB_NAME"] = to_bytes(spec.name)
        env[b"TASKGATE_QUEUE"] = to_bytes(spec.queue)
        env[b"TASKGATE_ATTEMPT"] = b"%d" % self.attempt
        env[b"TASKGATE_COOKIE"] = self._host.settings.cookie(self.job, self.attempt).encode()
        return env

    def _failure(self, error: OSError | ValueError) -> Outcome:
        """The outcome of an attempt that could not be started, in words for whoever wrote the job."""
        spec = self._spec
        code = _NOT_EXECUTABLE
        cwd = to_bytes(spec.cwd)
        if not isinstance(error, OSError):
            message = f"cannot start: {error}"
        elif self._file_is_gone():
            message = "cannot start: its file is gone, an earlier attempt has removed or moved it"
        elif not os.path.isdir(cwd):
            message = f"cannot start in {spec.cwd!r}: no such directory"
        elif not os.access(cwd, os.X_OK):
            message = f"cannot start in {spec.cwd!r}: permission denied"
        elif spec.script is not None:
            message = f"cannot run the script: {error.strerror}"
            if isinstance(error, FileNotFoundError):
                code = _NOT_FOUND
                first = printable(spec.script.split("\n", 1)[0][:100])
                message = f"cannot run the script: its interpreter was not found: {first}"
            elif isinstance(error, PermissionError):
                message += f" (is {self._host.settings.scripts} on a file system mounted noexec?)"
        else:
            what = "/bin/sh" if isinstance(spec.command, str) else (spec.command or ("",))[0]
            message = f"cannot run {what!r}: {error.strerror}"
            if isinstance(error, FileNotFoundError):
                code = _NOT_FOUND
                message = f"cannot run {what!r}: command not found"
        now = wall()
        return Outcome(
            self.job, self.attempt, Result.FAILED, exit_code=code, started=now, finished=now, message=message
        )

    # -- running

    @property
    def deadline(self) -> float:
        """When ``advance`` has to be called at the latest, in monotonic seconds; infinity if never."""
        return min(self._term_at, self._kill_at)

    def read(self) -> int:
        """Take some output that is there; returns how many bytes."""
        try:
            data = os.read(self.output_fd, _CHUNK)
        except BlockingIOError:
            return 0
        self._writer.write(data)
        if self._lines is not None:
            self._lines.write(data)
        return len(data)

    def stop(self, grace: float | None) -> None:
        """End it: SIGTERM now, SIGKILL to what is left after ``grace`` seconds (None: as its spec says)."""
        if self._status is not None:
            self._kill_at = 0.0
            return
        self._terminate(Result.KILLED, self._spec.kill_after if grace is None else grace)

    def _terminate(self, result: Result, grace: float) -> None:
        if self._forced is None:
            self._forced = result
            # Not reaped yet, so neither the pid nor the group's id can be another's by now.
            for number in (signal.SIGTERM, signal.SIGCONT):  # one that is stopped could not hear it
                try:
                    os.killpg(self._pid, number)
                except OSError:
                    pass
        self._term_at = inf
        self._kill_at = min(self._kill_at, time.monotonic() + grace)

    def advance(self) -> Outcome | None:
        """Reap what has ended and do what is due; the outcome when all is over."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return self._finish()  # no child: nothing of the job is left
            if pid == 0:
                break
            self._user += usage.ru_utime
            self._system += usage.ru_stime
            # In KiB: getrusage(2). Never less than the worker's own, in whose memory a child starts.
            self._max_rss = max(self._max_rss, usage.ru_maxrss * 1024)
            if pid == self._pid:
                self._status = status
                self._term_at = inf
                if self._forced is None:
                    self._kill_at = time.monotonic() + PARTING
        now = time.monotonic()
        if self._forced and self._status is not None and not self._swept and not self._group_lives():
            self._kill_at = now
        if now >= self._kill_at:
            self._kill()
            self._kill_at = now + _AGAIN
        elif now >= self._term_at:
            self._terminate(Result.TIMED_OUT, self._spec.kill_after)
        return None

    def _group_lives(self) -> bool:
        """Whether one of those that got the SIGTERM is still busy with it, as the child of a shell may be."""
        try:
            os.killpg(self._pid, 0)
        except OSError:
            return False
        return True

    def _kill(self) -> None:
        """SIGKILL to all of the job. In one stroke by the group; from the second time on by descent, too."""
        self._swept += 1
        group = self._host.cgroup
        if group is None or not group.kill_others() or self._swept > 1:
            sweep.kill_descendants()

    # -- ending

    def _finish(self) -> Outcome:
        finished, took = wall(), boottime() - self._began
        self._drain()
        self._release()
        status = self._status or 0
        code = os.waitstatus_to_exitcode(status)
        if self._forced is not None:
            result = self._forced
        else:
            result = Result.SUCCEEDED if code in self._spec.success_exit_codes else Result.FAILED
        messages = []
        if self._swept and self._forced is None:
            messages.append("what it had left running was killed")
        if self._writer.error:
            messages.append(self._writer.error)
        return Outcome(
            self.job,
            self.attempt,
            result,
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            # Two looks at the wall clock may have a step between them; what it says now is the better guess.
            started=finished - took,
            finished=finished,
            user=self._user,
            system=self._system,
            max_rss=self._max_rss,
            output=self._writer.total,
            omitted=self._writer.omitted,
            message="; ".join(messages),
        )

    def _drain(self) -> None:
        """Take what the job left in the pipe: no more than fits in, so that a stranger who got hold of the
        other end, and writes on, cannot keep us."""
        taken = self.read()
        if taken:
            size = fcntl.fcntl(self.output_fd, fcntl.F_GETPIPE_SZ)
            while taken < size and (more := self.read()):
                taken += more

    def _release(self) -> None:
        os.close(self.output_fd)
        os.close(self._output_in)
        self._writer.finish()
        if self._lines is not None:
            self._lines.finish()
        if self._script:
            try:
                os.unlink(self._script)
            except OSError:
                pass
