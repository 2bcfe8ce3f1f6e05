"""What is looked for in the end of an output."""

from __future__ import annotations

from taskgated.worker.tail import TAIL, Tail


def test_it_is_found_over_the_borders_of_what_is_written() -> None:
    tail = Tail("Queue .* is full")
    for piece in (b"a\nQue", b"ue etl is f", b"ull\nb\n"):
        tail.write(piece)
    assert tail.has_it()


def test_only_the_end_is_looked_at_and_kept() -> None:
    tail = Tail("full")
    tail.write(b"full\n")
    for _ in range(1000):
        tail.write(b"x" * 100)
    assert not tail.has_it()
    assert len(tail._data) <= 3 * TAIL
    tail.write(b"x" * 10 * TAIL + b"\nfull")
    assert tail.has_it()


def test_what_is_no_text_is_no_trouble_and_no_pattern_is_never_found() -> None:
    tail = Tail("a.b")
    tail.write(b"a\xffb")
    assert tail.has_it()
    unknown = Tail("(?<=of a later version)")
    unknown.write(b"anything")
    assert not unknown.has_it()
