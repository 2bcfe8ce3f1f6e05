"""Every kind of thing that can lie in a spool, and every way to put it there."""

from __future__ import annotations

import errno
import fcntl
import gc
import mmap
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from taskgated.intake import drain, settle
from taskgated.intake.events import Accepted, Blind, FileRefused, FileStuck, Paused, Resumed
from taskgated.language.config import QueueConfig
from taskgated.language.nodes import Node
from taskgated.store.contract import Addition
from taskgated.text import to_text
from tests import REPOSITORY
from tests.env.intake import QUEUES, Gate, StoreSink, config, running
from tests.env.opened import passable
from tests.env.until import until

SPEC = "command: [/bin/true]\n"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with running(tmp_path) as gate:
        yield gate


def taken_in(gate: Gate, *sources: str) -> None:
    until(lambda: sorted(gate.sink.sources) == sorted(sources) or gate.rejected())
    assert sorted(gate.sink.sources) == sorted(sources)
    until(gate.idle)
    assert not gate.rejected()


def refused(gate: Gate, name: str, *words: str) -> None:
    """The file lies in rejected/ with a reason that has these words in it; nothing else happened."""
    until(lambda: {name, f"{name}.reason"} <= set(gate.rejected()))
    reason = (gate.layout.rejected / f"{name}.reason").read_text(errors="surrogateescape")
    for word in words:
        assert word in reason
    until(lambda: [event for event in gate.told(FileRefused) if event.source == name])
    assert gate.sink.sources == []
    until(gate.idle)


def test_nothing_of_a_refused_file_is_left_in_memory(gate: Gate) -> None:
    """Not even until the garbage collector comes by, which an idle daemon may never call."""
    gc.collect()
    gc.disable()
    try:
        gate.drop("bad.yaml", "".join(f"k{n}: 1\n" for n in range(1000)))
        refused(gate, "bad.yaml", "unknown key 'k0'")
        until(lambda: not any(isinstance(found, Node) for found in gc.get_objects()), "its nodes are gone")
    finally:
        gc.enable()


# -- ways to put a file there --------------------------------------------------------------------


def test_renamed_in(gate: Gate) -> None:
    gate.drop("a.yaml", SPEC)
    taken_in(gate, "a.yaml")
    until(lambda: gate.told(Accepted) == [Accepted("a.yaml", "default", 1)])
    assert not (gate.spool / "a.yaml").exists()


def test_what_is_told_is_the_queue_of_the_jobs(tmp_path: Path) -> None:
    """Not that of the directory: a spec in the spool itself may name others."""
    with running(tmp_path, queues=QUEUES | {"etl": QueueConfig("etl")}) as gate:
        gate.drop("a.yaml", "- {command: a, queue: etl}\n- {command: b}\n- {command: c, queue: etl}\n")
        until(lambda: gate.told(Accepted) == [Accepted("a.yaml", "etl", 2), Accepted("a.yaml", "default", 1)])


def test_written_in_place(gate: Gate) -> None:
    (gate.spool / "a.yaml").write_text(SPEC)
    taken_in(gate, "a.yaml")


