"""What ``taskgatectl check`` says of a file, the gate does: any content under any name, and files of the fuzzer.

All files of a kind of test are dropped at once, for most of the time goes by while the gate lets them rest.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.env.intake import Gate, running
from tests.env.until import until
from tests.language.test_fuzz import FULL, SCRIPT, SPEC_YAML, TASKS, TOKENS

CONTENTS = {
    "script": b"#!/bin/sh\necho x\n",
    "json": b'{"command": ["echo", "x"]}\n',
    "yaml": b"command: [echo, x]\n",
    "list": b"echo a\necho b\n",
    "elf": b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0" + bytes(40),
    "zip": b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(range(128, 178)),
    "empty": b"",
    "comments": b"# one\n# two\n",
    "mark": b"\xef\xbb\xbf",
    "nul": b"\0",
}
NAMES = (".sh", ".yaml", ".json", ".txt", ".tasks", ".py", "", ".sh.txt", ".yaml.sh", ".tar.gz", ".txt.yaml")
LISTS = (".txt", ".tasks", ".sh.txt")
SPECS = (".yaml", ".json", ".txt.yaml")
SCRIPTS = tuple(name for name in NAMES if name not in LISTS + SPECS)
TAKEN = {  # content: the names under which it is taken, and how many jobs it makes then
    "script": (SCRIPTS, 1),
    "json": (SPECS, 1),
    "yaml": ((".yaml", ".txt.yaml"), 1),
    "list": (LISTS, 2),
    "empty": (LISTS, 0),
    "comments": (LISTS, 0),
    "mark": (LISTS, 0),
}


@dataclass
class Said:
    """``jobs``: how many; None if it is refused, for ``why``."""

    jobs: int | None
    why: str


def by_check(root: Path, files: Mapping[str, bytes]) -> dict[str, Said]:
    root.mkdir()
    for name, data in files.items():
        (root / name).write_bytes(data)
    command = [
        sys.executable,
        "-m",
        "taskgated.ctl",
        "--root",
        str(root),
        "check",
        "--json",
        *(str(root / name) for name in files),
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False)
    found = {}
    for result in json.loads(done.stdout):
        problems = result["problems"]
        found[Path(result["file"]).name] = Said(
            result["jobs"] if result["ok"] else None, problems[0]["message"] if problems else ""
        )
    return found


def by_gate(gate: Gate, files: Mapping[str, bytes]) -> dict[str, Said]:
    for name, data in files.items():
        gate.drop(name, data)
    until(lambda: not any((gate.spool / name).exists() for name in files), "all are taken or refused", 120)
    until(gate.idle, "nothing of them is left", 60)
    jobs = Counter(gate.sink.sources)
    refused = {name.removesuffix(".reason") for name in gate.rejected() if name.endswith(".reason")}
    return {
        name: Said(None, (gate.layout.rejected / f"{name}.reason").read_text())
        if name in refused
        else Said(jobs[name], "")
        for name in files
    }


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Said], dict[str, Said]]:
    files = {f"{what}{name}": data for what, data in CONTENTS.items() for name in NAMES}
    root = tmp_path_factory.mktemp("matrix")
    (root / "gate").mkdir()
    with running(root / "gate", settle_time=0.1) as gate:
        return by_check(root / "check", files), by_gate(gate, files)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", CONTENTS)
def test_both_say_the_same_of_each_content_under_each_name(
    matrix: tuple[dict[str, Said], dict[str, Said]], what: str, name: str
) -> None:
    check, gate = (said[f"{what}{name}"] for said in matrix)
    assert check.jobs == gate.jobs, f"check: {check}, gate: {gate}"
    assert check.why in gate.why
    names, jobs = TAKEN.get(what, ((), 0))
    assert check.jobs == (jobs if name in names else None), check


def files_of_the_fuzzer(number: int) -> dict[str, bytes]:
    """Files that are nearly right, always the same ones."""
    random_ = random.Random(7)
    valid = {
        ".yaml": SPEC_YAML, ".json": json.dumps([FULL, FULL]).encode(), ".sh": SCRIPT, ".tasks": TASKS, "": SCRIPT,
        ".txt": TASKS,
    }  # fmt: skip
    files = {}
    for count in range(number):
        name = random_.choice(list(valid))
        data = valid[name]
        for _ in range(random_.randint(1, 2)):
            start = random_.randint(0, len(data))
            end = random_.choice((start, min(len(data), start + random_.randint(0, 20))))
            data = data[:start] + random_.choice((b"", *TOKENS)) + data[end:]
        files[f"{count}{name}"] = data
    return files


def test_both_say_the_same_of_files_of_the_fuzzer(tmp_path: Path) -> None:
    files = files_of_the_fuzzer(300)
    (tmp_path / "gate").mkdir()
    with running(tmp_path / "gate", settle_time=0.1) as gate:
        check, done = by_check(tmp_path / "check", files), by_gate(gate, files)
    assert {said.jobs is None for said in check.values()} == {True, False}
    for name, data in files.items():
        assert check[name].jobs == done[name].jobs, f"{data!r}; check: {check[name]}, gate: {done[name]}"
        assert check[name].why in done[name].why, data
