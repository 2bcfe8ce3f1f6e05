"""YAML and JSON to nodes: every scalar, every place, every refusal, and nothing that harms the reader."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskgated.errors import Refused
from taskgated.language import yamlread
from taskgated.language.jsonread import read_json
from taskgated.language.nodes import Entries, Node
from taskgated.language.source import Source, decode
from taskgated.language.yamlread import read_yaml
from tests import REPOSITORY

LOADERS = sorted({yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)}, key=lambda c: c.__name__)


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With libyaml and, as on a host that has it not, without."""
    monkeypatch.setattr(yamlread, "_Loader", request.param)


def plain(node: Node) -> Any:
    match node.value:
        case list():
            return [plain(item) for item in node.value]
        case Entries():
            return {name: plain(value) for name, (_, value) in node.value.items()}
    return node.value


def read(data: str | bytes, name: str = "x.yaml", limit: int = 2**20) -> list[Node]:
    text = decode(name, data.encode() if isinstance(data, str) else data, limit)
    return (read_json if name.endswith(".json") else read_yaml)(Source.of(name, text), text)


def refusal(data: str | bytes, name: str = "x.yaml", limit: int = 2**20) -> str:
    with pytest.raises(Refused) as caught:
        read(data, name, limit)
    return str(caught.value)


def at_caret(said: str) -> str:
    """What stands above the caret, and behind that."""
    _, line, caret = said.splitlines()
    return line[caret.index("^") :]


