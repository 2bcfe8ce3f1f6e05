"""Files in the making are not taken from under their writer, whatever their names are."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from taskgated.intake import later, settle
from taskgated.language.config import QueueConfig
from taskgated.language.names import hidden, in_the_making, looks_temporary
from tests.env.intake import QUEUES, Gate, config, running
from tests.env.until import until

SPEC = "command: [echo]\n"
SCRIPT = "#!/bin/sh\ntrue\n"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with running(tmp_path, settle_time=3.0) as gate:
        yield gate


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs start slowly on a busy machine."""
    monkeypatch.setattr(settle, "MOMENT", 3.0)
    monkeypatch.setattr(settle, "LONGEST", 60.0)


def stays(gate: Gate, *sources: str, rejected: tuple[str, ...] = ()) -> None:
    until(lambda: gate.sink.sources == list(sources))
    assert gate.rejected() == sorted([*rejected, *(f"{name}.reason" for name in rejected)])


UNFINISHED = [
    ".a.yaml", ".#a.yaml", "#a.yaml#", "~$a.yaml", "a.yaml~", "a.yaml.tmp", "a.yaml.part", "a.yaml.swp",
    "a.yaml.filepart", "a.yaml.crdownload", "a.yaml.partial", "a.yaml.download", "a.yaml.!ut",
]  # fmt: skip


@pytest.mark.parametrize("queue", ["", "data/", "lines/"])
def test_a_name_in_the_making_is_left_alone_until_it_is_renamed(tmp_path: Path, queue: str) -> None:
    with running(tmp_path, settle_time=0.0) as gate:
        for name in UNFINISHED:
            (gate.spool / queue / name).write_text(SPEC)
        gate.intake._rescan_at = 0.0  # they are not found by a look at everything either
        gate.drop("b.yaml", SPEC)
        until(lambda: "b.yaml" in gate.sink.sources)
        gate.check()
        assert gate.sink.sources == ["b.yaml"]
        assert set(UNFINISHED) <= set(os.listdir(gate.spool / queue))
        assert not gate.rejected()
        (gate.spool / queue / "a.yaml.filepart").rename(gate.spool / queue / "a.yaml")
        until(lambda: gate.sink.sources == ["b.yaml", "a.yaml"])


@pytest.mark.parametrize("name", ["a.yaml.1234567", "seda1B2c3", "tmpab12_cde", "tmp.a1B2c3D4e5"])
@pytest.mark.parametrize("queue", ["", "data/", "lines/"])
def test_an_atomic_writer_gets_to_its_rename(gate: Gate, queue: str, name: str) -> None:
    (gate.spool / queue / name).write_text(SCRIPT)
    time.sleep(0.35)  # longer than what is written in place rests, shorter than settle_time
    (gate.spool / queue / name).rename(gate.spool / queue / "final.sh")
    until(lambda: "final.sh" in gate.sink.sources)
    assert set(gate.sink.sources) == {"final.sh"}
    assert not gate.rejected()


@pytest.mark.parametrize("name", ["a.yaml.1234567", "seda1B2c3", "tmpab12_cde"])
def test_what_only_looks_temporary_is_taken_in_the_end(gate: Gate, name: str) -> None:
    gate.drop(name, SCRIPT)
    gate.drop(f"data/{name}", "x")
    until(lambda: gate.sink.sources == [name, name])
    assert not gate.rejected()


@pytest.mark.parametrize("name", ["report.2024.yaml", "sedate.sh", "tmpclean.tasks", "tmpab12_c.yaml", "job.12345"])
def test_a_name_that_somebody_has_chosen_is_no_temporary_one(name: str) -> None:
    raw = os.fsencode(name)
    assert not in_the_making(raw)
    assert not looks_temporary(raw) or name.endswith(".yaml")


def test_a_name_with_a_known_ending_does_not_rest(tmp_path: Path) -> None:
    with running(tmp_path, settle_time=3600.0) as gate:
        gate.drop("report.2024.yaml", SPEC)
        gate.drop("tmpclean.tasks", "true\n")
        gate.drop("sedate.sh", SCRIPT)
        until(lambda: gate.sink.sources == ["report.2024.yaml", "tmpclean.tasks", "sedate.sh"])


def test_what_fits_nothing_rests_before_it_is_refused(gate: Gate) -> None:
    gate.drop("a.yaml.unheard-of", SPEC)
    gate.drop("hopeless", "hello\n")
    time.sleep(0.3)
    assert not gate.rejected()
    (gate.spool / "a.yaml.unheard-of").rename(gate.spool / "a.yaml")
    until(lambda: len(gate.rejected()) == 2)
    stays(gate, "a.yaml", rejected=("hopeless",))


def test_a_file_that_has_rested_long_ago_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir(exist_ok=True)
    with running(tmp_path, settle_time=0.5) as gate:
        hopeless = gate.spool / ".hopeless"
        hopeless.write_text("hello\n")
        hopeless.rename(gate.spool / "hopeless")
        until(lambda: gate.rejected() == ["hopeless", "hopeless.reason"])


def test_a_directory_may_be_called_like_a_transfer(gate: Gate) -> None:
    (gate.spool / "x.download").mkdir()
    until(lambda: len(gate.intake._watch.places) == 4)
    gate.drop("x.download/a.yaml", SPEC)
    until(lambda: gate.sink.sources == ["a.yaml"])
    assert not hidden(b"x.download") and in_the_making(b"x.download")


