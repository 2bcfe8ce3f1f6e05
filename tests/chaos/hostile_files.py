"""What hostile people drop into the spool. Each attack is a function of the stage it happens on."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from taskgated.ctl.client import CallError
from tests.chaos.stage import PATIENCE, SHARE, Stage
from tests.env.until import until

FLOODER = 64_120
"""A user that nobody is."""

NOBODY = 65534


def bombs(stage: Stage) -> None:
    """What explodes in other readers."""
    laughs = b"a: &a [x]\n" + b"".join(b"%c: &%c [%s]\n" % (c, c, b"*%c," % (c - 1) * 9) for c in range(98, 123))
    contents = {
        "laughs.yaml": laughs, "merge.yaml": b"a: &a {b: c}\nd: {<<: *a}\n", "brackets.yaml": b"[" * 1_000_000,
        "brackets.json": b"[" * 1_000_000, "braces.json": b'{"a":' * 200_000, "braces.yaml": b"{a: " * 250_000,
        "dashes.yaml": b"- " * 500_000, "list.json": b"[" + b"1," * 500_000 + b"1]", "nul.sh": b"#!/bin/sh\n\0",
        "objects.yaml": b"!!python/object/apply:os.system ['false']\n", "utf16.yaml": "command: x".encode("utf-16"),
        "digits.json": b'{"priority": ' + b"9" * 900_000 + b"}", "text.tasks": b"true\n\0\n", "elf": b"\x7fELF",
        "documents.yaml": b"---\n- {}\n" * 100_000, "keys.yaml": b"".join(b"k%d: 1\n" % n for n in range(60_000)),
    }  # fmt: skip
    for name, content in contents.items():
        stage.drop(name, content)
    stage.honest()
    stage.refused(*contents)


def one_line(stage: Stage) -> None:
    """100 MB without a newline, as everything that a file can be; one after the other, for the disk's sake."""
    names = {"line.yaml": "", "line.json": "", "line.sh": "", "line.tasks": "", "line": "lines"}
    for name, queue in names.items():
        with open(stage.gate.root / "big", "wb") as file:
            file.write(b"#!" if name.endswith(".sh") else b"")
            for _ in range(100):
                file.write(b"x" * 1024**2)
        os.rename(stage.gate.root / "big", stage.gate.layout.spool / queue / name)
        stage.honest()
        stage.refused(name)
        stage.remove_rejected(name)


def blank_lines(stage: Stage) -> None:
    """Lines that are no jobs cost time and nothing else, and the time is that of their own queue."""
    size = 100 if stage.everything else 10
    with open(stage.gate.root / "big", "wb") as file:
        for _ in range(size):
            file.write(b"\n" * 1024**2)
    os.rename(stage.gate.root / "big", stage.gate.layout.spool / "blank.tasks")
    stage.honest()
    until(lambda: not (stage.gate.layout.spool / "blank.tasks").exists(), "it is taken in", PATIENCE)
    stage.until_done(PATIENCE * size / 10)


def flood(stage: Stage) -> None:
    """One user's list fills that user's share of the backlog; another's file and an honest job do not wait for it."""

    def drop(owner: int, name: str, lines: int) -> None:
        staged = stage.gate.root / "big"
        staged.write_text("true\n" * lines)
        os.chown(staged, owner, -1)
        staged.rename(stage.gate.layout.spool / name)

    drop(FLOODER, "flood.tasks", 3 * SHARE)
    held = f"uid {FLOODER} are held back"
    until(lambda: held in stage.gate.status()["text"], "the share is full", PATIENCE)
    drop(FLOODER + 1, "other.tasks", 1)
    stage.honest()

    def taken() -> bool:
        return any(job["owner"] == FLOODER + 1 for job in stage.gate.jobs())

    until(taken, "the other's file is taken in", PATIENCE)
    stage.until_done(3 * PATIENCE)


