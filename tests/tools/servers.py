"""Servers on loopback, each with a configuration of its own and nothing of the host's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.env.until import until

_PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/lib/openssh"))


def program(name: str) -> str | None:
    """Where it is, also one for administrators, or for sshd."""
    return shutil.which(name, path=_PLACES)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def _served(command: list[str], port: int, log: Path) -> Iterator[None]:
    """The server is there; it ends with the block."""
    with open(log, "ab") as file:
        # A session of its own: smbd, when it ends, sends SIGTERM to its whole process group.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        until(lambda: _answers(port) or process.poll() is not None, f"{command[0]} answers")
        assert process.poll() is None, f"{command[0]} has ended: {log.read_text()}"
        yield
    finally:
        process.terminate()
        process.wait(30)


def sftp_server() -> Mapping[str, str]:
    """What stands for ``{scp}`` and ``{sftp}`` where there is no sshd: they start what that starts (sftp(1), -D)."""
    server = program("sftp-server")
    return {} if server is None else {"scp": f"scp -q -D {server}", "sftp": f"sftp -q -b - -D {server}"}


@contextmanager
def sshd(directory: Path) -> Iterator[Mapping[str, str]]:
    """What stands for ``{ssh}``, ``{scp}``, ``{sftp}`` and ``{lftp}`` in a way. The host is called ``host``."""
    port = _free_port()
    for name in ("key", "host_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
        subprocess.run(command, check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where the part without privileges is confined to
    (directory / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {directory}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {directory}/key.pub\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n"
    )
    (directory / "ssh_config").write_text(
        f"Host host\n HostName 127.0.0.1\n Port {port}\n IdentityFile {directory}/key\n IdentitiesOnly yes\n"
        f" UserKnownHostsFile {directory}/known\n StrictHostKeyChecking no\n BatchMode yes\n LogLevel ERROR\n"
    )
    server = program("sshd")
    assert server is not None
    with _served([server, "-D", "-e", "-f", str(directory / "sshd_config")], port, directory / "sshd.log"):
        configured = f"-F {directory}/ssh_config"
        yield {
            "ssh": f"ssh {configured}",
            "scp": f"scp -q {configured}",
            "sftp": f"sftp -q -b - {configured}",
            "lftp": f'lftp --norc -c \'set sftp:connect-program "ssh -a -x {configured}"; set cmd:fail-exit yes; '
            "set net:max-retries 1; open sftp://host; ",
        }


@contextmanager
def smbd(directory: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """What stands for ``{smb}``: one share, the spool, for everybody."""
    port = _free_port()
    kinds = ("lock directory", "state directory", "cache directory", "pid directory", "private dir", "ncalrpc dir")
    for kind in kinds:
        (directory / kind).mkdir()
    places = "".join(f" {kind} = {directory / kind}\n" for kind in kinds)
    (directory / "smb.conf").write_text(
        f"[global]\n smb ports = {port}\n interfaces = lo\n bind interfaces only = yes\n map to guest = Bad User\n"
        f" disable netbios = yes\n load printers = no\n log file = {directory}/smbd.log\n guest account = root\n"
        f"{places}"
        f"[spool]\n path = {shared}\n guest ok = yes\n read only = no\n force user = root\n"
    )
    server = program("smbd")
    assert server is not None
    command = [server, "-F", "--no-process-group", "-s", str(directory / "smb.conf"), "--debug-stdout"]
    with _served(command, port, directory / "smbd.out"):
        yield {"smb": f"smbclient -N -p {port} -s {directory}/smb.conf //127.0.0.1/spool"}
