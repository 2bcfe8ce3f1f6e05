"""A job whose streams are files of its own: what is opened, by whom, and what is said when that cannot be."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from taskgated.attempts.scripts import Scripts
from taskgated.core.job import Element, Result, Spec
from taskgated.core.streams import Mode, Stdin, Stream
from taskgated.protocol.messages import Run
from taskgated.protocol.serving import Settings
from taskgated.worker import cookie
from taskgated.worker.attempt import Attempt
from taskgated.worker.start import CannotRun, Host, NotNow, Start
from tests.env.opened import passable
from tests.env.until import until
from tests.env.worker import WITHOUT_TERMINALS, Env, WorkerPeer, alive, proof, written_pid

BOTH = "echo out; echo err >&2"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    directory = tmp_path / "there"
    directory.mkdir()
    return directory


def test_what_has_a_file_goes_there_and_the_rest_is_recorded(env: Env, there: Path) -> None:
    worker = env.worker()
    spec = Spec(command=BOTH, name="na/me", stdout=Stream(f"{there}/{{name}}-{{id}}.{{attempt}}"))
    outcome = worker.run(spec, 7, 3)
    assert (outcome.result, outcome.message) == (Result.SUCCEEDED, "")
    assert (there / "na_me-7.3").read_text() == "out\n"
    assert (env.output(7, 3), outcome.output) == (b"err\n", 4)


def test_what_cannot_be_started_now_leaves_nothing_open(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again each second."""

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Scripts, "write", full)
    host = Host(Settings("", "", "", "x"), Scripts(str(there)), None, {})
    spec = Spec(script="#!/bin/sh\n", stdin=Stdin(text="text"), stdout=Stream(f"{there}/out"))
    before = os.listdir("/proc/self/fd")
    with pytest.raises(NotNow):
        Start(Run(1, 1, spec.to_json(), ""), spec, host).spawn(1)
    assert os.listdir("/proc/self/fd") == before


def test_two_files(plain: Env, worker: WorkerPeer, there: Path) -> None:
    worker.run(Spec(command=BOTH, stdout=Stream(f"{there}/out"), stderr=Stream("err"), cwd=str(there)))
    assert ((there / "out").read_text(), (there / "err").read_text()) == ("out\n", "err\n")
    assert list(plain.layout.log.iterdir()) == []


def test_the_same_file_for_both_is_one_open_file(plain: Env, worker: WorkerPeer, there: Path) -> None:
    """Opened twice, the second write would go over the first."""
    file = Stream(f"{there}/both", Mode.TRUNCATE)
    worker.run(Spec(command=BOTH, stdout=file, stderr=file))
    assert (there / "both").read_text() == "out\nerr\n"


def test_it_is_added_to_or_emptied(plain: Env, worker: WorkerPeer, there: Path) -> None:
    log = there / "log"
    log.write_text("before\n")
    worker.run(Spec(command="echo one", stdout=Stream(str(log))), 1)
    assert log.read_text() == "before\none\n"
    worker.run(Spec(command="echo two", stdout=Stream(str(log), Mode.TRUNCATE)), 2)
    assert log.read_text() == "two\n"


def test_a_name_leads_to_no_other_directory(plain: Env, worker: WorkerPeer, there: Path) -> None:
    for job, (name, file) in enumerate({"../../up": "_._.._up", "..": "_.", "/etc/x": "_etc_x"}.items(), 1):
        worker.run(Spec(command="echo $TASKGATE_JOB_NAME", name=name, stdout=Stream(f"{there}/{{name}}")), job)
        assert (there / file).read_text() == f"{name}\n"
    assert len(list(there.iterdir())) == 3


def test_braces_around_no_word_are_ordinary(plain: Env, worker: WorkerPeer, there: Path) -> None:
    worker.run(Spec(command="echo x", stdout=Stream(f"{there}/{{}}{{ id }}{{1}}")))
    assert [file.name for file in there.iterdir()] == ["{}{ id }{1}"]


@pytest.mark.parametrize("step", ["stdin", "stdout", "stderr"])
def test_a_missing_directory(plain: Env, worker: WorkerPeer, there: Path, step: str) -> None:
    path = f"{there}/none/{{id}}"
    stream = Stdin(path) if step == "stdin" else Stream(path)
    outcome = worker.run(Spec(command=f"touch {there}/ran", **{step: stream}))  # type: ignore[arg-type]
    assert (outcome.result, outcome.exit_code) == (Result.FAILED, 126)
    assert outcome.message == f"cannot start: {step} '{there}/none/1': No such file or directory"
    assert not (there / "ran").exists()


def test_no_permission() -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to be another user")
    with passable() as top:
        directory = top / "roots"
        directory.mkdir(mode=0o755)
        for env in proof(top / "gate", nobody=True):
            outcome = env.worker().run(Spec(command="true", stdout=Stream(f"{directory}/log")))
            assert outcome.message == f"cannot start: stdout '{directory}/log': Permission denied"
            assert (outcome.result, outcome.exit_code) == (Result.FAILED, 126)


