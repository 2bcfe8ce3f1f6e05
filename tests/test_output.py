"""The capped output: its limit on disk at every moment, what is kept, and reading it in pieces."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from taskgated.output import Writer, gap, pieces, read, remove


def on_disk(path: Path) -> int:
    return sum(piece.size for piece in pieces(str(path)))


def text(size: int) -> bytes:
    """Bytes of which every short stretch tells where it is from."""
    return b"".join(b"%07d " % i for i in range(size // 8 + 1))[:size]


def read_all(path: Path, limit: int = 1000) -> bytes:
    data, offset = b"", 0
    while True:
        part, offset = read(str(path), offset, limit)
        if not part:
            return data
        data += part


@settings(deadline=None)
@given(max_size=st.integers(0, 300), sizes=st.lists(st.integers(0, 200), max_size=12))
def test_beginning_and_end_are_kept_within_the_limit(max_size: int, sizes: list[int]) -> None:
    whole = text(sum(sizes))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "new", "1.1.log")
        writer = Writer(str(path), max_size)
        taken = 0
        for size in sizes:
            writer.write(whole[taken : taken + size])
            taken += size
            assert on_disk(path) <= max_size
        running = read_all(path, 7)
        writer.finish()
        assert writer.error == ""
        assert writer.total == len(whole)
        kept = path.read_bytes() if path.exists() else b""
        assert path.exists() == bool(whole and max_size)
        assert len(pieces(str(path))) == path.exists()
        if not writer.omitted:
            assert kept == whole == running
        elif max_size < 8:
            assert kept == running == whole[:max_size]
            assert writer.omitted == len(whole) - max_size
        else:
            head, mark, tail = kept.partition(gap(writer.omitted))
            assert mark
            assert running == head + tail
            assert whole.startswith(head) and whole.endswith(tail)
            assert len(head) >= max_size // 2
            assert len(tail) >= max_size // 8 * 2
            assert len(head) + len(tail) + writer.omitted == len(whole)
            assert len(head) + len(tail) <= max_size


def test_a_crash_leaves_readable_pieces(tmp_path: Path) -> None:
    path = tmp_path / "1.1.log"
    whole = text(1000)
    Writer(str(path), 80).write(whole)  # and never finished
    assert [piece.offset for piece in pieces(str(path))] == [0, 970, 980, 990]
    assert read_all(path) == whole[:40] + whole[970:]
    assert read(str(path), 39, 100) == (whole[39:40], 40)
    assert read(str(path), 40, 3) == (whole[970:973], 973)  # over what is left out
    assert read(str(path), 1000, 10) == (b"", 1000)


def test_neighbours_are_not_mistaken(tmp_path: Path) -> None:
    for name in ("1.1.log", "1.1.log.40", "1.1.log.gz", "1.1.log.", "11.1.log", "1.1.log5", "x1.1.log"):
        (tmp_path / name).write_bytes(b"x")
    assert [Path(piece.path).name for piece in pieces(str(tmp_path / "1.1.log"))] == ["1.1.log", "1.1.log.40"]
    remove(str(tmp_path / "1.1.log"))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"1.1.log.", "1.1.log.gz", "1.1.log5", "11.1.log", "x1.1.log"}
    remove(str(tmp_path / "1.1.log"))


def test_nothing_there() -> None:
    assert list(pieces("/no/such/dir/1.1.log")) == []
    assert read("/no/such/dir/1.1.log", 0, 10) == (b"", 0)


def test_a_full_disk_is_said_and_counted() -> None:
    writer = Writer("/dev/full", 1000)
    writer.write(b"x" * 10)
    writer.write(b"x" * 5)
    writer.finish()
    assert (writer.total, writer.omitted) == (15, 15)
    assert "No space left on device" in writer.error


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_in_between(tmp_path: Path) -> None:
    path = tmp_path / "1.1.log"
    writer = Writer(str(path), 8000)
    with file_size_limit(100):
        writer.write(b"x" * 150)
    writer.write(b"y" * 50)  # room again, but a gap in the middle would not be seen
    writer.finish()
    assert (writer.total, writer.omitted) == (200, 100)
    assert "File too large" in writer.error
    assert path.read_bytes() == b"x" * 100


def test_trouble_while_merging_leaves_the_pieces(tmp_path: Path) -> None:
    path = tmp_path / "1.1.log"
    writer = Writer(str(path), 80)
    writer.write(text(60))
    with file_size_limit(45):
        writer.finish()
    assert "in pieces" in writer.error
    assert len(pieces(str(path))) > 1


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "1.1.log").symlink_to(victim)
    writer = Writer(str(tmp_path / "1.1.log"), 80)
    writer.write(b"x")
    assert victim.read_bytes() == b"precious"
    assert writer.error


def test_nothing_may_be_kept(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "1.1.log"), 0)
    writer.write(b"x" * 10)
    writer.finish()
    assert (writer.total, writer.omitted, writer.error) == (10, 10, "")
    assert list(tmp_path.iterdir()) == []
