"""What a file is by its content, in whatever encoding and with whatever line ends it was saved."""

from __future__ import annotations

import codecs

import pytest

from taskgated.language.source import wide_encoding
from taskgated.text import to_bytes
from tests.env.jobfile import read, refused

BOM = codecs.BOM_UTF8
SPEC, SCRIPT, LIST = "command: [a, b]\nname: é\n", "#!/bin/sh\n#TASKGATE name: é\nexit\n", "echo é\n# x\ntrue\n"
KINDS = [
    ("x.yaml", "default", SPEC), ("x.json", "default", '{"command": "é"}'), ("x", "default", SCRIPT),
    ("x.tasks", "default", LIST), ("x.txt", "etl", "# only\ntrue\n"), ("x", "lines", LIST),
]  # fmt: skip


@pytest.mark.parametrize(("name", "queue", "text"), KINDS)
class TestKinds:
    def test_a_mark_of_utf8_changes_nothing(self, name: str, queue: str, text: str) -> None:
        assert read(BOM + text.encode(), name, queue) == read(text, name, queue)

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
    @pytest.mark.parametrize("ends", ["\n", "\r\n"])
    def test_others_are_refused_by_name(self, name: str, queue: str, text: str, encoding: str, ends: str) -> None:
        marks = {"utf-16-be": codecs.BOM_UTF16_BE, "utf-32-be": codecs.BOM_UTF32_BE}
        data = text.replace("\n", ends).encode(encoding)
        called = encoding.upper().replace("-LE", "LE").replace("-BE", "BE")
        said = f"{name}:1:1: this is {called}, and a text must be UTF-8 (save it as UTF-8, or convert it: iconv -f "
        assert refused(data, name, queue)[0] == f"{said}{called} -t UTF-8)"
        if encoding in marks:
            assert f"this is {called[:6]}, and" in refused(marks[encoding] + data, name, queue)[0]

    def test_line_ends_of_windows(self, name: str, queue: str, text: str) -> None:
        data = text.replace("\n", "\r\n")
        if text is not SCRIPT:
            assert read(data, name, queue) == read(text, name, queue)
            return
        message = (
            "the interpreter line ends in a carriage return (line ends of Windows), so no interpreter has that name"
        )
        hint = "save it with the line ends of Unix, or: sed -i 's/\\r$//' FILE"
        assert refused(data, name, queue) == [f"x:1:10: {message} ({hint})"]
        assert refused(BOM + data.encode(), name, queue) == [f"x:1:10: {message} ({hint})"]


def test_the_kernel_finds_the_interpreter_of_a_script_with_a_mark() -> None:
    (spec,) = read(BOM + b"#!/bin/sh\n\xff\n", "x")
    assert to_bytes(spec.script or "") == b"#!/bin/sh\n\xff\n"


def test_a_script_in_a_spec_has_no_carriage_return_either() -> None:
    (said,) = refused('script: "#!/bin/sh\\r\\nexit\\r\\n"\n')
    assert said.startswith("x.yaml:1:9: script: the interpreter line ends in a carriage return")


def test_a_file_for_a_handler_is_what_it_is() -> None:
    assert read("x".encode("utf-16"), "x.txt", "thumbs") and read(b"#!\r\n", "x.tasks", "thumbs")


@pytest.mark.parametrize("data", [b"", b"ab", b"a\0", b"\0a", b"a\0b", b"\xff\xd8\xff", b"PK\3\4\0\0"])
def test_what_has_no_name(data: bytes) -> None:
    assert wide_encoding(data) == ""


class TestScriptsByAnotherName:
    @pytest.mark.parametrize("mark", [b"", BOM])
    @pytest.mark.parametrize(
        ("name", "kind"),
        [("x.txt", "task list"), ("x.tasks", "task list"), ("x.yaml", "job spec"), ("x.json", "job spec")],
    )
    def test_are_refused(self, mark: bytes, name: str, kind: str) -> None:
        message = f"its first line (#!) says that this is a script, and its name that it is a {kind}"
        hint = f"call it x.sh if it is a script; take out that line if it is a {kind}"
        assert refused(mark + b"#!/bin/sh\ncd /tmp\n", name)[0] == f"{name}:1:1: {message} ({hint})"

    def test_lines_for_a_handler_are_data(self) -> None:
        assert len(read("#!/bin/sh\nx\n", "x.txt", "lines")) == 2

    def test_the_first_line_alone_says_so(self) -> None:
        assert [spec.command for spec in read("true\n#!/bin/sh\n", "x.txt")] == ["true"]


class TestLines:
    @pytest.mark.parametrize("end", ["\\", "\\\\\\", "# no \\"])
    def test_none_goes_on_in_the_next(self, end: str) -> None:
        line = f"echo a {end}"
        message = "a line that ends in \\ does not go on in the next: each line is a job"
        assert refused(f"true\n{line}\r\nb\n", "x.tasks") == [
            f"x.tasks:2:{len(line)}: {message} (write the command in one line, or as a script)"
        ]

    def test_an_escaped_one_or_data_may_end_so(self) -> None:
        assert [spec.command for spec in read("echo \\\\\n# a \\\necho '\\' \n", "x.txt")] == [
            "echo \\\\",
            "echo '\\' ",
        ]
        assert len(read("a \\\nb\n", "x", "lines")) == 2

    def test_a_carriage_return_inside(self) -> None:
        assert refused("true\rfalse\n", "x.txt") == [
            "x.txt:1:5: a carriage return inside of a line (save the file with the line ends of Unix)"
        ]
        assert [spec.command[1] for spec in read("a\rb\n", "x", "lines") if spec.command] == ["x=a\rb"]

    def test_one_that_was_appended_in_another_encoding(self) -> None:
        (said,) = refused(b"true\n" + "echo".encode("utf-16-le"), "x.txt")
        assert said.endswith("no program can be given one (this line is UTF-16LE: write it in UTF-8)")


class TestNoKind:
    @pytest.mark.parametrize(
        ("data", "hint"),
        [
            (b"set -e\necho hi\n", "if it is a script, its first line must name what runs it: #!/bin/sh"),
            (("é" * 300).encode()[:255], "if it is a script, its first line must name what runs it: #!/bin/sh"),
            (b"\n#!/bin/sh\n", "#! must be the first two characters of the file: take out what is before it"),
            (b"# mine\ncommand: [a]\n", "if it is a spec, its name must end in .yaml"),
            (b'{"command": 1}', "if it is a spec, its name must end in .yaml"),
            (b"\x7fELF\2\1\1\0", "a program is no job file: name it in the command of a spec"),
            (b"\xff\xd8\xff\xe0 JFIF", "if it is data, drop it in the directory of a queue with a handler"),
            (b"PK\3\4\0\0", "it is compressed: unpack it first; if it is data, drop it in the directory of a queue "
             "with a handler"), (b"\n", ""),
        ],
    )  # fmt: skip
    def test_says_what_to_do(self, data: bytes, hint: str) -> None:
        (said,) = refused(data, "x")
        assert said.endswith(f"has no handler ({hint})" if hint else "has no handler")
