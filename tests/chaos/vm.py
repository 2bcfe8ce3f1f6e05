"""A Debian system with a kernel of its own, in QEMU: its power can be cut, and its clock set.

Each of its disks has a volatile write cache, as real ones have: what the guest wrote is on the image only when a
flush that came after it was answered. ``cut`` kills QEMU, and of what was not flushed an arbitrary part is kept, each
block of 4 KiB by itself. So what the guest did not flush may be lost, kept, or kept in another order.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import secrets
import shutil
import socket
import struct
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

from tests.env.until import until
from tests.system.machine import CACHE, SUITES, Machine, mirror

PACKAGES = (
    "systemd,systemd-sysv,dbus,udev,kmod,e2fsprogs,procps,adduser,acl,python3,python3-yaml,python3-watchdog,"
    "python3-sdnotify"
)
KERNEL = ("linux-image-cloud-amd64", "initramfs-tools", "zstd")
MODULES = "virtio_pci\nvirtio_blk\nvirtio_console\nvirtio_rng\n"
BLOCK = 4096
PATIENCE = 300.0
"""Seconds for a boot or a command inside. Without KVM, and on a busy machine, all of it is slow."""
LAB = "/usr/local/lib/lab"
RECORDS = "/var/lib/record"
"""A disk of its own inside, for what jobs record: their syncs must not carry the gate's files to the disk as well."""

AGENT = r"""
import json, os, subprocess, time
while True:
    try:
        port = os.open("/dev/virtio-ports/lab.control", os.O_RDWR)
        break
    except OSError:  # udev makes it in a moment
        time.sleep(0.1)
data = b""
while True:
    more = os.read(port, 65536)
    if not more:  # nobody has the other end open
        time.sleep(0.1)
    data += more
    while b"\n" in data:
        line, data = data.split(b"\n", 1)
        asked = json.loads(line)
        done = subprocess.run(
            asked["command"], input=asked["input"].encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/"
        )
        answer = {"id": asked["id"], "status": done.returncode, "output": done.stdout.decode(errors="replace")}
        answer = json.dumps(answer).encode() + b"\n"
        while answer:
            answer = answer[os.write(port, answer) :]
"""
AGENT_UNIT = f"""[Unit]
Description=Runs what the lab asks for
[Service]
ExecStart=/usr/bin/python3 {LAB}/agent.py
Restart=always
KillMode=process
Environment=HOME=/root LANG=C.UTF-8
[Install]
WantedBy=multi-user.target
"""
FILES = {
    "etc/hostname": "gate\n",
    "etc/fstab": f"/dev/vda / ext4 defaults 0 1\n/dev/vdb {RECORDS} ext4 defaults 0 2\n",
    # The journal's own syncs must not carry the gate's files to the disk, either.
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=volatile\n",
    "etc/taskgate/conf.d/a-lab.yaml": "stop_timeout: 2s\nworkers: 2\n",
    "etc/systemd/system/lab-agent.service": AGENT_UNIT,
    f"{LAB[1:]}/agent.py": AGENT,
    f"{LAB[1:]}/record.py": (Path(__file__).parent / "record.py").read_text(),
}


def missing() -> str:
    """Why there can be no such machine here; empty if there can."""
    if os.geteuid() != 0:
        return "a machine in QEMU needs root, to build its disk"
    for program in ("qemu-system-x86_64", "debootstrap", "mke2fs", "dpkg-buildpackage"):
        if shutil.which(program) is None:
            return f"a machine in QEMU needs {program}"
    return ""


def unwanted() -> str:
    """Why no test starts one: they take minutes, so they are asked for."""
    if not os.environ.get("TASKGATED_VM"):
        return "a machine in QEMU takes minutes: set TASKGATED_VM=1"
    return missing()


# -- the image -----------------------------------------------------------------------------------