@pytest.mark.parametrize("text", ["1", "9" * 30, "\\377", "run", "run 2 2", "running"])
def test_what_a_job_writes_to_the_report_of_its_start_harms_nobody(
    plain: Env, worker: WorkerPeer, there: Path, text: str
) -> None:
    """Its descriptor is there while the files are opened."""
    outcome = worker.run(Spec(command=f"printf '{text}'; exit 3", stdout=Stream("/proc/self/fd/3"), cwd=str(there)))
    assert (outcome.result, outcome.exit_code, outcome.message) == (Result.FAILED, 3, "")
    assert worker.run(Spec(command="true"), 2).result is Result.SUCCEEDED


def test_what_is_wrong_with_the_job_is_said_as_ever(plain: Env, worker: WorkerPeer, there: Path) -> None:
    stdout = Stream(f"{there}/log")
    outcome = worker.run(Spec(command=("no-such-program",), stdout=stdout))
    assert (outcome.exit_code, outcome.message) == (127, "cannot run 'no-such-program': command not found")
    outcome = worker.run(Spec(command="true", cwd="/nowhere", stdout=stdout), 2)
    assert (outcome.exit_code, outcome.message) == (126, "cannot start in '/nowhere': no such directory")
    outcome = worker.run(Spec(script="#!/no/such/sh\n", stdout=stdout), 3)
    assert outcome.message == "cannot run the script: its interpreter was not found: #!/no/such/sh"
    assert worker.run(Spec(script="#!/bin/sh\nexit 3\n", stdout=stdout), 4).exit_code == 3


@pytest.mark.parametrize("step", ["stdin", "stdout"])
def test_a_fifo_that_nobody_opens_keeps_the_job_and_not_the_worker(env: Env, there: Path, step: str) -> None:
    worker = env.worker()
    os.mkfifo(there / "fifo")
    stream = Stdin(f"{there}/fifo") if step == "stdin" else Stream(f"{there}/fifo")
    worker.start(Spec(command="true", timeout=0.5, **{step: stream}))  # type: ignore[arg-type]
    worker.say(ping=5)
    assert worker.expect("pong") == 5
    outcome = worker.outcome()
    assert outcome.result is Result.TIMED_OUT
    assert outcome.message == f"cannot start: {step} '{there}/fifo': it was still being opened when the job was ended"
    assert worker.run(Spec(command="true"), 2).result is Result.SUCCEEDED


