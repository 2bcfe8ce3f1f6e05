"""The worker server: birth and burial of workers, with all that they leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from taskgated.core.job import Result, Spec
from taskgated.host import processes
from taskgated.host.processes import ProcessId
from tests.env.until import until
from tests.env.worker import DAEMON, HOPPERS, Env, WorkerPeer, alive, proof, python, written_pid


def start_daemon(worker: WorkerPeer, directory: Path, job: int = 1) -> tuple[int, int]:
    """Run a job that daemonizes and stays; returns the pids of its main process and of the daemon."""
    directory.mkdir(exist_ok=True)
    code = DAEMON + "open('tmp', 'w').write(str(os.getpid())); os.rename('tmp', 'main'); signal.pause()"
    worker.start(Spec(command=python(code, str(directory / "pid")), cwd=str(directory)), job)
    return written_pid(directory / "main"), written_pid(directory / "pid")


def kill(worker: WorkerPeer) -> None:
    os.kill(worker.id.pid, signal.SIGKILL)
    until(lambda: not worker.id.alive(), "the worker to die")


def test_it_answers_and_leaves_at_the_end_of_its_channel(plain: Env) -> None:
    plain.server.say(ping=42)
    assert plain.server.expect("pong") == 42
    assert os.getsid(plain.process.pid) == plain.process.pid
    assert plain.stop_server() == 0


@pytest.mark.parametrize("garbage", [b"garbage\0", b'{"what":{}}\0', b'{"bury":{"pid":"x"}}\0'])
def test_it_leaves_a_daemon_that_makes_no_sense(plain: Env, garbage: bytes) -> None:
    plain.server.channel.sock.send(garbage)
    assert plain.process.wait(10) == os.EX_PROTOCOL


def test_a_worker_that_ends_is_told(plain: Env) -> None:
    worker = plain.worker()
    kill(worker)
    exited = plain.server.expect("exited")
    assert ProcessId.from_json(exited) == worker.id
    assert os.waitstatus_to_exitcode(exited["status"]) == -signal.SIGKILL
    assert plain.bury(worker, None, None) == 0


def test_a_worker_that_finds_no_daemon_leaves(plain: Env) -> None:
    plain.listener.close()
    plain.server.say(fork={})
    worker = plain.server.expect("forked")
    exited = plain.server.expect("exited")
    assert os.waitstatus_to_exitcode(exited.pop("status")) == os.EX_UNAVAILABLE
    assert exited == worker


def test_workers_outlive_their_server(plain: Env, tmp_path: Path) -> None:
    worker = plain.worker()
    plain.kill_server()
    assert worker.run(Spec(command="echo still here")).result is Result.SUCCEEDED
    worker.say(quit={})
    until(worker.closed, "the worker to leave")


def test_burial_of_a_dead_worker(env: Env, tmp_path: Path) -> None:
    worker = env.worker()
    pids = start_daemon(worker, tmp_path)
    kill(worker)
    assert all(alive(pid) for pid in pids)
    assert env.bury(worker) >= 2
    assert not any(alive(pid) for pid in pids)
    assert worker.group is None or not os.path.exists(worker.group)


def test_burial_of_a_living_worker(env: Env, tmp_path: Path) -> None:
    worker = env.worker()
    pids = start_daemon(worker, tmp_path)
    assert env.bury(worker) >= 3
    assert not worker.id.alive()
    assert not any(alive(pid) for pid in pids)
    assert worker.closed() and not worker.seen  # it has reported nothing


def test_burial_of_a_wedged_worker(env: Env, tmp_path: Path) -> None:
    worker = env.worker()
    pids = start_daemon(worker, tmp_path)
    os.kill(worker.id.pid, signal.SIGSTOP)
    env.bury(worker)
    assert not any(alive(pid) for pid in (worker.id.pid, *pids))


def test_burial_of_what_forks_without_end(env: Env, tmp_path: Path) -> None:
    worker = env.worker()
    code = "import os\nif os.fork() == 0: os.setsid()\nopen('ready', 'w')" + HOPPERS
    worker.start(Spec(command=python(code), cwd=str(tmp_path)))
    until((tmp_path / "ready").exists, "the job")
    kill(worker)
    env.bury(worker)  # and the fixture proves the rest


def test_burial_leaves_others_alone(env: Env, tmp_path: Path) -> None:
    dead, living = env.worker(), env.worker()
    gone = start_daemon(dead, tmp_path / "dead", 1)
    stays = start_daemon(living, tmp_path / "living", 2)
    kill(dead)
    env.bury(dead)
    assert not any(alive(pid) for pid in gone)
    assert all(alive(pid) for pid in stays)
    living.say(stop={"job": 2, "attempt": 1, "grace": 0})
    assert living.outcome(2).result is Result.KILLED


def test_burial_of_a_living_worker_of_another_server(env: Env, tmp_path: Path) -> None:
    worker = env.worker()
    pids = start_daemon(worker, tmp_path)
    env.kill_server()
    env.start_server()
    assert env.bury(worker) >= 3
    assert not any(alive(pid) for pid in (worker.id.pid, *pids))


def test_burial_when_worker_and_server_are_dead(plain: Env, tmp_path: Path) -> None:
    worker = plain.worker()
    if worker.group is None:
        pytest.skip("no control group can be made here")
    pids = start_daemon(worker, tmp_path)
    plain.kill_server()
    kill(worker)
    plain.start_server()
    assert plain.bury(worker) == 2
    assert not any(alive(pid) for pid in pids)


def test_burial_by_the_cookie_alone(tmp_path: Path) -> None:
    for env in proof(tmp_path, cgroups=False):
        worker, other = env.worker(), env.worker()
        command = "setsid sh -c 'echo $$ > a.tmp; mv a.tmp a; env -i sleep 1000' & setsid sleep 1000 & wait"
        worker.start(Spec(command=command, cwd=str(tmp_path)), 1)
        child = written_pid(tmp_path / "a")
        other.start(Spec(command="echo $$ > b.tmp; mv b.tmp b; exec sleep 1000", cwd=str(tmp_path)), 11)
        stranger = written_pid(tmp_path / "b")
        env.kill_server()
        kill(worker)
        env.start_server()
        assert env.bury(worker) == 4  # two shells, and two that sleep, one of them without an environment
        assert not alive(child)
        assert alive(stranger)
        other.say(stop={"job": 11, "attempt": 1, "grace": 0})
        other.outcome(11)


def test_burial_by_the_mark_alone(tmp_path: Path) -> None:
    """Worker and server are dead, and no environment tells whose it is."""
    for env in proof(tmp_path, cgroups=False):
        worker, other = env.worker(), env.worker()
        pids = start_daemon(worker, tmp_path / "dead", 1)
        stays = start_daemon(other, tmp_path / "living", 2)
        env.kill_server()
        kill(worker)
        os.kill(pids[0], signal.SIGKILL)  # so that nothing descends from what bears the cookie
        env.start_server()
        assert env.bury(worker) == 1
        assert not alive(pids[1])
        assert all(alive(pid) for pid in stays)
        other.say(stop={"job": 2, "attempt": 1, "grace": 0})
        other.outcome(2)


def test_burial_of_what_may_not_be_looked_into() -> None:
    """A gate that is not root's sees no environment of a program that may be run but not read. What has become
    another user's it cannot kill either: it waits for that, and names it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    if "NoNewPrivs:\t1" in Path("/proc/self/status").read_text() or os.statvfs("/tmp").f_flag & os.ST_NOSUID:
        pytest.skip("set-user-ID is not honoured here")
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        directory = Path(made)
        directory.chmod(0o777)
        hidden, foreign = directory / "hidden", directory / "foreign"
        for program, path, mode in (("/bin/sleep", hidden, 0o711), ("/usr/bin/python3", foreign, 0o4755)):
            shutil.copy(program, path)
            path.chmod(mode)
        for env in proof(directory / "gate", nobody=True):
            _bury_hidden_and_foreign(env, hidden, foreign)