def test_hard_linked_in_and_unlinked_elsewhere(gate: Gate, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere.yaml"
    other.write_text(SPEC)
    os.link(other, gate.spool / "a.yaml")
    taken_in(gate, "a.yaml")
    assert other.read_text() == SPEC


def test_a_nameless_file_linked_in(gate: Gate) -> None:
    fd = os.open(gate.spool, os.O_TMPFILE | os.O_WRONLY, 0o600)
    os.write(fd, SPEC.encode())
    here = os.open(".", os.O_PATH)  # with a directory descriptor Python uses linkat(2), which follows
    os.link(f"/proc/self/fd/{fd}", gate.spool / "a.yaml", src_dir_fd=here, follow_symlinks=True)
    os.close(here)
    os.close(fd)
    taken_in(gate, "a.yaml")


def test_present_before_the_start(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config())
    gate.drop("a.yaml", SPEC)
    gate.drop("lines/b", "one\n")
    try:
        gate.start()
        taken_in(gate, "a.yaml", "b")
    finally:
        gate.stop()


def test_a_file_that_is_open_for_writing_waits(gate: Gate) -> None:
    with open(gate.spool / "a.yaml", "w") as file:
        file.write("command: [/bin/fal")
        file.flush()
        gate.drop("b.yaml", SPEC)  # it delays nobody
        until(lambda: gate.sink.sources == ["b.yaml"])
        file.seek(0)
        file.write("command: [/bin/true]\n")
    taken_in(gate, "a.yaml", "b.yaml")
    assert gate.sink.commands[-1] == "/bin/true"


def test_a_writer_that_opened_it_by_another_name(gate: Gate, tmp_path: Path) -> None:
    """Its close is not heard of in the spool, so that the file is looked at again by and by."""
    other = tmp_path / "elsewhere"
    with open(other, "w") as file:
        os.link(other, gate.spool / "a.yaml")
        other.unlink()
        gate.drop("b.yaml", SPEC)
        until(lambda: gate.sink.sources == ["b.yaml"])
        file.write(SPEC)
    taken_in(gate, "a.yaml", "b.yaml")


def test_a_writable_mapping_counts_as_writing(gate: Gate) -> None:
    path = gate.spool / "a.yaml"
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, b"x" * len(SPEC))
    mapping = mmap.mmap(fd, len(SPEC))
    os.close(fd)
    gate.drop("b.yaml", SPEC)
    until(lambda: gate.sink.sources == ["b.yaml"])
    mapping[:] = SPEC.encode()
    mapping.close()
    taken_in(gate, "a.yaml", "b.yaml")


def test_an_inherited_descriptor_counts_as_writing(gate: Gate) -> None:
    """The shell opens the file; it is the child in the background that writes to it at last."""
    script = f"exec 4<&0 3>{gate.spool}/a.yaml; (read _ <&4; echo 'command: [/bin/true]' >&3) & exec 3>&-; wait"
    with subprocess.Popen(["bash", "-c", script], stdin=subprocess.PIPE) as shell:
        until((gate.spool / "a.yaml").exists)
        gate.drop("b.yaml", SPEC)
        until(lambda: gate.sink.sources == ["b.yaml"])
        shell.communicate(b"\n")
    taken_in(gate, "a.yaml", "b.yaml")


def test_an_empty_file_may_be_written_soon(gate: Gate) -> None:
    (gate.spool / "a.yaml").touch()
    gate.drop("b.yaml", SPEC)
    until(lambda: gate.sink.sources == ["b.yaml"])
    (gate.spool / "a.yaml").write_text(SPEC)
    taken_in(gate, "a.yaml", "b.yaml")


def test_unfinished_names_are_left_alone(gate: Gate) -> None:
    names = [".a.yaml", "a.yaml.tmp", "a.yaml.part", "a.yaml.swp", "a.yaml~"]
    for name in names:
        (gate.spool / name).write_text(SPEC)
    gate.drop("b.yaml", SPEC)
    taken_in(gate, "b.yaml")
    assert set(names) < set(os.listdir(gate.spool))
    (gate.spool / "a.yaml.tmp").rename(gate.spool / "a.yaml")
    taken_in(gate, "a.yaml", "b.yaml")


@pytest.mark.parametrize(
    "name", [b"with space.yaml", b"new\nline.yaml", b"\xff\xfe\x80.yaml", b"x" * 250 + b".yaml", b"-rf.yaml"]
)
def test_names(gate: Gate, name: bytes) -> None:
    gate.drop(name, SPEC)
    taken_in(gate, to_text(name))