@pytest.mark.usefixtures("loader")
class TestYaml:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("on", "on"), ("off", "off"), ("no", "no"), ("yes", "yes"), ("y", "y"), ("1:30", "1:30"), ("=", "="),
            ("2027-01-01", "2027-01-01"), ("1_000", "1_000"), ("0b1", "0b1"), ("010", 10), ("0o10", 8), ("0x1F", 31),
            ("-0x10", "-0x10"), ("-7", -7), ("+7", 7), ("9" * 18, 10**18 - 1), ("1e3", 1000.0), ("-.5", -0.5),
            ("1.", 1.0), ("1.10", 1.1), (".", "."), ("1e", "1e"), (".inf", ".inf"), (".nan", ".nan"), ("~", None),
            ("null", None), ("Null", None), ("nULL", "nULL"), ("true", True), ("FALSE", False), ("tRUE", "tRUE"),
            ("'true'", "true"), ('"7"', "7"), ("''", ""), ("|\n 7", "7"), (">-\n a\n b", "a b"), ("é", "é"),
            ('"\\u00e9\\x41\\U0001f600"', "éA\U0001f600"), ("a b#c # d", "a b#c"), ("٣", "٣"),
        ],
    )  # fmt: skip
    def test_scalars_are_those_of_yaml_1_2(self, text: str, value: object) -> None:
        (node,) = read(text)
        assert (node.value, type(node.value)) == (value, type(value))

    def test_how_it_was_written_is_known(self) -> None:
        (node,) = read("[1.10, 007, '1.10', null]")
        assert [item.spelled for item in node.value] == ["1.10", "007", "", "null"]  # type: ignore[union-attr]

    def test_places(self) -> None:
        (node,) = read("a: [x,\n  'y']\nb:\n  c: |\n    text\né:   z\n")
        assert isinstance(node.value, Entries)
        a, b, e = (node.value[key] for key in "abé")
        assert [(n.line, n.column) for n in a[1].value] == [(1, 5), (2, 3)]  # type: ignore[union-attr]
        assert [(n.line, n.column) for n in (*a, *b, *e)] == [(1, 1), (1, 4), (3, 1), (4, 3), (6, 1), (6, 6)]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: 'a' is given twice (first in line 1)"),
            ('{a: 1, "a": 2}', "x.yaml:1:8: 'a' is given twice (first in line 1)"),
            ("a: {b: {c: 1, c: 2}}", "x.yaml:1:15: 'c' is given twice (first in line 1)"),
            ("a: &x 1\n", "x.yaml:1:4: anchors are not supported (write the value out)"),
            ("&x a: 1\n", "x.yaml:1:1: anchors are not supported (write the value out)"),
            ("a: *x\n", "x.yaml:1:4: aliases are not supported (write the value out)"),
            ("a: !!int 7\n", "x.yaml:1:4: tags are not supported (leave it out)"),
            ("a: ! 7\n", "x.yaml:1:4: tags are not supported (leave it out)"),
            ("a:\n  - !!python/object/apply:os.system [x]\n", "x.yaml:2:5: tags are not supported (leave it out)"),
            ("<<: {a: b}\n", "x.yaml:1:1: merge keys are not supported (write it out)"),
            ("? [a]\n: b\n", "x.yaml:1:3: a key must be text, not a list"),
            ("{{a: b}: c}\n", "x.yaml:1:2: a key must be text, not a mapping"),
            ('a: "x\\0y"\n', "x.yaml:1:4: NUL has no place in a text"),
            ("a: 'x\0y'\n", "x.yaml:1:6: NUL has no place in a text"),
            ("[" * 40, "x.yaml:1:33: nested deeper than 32"),
            ("- " * 40, "x.yaml:1:65: nested deeper than 32"),
            (b"\xef\xbb\xbfa: 1\na: 2\n", "x.yaml:2:1: 'a' is given twice (first in line 1)"),
            (b"a: 1\r\na: 2\r\n", "x.yaml:2:1: 'a' is given twice (first in line 1)"),
            (b"a: 1\ra: 2\r", "x.yaml:2:1: 'a' is given twice (first in line 1)"),
            (b"ok: 1\na: caf\xe9\n", "x.yaml:2:7: byte 0xe9 is not UTF-8"),
            ("é: é\n".encode() + b"\xc3", "x.yaml:2:1: byte 0xc3 is not UTF-8"),
            (b"\xef\xbb\xbfa: \xff", "x.yaml:1:4: byte 0xff is not UTF-8"),
            (b"a: 1\r\nb: \xff", "x.yaml:2:4: byte 0xff is not UTF-8"),
            (b"a: \xed\xa0\x80", "x.yaml:1:4: byte 0xed is not UTF-8"),
            ("a: \x1b[31m", "x.yaml:1:4: character U+001B has no place in a text"),
            ("a: x\x85b: y", "x.yaml:1:5: character U+0085 has no place in a text"),
            ("a: x\u2028b: y", "x.yaml:1:5: character U+2028 has no place in a text"),
            ("# \ufeff", "x.yaml:1:3: character U+FEFF has no place in a text"),
            ("a: \ufffe", "x.yaml:1:4: character U+FFFE has no place in a text"),
        ],
    )  # fmt: skip
    def test_refused(self, text: str | bytes, said: str) -> None:
        assert refusal(text).splitlines()[0] == said

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("a: [b\n", "x.yaml:2:1: not YAML: "),
            ("a: b: c\n", "x.yaml:1:5: not YAML: "),
            ("a: 'b\n", "x.yaml:2:1: not YAML: "),
            ("a: 1\n b: 2\n", "x.yaml:2:3: not YAML: "),
            ('a: "\\q"\n', "x.yaml:1:"),
            ("%YAML 9.9\n---\n", "x.yaml:1:1: not YAML: "),
            ("a: @b\n", "x.yaml:1:4: not YAML: "),
        ],
    )
    def test_syntax(self, text: str, place: str) -> None:
        assert refusal(text).startswith(place)

    def test_half_a_surrogate_pair(self) -> None:
        assert refusal('a: "\\ud800"').startswith("x.yaml:1:")

    def test_a_tab_for_indentation_is_named(self) -> None:
        said = refusal("a:\n\tb: 1\n")
        assert said.startswith("x.yaml:2:1: not YAML: ")
        assert "(YAML is indented with spaces, not tabs)" in said

    def test_documents(self) -> None:
        assert [plain(node) for node in read("a: 1\n---\n- 2\n---\n...\n")] == [{"a": 1}, [2], None]
        assert read("# nothing\n") == []

    def test_the_bounds_themselves_are_allowed(self) -> None:
        assert read("[" * 32 + "]" * 32)
        assert read("a: " + "x" * 97, limit=100)
        assert refusal("a: " + "x" * 98, limit=100) == "x.yaml: larger than 100 bytes (see max_file_size)"

    def test_number_of_values(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(yamlread, "MAX_NODES", 4)
        assert read("[1, 2, 3]")
        assert refusal("[1, 2,\n 3, 4]").startswith("x.yaml:2:5: more than 4 values in one file")


class TestWhatIsShown:
    @pytest.mark.parametrize("before", [0, 1, 58, 59, 60, 61, 99, 100, 5000, 900_000])
    def test_the_caret_stands_under_the_fault(self, before: int) -> None:
        said = refusal("{a: 1, " + " " * before + "a: 2" + " " * 70_000 + "}")
        assert said.startswith(f"x.yaml:1:{8 + before}: ")
        assert at_caret(said).startswith("a: 2")
        assert len(said) < 300

    def test_tabs_before_the_fault(self) -> None:
        assert at_caret(refusal("{a:\t1,\t\ta: 2}")).startswith("a: 2")

    def test_a_terminal_is_not_told_anything(self) -> None:
        for text in ("a: \x1b[31m", '{"\\e[31m\\n": 1, "\\e[31m\\n": 2}', "a\u200b: 1\na\u200b: 2"):
            assert all(line.isprintable() for line in refusal(text).splitlines())
        assert r"'\x1b[31m\n' is given twice" in refusal('{"\\e[31m\\n": 1, "\\e[31m\\n": 2}')

    def test_a_long_word_is_cut(self) -> None:
        word = "x" * 1000
        assert f"'{'x' * 57}...' is given twice" in refusal(f"? {word}\n? {word}\n")


class TestJson:
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text()
            | st.floats(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc<"), inner),
        ),
        st.sampled_from([None, 0, 1, "\t"]),
        st.booleans(),
    )  # fmt: skip
    @settings(deadline=None)
    def test_the_same_values_as_json(self, value: object, indent: Any, ascii_: bool) -> None:
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_)
        try:
            (node,) = read(text, "x.json")
        except Refused as error:
            assert "has no place in a text" in str(error)
            assert not ascii_ or "\\u0000" in text
        else:
            assert plain(node) == value

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('{\n\t"a"\t:\t1\n}', {"a": 1}), ('{"a"\n:\n1}', {"a": 1}), ('"\\ud83d\\ude00\\/"', "\U0001f600/"),
            ('"\\\\ud83d"', "\\ud83d"), ("1E2", 100.0), ("-0", 0), ("9" * 400, math.inf), ('"\\u2028"', "\u2028"),
            ('{"<<": 1}', {"<<": 1}), ('{"' + "k" * 2000 + '": 1}', {"k" * 2000: 1}), ('"yes"', "yes"),
        ],
    )  # fmt: skip
    def test_what_yaml_would_not_read_so(self, text: str, value: object) -> None:
        assert plain(read(text, "x.json")[0]) == value

    def test_places_behind_escapes(self) -> None:
        (node,) = read('{"\\ud83d\\ude00": "\\n",\r\n\t"b": [1,  2]}', "x.json")
        assert isinstance(node.value, Entries)
        (a, n), (b, items) = node.value.values()
        assert [(x.line, x.column) for x in (a, n, b, items)] == [(1, 2), (1, 18), (2, 2), (2, 7)]
        assert [(x.line, x.column) for x in items.value] == [(2, 8), (2, 12)]  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "x.json:1:1: not JSON: Expecting value"),
            ("a: 1", "x.json:1:1: not JSON: Expecting value"),
            ('{"a": 1,\n "b": yes}', "x.json:2:7: not JSON: Expecting value"),
            ("{'a': 1}", "x.json:1:2: not JSON: Expecting property name enclosed in double quotes"),
            ('{"a": 1} # no', "x.json:1:10: not JSON: Extra data"),
            ("[1]\n---\n[2]", "x.json:2:1: not JSON: Extra data"),
            ("[01]", "x.json:1:3: not JSON: Expecting ',' delimiter"),
            ('["a\tb"]', "x.json:1:4: not JSON: Invalid control character at"),
            ('["\\x41"]', "x.json:1:3: not JSON: Invalid \\escape"),
            ('{"a": NaN}', "x.json:1:7: not JSON: NaN is not a value"),
            ("[1,\n -Infinity]", "x.json:2:2: not JSON: -Infinity is not a value"),
            ('{"a": 1, "\\u0061": 2}', "x.json:1:10: 'a' is given twice (first in line 1)"),
            ('["a", "\\u0000"]', "x.json:1:7: NUL has no place in a text"),
            ('["a", "\\ud83d"]', "x.json:1:7: half of a surrogate pair is no character"),
            ('["\\\\ud83d\\ude00"]', "x.json:1:2: half of a surrogate pair is no character"),
            ('["[",\n' + "[" * 40, "x.json:2:32: nested deeper than 32"),
            ('{"a": ' * 40, "x.json:1:193: nested deeper than 32"),
        ],
    )
    def test_refused(self, text: str, said: str) -> None:
        assert refusal(text, "x.json").splitlines()[0].startswith(said)

    def test_too_many_values(self) -> None:
        assert "more than 200000 values in one file" in refusal("[" + "1," * 250_000 + "1]", "x.json")
        assert read("[" + "1," * 199_998 + "1]", "x.json")