def _bury_hidden_and_foreign(env: Env, hidden: Path, foreign: Path) -> None:
    worker = env.worker()
    code = "import os, time; os.setuid(0); time.sleep(1000)"  # as su(1) and sudo(8) do
    commands = ((hidden, f"{hidden} 1000"), (foreign, f"{foreign} -S -c '{code}'"))
    run = "; ".join(f"{command} & echo $! >{path}.tmp; mv {path}.tmp {path}.pid" for path, command in commands)
    worker.start(Spec(command=f"{run}; wait"))
    pids = [written_pid(path.with_suffix(".pid")) for path, _ in commands]
    until(lambda: Path(f"/proc/{pids[0]}/comm").read_text() == "hidden\n", "it to run that")
    until(lambda: "Uid:\t0\t0" in Path(f"/proc/{pids[1]}/status").read_text(), "it to become root")
    shell = processes.look(pids[0])
    assert shell
    env.kill_server()
    kill(worker)
    os.kill(shell.parent, signal.SIGKILL)  # so that nothing descends from what bears the cookie
    env.start_server()
    env.server.say(bury={**worker.id.to_json(), "cgroup": None, "job": 1, "attempt": 1})
    try:
        until(lambda: not alive(pids[0]), "what it may kill to be killed")
        said = env.server.expect("held up")
        assert ProcessId.from_json(said) == worker.id
        assert said["by"] == [f"{pids[1]} (it is another user's)"]
    finally:
        for pid in pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
    assert ProcessId.from_json(env.server.expect("buried")) == worker.id


@pytest.mark.parametrize("changed", [{"start": 1}, {"boot": "another boot"}])
def test_another_process_with_that_pid_is_left_alone(plain: Env, changed: dict[str, object]) -> None:
    worker = plain.worker()
    who = {"pid": worker.id.pid, "start": worker.id.start, "boot": worker.id.boot, **changed}
    plain.server.say(bury={**who, "cgroup": None, "job": None, "attempt": None})
    assert plain.server.expect("buried") == {**{name: who[name] for name in ("pid", "start", "boot")}, "killed": 0}
    assert worker.run(Spec(command=("true",))).result is Result.SUCCEEDED


def test_only_groups_of_workers_are_killed(plain: Env) -> None:
    worker, other = plain.worker(), plain.worker()
    if other.group is None:
        pytest.skip("no control group can be made here")
    kill(worker)
    right, worker.group = worker.group, os.path.dirname(other.group)  # where everybody is
    plain.bury(worker, None, None)
    assert other.run(Spec(command=("true",))).result is Result.SUCCEEDED
    worker.group = right
    plain.bury(worker, None, None)


def test_the_empty_group_of_a_dead_worker_is_removed_by_the_next_server(plain: Env) -> None:
    worker, other = plain.worker(), plain.worker()
    if worker.group is None or other.group is None:
        pytest.skip("no control group can be made here")
    kill(worker)
    plain.stop_server()
    assert os.path.exists(worker.group)
    plain.start_server()
    until(lambda: not os.path.exists(str(worker.group)), "the empty group to be removed")
    assert os.path.exists(other.group)
