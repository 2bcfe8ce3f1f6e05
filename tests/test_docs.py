"""What the documents say is what the code declares."""

from __future__ import annotations

import re
from pathlib import Path

from taskgated.core.lifecycle import diagram
from taskgated.ctl.__main__ import parser as ctl_parser
from taskgated.formats.keys import LATER
from taskgated.paths import Layout

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
TOP_LEVEL = {"pyproject.toml", "taskgated", "packaging", "systemd", "tests", "etc", "README.md", "LICENSE"}


def test_keys_of_later_versions_are_named() -> None:
    assert " ".join(f"`{key}`" for key in LATER) in README


def test_the_states_are_drawn_from_the_table() -> None:
    assert diagram() in README


def test_the_commands_are_those_of_the_program() -> None:
    usage = ctl_parser().format_help()
    for command in re.findall(r"status \| (.*)", README)[0].replace("...", "").split(" | "):
        assert command.split()[0] in usage


def test_the_paths_are_those_of_the_program() -> None:
    layout = Layout.system()
    for path in (layout.spool, layout.rejected, layout.log, layout.config_file, layout.run, layout.state):
        assert str(path) in README


def test_nothing_else_at_the_top() -> None:
    import subprocess

    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in listed.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


def test_modules_stay_small_enough_to_hold_in_the_head() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in (REPOSITORY / "taskgated").rglob("*.py")}
    assert not {str(path): n for path, n in lines.items() if n > 410}
