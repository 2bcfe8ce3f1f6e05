"""A gate on a host with users of our own: its ``/etc`` has a passwd(5) that a test writes, or takes away."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

from tests.env.gate import GateEnv

POSSIBLE = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
WHY = "no mount namespace may be made here: it needs root and unshare(1)"


class People:
    """The users of the host of one gate, which is not started yet."""

    def __init__(self, gate: GateEnv) -> None:
        directory = gate.root / "people"
        directory.mkdir()
        self._passwd = directory / "passwd"
        (directory / "nsswitch.conf").write_text("passwd: files\ngroup: files\n")
        (directory / "group").write_text("root:x:0:\n")
        self.are()
        script = gate.root / "python"
        links = " && ".join(
            f"ln -s {shlex.quote(str(directory / name))} /etc/{name}" for name in ("passwd", "nsswitch.conf", "group")
        )
        inner = f'mount -t tmpfs none /etc && {links} && exec {shlex.quote(sys.executable)} "$@"'
        script.write_text(f"#!/bin/sh\nexec unshare --mount sh -c '{inner}' sh \"$@\"\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        gate.python = str(script)

    def are(self, **uids: int) -> None:
        """These, and root, from now on."""
        new = self._passwd.with_suffix(".new")
        new.write_text("".join(f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for name, uid in {"root": 0, **uids}.items()))
        new.replace(self._passwd)

    def cannot_be_asked(self) -> None:
        """As with a directory service that is away."""
        self._passwd.unlink()


def drop_as(gate: GateEnv, uid: int, name: str, content: str) -> Path:
    staged = gate.root / "staged"
    staged.write_text(content)
    os.chown(staged, uid, uid)
    dropped: Path = staged.rename(gate.layout.spool / name)
    return dropped
