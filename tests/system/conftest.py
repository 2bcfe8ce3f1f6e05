"""The lab's fixtures: one machine for each Debian release, with the package installed by apt."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.env.packages import deb as build_deb
from tests.system.gate import Gate
from tests.system.machine import SUITES, Machine


def missing() -> str:
    if os.geteuid() != 0:
        return "the lab needs root"
    for program in ("systemd-nspawn", "debootstrap", "nsenter", "dpkg-buildpackage"):
        if shutil.which(program) is None:
            return f"the lab needs {program}"
    return ""


@pytest.fixture(scope="package", params=SUITES)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Booted, without our package. Its tests run one after the other, in the order of the file."""
    if reason := missing():
        pytest.skip(reason)
    made = Machine(request.param, tmp_path_factory.mktemp(request.param))
    try:
        made.boot()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def deb() -> Path:
    return build_deb()


@pytest.fixture(scope="package")
def installed(machine: Machine, deb: Path) -> Gate:
    """The machine with the package installed, three users, and a short patience."""
    gate = Gate(machine)
    gate.users()
    gate.install(deb)
    gate.members()
    gate.configure("")
    return gate


@pytest.fixture
def gate(installed: Gate) -> Iterator[Gate]:
    """The running service, its failures forgotten; afterwards it must be as sound as before."""
    installed.make_ready()
    yield installed
    installed.configure("")
    installed.make_ready()
    installed.cancel_all()
    assert installed.leftovers() == []