BOMBS = {
    "yaml": [
        "[",
        "{a: ",
        "- ",
        "? ",
        "[{a: ",
        "'",
        '"',
        "!a ",
        "&a ",
        "*a ",
        "|\n ",
        "---\n",
        "a:\n ",
        "<<: ",
        "%a\n",
    ],
    "json": ["[", '{"a":', '"', '\\"', '"\\"', "[[],", "{", "1,"],
}
BOMB_CODE = """
import sys, threading
from taskgated.errors import Refused
from taskgated.language.jsonread import read_json
from taskgated.language.source import Source
from taskgated.language.yamlread import read_yaml

def run():
    for kind, read in (("yaml", read_yaml), ("json", read_json)):
        for opening in BOMBS[kind]:
            for tail in ("", "]"):
                text = (opening * 1_000_000)[:1_000_000] + tail
                print(kind, repr(opening), flush=True)
                try:
                    read(Source.of("x", text), text)
                except Refused:
                    pass
    print("alive")

threading.stack_size(128 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


def test_bombs() -> None:
    """In a process of its own, on a thread with a small stack: a parser that crashes fails this test."""
    code = f"BOMBS = {BOMBS!r}\n{BOMB_CODE}"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stdout.splitlines()[-1] == "alive", (result.returncode, result.stdout[-300:], result.stderr[-3000:])


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200) | st.text("[]{}:,-?'\"|>&*!%@`#\n\t \\0ax\u2028", max_size=60).map(str.encode))
@example(b"? ")
@example(b'"\\')
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for name in ("x.yaml", "x.json"):
        try:
            read(data, name)
        except Refused as error:
            assert all(p.message and p.where == name for p in error.problems)