def test_a_strange_name_reaches_the_handler(gate: Gate) -> None:
    name = b"\xff \n" + b"y" * 252
    gate.drop(b"data/" + name, b"\0\1\2")
    until(lambda: gate.sink.kept)
    program, path = gate.sink.commands[0].split("\0")
    assert program == "/bin/thumb"
    with open(path.encode("utf-8", "surrogateescape"), "rb") as file:
        assert file.read() == b"\0\1\2"
    gate.intake.let_go(gate.sink.end_jobs())
    until(gate.idle)


def test_the_owner_is_told(gate: Gate) -> None:
    gate.drop(".a", SPEC)
    os.chown(gate.spool / ".a", 12345, -1)
    os.rename(gate.spool / ".a", gate.spool / "a.yaml")
    taken_in(gate, "a.yaml")
    assert gate.sink.owners == ["12345"]


# -- queue directories ---------------------------------------------------------------------------


def test_a_queue_directory_made_while_it_runs(gate: Gate) -> None:
    (gate.spool / "etl").mkdir()
    (gate.spool / "etl" / "a.yaml").write_text(SPEC)
    taken_in(gate, "a.yaml")
    gate.drop("etl/b.yaml", SPEC)
    taken_in(gate, "a.yaml", "b.yaml")
    assert {event.queue for event in gate.told(Accepted)} == {"etl"}


def test_a_queue_directory_made_anew(gate: Gate) -> None:
    for number in range(3):
        (gate.spool / "etl").mkdir()
        gate.drop(f"etl/{number}.yaml", SPEC)
        taken_in(gate, *(f"{n}.yaml" for n in range(number + 1)))
        (gate.spool / "etl").rmdir()


def test_a_queue_directory_moved_in_with_files(gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "etl").mkdir()
    (tmp_path / "etl" / "a.yaml").write_text(SPEC)
    (tmp_path / "etl").rename(gate.spool / "etl")
    taken_in(gate, "a.yaml")
    (gate.spool / "etl").rename(tmp_path / "away")
    (gate.spool / "etl").mkdir()
    gate.drop("etl/b.yaml", SPEC)
    taken_in(gate, "a.yaml", "b.yaml")


def test_a_queue_on_another_file_system_is_reported(tmp_path: Path) -> None:
    """Nothing can be renamed out of it."""
    gate = Gate(tmp_path, config())
    far = gate.spool / "far"
    far.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", far], capture_output=True, check=False).returncode:
        pytest.skip("may not mount")
    try:
        gate.start()
        until(lambda: [event.source for event in gate.told(FileStuck)] == ["far"])
        assert "another file system" in gate.told(FileStuck)[0].reason
        gate.drop("a.yaml", SPEC)
        taken_in(gate, "a.yaml")
    finally:
        gate.stop()
        subprocess.run(["umount", far], check=True)


# -- what is refused -----------------------------------------------------------------------------


