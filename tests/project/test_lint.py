"""Linters and types are tests like any other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import REPOSITORY

HOOKS = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
"""The one list of linters; the tests and pre-commit run them."""


def run(*command: str) -> None:
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("entry", [hook["entry"] for hook in HOOKS if hook.get("pass_filenames") is False])
def test_python(entry: str) -> None:
    program, *words = entry.split()
    assert program == ".venv/bin/python"
    run(sys.executable, *words)


def test_no_linter_is_missing() -> None:
    assert [hook["id"] for hook in HOOKS] == ["ruff", "format", "types", "shell"]


def test_types_of_the_probes(tmp_path: Path) -> None:
    """In a copy, by other names: they have no suffix, and one is called like a module of Python."""
    for path in (REPOSITORY / "packaging" / "probes").iterdir():
        if path.is_file():
            shutil.copyfile(path, tmp_path / (path.name if path.suffix else f"probe_{path.name}.py"))
    files = [str(path) for path in tmp_path.glob("*.py")]
    assert len(files) == 7
    run(sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", *files)


def test_probes_are_looked_at_by_ruff() -> None:
    """Which finds no program without a suffix by itself."""
    shown = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-files", "packaging"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(REPOSITORY / "packaging" / "probes" / "yarn") in shown.stdout.splitlines()


def is_shell(path: Path) -> bool:
    first = path.read_bytes().partition(b"\n")[0]
    return first.startswith(b"#!") and first.rpartition(b"/")[2].split()[0] in (b"sh", b"bash", b"dash")


def test_shell() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    (hook,) = [hook for hook in HOOKS if hook["id"] == "shell"]
    ours = [path for path in listed if not re.match(hook["exclude"], path)]
    scripts = [path for path in ours if (REPOSITORY / path).is_file() and is_shell(REPOSITORY / path)]
    assert {"packaging/build", "systemd/taskgated-generator", "tests/run", ".ci/run"} <= set(scripts)
    run(hook["entry"], *scripts)
