"""What is wrong with a job file is said exactly, all at once, and whatever is dropped does no more than that."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskgated.errors import Refused
from taskgated.language.declare import MAX_PROBLEMS
from taskgated.language.keys import LATER
from taskgated.text import to_bytes
from tests.env.jobfile import FULL, read, refused, round_trips

KNOWN = (
    "known: after, after_timeout, array, command, cwd, deadline, delay, env, expires, interrupted, key, kill_after, "
    "linger, locks, name, not_before, on_conflict, output, priority, queue, requires, retry, script, shell, stderr, "
    "stdin, stdout, success_exit_codes, timeout, tokens, tty, warn"
)
LINE = "a list of arguments, or text for /bin/sh -c"

SIGNALS = "one of USR1, USR2, HUP, INT, QUIT, ALRM, TERM, CONT, URG, XCPU"

ENDING = "an exit code, a signal such as SIGKILL, or timeout"
RETRY = "command: x\nretry: {attempts: 3, "

REFUSALS: list[tuple[str, str]] = [
    (f"{RETRY}on: 75}}\n",
     "x.yaml:2:26: on: expected a list of exit codes, signals, and timeout, not a whole number '75'"),
    (f"{RETRY}on: [KILL]}}\n", f"x.yaml:2:27: expected {ENDING}, not text 'KILL' (write SIGKILL)"),
    (f"{RETRY}on: [sigterm]}}\n", f"x.yaml:2:27: expected {ENDING}, not text 'sigterm' (write SIGTERM)"),
    (f"{RETRY}on: [SIGCHLD]}}\n", "x.yaml:2:27: no process is ended by SIGCHLD"),
    (f"{RETRY}on: [256]}}\n", "x.yaml:2:27: 256 is not between 0 and 255"),
    (f"{RETRY}on: ['75']}}\n", f"x.yaml:2:27: expected {ENDING}, not text '75' (write 75 without quotes)"),
    (f"{RETRY}on: [timed_out]}}\n", f"x.yaml:2:27: expected {ENDING}, not text 'timed_out' (write timeout)"),
    (f"{RETRY}not_on: [lost]}}\n",
     f"x.yaml:2:31: expected {ENDING}, not text 'lost' ('interrupted' says what becomes of an attempt that was "
     "lost)"),
    (f"{RETRY}on: [true]}}\n", f"x.yaml:2:27: expected {ENDING}, not true or false"),
    (f"{RETRY}on: [75, 2], not_on: [2]}}\n", "x.yaml:2:43: not_on: 2 is in both 'on' and 'not_on'"),
    (f"{RETRY}on: [0]}}\n", "x.yaml:2:26: on: exit code 0 is a success, after which nothing is tried again"),
    (f"{RETRY}not_on: [3]}}\nsuccess_exit_codes: [0, 3]\n",
     "x.yaml:2:30: not_on: exit code 3 is a success, after which nothing is tried again"),
    ("command: x\nretry: {on: [75]}\n",
     "x.yaml:2:13: on: it is tried only once (say attempts: how often it is tried in all)"),
    (f"{RETRY}on: [timeout]}}\n",
     "x.yaml:2:26: on: no attempt has a timeout (say timeout: how long an attempt may run)"),
    ("command: x\ndelay: 2h\ndeadline: 1h\n",
     "x.yaml:3:11: deadline: 1h after its submission, which is not after its delay of 2h"),
    (
        "command: x\ntimeout: 1min\nwarn: {before: 60s}\n",
        "x.yaml:3:7: warn: a signal 1min ahead of a timeout of 1min comes before the start",
    ),
    ("command: x\nwarn: {signal: USR1}\n", "x.yaml:2:7: 'before' is missing"),
    (
        "command: x\nwarn: {signal: SIGUSR1, before: 1s}\n",
        f"x.yaml:2:16: signal: expected {SIGNALS}, not text 'SIGUSR1' (did you mean 'USR1'?)",
    ),
    ("command: x\nwarn: {signal: KILL, before: 1s}\n", f"x.yaml:2:16: signal: expected {SIGNALS}, not text 'KILL'"),
    ("command: x\nwarn: 90s\n",
     "x.yaml:2:7: warn: expected a mapping of keys to values, not text (write {before: 90s})"),
    ("command: x\ntokens: {yarn: 1}\n", "x.yaml:2:16: tokens: there are no tokens 'yarn' (known: db)"),
    ("command: x\ntokens: {db: 9}\n", "x.yaml:2:14: tokens: it takes 9 of db, and there are 3 in all"),
    ("command: x\nlocks: {exclusive: [a, b], shared: [b]}\n",
     "x.yaml:2:8: locks: 'b' is locked in both ways (exclusive is enough)"),
    ("command: x\nlocks: [a]\n", "x.yaml:2:8: locks: expected a mapping of keys to values, not a list"
     " (write {exclusive: [a]})"),
    ("command: x\nlocks: a\n", "x.yaml:2:8: locks: expected a mapping of keys to values, not text"
     " (write {exclusive: [a]})"),
    ("command: x\nlocks: {shared: [a, a]}\n", "x.yaml:2:17: shared: 'a' is there twice"),
    ("command: x\non_conflict: skip\n",
     "x.yaml:2:14: on_conflict: it says what jobs of one key do, and there is no key"),
    ("command: x\nkey: a b\n", "x.yaml:2:6: key: expected a word without blanks, not 'a b'"),
    ("", "x.yaml: this file is empty (if it was sent, it did not arrive: send it again)"),
    ("[]", "x.yaml: there is no job in this file"),
    ("---\n---\n", "x.yaml: there is no job in this file"),
    ("hello", "x.yaml:1:1: expected a mapping of keys to values, not text"),
    ("- command: x\n-\n", "x.yaml:2:2: expected a mapping of keys to values, not nothing"),
    ("- - command: x\n", "x.yaml:1:3: expected a mapping of keys to values, not a list"),
    ("name: x\n", "x.yaml:1:1: a job has either 'command' or 'script'"),
    ("{}", "x.yaml:1:1: a job has either 'command' or 'script'"),
    ("command: x\nscript: y\n", "x.yaml:1:1: a job has either 'command' or 'script', not both"),
    ("comand: x\n", "x.yaml:1:1: unknown key 'comand' (did you mean 'command'?)"),
    ("Command: x\n", "x.yaml:1:1: unknown key 'Command' (did you mean 'command'?)"),
    ("COMMAND: x\n", "x.yaml:1:1: unknown key 'COMMAND' (did you mean 'command'?)"),
    ("command: x\nzzz: 1\n", f"x.yaml:2:1: unknown key 'zzz' ({KNOWN})"),
    ("command: x\n'a\\b': 1\n", f"x.yaml:2:1: unknown key 'a\\b' ({KNOWN})"),
    ("command: []\n", "x.yaml:1:10: command: is empty"),
    ("command: ''\n", "x.yaml:1:10: command: is empty"),
    ("command:\n", f"x.yaml:1:9: command: expected {LINE}, not nothing"),
    ("command: ['', x]\n", "x.yaml:1:10: command: its first argument, the program, is empty"),
    ("command: [7, a]\n",
     "x.yaml:1:11: expected a program first, not a whole number '7' (put it in quotes)"),
    ("command: [a, null]\n", "x.yaml:1:14: expected text, not nothing 'null' (put it in quotes)"),
    ("command: [a, true]\n", "x.yaml:1:14: expected text, not true or false (put it in quotes)"),
    ("command: [a, [b]]\n", "x.yaml:1:14: expected text, not a list"),
    ("command: {a: b}\n", f"x.yaml:1:10: command: expected {LINE}, not a mapping"),
    ("command: 7\n", f"x.yaml:1:10: command: expected {LINE}, not a whole number '7'"),
    ("script: ' '\n", "x.yaml:1:9: script: is empty"),
    ("script: [a]\n", "x.yaml:1:9: script: expected the text of a script, not a list"),
    ("command: x\nname: 7\n", "x.yaml:2:7: name: expected text, not a whole number '7' (put it in quotes)"),
    (f"command: x\nname: {'n' * 201}\n", "x.yaml:2:7: name: longer than 200 characters"),
    ('command: x\nname: "a\\nb"\n', "x.yaml:2:7: name: a control character has no place here"),
    ('command: x\nname: "a\\x9bb"\n', "x.yaml:2:7: name: a control character has no place here"),
    ("command: x\nqueue: elt\n", "x.yaml:2:8: queue: there is no queue 'elt' (did you mean 'etl'?)"),
    ("command: x\nqueue: rejected\n", "x.yaml:2:8: queue: expected a queue's name, not 'rejected'"),
    ("command: x\nqueue: a/b\n", "x.yaml:2:8: queue: expected a queue's name, not 'a/b'"),
    ("command: x\nenv: [A]\n", "x.yaml:2:6: env: expected a mapping of names to values, not a list"),
    ("command: x\nenv: {1A: x}\n", "x.yaml:2:7: '1A' is not a name for a variable"),
    ("command: x\nenv:\n  A:\n", "x.yaml:3:5: A: expected text, not nothing (put it in quotes)"),
    ("command: x\nenv: {A: yes, B: true}\n", "x.yaml:2:18: B: expected text, not true or false (put it in quotes)"),
    ("command: x\ncwd: here\n", "x.yaml:2:6: cwd: expected an absolute path, not 'here'"),
    ("command: x\npriority: high\n", "x.yaml:2:11: priority: expected a whole number, not text 'high'"),
    ("command: x\npriority: 1.0\n", "x.yaml:2:11: priority: expected a whole number, not a number '1.0'"),
    ("command: x\npriority: true\n", "x.yaml:2:11: priority: expected a whole number, not true or false"),
    ("command: x\npriority: -1\n", "x.yaml:2:11: priority: -1 is not between 0 and 100"),
    ("command: x\npriority: 101\n", "x.yaml:2:11: priority: 101 is not between 0 and 100"),
    ("command: x\ntimeout: 0\n", "x.yaml:2:10: timeout: must be more than nothing"),
    ("command: x\ntimeout: true\n",
     "x.yaml:2:10: timeout: expected a duration such as 90s or 2h 30min, not true or false"),
    ("command: x\ntimeout: soon\n", "x.yaml:2:10: timeout: expected a duration such as 90s or 2h 30min, not 'soon'"),
    ("command: x\ntimeout: 1e20\n", "x.yaml:2:10: timeout: longer than a hundred years"),
    ("command: x\ntimeout: 5 parsecs\n",
     "x.yaml:2:10: timeout: unknown unit of time 'parsecs' (us ms s min h d w month y)"),
    ("command: x\ntimeout: 30:00\n", "x.yaml:2:10: timeout: '30:00' may be minutes or hours: write 30min or 1d 6h"),
    ("command: x\ntimeout: 1-12\n",
     "x.yaml:2:10: timeout: '1-12' is no duration: for days and hours write 1d 12h"),
    ("command: x\ntimeout: 1-24:00\n", "x.yaml:2:10: timeout: '1-24:00' has more than 23 hours beside its days"),
    ("command: x\ntimeout: 2H\n", "x.yaml:2:10: timeout: unknown unit of time 'H' (write h)"),
    ("command: x\ntimeout: 30M\n", "x.yaml:2:10: timeout: unknown unit of time 'M' (us ms s min h d w month y)"),
    ("command: x\ntimeout: unlimited\n",
     "x.yaml:2:10: timeout: expected a duration such as 90s or 2h 30min, not 'unlimited' (write infinity)"),
    ("command: x\noutput: {max_size: 4GB}\n",
     "x.yaml:2:20: max_size: '4GB' is no size: write 4G, which is to the base of 1024"),
    ("command: x\noutput: {max_size: 4 kb}\n",
     "x.yaml:2:20: max_size: '4 kb' is no size: write 4K, which is to the base of 1024"),
    ("cmd: x\n", "x.yaml:1:1: unknown key 'cmd' (did you mean 'command'?)"),
    ("run: x\n", "x.yaml:1:1: unknown key 'run' (did you mean 'command'?)"),
    ("command: x\nenvironment: {}\n", "x.yaml:2:1: unknown key 'environment' (did you mean 'env'?)"),
    ("command: x\nworking_directory: /\n", "x.yaml:2:1: unknown key 'working_directory' (did you mean 'cwd'?)"),
    ("command: x\nworkingDir: /\n", "x.yaml:2:1: unknown key 'workingDir' (did you mean 'cwd'?)"),
    ("command: x\nWorking-Directory: /\n", "x.yaml:2:1: unknown key 'Working-Directory' (did you mean 'cwd'?)"),
    ("command: x\nretries: 3\n", "x.yaml:2:1: unknown key 'retries' (did you mean 'retry: {attempts: ...}'?)"),
    ("command: x\nkill-after: 3\n", "x.yaml:2:1: unknown key 'kill-after' (did you mean 'kill_after'?)"),
    ("command: x\nretry: 3\n",
     "x.yaml:2:8: retry: expected a mapping of keys to values, not a whole number (write {attempts: 3})"),
    ("command: x\nretry: {attemps: 3}\n", "x.yaml:2:9: unknown key 'attemps' (did you mean 'attempts'?)"),
    ("command: x\nretry: {attempts: 0}\n", "x.yaml:2:19: attempts: 0 is not between 1 and 1000000"),
    ("command: x\nretry: {factor: 1e999}\n", "x.yaml:2:17: factor: inf is not between 1 and 100"),
    ("command: x\nretry: {jitter: .nan}\n", "x.yaml:2:17: jitter: expected a number, not text '.nan'"),
    ("command: x\nsuccess_exit_codes: 3\n",
     "x.yaml:2:21: success_exit_codes: expected a list of numbers, not a whole number '3'"),
    ("command: x\nsuccess_exit_codes: []\n", "x.yaml:2:21: success_exit_codes: is empty"),
    ("command: x\nsuccess_exit_codes: [0, 256]\n", "x.yaml:2:25: 256 is not between 0 and 255"),
    ("command: x\nnot_before: 20270131\n",
     "x.yaml:2:13: not_before: expected a time such as 2027-01-31T02:00:00+01:00, not a whole number '20270131'"),
    ("command: x\ndelay: 1s\nnot_before: 2030-01-01T00:00:00Z\n",
     "x.yaml:2:8: 'delay' and 'not_before' exclude each other"),
    ("command: x\ninterrupted: Rerun\n",
     "x.yaml:2:14: interrupted: expected one of rerun, fail, not text 'Rerun' (did you mean 'rerun'?)"),
    ("command: x\ninterrupted: 7\n", "x.yaml:2:14: interrupted: expected one of rerun, fail, not a whole number '7'"),
    ("command: x\noutput: {max_size: 1 lot}\n",
     "x.yaml:2:20: max_size: expected a size such as 512K, 16M or 4G, not '1 lot'"),
    (f"command: x\noutput: {{max_size: {'9' * 400}}}\n",
     f"x.yaml:2:20: max_size: expected a size such as 512K, 16M or 4G, not text '{'9' * 57}...'"),
    ("command: [x]\nshell: [bash, -c]\n",
     "x.yaml:2:8: shell: a command that is a list runs without a shell (say command: and text, or have the program "
     "run the shell itself)"),
    ("script: x\nshell: [bash, -c]\n", "x.yaml:2:8: shell: the first line of a script (#!) says what runs it"),
    ("command: x\nshell: bash\n", "x.yaml:2:8: shell: expected a list of arguments, not text 'bash'"),
    ("command: x\nshell: ['', -c]\n", "x.yaml:2:8: shell: its first argument, the program, is empty"),
    ("command: x\nstdout: /a/{job}\n",
     "x.yaml:2:9: stdout: '{job}' stands for nothing (known: {id}, {name}, {attempt}, {index}, {array})"),
    ("command: x\nstdin: /part.{index}\n",
     "x.yaml:2:8: stdin: '{index}' stands for nothing: this job is none of an array ({id} differs from job to job)"),
    ("command: x\nstderr: {path: '/e.{array}'}\n",
     "x.yaml:2:9: stderr: '{array}' stands for nothing: this job is none of an array ({id} differs from job to job)"),
    ("command: x\nstderr: {path: /a/, mode: append}\n",
     "x.yaml:2:16: path: expected the path of a file (the name of a file is missing at its end)"),
    ("command: x\nstdout: ~/log\n",
     "x.yaml:2:9: stdout: '~' stands for no directory here (write the path in full, or from the job's cwd on)"),
    ("command: x\nstdout: {mode: append}\n", "x.yaml:2:9: stdout: 'path' is missing"),
    ("command: x\nstdout: {path: /a, mode: apend}\n",
     "x.yaml:2:26: mode: expected one of append, truncate, not text 'apend' (did you mean 'append'?)"),
    ("command: x\nstdout: 7\n",
     "x.yaml:2:9: stdout: expected a path, or a mapping with 'path' and 'mode', not a whole number '7'"),
    ("command: x\nstdout: /a\nstderr: {path: /a, mode: truncate}\n",
     "x.yaml:3:9: stderr: it is the file of stdout, with another mode (say the same mode for both)"),
    ("command: x\nstdout: out.log\n",
     "x.yaml:2:9: stdout: 'out.log' is below no directory: the job has no cwd (write the whole path, or say cwd)"),
    ("command: x\nstdin: {path: in}\n",
     "x.yaml:2:8: stdin: 'in' is below no directory: the job has no cwd (write the whole path, or say cwd)"),
    *((f"command: x\ncwd: /d\nstdout: /d/log\nstderr: '{word}'\n",
       f"x.yaml:4:9: stderr: '{word}' would be a file of that name (name the file of the other stream twice; without "
       f"any file both are recorded together; or write ./{word})") for word in ("stdout", "&1", "1", "2>&1")),
    ("command: x\ncwd: /d\nstdout: {path: stderr, mode: truncate}\n",
     "x.yaml:3:16: path: 'stderr' would be a file of that name (name the file of the other stream twice; without any "
     "file both are recorded together; or write ./stderr)"),
    ("command: x\ncwd: /d\nstderr: none\n",
     "x.yaml:3:9: stderr: 'none' would be a file of that name (write /dev/null; or write ./none)"),
    ("command: x\ncwd: /d\nstdout: journal\n",
     "x.yaml:3:9: stdout: 'journal' would be a file of that name (say output: {journal: true}; or write ./journal)"),
    ("command: x\nstdout: append:/var/log/x\n",
     "x.yaml:2:9: stdout: 'append:' is no part of a path (write {path: ...})"),
    ("command: x\nstdout: truncate:/var/log/x\n",
     "x.yaml:2:9: stdout: 'truncate:' is no part of a path (write {path: ..., mode: truncate})"),
    ("command: x\nstdin: {path: /a, text: b}\n", "x.yaml:2:8: stdin: both 'path' and 'text'"),
    ("command: x\nstdin: {text: ''}\n", "x.yaml:2:15: text: is empty (leave out stdin: a job reads nothing then)"),
    (f"command: x\nstdin: {{text: {'x' * 1_048_577}}}\n",
     "x.yaml: larger than 1048576 bytes (see max_file_size)"),
    (f"command: [a, {'x' * 131_072}]\n", "x.yaml:1:14: longer than 131071 bytes: no program can be given that"),
    (f"command: {'é' * 65_536}\n", "x.yaml:1:10: command: longer than 131071 bytes: no program can be given that"),
    (f"command: x\nenv: {{A: {'x' * 131_072}}}\n",
     "x.yaml:2:10: A: longer than 131071 bytes: no program can be given that"),
    ("command: x\nrequires: test -e /x\n",
     "x.yaml:2:11: requires: expected a mapping of keys to values, not text (write {command: test -e /x})"),
    ("command: x\nrequires: {every: 1s}\n", "x.yaml:2:11: 'command' is missing"),
    ("command: x\nrequires: {command: []}\n", "x.yaml:2:21: command: is empty"),
    ("command: x\nrequires: {command: [y], every: 10ms}\n", "x.yaml:2:33: every: must be at least 1s"),
    ("command: x\nrequires: {command: [y], timeout: 11min}\n", "x.yaml:2:35: timeout: must be at most 10min"),
    ("command: x\nrequires: {command: [y], timeout: 0}\n", "x.yaml:2:35: timeout: must be more than nothing"),
    ("command: x\nname: n\narray: {to: 2}\nrequires: {command: [y, '{line}']}\n",
     "x.yaml:3:8: array: {line} stands for nothing: its array has no lines; write {{line}} for just that"),
    *((f"command: x\n{key}: 1\n", f"x.yaml:2:1: the key '{key}' is not supported by this version") for key in LATER),
]  # fmt: skip


class TestRefused:
    @pytest.mark.parametrize(("text", "said"), REFUSALS, ids=[text[:60] for text, _ in REFUSALS])
    def test_exactly(self, text: str, said: str) -> None:
        assert refused(text) == [said]

    def test_a_shell_for_a_script(self) -> None:
        said = "x:2:18: shell: the first line of a script (#!) says what runs it"
        assert refused("#!/bin/sh\n#TASKGATE shell: [bash, -c]\n", "x") == [said]

    def test_all_at_once(self) -> None:
        text = "- command: x\n  priority: 300\n  retry: {delay: x, jitter: 2}\n- comand: y\n- command: [1, 2]\n"
        places = [problem.split(": ")[0] for problem in refused(text)]
        assert places == ["x.yaml:2:13", "x.yaml:3:18", "x.yaml:3:29", "x.yaml:4:3", "x.yaml:5:13"]

    def test_but_not_without_end(self) -> None:
        said = refused("".join(f"k{n}: 1\n" for n in range(50_000)))
        assert len(said) == MAX_PROBLEMS + 1
        assert said[-1] == f"x.yaml: these are the first {MAX_PROBLEMS}; there may be more"

    def test_places_in_json(self) -> None:
        text = '{"name": "\\ud83d\\ude00", "priority": 101,\r\n\t"command": 7}'
        assert refused(text, "x.json") == [
            "x.json:1:38: priority: 101 is not between 0 and 100",
            f"x.json:2:13: command: expected {LINE}, not a whole number '7'",
        ]
        assert refused("command: x\n", "x.json") == ["x.json:1:1: not JSON: Expecting value"]

    def test_too_large(self) -> None:
        for name in ("x.yaml", "x"):
            said = refused(b"#!/bin/sh" + b" " * 2**20, name)
            assert said == [f"{name}: larger than 1048576 bytes (see max_file_size)"]


SEEDS = [
    json.dumps(FULL),
    "- command: x\n  queue: etl\n  not_before: 2027-01-01T00:00:00Z\n- script: |\n    echo\n  timeout: infinity\n",
    "#!/bin/sh\n#SBATCH -J x --time=1-2:30 -c4 # y\n#SBATCH --export=A=1 --begin=tomorrow --nice\necho\n",
    "#!/bin/sh\n#PBS -l nodes=1:ppn=2,walltime=1:0:0 -a 0230\n#PBS -v A=1,B='x' -p -7\necho\n",
    "#!/bin/sh\n#TASKGATE name: x\n#TASKGATE retry: {attempts: 3, delay: 1min}\necho\n",
]


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_whatever_is_dropped_is_refused_or_kept_as_it_is(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SEEDS)).encode()
    pieces = st.binary(max_size=3) | st.sampled_from(
        [b"9" * 400, b"1e999", b"\\ud800", b"\\0", b"~", b"- ", b"[", b"\r", b"7"]
    )
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(pieces) + text[at + data.draw(st.integers(0, 3)) :]
    check_any(text)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100))
@example(b"command: x\noutput: {max_size: " + b"9" * 400 + b"}")
@example(b'{"command": "\\ud800"}')
def test_any_bytes(data: bytes) -> None:
    check_any(data)
    check_any(b"#!" + data)


def check_any(data: bytes) -> None:
    for name, queue in (("x.yaml", "default"), ("x.json", "etl"), ("x.tasks", "late"), ("x", "x"), ("x", "lines")):
        try:
            found = read(data, name, queue)
        except Refused as error:
            assert error.problems and str(error)
        else:
            assert all(map(round_trips, found))
            assert all(
                to_bytes(part) for spec in found for part in (spec.name, *(spec.command or "x"), spec.cwd) if part
            )
