"""The probes behind a gate: the examples are taken by it and by them, and no cron finds the cluster full."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.host.paths import Layout
from taskgated.language.config import Config
from taskgated.language.configfiles import load
from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.probing import PROBES
from tests.env.resourcemanager import ResourceManager
from tests.env.until import until

sys.path.append(str(REPOSITORY / "packaging"))
import declared

INSTALLED = Path("/usr/share/taskgated/probes")


def example() -> str:
    return (REPOSITORY / "etc" / "examples" / "probes" / "taskgated.yaml").read_text()


def in_the_manual() -> str:
    page = (REPOSITORY / "packaging" / "man" / "taskgate-probes.8").read_text()
    found = re.search(r"^\.EX\n(probes:\n.*?)^\.EE$", page, re.MULTILINE | re.DOTALL)
    assert found
    return found[1].replace("\\-", "-")


def in_the_reference() -> str:
    text = (REPOSITORY / "etc" / "taskgated.yaml").read_text()
    found = re.search(r"^#\n((?:#  .*\n)+)probes: \{\}$", text, re.MULTILINE)
    assert found
    return "probes:\n" + re.sub("^#", "", found[1], flags=re.MULTILINE)


def loaded(tmp_path: Path, text: str) -> Config:
    layout = Layout.under(tmp_path)
    layout.config_drop_ins.mkdir(parents=True)
    layout.config_file.write_text(text)
    return load(layout)


@pytest.mark.parametrize("text", [example, in_the_manual, in_the_reference])
def test_the_gate_takes_it_and_the_probes_their_command_lines(tmp_path: Path, text: Callable[[], str]) -> None:
    config = loaded(tmp_path, text())
    assert config.probes
    for probe in config.probes.values():
        program, *words = probe.command
        assert Path(program).parent == INSTALLED
        given = declared.of_a_probe(PROBES / Path(program).name).parse_args(words)  # else it exits
        assert given.timeout < probe.timeout


def test_the_example_has_all_of_them_and_a_queue_for_each(tmp_path: Path) -> None:
    config = loaded(tmp_path, example())
    names = {Path(probe.command[0]).name for probe in config.probes.values()}
    assert names == {"yarn", "slurm", "http", "postgresql", "kerberos"}
    assert {queue.probe for queue in config.queues.values()} - {None} == set(config.probes)


def test_crons_that_start_together_find_room_one_after_the_other(make_gate: Callable[..., GateEnv]) -> None:
    """A look is rarer than it takes an application to be there, whatever else this machine does."""
    gate = make_gate("", start=False)
    with ResourceManager(room=2) as manager:
        submit = manager.spark_submit(gate.scratch / "spark-submit", 0.3)
        probe = f"{sys.executable}, -IBS, {PROBES / 'yarn'}, --url, '{manager.url}', --queue, root.etl"
        gate.configure(
            f"workers: 6\nprobes: {{yarn: {{command: [{probe}, --max-apps, '2'], every: 3s}}}}\n"
            "queues: {etl: {probe: yarn}}\n"
        )
        gate.start()
        for number in range(6):
            gate.drop(f"{number}.yaml", f"command: [{submit}, --queue, root.etl]\n", "etl")
        until(lambda: len(gate.jobs()) == 6, "all are taken in")
        until(lambda: b"queue root.etl: " in gate.ctl("why", "6").stdout, "the last one says why it waits")
        assert {job["state"] for job in gate.until_over(6)} == {"succeeded"}
    assert (manager.submitted, manager.rejected, manager.finished) == (6, 0, 6)
    assert manager.most == 2
