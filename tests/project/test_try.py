"""What a person sees first does what is promised: the sample run, and what the README shows of a gate."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from taskgated.control.reasons import worded
from taskgated.core.reasons import QueueFull
from taskgated.ctl.columns import JOB_HEAD
from tests import REPOSITORY


def test_the_samples_pass_the_gate(tmp_path: Path) -> None:
    """In a copy, for a person may have a gate of their own in the checkout."""
    (tmp_path / "packaging").mkdir()
    script = shutil.copy(REPOSITORY / "packaging" / "try.py", tmp_path / "packaging")
    shutil.copytree(REPOSITORY / "etc" / "examples", tmp_path / "etc" / "examples")
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "All ended as they should."
    assert [line.split() for line in lines if line.startswith("ID ")] == [list(JOB_HEAD)]


def test_the_first_screen_shows_what_is_printed() -> None:
    first = (REPOSITORY / "README.md").read_text().partition("\n## ")[0]
    assert [line.split() for line in first.splitlines() if line.startswith("ID ")] == [list(JOB_HEAD)]
    assert f"\n waits for  {worded(QueueFull('etl', 2, 2))}\n" in first