def test_a_fifo_with_a_reader(plain: Env, worker: WorkerPeer, there: Path) -> None:
    os.mkfifo(there / "fifo")
    reader = os.open(there / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    assert worker.run(Spec(command="echo x", stdout=Stream(f"{there}/fifo"))).result is Result.SUCCEEDED
    assert os.read(reader, 10) == b"x\n"
    os.close(reader)


def test_what_opens_dies_with_its_worker(env: Env, there: Path) -> None:
    """It does not bear the job's mark yet."""
    worker = env.worker()
    os.mkfifo(there / "fifo")
    worker.start(Spec(command="true", stdout=Stream(f"{there}/fifo")))
    worker.say(ping=1)
    worker.expect("pong")
    os.kill(worker.id.pid, signal.SIGKILL)
    env.bury(worker)


def test_a_text_is_read(plain: Env, worker: WorkerPeer, there: Path) -> None:
    text = "line\n" * 100_000
    worker.run(Spec(command=("md5sum",), stdin=Stdin(text=text)))
    assert plain.output().decode().split()[0] == hashlib.md5(text.encode()).hexdigest()
    worker.run(Spec(command=("cat",), stdin=Stdin(text="ü\udcff"), stdout=Stream(f"{there}/out")), 2)
    assert (there / "out").read_bytes() == "ü".encode() + b"\xff"


def test_a_file_is_read(plain: Env, worker: WorkerPeer, there: Path) -> None:
    (there / "in.1").write_text("hello\n")
    worker.run(Spec(command=("cat",), stdin=Stdin("in.{id}"), cwd=str(there)))
    assert plain.output() == b"hello\n"


def test_each_job_of_an_array_has_files_of_its_own(plain: Env, worker: WorkerPeer, there: Path) -> None:
    (there / "in.5").write_text("five\n")
    spec = Spec(command=("cat",), stdin=Stdin("in.{index}"), stdout=Stream("{array}_{index}.{id}"), cwd=str(there))
    worker.run(replace(spec, array=Element(5, 1, 3)), 8, array=7)
    assert (there / "7_5.8").read_text() == "five\n"


def test_it_finds_what_every_job_finds(plain: Env, worker: WorkerPeer, there: Path) -> None:
    """The other way to start a job must make no difference to it."""
    script = (
        "env -u _ -u TASKGATE_JOB_ID -u TASKGATE_COOKIE | sort; umask; pwd; ls -l /proc/self/fd | wc -l; "
        "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status; ulimit -a; ps -o pgid=,sid= $$ | sed s/$$/ME/g; "
        "readlink /proc/$$/fd/0"
    )
    worker.run(Spec(command=script), 1)
    worker.run(Spec(command=script, stdout=Stream(f"{there}/out")), 2)
    assert (there / "out").read_bytes() == plain.output(1)
    env = "tr '\\0' '\\n' < /proc/$$/environ | grep COOKIE"
    worker.run(Spec(command=env, stdout=Stream(f"{there}/env")), 3)
    assert cookie.of(plain.settings.instance, 3, 1) in (there / "env").read_bytes()


def test_what_it_leaves_running_is_ended(env: Env, there: Path) -> None:
    worker = env.worker()
    command = (
        "setsid sh -c 'echo $$ > pid.tmp; mv pid.tmp pid; exec sleep 1000' & until [ -e pid ]; do sleep .01; done"
    )
    outcome = worker.run(Spec(command=command, cwd=str(there), stdout=Stream("out"), linger=0.1))
    assert outcome.message == "1 process that it left behind was ended after 100ms"
    until(lambda: not alive(written_pid(there / "pid")), "its end")


def test_a_terminal(env: Env) -> None:
    script = (
        "test -t 1 && test -t 2 && ! test -t 0 && echo both; stty size < /dev/tty; echo $TERM; "
        "ps -o tty= $$ | grep -c pts; python3 -c 'import sys; print(sys.stdout.line_buffering)'"
    )
    outcome = env.worker().run(Spec(command=script, tty=True))
    assert (outcome.result, outcome.message) == (Result.SUCCEEDED, "")
    assert env.output() == b"both\n24 80\nxterm-256color\n1\nTrue\n"


def test_all_that_a_terminal_was_given_is_kept(plain: Env, worker: WorkerPeer) -> None:
    outcome = worker.run(Spec(command="seq 100000; echo end >&2", tty=True))
    assert plain.output() == b"".join(b"%d\n" % n for n in range(1, 100_001)) + b"end\n"
    assert outcome.output == len(plain.output())


def test_what_outlives_its_terminal_keeps_nobody_busy(env: Env) -> None:
    """The terminal is hung up when the main process ends."""
    worker = env.worker()
    command = "trap '' HUP TERM; (while :; do sleep 1000; done) & echo x"
    outcome = worker.run(Spec(command=command, tty=True, linger=0.5, kill_after=0.5))
    assert (outcome.result, env.output()) == (Result.SUCCEEDED, b"x\n")
    busy = sum(map(int, Path(f"/proc/{worker.id.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
    assert busy < 50, "hundredths of a second of processor"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC])
def test_a_terminal_is_waited_for_while_there_are_too_few(
    there: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with pytest.raises(NotNow, match=os.strerror(number)):
        _start_without_terminal(there, monkeypatch, number)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENODEV, errno.EACCES, errno.EIO])
def test_a_terminal_that_can_never_be_had_is_not_waited_for(
    there: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with pytest.raises(CannotRun) as caught:
        _start_without_terminal(there, monkeypatch, number)
    outcome = caught.value.outcome
    assert (outcome.result, outcome.exit_code) == (Result.FAILED, 126)
    assert outcome.message.startswith(
        f"cannot start: no terminal can be had: {os.strerror(number)} (a terminal needs "
    )


def _start_without_terminal(there: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def none() -> tuple[int, int]:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "openpty", none)
    host = Host(Settings("", "", "", "x"), Scripts(str(there)), None, {})
    spec = Spec(command="true", tty=True)
    before = os.listdir("/proc/self/fd")
    try:
        Attempt(Run(1, 1, spec.to_json(), str(there / "log")), spec, host)
    finally:
        assert os.listdir("/proc/self/fd") == before


def test_on_a_host_without_terminals_the_job_fails_and_the_worker_goes_on(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, for a mount namespace")
    for env in proof(tmp_path, program=WITHOUT_TERMINALS):
        worker = env.worker()
        outcome = worker.run(Spec(command="true", tty=True))
        assert outcome.message.startswith(
            "cannot start: no terminal can be had: No such device (a terminal needs devpts "
        )
        assert worker.run(Spec(command="true"), 2).result is Result.SUCCEEDED


def test_a_terminal_and_a_file(plain: Env, worker: WorkerPeer, there: Path) -> None:
    worker.run(Spec(command="test -t 2; echo $?; echo err >&2", tty=True, stdout=Stream(f"{there}/out")))
    assert ((there / "out").read_text(), plain.output()) == ("0\n", b"err\n")
