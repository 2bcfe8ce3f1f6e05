"""What the documents say is what the code declares."""

from __future__ import annotations

import re

from taskgated.core.lifecycle import diagram
from taskgated.host.paths import Layout
from taskgated.language.keys import LATER
from tests import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
DESIGN = (REPOSITORY / "taskgated" / "DESIGN.md").read_text()
PROMISE = re.compile(r"^(?:\| )?(\d+)\. (\*\*[^*]+\*\*)", re.MULTILINE)
PROMISES = DESIGN.partition("\n## The promises\n")[2].partition("\n## ")[0]
PLACES = ("", "taskgated", "tests")
"""Where the design page may name a file from."""
TOP_LEVEL = {"pyproject.toml", "taskgated", "packaging", "systemd", "tests", "etc", "README.md", "LICENSE"}


def test_keys_of_later_versions_are_named() -> None:
    assert " ".join(f"`{key}`" for key in LATER) in README


def test_the_states_are_drawn_from_the_table() -> None:
    assert diagram() in DESIGN


def test_the_promises_of_the_design_page_are_those_of_the_readme() -> None:
    promised = PROMISE.findall(README.partition("## What it promises\n")[2].partition("\n## ")[0])
    assert promised == PROMISE.findall(PROMISES)
    assert [int(number) for number, _ in promised] == list(range(1, len(promised) + 1))


def test_each_promise_has_tests_that_break_things() -> None:
    rows = [row.split("|") for row in PROMISES.splitlines() if PROMISE.match(row)]
    assert rows
    for _, promise, tests, _ in rows:
        files = re.findall(r"`([^`]+)`", tests)
        assert files, promise
        assert [name for name in files if not (REPOSITORY / "tests" / name).is_file()] == [], promise


def test_the_files_that_documents_name_exist() -> None:
    """Those with a folder, and modules; but what stands for any name (``VERB``), and what is of the running gate."""
    missing = []
    for text, places in ((README, PLACES[:1]), (DESIGN, PLACES)):
        for name in set(re.findall(r"`([\w.-]+/[\w./-]*|\w+\.py)`", text)):
            ours = places == PLACES or name.split("/")[0] in TOP_LEVEL | {".github"}
            if not ours or name in ("rejected/", "failed/") or re.search(r"[A-Z]{2,}\.py$", name):
                continue
            here = any((REPOSITORY / place / name).exists() for place in places)
            if not here and not ("/" not in name and list((REPOSITORY / "taskgated").rglob(name))):
                missing.append(name)
    assert missing == []


def test_the_paths_are_those_of_the_program() -> None:
    layout = Layout.system()
    for path in (
        layout.spool,
        layout.rejected,
        layout.failed,
        layout.log,
        layout.config_file,
        layout.run,
        layout.state,
    ):
        assert str(path) in README


def test_nothing_else_at_the_top() -> None:
    import subprocess

    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in listed.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


def test_modules_stay_small_enough_to_hold_in_the_head() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in (REPOSITORY / "taskgated").rglob("*.py")}
    assert not {str(path): n for path, n in lines.items() if n > 400}