def _shell(*command: str, root: Path | None = None) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    inside = ("chroot", str(root)) if root else ()
    done = subprocess.run(
        [*inside, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
        text=True, errors="replace", check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}"


def _root(suite: str) -> Path:
    """A system with kernel, without our package. For whoever holds the lock."""
    key = hashlib.sha256(f"{suite} {PACKAGES} {KERNEL} {MODULES}".encode()).hexdigest()[:8]
    root = CACHE / f"vm-root-{key}"
    if not root.exists():
        fresh = CACHE / f"vm-root-{key}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        _shell("debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(fresh), mirror())
        # Only what its disks need: a small initrd is read and unpacked sooner.
        (fresh / "etc/initramfs-tools/conf.d").mkdir(parents=True)
        (fresh / "etc/initramfs-tools/conf.d/lab").write_text("MODULES=list\n")
        (fresh / "etc/initramfs-tools/modules").write_text(MODULES)
        _shell("apt-get", "install", "-y", "--no-install-recommends", *KERNEL, root=fresh)
        _shell("apt-get", "clean", root=fresh)
        fresh.rename(root)
    return root


def provide(deb: Path, directory: Path, suite: str) -> None:
    """``disk0``, ``kernel`` and ``initrd`` in that directory, the package installed; all of it is cached."""
    CACHE.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(deb.read_bytes() + Path(__file__).read_bytes())
    for text in FILES.values():
        digest.update(text.encode())
    with open(CACHE / "vm.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = _root(suite)
        made = CACHE / f"vm-image-{root.name[-8:]}-{digest.hexdigest()[:12]}"
        if not made.exists():
            for old in CACHE.glob(f"vm-image-{root.name[-8:]}-*"):
                shutil.rmtree(old)  # each machine has copies
            fresh = CACHE / f"vm-image-{root.name[-8:]}-new"
            fresh.mkdir()  # one that was left half-made went with the old ones
            _make(root, fresh, deb)
            fresh.rename(made)
        for name in ("disk0", "kernel", "initrd"):
            _shell("cp", "--reflink=auto", "--sparse=always", str(made / name), str(directory / name))


def _make(root: Path, fresh: Path, deb: Path) -> None:
    tree = fresh / "root"
    _shell("cp", "-a", "--reflink=auto", str(root), str(tree))
    shutil.copy(deb, tree / "package.deb")
    _shell("dpkg", "--install", "/package.deb", root=tree)
    (tree / "package.deb").unlink()
    (tree / "etc/machine-id").write_text(secrets.token_hex(16) + "\n")
    for name, text in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    _shell("systemctl", "enable", "lab-agent.service", "taskgated.service", root=tree)
    _shell(
        "systemctl", "mask", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer",
        "serial-getty@ttyS0.service", "getty@tty1.service", root=tree,
    )  # fmt: skip
    shutil.copy(next((tree / "boot").glob("vmlinuz-*")), fresh / "kernel")
    shutil.copy(next((tree / "boot").glob("initrd.img-*")), fresh / "initrd")
    (tree / RECORDS[1:]).mkdir()
    _shell("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(fresh / "disk0"), "2G")
    shutil.rmtree(tree)


# -- its parts -----------------------------------------------------------------------------------


class _Read(Protocol):
    """The type of a stream's ``read``."""

    def __call__(self, size: int, /) -> bytes: ...


class Disk(threading.Thread):
    """An image behind a volatile write cache, served to QEMU (the NBD protocol, on a Unix socket)."""

    def __init__(self, path: Path, address: Path) -> None:
        super().__init__(daemon=True)
        self._image = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._size = os.fstat(self._image).st_size
        self._cache: dict[int, bytes] = {}  # blocks that were written since the last flush
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(address))
        self._listener.listen()
        self.start()

    def run(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return  # QEMU never came
        finally:
            self._listener.close()
        with peer, peer.makefile("rb") as stream:
            try:
                self._greet(peer, stream.read)
                while head := stream.read(28):
                    self._serve(peer, stream.read, head)
            except (OSError, struct.error):
                pass  # QEMU was killed in the middle of a request

    def _greet(self, peer: socket.socket, read: _Read) -> None:
        peer.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
        read(4)
        while True:
            _, option, length = struct.unpack(">8sII", read(16))
            read(length)

            def reply(kind: int, data: bytes = b"", option: int = option) -> None:
                peer.sendall(struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data)) + data)

            if option == 7:  # NBD_OPT_GO
                reply(3, struct.pack(">HQH", 0, self._size, 1 | 4))  # it has flags, one of them: flush is understood
                reply(1)
                return
            reply(0x80000001)  # unsupported

    def _serve(self, peer: socket.socket, read: _Read, head: bytes) -> None:
        _, _, kind, cookie, offset, length = struct.unpack(">IHHQQI", head)
        data = b""
        if kind == 0:
            data = self._read(offset, length)
        elif kind == 1:
            written = read(length)
            if len(written) < length:
                return
            self._write(offset, written)
        elif kind == 2:
            raise OSError("disconnected")
        elif kind == 3:
            self._keep(self._cache)
            self._cache = {}
        peer.sendall(struct.pack(">IIQ", 0x67446698, 0, cookie) + data)

    def _read(self, offset: int, length: int) -> bytes:
        data = bytearray(os.pread(self._image, length, offset))
        for number in range(offset // BLOCK, (offset + length - 1) // BLOCK + 1):
            if (block := self._cache.get(number)) is not None:
                first, last = max(offset, number * BLOCK), min(offset + length, (number + 1) * BLOCK)
                data[first - offset : last - offset] = block[first - number * BLOCK : last - number * BLOCK]
        return bytes(data)

    def _write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        first, last = offset // BLOCK * BLOCK, -(-end // BLOCK) * BLOCK
        whole = self._read(first, offset - first) + data + self._read(end, last - end)
        for at in range(0, len(whole), BLOCK):
            self._cache[(first + at) // BLOCK] = whole[at : at + BLOCK]

    def _keep(self, blocks: dict[int, bytes]) -> None:
        for number, block in blocks.items():
            os.pwrite(self._image, block, number * BLOCK)

    def cut(self, rng: random.Random, kept: float) -> int:
        """After QEMU is gone: that part of what was not flushed is on the image. Returns how many blocks are lost."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # who still waits for QEMU is woken by that
        self.join(PATIENCE)
        kept_blocks = {number: block for number, block in self._cache.items() if rng.random() < kept}
        self._keep(kept_blocks)
        os.close(self._image)
        return len(self._cache) - len(kept_blocks)


class Vm(Machine):
    """One such machine; what a container of the lab can be asked, it can be asked as well.

    ``witness``: lines that programs inside wrote to the port of that name, in the order of writing. They are here
    when the power goes, whatever became of the disk. ``powered``: when QEMU was started last (the wall clock).
    """

    def __init__(self, deb: Path, directory: Path, rng: random.Random | None = None, suite: str = SUITES[0]) -> None:
        self.suite = suite
        self.witness: list[str] = []
        self.powered = 0.0
        self._rng = rng or random.Random(0)
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._console = directory / "console"
        self._qemu: subprocess.Popen[bytes] | None = None
        self._asked = 0
        provide(deb, directory, suite)
        _shell("mke2fs", "-q", "-t", "ext4", str(directory / "disk1"), "64M")
        self._disks: list[Disk] = []
        self._ports = ExitStack()  # all that is open to talk to this boot

    # -- life ------------------------------------------------------------------------------------

    def boot(self, wait: bool = True) -> None:
        """Until systemd has started everything; without ``wait`` only until commands can be run inside."""
        sockets = {name: self._directory / name for name in ("nbd0", "nbd1", "lab.control", "lab.witness")}
        for path in sockets.values():
            path.unlink(missing_ok=True)
        self._disks = [Disk(self._directory / f"disk{n}", sockets[f"nbd{n}"]) for n in range(2)]
        command = [
            # It must not outlive whoever runs the trial.
            "setpriv", "--pdeathsig", "KILL",
            "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-m", "1G", "-smp", "2",
            "-kernel", str(self._directory / "kernel"), "-initrd", str(self._directory / "initrd"),
            "-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1",
            "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{self._console}",
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
        ]  # fmt: skip
        for n in range(2):
            # Write-back: the guest is told of a write cache, and its flushes are passed on.
            place = f"nbd+unix:///?socket={sockets[f'nbd{n}']}"
            command += ["-drive", f"file={place},format=raw,if=virtio,cache=writeback,index={n}"]
        for name in ("lab.control", "lab.witness"):
            command += ["-chardev", f"socket,id={name},path={sockets[name]},server=on,wait=off"]
            command += ["-device", f"virtserialport,chardev={name},name={name}"]
        self.powered = time.time()
        with open(self._directory / "qemu", "ab") as said:
            self._qemu = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        self._control = self._ports.enter_context(self._connect(sockets["lab.control"]))
        self._answers = self._ports.enter_context(self._control.makefile("r", encoding="utf-8", errors="replace"))
        witness = self._connect(sockets["lab.witness"])
        reader = threading.Thread(target=self._listen, args=(witness,), daemon=True)
        reader.start()
        self._ports.callback(reader.join, PATIENCE)
        self.run("chown", "taskgate:", RECORDS)
        if wait:
            self.run("systemctl", "is-system-running", "--wait", check=False)

    def _connect(self, address: Path) -> socket.socket:
        def connected() -> socket.socket | None:
            assert self._qemu is not None
            assert self._qemu.poll() is None, self.console()
            made = socket.socket(socket.AF_UNIX)
            try:
                made.connect(str(address))
            except OSError:
                made.close()
                return None
            return made

        made = until(connected, "QEMU listens")
        assert made is not None
        made.settimeout(PATIENCE)
        return made

    def _listen(self, witness: socket.socket) -> None:
        witness.settimeout(None)
        with witness, witness.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    self.witness.append(line[:-1])

    def cut(self, kept: float = 0.0) -> int:
        """The power goes, now; of what was not flushed that part is kept. Returns how many blocks are lost."""
        assert self._qemu is not None
        self._qemu.kill()
        self._qemu.wait()
        self._qemu = None
        self._ports.close()
        disks, self._disks = self._disks, []
        return sum(disk.cut(self._rng, kept) for disk in disks)

    def close(self) -> None:
        """Nothing is left of it, also when it was not booted, or its boot failed half-way."""
        if self._qemu is not None:
            self.cut()
        shutil.rmtree(self._directory, ignore_errors=True)

    def console(self) -> str:
        said = (self._directory / "qemu").read_text(errors="replace")
        return said + (self._console.read_text(errors="replace")[-3000:] if self._console.exists() else "")

    # -- commands inside -------------------------------------------------------------------------

    def try_(self, *command: str, user: str = "root", input: str = "") -> subprocess.CompletedProcess[str]:
        inside = list(command) if user == "root" else ["runuser", "-u", user, "--", *command]
        self._asked += 1
        asked = {"id": self._asked, "command": inside, "input": input}
        self._control.sendall(json.dumps(asked).encode() + b"\n")
        try:
            line = self._answers.readline()
        except TimeoutError:
            line = ""
        assert line, f"no answer to {command}; console: {self.console()}"
        answer = json.loads(line)
        assert answer["id"] == self._asked, answer
        return subprocess.CompletedProcess(inside, answer["status"], answer["output"])

    def write(self, path: str, text: str) -> None:
        self.run("/bin/sh", "-c", 'mkdir -p "${0%/*}" && cat >"$0"', path, input=text)