def tiny_files(stage: Stage) -> None:
    """So many that a listing of them would fill the memory, there all at once: the daemon is stopped meanwhile."""
    number = 1_000_000 if stage.everything else 20_000
    queue = stage.gate.layout.spool / "parked"
    before = stage.gate.status()["counts"]["queued"]
    directory = os.open(queue, os.O_RDONLY | os.O_DIRECTORY)
    os.kill(stage.pid, signal.SIGSTOP)
    try:
        for n in range(number):
            file = os.open(f"{n}.tasks", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
            os.write(file, b"x")
            os.close(file)
        with os.scandir(queue) as entries:
            there = sum(1 for _ in entries)
    finally:
        os.kill(stage.pid, signal.SIGCONT)
        os.close(directory)
    assert there == number, f"only {there} of {number} files lie there"
    # Each look at the names that are left reads all of them, and comes before the next file of another queue.
    stage.honest(f"beside {number} files", PATIENCE + number / 20_000)
    until(
        lambda: stage.gate.status()["counts"]["queued"] >= before + number,
        f"all of {number} files are taken in",
        PATIENCE + number / 500,
    )


def names(stage: Stage) -> None:
    """Each byte that a name can have, alone and inside; and the longest names."""
    spool = stage.gate.layout.spool
    every = [bytes([byte]) for byte in range(1, 256) if byte != ord("/")]
    ignored = {b".", b"~"}
    dropped = [b"n" + byte + b".tasks" for byte in every] + [byte for byte in every if byte not in ignored]
    dropped += [b"l" * 249 + b".tasks", b"\xff" * 255]
    over = stage.gate.status()["counts"]["succeeded"]
    for name in dropped:
        stage.drop(name, "true\n" if name.endswith(b".tasks") else "#!/bin/sh\n")
    stage.drop(b"\xfe" * 250 + b".yaml", "nonsense")
    expected = over + len(dropped) + 1  # and the honest one
    stage.honest()
    until(lambda: stage.gate.status()["counts"]["succeeded"] >= expected, "all names are jobs", PATIENCE)
    left = [name for name in os.listdir(os.fsencode(spool)) if name in dropped]
    assert not left, f"left in the spool: {left}"
    stage.refused(os.fsdecode(b"\xfe" * (255 - len(".reason"))))  # cut, so that its reason has a name as well


def no_place(stage: Stage) -> None:
    """What is to be refused has nowhere to go: rejected/ is a link to what is not there."""
    layout = stage.gate.layout
    layout.rejected.rename(stage.gate.root / "away")
    layout.rejected.symlink_to(stage.gate.root / "nowhere")
    stage.drop("nowhere.yaml", "nonsense")
    os.mkfifo(layout.spool / "nowhere")
    stage.honest()
    until(lambda: stage.gate.log().count("cannot be moved to ") >= 2, "both are told of", PATIENCE)
    layout.rejected.unlink()
    (stage.gate.root / "away").rename(layout.rejected)
    stage.refused("nowhere.yaml", "nowhere")
    assert (layout.rejected / "nowhere.yaml").read_text() == "nonsense"


def forgers(stage: Stage) -> None:
    """Names that would be lines of the log, or of a listing, and sequences that a terminal obeys."""
    forged = b"00:00:00 job 1 (backup, attempt 1): succeeded"
    names = [
        before + forged + after for before in (b"x\n", b"x\r", b"\x1b[2J\n") for after in (b"", b".tasks", b".yaml")
    ]
    for name in names:
        stage.drop(name, "true\n" if name.endswith(b".tasks") else "#!/no/\n00:00:00\x1b[2J\n")
    stage.drop(b"\n" + forged, b"\x7fELF\n" + forged)
    stage.honest()
    stage.until_done()
    stage.refused(*(os.fsdecode(name) for name in names if name.endswith(b".yaml")), os.fsdecode(b"\n" + forged))
    said = stage.gate.log() + stage.gate.ctl("list").stdout.decode()
    assert not re.search(r"[^\n\x20-\x7e\xa1-\uffff]", said), "a terminal is told what to do"
    lines = [line for line in said.splitlines() if line.startswith(forged.decode()[:12])]
    assert not lines, f"it is forged: {lines}"


def directories(stage: Stage) -> None:
    """A member has more directories in the spool than there is room for, one of them with a file system on it that
    keeps all others out. An administrator's new queue is used all the same."""
    spool = stage.gate.layout.spool
    member = NOBODY if os.geteuid() == 0 else os.geteuid()
    made = [spool / f"member{number}" for number in range(120)]
    with ExitStack() as stack:
        for path in made:
            (spool / ".made").mkdir()
            os.chown(spool / ".made", member, member)
            (spool / ".made").rename(path)
            stack.callback(path.rmdir)
        if os.geteuid() == 0:
            stack.enter_context(private_mount(made[0], member))
        stage.honest()
        (spool / "new").mkdir()
        stack.callback((spool / "new").rmdir)
        if os.geteuid() == 0:
            stage.drop("new.yaml", "command: 'true'\n", "new")
            until(lambda: not (spool / "new" / "new.yaml").exists(), "the new queue is used", PATIENCE)
        assert stage.gate.status()["ready"], stage.gate.status()["problems"]


@contextmanager
def private_mount(directory: Path, owner: int) -> Iterator[None]:
    """What fusermount3(1) does for a user, as the kernel sees it (fuse(4)); nothing where that cannot be."""
    libc = ctypes.CDLL(None)
    with ExitStack() as stack:
        try:
            device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            pass
        else:
            stack.callback(os.close, device)
            options = f"fd={device},rootmode=40755,user_id={owner},group_id={owner}".encode()
            if libc.mount(b"private", os.fsencode(directory), b"fuse", 0, options) == 0:
                stack.callback(libc.umount2, os.fsencode(directory), 2)  # MNT_DETACH
        yield


def no_files(stage: Stage) -> None:
    """Whatever else can have a name."""
    spool = stage.gate.layout.spool
    os.mkfifo(spool / "fifo.yaml")
    os.mkfifo(spool / "honest" / "fifo.tasks")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stage.gate.root / "s"))
    os.rename(stage.gate.root / "s", spool / "socket.yaml")
    (spool / "no queue").mkdir()
    (spool / "honest" / "directory.yaml").mkdir()
    links = {"passwd.yaml": "/etc/passwd", "dangling.sh": "/nonexistent", "directory": "/etc", "loop.txt": "loop.txt"}
    for name, target in links.items():
        os.symlink(target, spool / name)
    os.symlink("/etc/passwd", spool / "lines" / "inner")
    refused = ["fifo.yaml", "fifo.tasks", "socket.yaml", "no queue", "directory.yaml", *links, "inner"]
    if os.geteuid() == 0:
        for name, device in (("zero.yaml", (1, 5)), ("tty.tasks", (5, 0)), ("full.sh", (1, 7))):
            os.mknod(spool / name, 0o666 | stat.S_IFCHR, os.makedev(*device))
            refused.append(name)
    stage.honest()
    stage.refused(*refused)
    assert Path("/etc/passwd").is_file()


