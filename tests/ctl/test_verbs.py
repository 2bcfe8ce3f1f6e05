"""A verb of ``taskgatectl`` is one module; a command line loads the one that it is about."""

from __future__ import annotations

import subprocess
import sys

import pytest

from taskgated.ctl import __main__ as ctl
from tests import REPOSITORY

LOADED = """\
import sys
from taskgated.ctl import __main__ as ctl
try:
    ctl.main(sys.argv[1:])
except SystemExit:
    pass
print(sorted(name for name in ctl.VERBS if f"taskgated.ctl.{name}" in sys.modules))
"""


def loaded(*argv: str) -> str:
    command = [sys.executable, "-c", LOADED, *argv]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_every_module_of_a_verb_is_in_the_table() -> None:
    there = {path.stem for path in (REPOSITORY / "taskgated" / "ctl").glob("*.py") if "\nVERB = " in path.read_text()}
    assert there == set(ctl.VERBS)


@pytest.mark.parametrize("argv", [["status"], ["--root", "/nowhere", "status"], ["--json", "status", "--user"]])
def test_the_verb_alone_is_loaded(argv: list[str]) -> None:
    assert loaded(*argv) == "['status']"


def test_the_value_of_an_option_is_no_verb() -> None:
    assert loaded("--root", "status", "cancel", "x") == "['cancel']"


@pytest.mark.parametrize(
    "argv", [[], ["--help"], ["--help", "list"], ["--root"], ["--root", "list"], ["lst"], ["--", "list"], ["--root="]]
)
def test_what_begins_with_no_verb_is_told_of_all(argv: list[str]) -> None:
    assert list(ctl.meant(argv)) == list(ctl.VERBS)


@pytest.mark.parametrize("name", ctl.VERBS)
def test_one_verb_is_parsed_as_among_all(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for parser in (ctl.parser(), ctl.parser([name])):
        for argv in ([name, "--help"], [name, "--nonsense"]):
            with pytest.raises(SystemExit):
                parser.parse_args(argv)
        said.append(capsys.readouterr())
    assert said[0] == said[1]
