"""What outputs take of the disk."""

from __future__ import annotations

import os
from pathlib import Path

from taskgated.attempts import outputs
from taskgated.attempts.usage import directories, measure, sizes


def put(log: Path, job: int, attempt: int = 1, size: int = 4096, piece: str = "") -> Path:
    path = Path(outputs.path(log, job, attempt) + piece)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_all_pieces_of_all_attempts_count(tmp_path: Path) -> None:
    paths = [put(tmp_path, 7), put(tmp_path, 7, 2), put(tmp_path, 7, 2, piece=".8192"), put(tmp_path, 1007)]
    blocks = [path.stat().st_blocks * 512 for path in paths]
    assert sizes(tmp_path, [7, 8, 1007]) == {7: sum(blocks[:3]), 1007: blocks[3]}
    assert [usage.size for n in (0, 1) if (usage := measure(outputs.directory_of(tmp_path, n)))] == [
        sum(blocks[:3]),
        blocks[3],
    ]
    assert sorted(directories(tmp_path) or ()) == [0, 1]


def test_a_hole_takes_nothing(tmp_path: Path) -> None:
    """Disk is counted, not length."""
    put(tmp_path, 1, size=4096)
    os.truncate(outputs.path(tmp_path, 1, 1), 2**40)
    assert sizes(tmp_path, [1])[1] < 2**20


def test_what_is_no_output_does_not_count(tmp_path: Path) -> None:
    """A job that runs as the gate's user may put there what it likes."""
    here = put(tmp_path, 1).parent
    (here / "x").write_bytes(b"x" * 2**20)
    (here / "2.1.log").symlink_to("x")
    os.mkfifo(here / "3.1.log")
    (here / "4.1.log").mkdir()
    (tmp_path / "000002").symlink_to(here)
    (tmp_path / "7").mkdir()
    (tmp_path / "000003").write_bytes(b"")
    assert sorted(directories(tmp_path) or ()) == [0]
    assert sorted(sizes(tmp_path, [1, 2, 3, 4])) == [1]


def test_a_directory_says_whether_a_name_came_or_went(tmp_path: Path) -> None:
    path = put(tmp_path, 1)
    os.utime(path.parent, ns=(1, 1))
    usage = measure(path.parent)
    assert usage is not None
    assert directories(tmp_path) == {0: usage.changed}
    path.unlink()
    assert directories(tmp_path) != {0: usage.changed}


def test_what_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    assert directories(tmp_path / "none") is None
    assert measure(tmp_path / "none") is None
    assert sizes(tmp_path / "none", [1]) == {}