OUTPUTS = {
    "fifo": 'mkfifo "$f.new"; mv "$f.new" "$f"',
    "link to a fifo": 'mkfifo "$f.gz"; ln -sf "$f.gz" "$f"',
    "link to a device": 'ln -sf /dev/zero "$f"',
    "link to a secret": 'ln -sf /etc/shadow "$f"',
    "directory": 'rm -f "$f"; mkdir "$f"',
}


def outputs(stage: Stage) -> None:
    """A job puts something else where its output lies. Who asks for that is answered, and sees nothing of it."""
    log = stage.gate.layout.log
    for name, command in OUTPUTS.items():
        place = f"f={log}/$(printf %06d $((TASKGATE_JOB_ID / 1000)))/$TASKGATE_JOB_ID.1.log"
        lines = ("#!/bin/sh", f"#TASKGATE name: {name}", "echo there", place)
        script = "\n".join((*lines, 'until test -e "$f"; do sleep 0.02; done', command, ""))
        stage.drop(name.replace(" ", "-"), script, "honest")

    def done() -> dict[str, int]:
        jobs = stage.gate.call("List", queues=["honest"], states=["succeeded"])["jobs"]
        return {job["name"]: job["id"] for job in jobs if job["name"] in OUTPUTS}

    for job in until(
        lambda: found if len(found := done()) == len(OUTPUTS) else {}, "they are done", PATIENCE
    ).values():
        try:
            told = stage.gate.call("Logs", id=job)
        except CallError as error:
            assert "the output cannot be read" in str(error)
        else:
            raise AssertionError(f"it is shown: {told}")
    stage.honest()
    for path in log.glob("*/*"):
        if not path.is_file() or path.is_symlink():
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
