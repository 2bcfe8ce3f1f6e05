"""Builds packages for tests with ``packaging/build``: each at most once a session, into a directory of its own."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests import REPOSITORY

BUILD = REPOSITORY / "packaging" / "build"
PATIENCE = 600.0
"""Seconds for one build. It may have to install what it needs."""


def deb(version: str | None = None) -> Path:
    """The Debian package; with another version number if one is given."""
    return _package("deb", version)[0]


def rpm() -> Path:
    return _package("rpm")[0]


def wheel() -> Path:
    return _package("wheel")[0]


def source() -> Path:
    """The Debian source package: its .dsc, beside which the rest lies."""
    return _package("source")[0]


def _package(kind: str, version: str | None = None) -> list[Path]:
    """What was made. The test is skipped if something is missing here that the build needs, and may not install."""
    result = _built(kind, version)
    if result.returncode == os.EX_UNAVAILABLE:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 0, result.stderr
    return [Path(line) for line in result.stdout.splitlines()]


@functools.cache
def _built(kind: str, version: str | None) -> subprocess.CompletedProcess[str]:
    return build(BUILD, kind, *(["--version", version] if version else []), "--output", str(_output()))


def build(program: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *args], capture_output=True, text=True, timeout=PATIENCE, check=False)


@functools.cache
def _output() -> Path:
    directory = tempfile.mkdtemp(prefix="taskgated-packages-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory)
