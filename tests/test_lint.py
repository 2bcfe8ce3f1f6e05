"""Linters and types are tests like any other."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PYTHON = ["taskgated", "tests", "packaging"]


def run(*command: str) -> None:
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_ruff() -> None:
    run(sys.executable, "-m", "ruff", "check", *PYTHON)


def test_format() -> None:
    run(sys.executable, "-m", "ruff", "format", "--check", *PYTHON)


def test_types() -> None:
    run(sys.executable, "-m", "mypy")


def is_shell(path: Path) -> bool:
    first = path.read_bytes().partition(b"\n")[0]
    return first.startswith(b"#!") and first.rpartition(b"/")[2].split()[0] in (b"sh", b"bash", b"dash")


def test_shell() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    scripts = [path for path in listed if (REPOSITORY / path).is_file() and is_shell(REPOSITORY / path)]
    assert {"packaging/build", "systemd/taskgated-generator", "tests/run", ".ci/run"} <= set(scripts)
    run("shellcheck", *scripts)


def test_imports_only_point_downwards() -> None:
    """The layers of the README, as a test: who may import whom."""
    below = {
        "core": {"errors", "core"},
        "formats": {"errors", "core", "formats", "config"},
        "config": {"errors", "core", "formats", "identity", "paths"},
        "identity": {"errors", "paths"},
        "store": {"errors", "core", "clock", "store"},
        "worker": {"errors", "core", "clock", "wire", "sockets", "paths", "output", "outcomes", "journal", "worker"},
        "acl": set(),
        "directories": {"errors", "identity", "paths", "acl"},
        "intake": {
            "errors",
            "core",
            "formats",
            "config",
            "paths",
            "store",
            "trace",
            "clock",
            "acl",
            "directories",
            "identity",
            "intake",
        },
        "ctl": {"errors", "core", "formats", "config", "paths", "wire", "sockets", "acl", "identity", "ctl"},
    }
    wrong = []
    for path in (REPOSITORY / "taskgated").rglob("*.py"):
        layer = path.relative_to(REPOSITORY / "taskgated").parts[0].removesuffix(".py")
        if layer not in below:
            continue
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] == ["from"] and words[1].startswith("taskgated."):
                target = words[1].split(".")[1]
                if target not in below[layer]:
                    wrong.append(f"{path.name}: {line.strip()}")
    assert not wrong
