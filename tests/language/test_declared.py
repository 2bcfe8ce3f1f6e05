"""Declarations and what is made of them: each key has its field and its default, each field its key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from taskgated.attempts import outputs
from taskgated.core.fixed import LARGEST_SPEC
from taskgated.core.job import Output, Retry, Spec
from taskgated.host.paths import Layout
from taskgated.language.config import Access, Config, QueueConfig, Retention
from taskgated.language.configfiles import MAX_SIZE
from taskgated.language.configkeys import KEYS, QUEUE
from taskgated.language.declare import Key, keys_of, schema_of
from taskgated.language.keys import JOB, LATER, OUTPUT, RETRY
from taskgated.language.nodes import Entries, Node
from taskgated.language.source import Source, decode
from taskgated.language.synonyms import SYNONYMS
from taskgated.language.types import boolean, duration, integer, list_of, number, octal, or_word, positive, size, text
from taskgated.language.yamlread import read_yaml
from taskgated.protocol import channel
from tests import REPOSITORY

REFERENCE = REPOSITORY / "etc" / "taskgated.yaml"


def inside(keys: Sequence[Key], name: str) -> set[str]:
    """The keys of a section."""
    return set(schema_of(keys)["properties"][name]["properties"])


@pytest.mark.parametrize(
    ("made", "keys", "no_key"),
    [
        (Spec, {key.name for key in JOB}, {"file", "dialect", "notes"}),
        (Retry, {key.name for key in RETRY}, set()),
        (Output, {key.name for key in OUTPUT}, set()),
        (Config, {key.name for key in KEYS}, set()),
        (QueueConfig, {key.name for key in QUEUE}, {"name", "runs", "auto"}),
        (Retention, inside(KEYS, "retention"), set()),
        (Access, inside(KEYS, "access"), set()),
    ],
)
def test_each_field_has_its_key_and_each_key_its_field(made: type, keys: set[str], no_key: set[str]) -> None:
    assert {field.name for field in fields(made)} - no_key == keys


def test_a_key_without_a_field_is_found() -> None:
    with pytest.raises(KeyError, match="tries"):
        keys_of(Retry, Key("tries", integer(1, 2), "how often"))


@dataclass(frozen=True)
class Made:
    text: str = "/"
    empty: str = ""
    whole: int = 1_000_000
    number: float = 2.0
    part: float = 0.1
    no: bool = False
    month: float = 30 * 86400.0
    hour: float = 3600.0
    nothing: float = 0.0
    large: int = 15 * 2**20
    mask: int = 0o022
    codes: tuple[int, ...] = (0, 3)
    never: float | None = None


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (Key("text", text(), "doc"), "doc (/)"),
        (Key("empty", text(), "doc"), "doc"),
        (Key("whole", integer(0, 9), "doc"), "doc (1000000)"),
        (Key("number", number(0, 9), "doc"), "doc (2)"),
        (Key("part", number(0, 9), "doc"), "doc (0.1)"),
        (Key("no", boolean, "doc"), "doc (false)"),
        (Key("month", positive(duration), "doc"), "doc (30d)"),
        (Key("hour", duration, "doc"), "doc (1h)"),
        (Key("nothing", duration, "doc"), "doc (0s)"),
        (Key("large", positive(size), "doc"), "doc (15M)"),
        (Key("large", size, "doc", note="more"), "doc (15M); more"),
        (Key("mask", octal("a mask"), "doc"), "doc ('022')"),
        (Key("codes", list_of(integer(0, 9), "numbers"), "doc"), "doc ([0, 3])"),
        (Key("never", or_word("infinity", duration, None), "doc"), "doc"),
        (Key("never", or_word("infinity", duration, None), "doc", "no limit"), "doc (no limit)"),
        (Key("hour", or_word("infinity", duration, None), "doc"), "doc (1h)"),
        (Key("text", text(), "doc says it", ""), "doc says it"),
    ],
)
def test_how_a_default_is_said(key: Key, said: str) -> None:
    (bound,) = keys_of(Made, key)
    assert bound.description == said


def test_the_reference_has_the_keys_of_sections() -> None:
    content = decode("reference", REFERENCE.read_bytes(), MAX_SIZE)
    (reference,) = read_yaml(Source.of("reference", content), content)
    assert isinstance(reference.value, Entries)
    for name, schema in schema_of(KEYS)["properties"].items():
        section: Node = reference.value[name][1]
        if "properties" in schema:
            assert isinstance(section.value, Entries)
            assert section.value.keys() == schema["properties"].keys()


def test_what_job_files_may_ask_for_a_channel_takes(tmp_path: Path) -> None:
    """With what goes with a spec: at most a path of the longest, beside numbers."""
    assert LARGEST_SPEC + len(outputs.path(Layout.under(tmp_path).log, 2**62, 2**31)) + 4096 < channel.LIMIT


def test_synonyms_are_no_keys_and_stand_for_keys() -> None:
    keys = {key.name for key in JOB}
    assert not keys & SYNONYMS.keys()
    assert not set(LATER) & SYNONYMS.keys()
    assert {key.partition(".")[0] for key in SYNONYMS.values()} <= keys | set(LATER)
    inner = {f"{name}.{key.name}" for name, table in (("retry", RETRY), ("output", OUTPUT)) for key in table}
    assert {key for key in SYNONYMS.values() if "." in key} <= inner
