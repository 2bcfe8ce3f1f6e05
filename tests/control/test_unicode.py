"""What leaves the gate as JSON is valid Unicode, and no byte of a file's name is lost on the way."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.fixed import INTERFACE
from taskgated.protocol.channel import Message, decode, encode, encode_unicode
from taskgated.protocol.strict import name_bytes, unicode_json
from taskgated.text import to_bytes, to_text, unicode_only
from tests.control.test_varlink import Client
from tests.env.gate import GateEnv

EVIL = b"na\xffme \xf0\x9f\x98\x80 \\xff \xed\xa0\x80"
SHOWN = "na\\xffme \U0001f600 \\xff \\xed\\xa0\\x80"


def strict(data: bytes) -> Any:
    """As a reader that takes no half of a surrogate pair, however it is written."""
    value = json.loads(data.decode("utf-8"))
    json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def test_each_byte_that_is_no_text_is_spelled() -> None:
    assert unicode_only(to_text(EVIL)) == SHOWN
    assert unicode_only("\ud800x") == "\\ud800x"


@given(st.binary())
def test_any_bytes_become_unicode_and_can_be_had_back(data: bytes) -> None:
    name = to_text(data)
    told = strict(unicode_json({"source": name, "source_bytes": name_bytes(name)}).encode())
    kept = told["source_bytes"]
    assert (told["source"].encode() if kept is None else base64.b64decode(kept)) == data
    assert (kept is None) == (told["source"] == name)


@given(
    st.recursive(st.text() | st.integers() | st.none(), lambda one: st.lists(one) | st.dictionaries(st.text(), one))
)
def test_what_is_unicode_stays_as_it_is(value: object) -> None:
    message: Message = {"parameters": value}
    assert encode_unicode(message) == encode(message)


def test_between_our_own_processes_bytes_stay() -> None:
    message: Message = {"a": to_text(EVIL)}
    assert to_bytes(str(decode(encode(message)[:-1])["a"])) == EVIL


def test_every_answer_is_unicode(gate: GateEnv) -> None:
    """The name of the file, what the job runs, its environment, its name, its outcome, and an error that quotes."""
    gate.drop(EVIL + b".tasks", b"exit 3 # \xfe\n")
    gate.drop(b"script\xfe", b"#!/no/such/\xff\n")
    gate.until_over(2)
    with Client(gate) as client:
        for method, parameters in (("List", {}), ("Show", {"id": 1}), ("Show", {"id": 2}), ("Wait", {"ids": [1, 2]})):
            client.send(f"{INTERFACE}.{method}", parameters)
            while b"\0" not in client.buffer:
                client.buffer += client.sock.recv(65536)
            frame, _, client.buffer = client.buffer.partition(b"\0")
            assert "xf" in json.dumps(strict(frame)), "what was no text is there"
        client.send(f"{INTERFACE}.\udcff", {})
        assert client.receive()["parameters"] == {"method": f"{INTERFACE}.\\xff"}


def test_json_of_the_command_is_unicode(gate: GateEnv) -> None:
    gate.drop(EVIL + b".tasks", b"echo \xfe\n")
    gate.until_over(1)
    (job,) = strict(gate.ctl("--json", "list").stdout)
    assert (job["source"], base64.b64decode(job["source_bytes"])) == (f"{SHOWN}.tasks", EVIL + b".tasks")
    assert strict(gate.ctl("--json", "show", "1").stdout)["spec"]["command"] == "echo \\xfe"
    assert strict(gate.ctl("--json", "wait", "1").stdout) == [job]
    path = to_bytes(str(gate.root)) + b"/\xff.tasks"
    with open(path, "wb") as file:
        file.write(b"echo \xfe\n")
    (checked,) = strict(gate.ctl("--json", "check", to_text(path)).stdout)
    assert checked["file"] == f"{gate.root}/\\xff.tasks"
    assert base64.b64decode(checked["source_bytes"]) == path


def test_people_see_the_same_escape_as_programs(gate: GateEnv) -> None:
    for name in (b"good\xe9.yaml", b"bad\xe9.yaml"):
        path = os.fsdecode(os.fsencode(gate.scratch) + b"/" + name)
        with open(path, "w") as file:
            file.write("command: 'true'\n" if b"good" in name else "comand: x\n")
        done = gate.ctl("check", path)
        assert name.replace(b"\xe9", b"\\xe9") in done.stdout and b"udc" not in done.stdout, done
    gate.drop(b"good\xe9.yaml", "command: 'true'\n")
    gate.until_over(1)
    assert b"good\\xe9.yaml" in gate.ctl("list").stdout
