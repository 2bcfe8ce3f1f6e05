"""One gate under attack by hostile people, and what shows that it is well, during each attack and after it."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.chaos import auditor
from tests.chaos.leftovers import leftovers, missing
from tests.chaos.table import Row
from tests.env.gate import GateEnv
from tests.env.until import until

RECORD = Path(__file__).with_name("record.py")
PATIENCE = 240.0
"""Seconds for an honest job, on a busy machine; an idle one needs some 0.1."""
PEAK = 64 * 1024**2
LASTING = 24 * 1024**2
"""By how much the daemon's memory may grow during an attack, and by an attack."""
DESCRIPTORS = 1024
"""As many as systemd gives a service."""
SHARE = 2000
"""Jobs that one user may have queued."""
CONFIG = """\
workers: 2
rescan_interval: 2s
max_backlog: 3000000
user_backlog: 2000
queues:
  default: {limit: 2}
  honest: {limit: 2}
  parked: {defaults: {delay: 1d}}
  lines: {handler: {command: ["true", "{line}"]}, defaults: {delay: 1d}}
  witnesses: {handler: {command: ["true", "{line}"]}}
  files: {handler: {command: [PYTHON, HANDLER, "{file}"]}}
"""


class Stage:
    """``start``, attack, ``close``, and then there is a row. ``notes`` collects what is not as it should be, ``left``
    counts what nobody will clean up."""

    def __init__(self, random_: random.Random, everything: bool) -> None:
        self.random = random_
        self.everything = everything
        self.directory = Path(tempfile.mkdtemp(prefix="hostile-"))
        self.record = self.directory / "record"
        self.handler = self.directory / "handler"
        config = CONFIG.replace("PYTHON", sys.executable).replace("HANDLER", str(self.handler))
        self.gate = GateEnv(self.directory / "gate", config)
        self.notes: list[str] = []
        self.tries = self.left = 0
        self.seconds = 0.0
        self.rejected: set[str] = set()
        self._names: list[str] = []
        self._verdict = auditor.Verdict()

    def start(self) -> None:
        self.record.mkdir(exist_ok=True)
        for directory in (self.directory, self.gate.root):  # whoever is kept out is so by a socket, not by these
            directory.chmod(0o711)
        self.gate.start()
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        self.honest("at first")

    def close(self) -> None:
        """Stop the gate, look at what it leaves, and at what the jobs have written down; then nothing is left."""
        try:
            self._stop()
        except Exception as error:
            self.left += 1
            self.notes.append(said(error))
        try:
            self._verdict = auditor.judge(auditor.read(self.record), self._names, 2)
        except Exception as error:
            self.notes.append(said(error))
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _stop(self) -> None:
        alive = self.gate.process is not None and self.alive
        try:
            if alive:
                self.until_done()
        finally:
            self.gate.clean_up()
        if not alive:
            return
        if status := self.gate.wait():
            self.notes.append(f"the daemon stops with status {status}")
        found = leftovers(self.gate.layout, self.rejected)
        self.left += len(found)
        self.notes += [f"left behind: {path}" for path in found]

    def until_done(self, patience: float = PATIENCE) -> None:
        """Everything that was taken out of the spool is done with."""

        def claimed() -> list[str]:
            return [name for name in os.listdir(self.gate.layout.claims) if not name.startswith("done.")]

        until(lambda: not claimed(), "everything that was taken out of the spool is done with", patience)

    @property
    def pid(self) -> int:
        assert self.gate.process is not None
        return self.gate.process.pid

    @property
    def alive(self) -> bool:
        assert self.gate.process is not None
        return self.gate.process.poll() is None

    def drop(self, name: str | bytes, content: str | bytes, queue: str = "") -> None:
        self.gate.drop(name, content, queue)

    def refused(self, *names: str) -> None:
        """These are put aside, in time, each with a reason beside it."""
        layout = self.gate.layout
        self.rejected.update(names)
        until(lambda: not missing(layout, names), f"these are refused: {missing(layout, names)}", PATIENCE)
        for name in names:
            reason = (layout.rejected / f"{name}.reason").read_bytes()
            assert b"\n\nRefused " in reason and not reason.startswith(b"\n"), f"no reason for {name}: {reason!r}"

    def remove_rejected(self, name: str) -> None:
        """As an administrator does who has seen it."""
        for path in (self.gate.layout.rejected / name, self.gate.layout.rejected / f"{name}.reason"):
            path.unlink()
        self.rejected.discard(name)

    def honest(self, when: str = "meanwhile", patience: float = PATIENCE) -> float:
        """Somebody's job runs, whatever else goes on; returns the seconds that took."""
        name = f"honest-{len(self._names)}"
        self._names.append(name)
        command = json.dumps([sys.executable, str(RECORD), str(self.record), name, "0", "2"])
        dropped = time.monotonic()
        self.drop(f"{name}.yaml", f"name: {name}\ncommand: {command}\n", "honest")

        def ended() -> bool:
            assert self.alive, "the daemon is dead"
            return any(line.word == "end" and line.name == name for line in auditor.read(self.record))

        until(ended, f"an honest job dropped {when} runs", patience)
        return time.monotonic() - dropped

    def attack(self, name: str, attack: Callable[[Stage], None]) -> None:
        """One attack, with all that must hold during it and after it."""
        self.tries += 1
        open_before = self._descriptors()
        try:
            before = self._memory("RssAnon")
            Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # the peak is counted from here on (proc(5))
            peak_before = self._memory("VmHWM")
            attack(self)
            self.seconds = max(self.seconds, self.honest("afterwards"))
            grown = self._memory("VmHWM") - peak_before
            assert grown < PEAK, f"the daemon's memory grew by {grown >> 20} MB meanwhile"
            until(lambda: self._descriptors() <= open_before + 2, "the descriptors are back", PATIENCE)
            until(lambda: self._memory("RssAnon") - before < LASTING, "the memory is back", PATIENCE)
            assert self._turns_seldom(), "the daemon does not come to rest"
        except Exception as error:  # whatever it is, the others are to be tried as well
            self.notes.append(f"{name}: {said(error)}")
            try:
                self.gate.wait(1)
            except subprocess.TimeoutExpired:
                self.left += self._descriptors() > open_before + 2
            else:
                self.notes.append(f"{name}: the daemon died:\n{self.gate.log()[-3000:]}")
                self.start()

    def row(self, attack: str) -> Row:
        """What came of it, after ``close``."""
        verdict = self._verdict
        notes = [f"ran again without need: {name}" for name in verdict.again]
        notes += [f"attempts' numbers did not grow: {name}" for name in verdict.gaps]
        counts = len(verdict.lost), len(verdict.twice), len(verdict.over)
        return Row(attack, self.tries, *counts, self.left, self.seconds, (*self.notes, *notes))

    def _memory(self, what: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"the daemon has no {what}: it is dead")

    def _descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _turns_seldom(self) -> bool:
        """Nothing makes the daemon spin: some second comes in which it computes for less than half of it."""

        def ticks() -> int:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])

        def quiet() -> bool:
            before = ticks()
            time.sleep(0.5)  # not to wait for anything: it is what is measured
            return ticks() - before < os.sysconf("SC_CLK_TCK") // 4

        return until(quiet, "the daemon comes to rest", PATIENCE)


def said(error: BaseException) -> str:
    """What went wrong: the words of an assertion, if it has any, or where it happened."""
    words = str(error) if isinstance(error, AssertionError) else ""
    return words or "".join(traceback.format_exception(error)).strip()


def siege(attack: str, kinds: Iterable[Callable[[Stage], None]], random_: random.Random, everything: bool) -> Row:
    """All of these against one daemon. There is a row in any case."""
    stage = Stage(random_, everything)
    try:
        stage.start()
        for kind in kinds:
            stage.attack(kind.__name__.replace("_", " "), kind)
    except Exception as error:
        stage.notes.append(said(error))
    finally:
        stage.close()
    return stage.row(attack)