def test_a_copy_is_there_for_the_commands_that_follow_it(gate: Gate, patient: None, tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.write_text(SCRIPT)
    for number in range(5):
        name = gate.spool / f"{number}.sh"
        subprocess.run(f'cp "{original}" "{name}"; chmod +x "{name}" && touch -r "{original}" "{name}"',
                       shell=True, check=True)  # fmt: skip
    until(lambda: sorted(gate.sink.sources) == [f"{number}.sh" for number in range(5)])


def test_each_change_makes_it_rest_again(gate: Gate, patient: None) -> None:
    file = gate.spool / "a.sh"
    file.write_text(SCRIPT)
    for _ in range(5):
        time.sleep(0.7)
        file.chmod(0o755)
    assert gate.sink.sources == []
    until(lambda: gate.sink.sources == ["a.sh"])


def test_a_list_that_is_added_to_all_the_time_has_rested_enough_at_last(gate: Gate) -> None:
    """Its jobs wait for nobody, and each line of it becomes one."""
    lines = 0

    def added() -> int:
        nonlocal lines
        with open(gate.spool / "a.tasks", "a") as file:
            file.write("true\n")
        lines += 1
        return len(gate.sink.sources)

    begin = time.monotonic()
    until(added, "it is taken in while it is added to")
    assert time.monotonic() - begin > settle.MOMENT
    until(lambda: len(gate.sink.sources) == lines)


def test_a_look_at_everything_lets_a_fresh_file_rest_as_well(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "MOMENT", 0.5)
    file = gate.spool / "a.sh"
    file.write_text(SCRIPT)
    started = time.monotonic()
    while time.monotonic() - started < 0.3:
        gate.intake._rescan_at = 0.0
        gate.intake.poke()
        time.sleep(0.01)
        assert file.exists()
    until(lambda: gate.sink.sources == ["a.sh"])


def test_what_is_renamed_in_does_not_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "MOMENT", 3600.0)
    with running(tmp_path, settle_time=3600.0) as gate:
        gate.drop("a.sh", SCRIPT)
        gate.drop("data/a", "x")
        until(lambda: sorted(gate.sink.sources) == ["a", "a.sh"])


def test_a_file_written_over_one_that_was_renamed_in_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as gate:
        place = gate.intake._watch.hints
        place.names(b"q", (b"a",), frozenset([b"a"]))
        place.names(b"q", (b"a", b"b"), frozenset([b"b"]))
        assert place.heard(b"q") == ({b"a": False, b"b": True}, False)


def test_a_clock_that_was_set_back_keeps_nothing(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    (gate.spool / "a.sh").write_text(SCRIPT)
    until(lambda: gate.sink.sources == ["a.sh"])


def test_files_written_in_place_rest_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that memory has no room for."""
    monkeypatch.setattr(settle, "MOMENT", 1.0)
    monkeypatch.setattr(later.Later.__init__, "__defaults__", (50, *later.Later.__init__.__defaults__[1:]))
    with running(tmp_path, settle_time=1.0) as gate:
        started = time.monotonic()
        for number in range(1000):
            (gate.spool / f"{number:04}.sh").write_text(SCRIPT)
        until(lambda: len(gate.sink.sources) == 1000, timeout=30)
        assert time.monotonic() - started < 10  # twenty times their rest, if fifty took theirs at a time
        assert sorted(gate.sink.sources) == [f"{number:04}.sh" for number in range(1000)]


# -- what the configuration says of names --------------------------------------------------------


def queues(**changes: object) -> dict[str, QueueConfig]:
    return QUEUES | {"data": replace(QUEUES["data"], **changes)}  # type: ignore[arg-type]


def test_names_to_ignore_are_left_alone_until_another_configuration(tmp_path: Path) -> None:
    with running(tmp_path, settle_time=0.0, ignore=("*.log", "Readme.txt"), queues=queues(ignore=("raw*",))) as gate:
        for name in ("a.log", "data/b.log", "data/Readme.txt", "data/raw1"):
            gate.drop(name, "hello\n")
        gate.drop("raw2", SCRIPT)
        gate.drop("data/c", "x")
        until(lambda: sorted(gate.sink.sources) == ["c", "raw2"])
        gate.intake._rescan_at = 0.0
        gate.check()
        assert not gate.rejected() and sorted(gate.sink.sources) == ["c", "raw2"]
        gate.intake.reload(config(settle_time=0.0))
        until(lambda: sorted(gate.sink.sources) == ["Readme.txt", "b.log", "c", "raw1", "raw2"])
        until(lambda: gate.rejected() == ["a.log", "a.log.reason"])


def test_a_handler_gets_what_matches_and_the_rest_is_refused_after_a_while(tmp_path: Path) -> None:
    with running(tmp_path, settle_time=0.6, queues=queues(match=("*.jpg", "*.png"))) as gate:
        for name in ("a.jpg", "b.png", "c.PNG", "d.jpg.strange"):
            gate.drop(f"data/{name}", "x")
        until(lambda: sorted(gate.sink.sources) == ["a.jpg", "b.png"])
        assert not gate.rejected()
        (gate.spool / "data" / "d.jpg.strange").rename(gate.spool / "data" / "d.jpg")  # by its writer
        until(lambda: sorted(gate.sink.sources) == ["a.jpg", "b.png", "d.jpg"])
        until(lambda: gate.rejected() == ["c.PNG", "c.PNG.reason"])
        reason = (gate.layout.rejected / "c.PNG.reason").read_text()
        assert "queue data takes only *.jpg, *.png (match)" in reason
        assert "(case counts: rename it, and drop it again)" in reason
