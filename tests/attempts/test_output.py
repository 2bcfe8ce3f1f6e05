"""The capped output: its limit on disk at every moment, what is kept, and reading it in pieces."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgated.attempts.output import gap, pieces, remove
from taskgated.attempts.reader import Kept, read
from taskgated.attempts.writer import Writer


def on_disk(path: Path) -> int:
    return sum(piece.size for piece in pieces(str(path)))


def text(size: int) -> bytes:
    """Bytes of which every short stretch tells where it is from."""
    return b"".join(b"%07d " % i for i in range(size // 8 + 1))[:size]


def read_all(path: Path, kept: Kept, limit: int = 1000, offset: int = 0) -> bytes:
    data = b""
    while True:
        part, after = read(str(path), offset, limit, kept)
        if not part:
            assert after == offset
            return data
        assert after > offset
        data, offset = data + part, after


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
        running = read_all(path, Kept(max_size), 7)
        writer.finish()
        assert writer.error == ""
        assert writer.total == len(whole)
        kept = path.read_bytes() if path.exists() else b""
        assert path.exists() == bool(whole and max_size)
        assert len(pieces(str(path))) == path.exists()
        everything = read_all(path, Kept(max_size, writer.total, writer.omitted), 7)
        if not writer.omitted:
            assert kept == whole == running == everything
        elif max_size < 8:
            assert kept == running == whole[:max_size]
            assert writer.omitted == len(whole) - max_size
            assert everything == kept + gap(writer.omitted)
        else:
            assert kept == running == everything
            head, mark, tail = kept.partition(gap(writer.omitted))
            assert mark
            assert whole.startswith(head) and whole.endswith(tail)
            assert len(head) >= max_size // 2
            assert len(tail) >= max_size // 8 * 2
            assert len(head) + len(tail) + writer.omitted == len(whole)
            assert len(head) + len(tail) <= max_size


def from_there(whole: bytes, offset: int, *left_out: tuple[int, int]) -> bytes:
    """What is to be read from ``offset`` on when these stretches, given by begin and end, were left out."""
    out = b""
    for begin, end in left_out:
        if offset < end:
            out += whole[offset:begin] + gap(end - max(begin, offset))
            offset = end
    return out + whole[offset:]


def test_a_crash_leaves_readable_pieces(tmp_path: Path) -> None:
    path = tmp_path / "1.1.log"
    whole = text(1000)
    Writer(str(path), 80).write(whole)  # and never finished
    assert [piece.offset for piece in pieces(str(path))] == [0, 970, 980, 990]
    kept = Kept(80)
    for offset in range(1001):
        assert read_all(path, kept, 7, offset) == from_there(whole, offset, (40, 970))
    assert read(str(path), 39, 100, kept) == (whole[39:40], 40)
    assert read(str(path), 40, 3, kept) == (gap(930), 970)
    assert read(str(path), 1000, 10, kept) == (b"", 1000)


@settings(deadline=None)
@given(
    max_size=st.integers(8, 300),
    steps=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), max_size=20),
    limit=st.integers(1, 50),
)
def test_a_follower_misses_nothing_unsaid(max_size: int, steps: list[tuple[int, int]], limit: int) -> None:
    """However it falls behind, and over the end of the attempt: what it has not been given it was told of."""
    whole = text(sum(size for size, _ in steps))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "1.1.log")
        writer = Writer(str(path), max_size)
        taken = offset = 0

        def look(kept: Kept) -> bool:
            nonlocal offset
            data, after = read(str(path), offset, limit, kept)
            assert data in (whole[offset:after], gap(after - offset))
            assert bool(data) == (after > offset)
            offset = after
            return bool(data)

        for size, looks in steps:
            writer.write(whole[taken : taken + size])
            taken += size
            for _ in range(looks):
                look(Kept(max_size))
        writer.finish()
        while look(Kept(max_size)):
            pass  # its record is not there yet
        while look(Kept(max_size, writer.total, writer.omitted)):
            pass
        assert offset == len(whole)


@pytest.mark.parametrize("size", [300, 64, 40, 41])
def test_offsets_mean_the_same_while_the_pieces_are_merged(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "1.1.log"
    whole = text(size)
    writer = Writer(str(path), 80)
    writer.write(whole)
    begins = pieces(str(path))[1].offset if size > 40 else 40
    looks = 0

    def look(*_: object) -> None:
        nonlocal looks
        looks += 1
        for offset in range(0, size + 1, 7):
            left_out = [(40, begins)] if begins > 40 else []
            assert read_all(path, Kept(80), 17, offset) == from_there(whole, offset, *left_out)

    for name in ("unlink", "sendfile", "close"):
        call = getattr(os, name)

        def then(*args: Any, call: Callable[..., Any] = call) -> Any:
            done = call(*args)
            if not looking:
                looking.append(True)
                look()
                looking.clear()
            return done

        monkeypatch.setattr(os, name, then)
    looking: list[bool] = []
    writer.finish()
    monkeypatch.undo()
    look()
    assert looks >= (1 if size == 40 else 5)


def test_what_is_merged_or_made_between_two_looks_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = text(300)
    for name, then in (("1.1.log", Writer.finish), ("2.1.log", lambda writer: writer.write(whole[65:]))):
        path = tmp_path / name
        writer = Writer(str(path), 80)
        writer.write(whole[:65])
        listdir, listings = os.listdir, 0

        def list_and_go_on(
            directory: int,
            then: Callable[[Writer], None] = then,
            writer: Writer = writer,
            listdir: Callable[[int], list[str]] = listdir,
        ) -> list[str]:
            nonlocal listings
            names = listdir(directory)
            listings += 1
            if listings == 1:
                then(writer)
            return names

        with monkeypatch.context() as patch:
            patch.setattr(os, "listdir", list_and_go_on)
            found, after = read(str(path), 45, 100, Kept(80))
        if name == "1.1.log":
            assert (found, after) == (whole[45:65], 65)
        else:
            assert found == gap(after - 45)
            assert after == pieces(str(path))[1].offset
        writer.finish()


def test_a_line_that_only_looks_like_a_gap(tmp_path: Path) -> None:
    """What a job writes where the gap would be changes nothing, once its record is there."""
    path = tmp_path / "1.1.log"
    whole = b"x" * 80 + gap(7000) + b"y" * 10
    writer = Writer(str(path), 160)
    writer.write(whole)
    writer.finish()
    assert not writer.omitted
    kept = Kept(160, writer.total, writer.omitted)
    for offset in range(len(whole)):
        assert read_all(path, kept, 7, offset) == whole[offset:]


def test_what_is_no_file_of_ours_is_not_waited_for(tmp_path: Path) -> None:
    """Neither followed, nor opened in a way that waits: a FIFO would hold up its reader for ever."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "1.1.log").symlink_to(tmp_path / "fifo")
    os.mkfifo(tmp_path / "2.1.log")
    (tmp_path / "3.1.log").write_bytes(b"x" * 40)
    os.mkfifo(tmp_path / "3.1.log.40")
    (tmp_path / "4.1.log").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    for name, offset in (("1.1.log", 0), ("2.1.log", 0), ("3.1.log", 40), ("4.1.log", 0), ("link/3.1.log", 0)):
        with pytest.raises(OSError):
            read(str(tmp_path / name), offset, 10, Kept(80))
    writer = Writer(str(tmp_path / "2.1.log"), 1 << 20)
    writer.write(b"x" * (1 << 19))  # more than fits into a FIFO
    assert "output was cut" in writer.error
    writer.finish()


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
    assert read("/no/such/dir/1.1.log", 0, 10, Kept(80)) == (b"", 0)
    assert read("/proc/1.1.log", 7, 10, Kept(80)) == (b"", 7)


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
    assert read_all(path, Kept(8000, writer.total, writer.omitted)) == b"x" * 100 + gap(100)


def test_trouble_while_merging_leaves_the_pieces(tmp_path: Path) -> None:
    path = tmp_path / "1.1.log"
    writer = Writer(str(path), 80)
    writer.write(text(60))
    with file_size_limit(45):
        writer.finish()
    assert "in pieces" in writer.error
    assert len(pieces(str(path))) > 1
    assert read_all(path, Kept(80, writer.total, writer.omitted)) == text(60)


def test_a_gap_that_was_not_written_in_full(tmp_path: Path) -> None:
    path = tmp_path / "1.1.log"
    writer = Writer(str(path), 800)
    writer.write(text(2000))
    with file_size_limit(420):
        writer.finish()
    assert path.stat().st_size == 420
    begins = pieces(str(path))[1].offset
    assert read_all(path, Kept(800, 2000, writer.omitted)) == from_there(text(2000), 0, (400, begins))


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