def test_a_symlink_is_not_followed(gate: Gate, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text(SPEC)
    (gate.spool / "a.yaml").symlink_to(secret)
    refused(gate, "a.yaml", "symbolic link")
    assert (gate.layout.rejected / "a.yaml").is_symlink()
    assert secret.read_text() == SPEC


def test_a_symlink_for_a_queue_is_not_followed(gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "a.yaml").write_text(SPEC)
    (gate.spool / "etl").symlink_to(tmp_path / "victim")
    refused(gate, "etl", "symbolic link")
    assert (tmp_path / "victim" / "a.yaml").exists()


def test_a_fifo_does_not_block(gate: Gate) -> None:
    os.mkfifo(gate.spool / "a.yaml")
    refused(gate, "a.yaml", "FIFO")


def test_a_socket(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(gate.spool)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.yaml")
        refused(gate, "a.yaml", "socket")


def test_a_device_is_not_opened(gate: Gate) -> None:
    try:
        os.mknod(gate.spool / "a.yaml", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("may not make devices")
    refused(gate, "a.yaml", "device")


def test_a_directory_that_is_no_queue(gate: Gate) -> None:
    (gate.spool / "not a queue").mkdir()
    refused(gate, "not a queue", "directory", "letters")


def test_a_directory_in_a_queue(gate: Gate) -> None:
    (gate.spool / "lines" / "deeper").mkdir()
    refused(gate, "deeper", "directory")


def test_an_empty_file_is_refused_in_the_end(gate: Gate) -> None:
    (gate.spool / "a.yaml").touch()
    refused(gate, "a.yaml", "this file is empty")


def test_an_empty_list_is_just_no_job(gate: Gate) -> None:
    (gate.spool / "a.tasks").touch()
    until(lambda: not (gate.spool / "a.tasks").exists())
    until(gate.idle)
    assert not gate.rejected()


def test_a_broken_spec(gate: Gate) -> None:
    gate.drop("a.yaml", "comand: x\n")
    refused(gate, "a.yaml", "a.yaml:1:1", "command", "Refused 2", "queue default")
    assert (gate.layout.rejected / "a.yaml").read_text() == "comand: x\n"


def test_a_reader_that_fails_costs_one_file(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("taskgated.language.jobfile.read_specs", fail)
    gate.drop("a.yaml", SPEC)
    refused(gate, "a.yaml", "too deep")


@pytest.mark.parametrize(
    ("name", "limit"),
    [("a.yaml", "max_file_size"), ("a.tasks", "max_list_size"), ("data/a", "max_list_size")],
)
def test_over_the_size_limit(tmp_path: Path, name: str, limit: str) -> None:
    with running(tmp_path, **{limit: 100}) as gate:
        gate.drop(name, "# filling\n" * 11)
        refused(gate, name.removeprefix("data/"), "too large", "110", "100")


@pytest.mark.parametrize("name", ["_unreadable", "_readable_in_a_moment"])
def test_an_unreadable_file(tmp_path: Path, name: str) -> None:
    """As somebody without privileges: root reads everything."""
    trial: Callable[[Path], None] = globals()[name]
    if os.getuid() != 0:
        (tmp_path / "spool").mkdir()
        trial(tmp_path)
        return
    StoreSink(tmp_path / "first").close()  # its SQL is read now: that user may have no way to this checkout
    with passable() as directory:
        directory.chmod(0o777)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                trial(directory)
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0


def _unreadable(root: Path) -> None:
    with running(root) as gate:
        gate.drop(".a", SPEC)
        os.chmod(gate.spool / ".a", 0)
        os.rename(gate.spool / ".a", gate.spool / "a.yaml")
        refused(
            gate, "a.yaml", "cannot be read", "Permission denied", "mode is 0000", f"cat FILE >{gate.spool}/a.yaml"
        )


def _readable_in_a_moment(root: Path) -> None:
    """install(1) makes a file for its user alone, writes it, closes it, and then says who may read it."""
    with running(root, settle_time=60.0) as gate:
        gate.drop(".a", SPEC)
        os.chmod(gate.spool / ".a", 0)
        os.rename(gate.spool / ".a", gate.spool / "a.yaml")
        gate.drop("b.yaml", SPEC)
        until(lambda: gate.sink.sources == ["b.yaml"])
        assert (gate.spool / "a.yaml").exists(), "it may yet become readable"
        os.chmod(gate.spool / "a.yaml", 0o600)
        until(lambda: gate.sink.sources == ["b.yaml", "a.yaml"])


@pytest.mark.parametrize("name", ["a.yaml", "a.yaml.reason", "x" * 255])
def test_refused_names_do_not_clash(gate: Gate, name: str) -> None:
    for number in range(4):
        gate.drop(name, f"broken {number}")
        until(lambda n=number: len(gate.told(FileRefused)) == n + 1)
    files = [file for file in gate.rejected() if f"{file}.reason" in gate.rejected()]
    assert len(files) == 4
    assert all(len(file) <= 255 for file in gate.rejected())
    contents = {(gate.layout.rejected / file).read_text() for file in files}
    assert contents == {f"broken {number}" for number in range(4)}


def test_what_cannot_be_moved_away_is_told_once_and_left(gate: Gate) -> None:
    path = gate.spool / "a.yaml"
    path.write_text("")
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("no immutable files here")
    try:
        until(lambda: gate.told(FileStuck))
        for number in range(3):
            gate.drop(f"{number}.yaml", SPEC)
        until(lambda: len(gate.sink.sources) == 3)
        assert len(gate.told(FileStuck)) == 1
        assert path.exists()
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


@pytest.mark.parametrize("protected", [True, False])
def test_hard_links_where_they_are_not_protected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    monkeypatch.setattr(settle, "hard_links_protected", lambda: protected)
    with running(tmp_path) as gate:
        secret = tmp_path / "secret"
        secret.write_text(SPEC)
        os.link(secret, gate.spool / "a.yaml")
        if protected:
            taken_in(gate, "a.yaml")
        else:
            refused(gate, "a.yaml", "more than one name")


def test_files_that_vanish_in_time_are_no_event(gate: Gate) -> None:
    def come_and_go() -> None:
        for number in range(300):
            path = gate.spool / f"{number}.yaml"
            path.write_text(SPEC)
            try:
                path.unlink()
            except FileNotFoundError:
                pass

    thread = threading.Thread(target=come_and_go)
    thread.start()
    thread.join()
    gate.drop("last.yaml", SPEC)
    until(lambda: "last.yaml" in gate.sink.sources)
    until(gate.idle)
    assert not gate.rejected()
    assert not gate.told(FileStuck)


def test_a_name_that_is_given_to_another_file_meanwhile(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the claim: the file that was claimed is the one that is read."""
    swapped = []

    def swap(point: str) -> None:
        if point == "claim.made" and not swapped:
            swapped.append(True)
            gate.drop("a.yaml", "command: [/bin/second]\n")

    monkeypatch.setattr("taskgated.faultpoints.hook", swap)
    gate.drop("a.yaml", "command: [/bin/first]\n")
    until(lambda: gate.sink.commands)
    until(gate.idle)
    assert gate.sink.commands == ["/bin/second"]


def test_leases_that_the_kernel_takes_away(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lets a writer wait only so long (proc(5), lease-break-time), and a disk may take longer than that."""
    add = gate.sink.add
    taken: list[int] = []

    def slow(batch: Sequence[Addition], accepted: Sequence[Accepted] = ()) -> None:
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
                taken.append(fd)
            except OSError:
                pass  # it has none
        add(batch, accepted)

    monkeypatch.setattr(gate.sink, "add", slow)
    for name in ("a.yaml", "b.yaml"):
        gate.drop(name, SPEC)
        until(lambda name=name: name in gate.sink.sources)  # type: ignore[misc]
    taken_in(gate, "a.yaml", "b.yaml")
    assert len(taken) == 2


def test_a_file_system_that_complains_when_a_file_is_closed(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """As over a network, or of one user's making: close(2) says what went wrong before."""
    close, files = os.close, []

    def complain(fd: int) -> None:
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
        close(fd)
        if regular and threading.current_thread() is gate.intake:
            files.append(fd)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "close", complain)
    for name in ("a.yaml", "b.yaml"):
        gate.drop(name, SPEC)
        until(lambda name=name: name in gate.sink.sources)  # type: ignore[misc]
    taken_in(gate, "a.yaml", "b.yaml")
    assert files
    assert not gate.told(Blind), "it is no trouble with the spool"


# -- where the kernel cannot say -----------------------------------------------------------------


def test_without_leases_a_file_must_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fcntl.fcntl

    def refuse(fd: int, command: int, *args: int) -> int:
        if command == fcntl.F_SETLEASE:
            raise PermissionError(13, "no")
        return real(fd, command, *args)

    monkeypatch.setattr(settle, "fcntl", refuse)
    with running(tmp_path, settle_time=0.5) as gate:
        dropped = time.monotonic()
        with open(gate.spool / "a.yaml", "w") as file:
            while time.monotonic() < dropped + 1.0:  # never at rest for long enough
                file.write("# still writing\n")
                file.flush()
                until(lambda: True)
                time.sleep(0.05)
            assert gate.sink.sources == []
            file.write(SPEC)
        taken_in(gate, "a.yaml")
        (gate.spool / "b.tasks").write_text("one\ntwo")
        until(lambda: gate.sink.commands[1:] == ["one", "two"])
        until(gate.idle)


def test_a_waiting_writer_costs_us_no_signal(gate: Gate) -> None:
    """A lease that is broken sends a signal, by default one that kills; here it is one that is ignored."""
    path = gate.spool / ".x"
    path.write_text("x")
    fd = os.open(path, os.O_RDONLY)
    assert settle._lease(fd) is True
    assert signal.getsignal(signal.SIGIO) == signal.SIG_DFL
    with subprocess.Popen(["sh", "-c", f"echo y >> {path}"]) as writer:
        opened = settle.Opened(fd, os.fstat(fd), True)
        until(lambda: not opened.undisturbed())
        assert writer.poll() is None
        opened.close()
    assert path.read_text() == "xy\n"


# -- order, fairness, room -----------------------------------------------------------------------


def test_the_oldest_first_at_a_scan(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config())
    names = [f"{(number * 37) % 100:03d}.yaml" for number in range(100)]
    for name in names:
        gate.drop(name, SPEC)
        os.stat(gate.spool / name)
        changed = os.stat(gate.spool / name).st_ctime_ns
        until(lambda c=changed: _tick(gate.spool) > c)
    try:
        gate.start()
        until(lambda: len(gate.sink.sources) == 100)
        assert gate.sink.sources == names
    finally:
        gate.stop()


def _tick(directory: Path) -> int:
    """The time that the file system would give a file now; it goes in steps."""
    path = directory / ".tick"
    path.touch()
    return path.stat().st_ctime_ns


def test_many_files_share_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as a batch has room for. On a slow disk one may end before, so that other directories have their turn;
    here nothing counts as slow. And what a scan finds rests first, each file from its own change on; here no time."""
    monkeypatch.setattr(drain, "LONG", 600.0)
    gate = Gate(tmp_path, config(settle_time=0.01))
    for number in range(1000):
        gate.drop(f"{number}.yaml", SPEC)
    try:
        gate.start()
        until(lambda: len(gate.sink.sources) == 1000)
        assert gate.sink.calls <= 10
        until(gate.idle)
    finally:
        gate.stop()


def test_a_flood_of_bad_files_does_not_delay_another_queue(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config())
    for number in range(3000):
        gate.drop(f"{number}.yaml", "broken")
    try:
        gate.start()
        gate.drop("lines/good", "line\n")
        until(lambda: gate.sink.sources == ["good"])
        assert len(gate.told(FileRefused)) < 3000
    finally:
        gate.stop()


def test_it_pauses_when_the_backlog_is_full_and_goes_on(tmp_path: Path) -> None:
    with running(tmp_path, capacity=2) as gate:
        for number in range(5):
            gate.drop(f"{number}.yaml", SPEC)
        until(lambda: gate.told(Paused))
        assert len(gate.sink.sources) == 2
        assert len([name for name in os.listdir(gate.spool) if name.endswith(".yaml")]) == 3
        gate.sink.end_jobs(1)
        gate.intake.poke()
        until(lambda: len(gate.sink.sources) == 3)
        gate.sink.end_jobs()
        gate.sink.capacity = 100
        gate.intake.poke()
        until(lambda: gate.sink.sources == [f"{n}.yaml" for n in range(5)])
        until(lambda: gate.told(Resumed))


def test_a_backlog_that_stays_full_is_told_of_once(tmp_path: Path) -> None:
    """Each job that ends makes room for the next file, and no line for the log."""
    with running(tmp_path, capacity=16, max_backlog=16) as gate:
        for number in range(40):
            gate.drop(f"{number:02}.yaml", SPEC)
        until(lambda: gate.told(Paused))
        for number in range(17, 41):
            gate.sink.end_jobs(1)
            gate.intake.poke()
            until(lambda number=number: len(gate.sink.sources) == number)  # type: ignore[misc]
        gate.sink.end_jobs(1)
        gate.intake.poke()
        until(lambda: gate.told(Resumed))
        assert (len(gate.told(Paused)), len(gate.told(Resumed))) == (1, 1)


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    """30,000 files at once: names heard of, names scanned and files under way are all bounded."""

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with running(tmp_path) as gate:
        gate.drop("first.sh", "#!/bin/sh\n")
        taken_in(gate, "first.sh")
        before = peak = resident()
        code = f"""for i in range(30_000): open("{gate.spool}/%d.sh" % i, "w").write("#!/bin/sh\\n")"""
        with subprocess.Popen([sys.executable, "-c", code]):
            while gate.sink.store.last_id() <= 30000:
                peak = max(peak, resident())
                time.sleep(0.02)
        assert peak - before < 15_000_000


def test_kept_files_live_until_their_jobs_are_over(gate: Gate) -> None:
    gate.drop("data/one.png", "picture")
    gate.drop("data/two.png", "picture")
    until(lambda: len(gate.sink.kept) == 2)
    paths = [Path(command.split("\0")[1]) for command in gate.sink.commands]
    gate.intake.let_go(gate.sink.end_jobs(1))
    until(lambda: not paths[0].exists())
    assert paths[1].read_text() == "picture"
    gate.intake.let_go(gate.sink.end_jobs())
    until(gate.idle)


def test_a_reload_takes_effect(gate: Gate) -> None:
    gate.drop("odd.file", "x")
    until(lambda: gate.told(FileRefused))
    gate.intake.reload(config(max_file_size=4))
    gate.drop("a.yaml", SPEC)
    until(lambda: "a.yaml.reason" in gate.rejected())


def test_it_sleeps_when_idle(gate: Gate) -> None:
    gate.drop("a.yaml", SPEC)
    taken_in(gate, "a.yaml")

    def switches() -> int:
        total = 0
        for task in os.listdir("/proc/self/task"):
            if int(task) != threading.get_native_id():
                with open(f"/proc/self/task/{task}/status") as file:
                    total += sum(int(line.split()[1]) for line in file if line.startswith("voluntary"))
        return total

    before, start = switches(), time.monotonic()
    time.sleep(3)  # measures; waits for nothing
    assert (switches() - before) / (time.monotonic() - start) < 1


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    with running(tmp_path) as gate:
        gate.drop("a.yaml", SPEC)
        gate.drop("b.yaml", "broken")
        gate.drop("c.tasks", "one\n")
        until(lambda: len(gate.sink.sources) == 2 and gate.rejected())
        until(gate.idle)
        before = set(os.listdir("/proc/self/fd"))
        for number in range(50):
            gate.drop(f"{number}.yaml", "broken" if number % 2 else SPEC)
        until(lambda: len(gate.sink.sources) == 27)
        until(gate.idle)
        assert len(os.listdir("/proc/self/fd")) <= len(before)


def test_imports_do_not_need_a_terminal_locale(tmp_path: Path) -> None:
    """Names are bytes whatever the locale says."""
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path; from tests.env.intake import running; from tests.env.until import until\n"
        f"with running(Path({str(tmp_path)!r})) as gate:\n"
        "    gate.drop(b'\\xff\\xc3\\xa4.tasks', b'echo \\xff\\n')\n"
        "    until(lambda: gate.sink.commands == ['echo \\udcff'])\n"
        "    assert gate.sink.sources == ['\\udcff\\xe4.tasks'], gate.sink.sources\n"
    )
    env = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, cwd=REPOSITORY, timeout=30)
