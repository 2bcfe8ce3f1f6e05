"""The whole main job, from a dropped file to its outcome, on a real daemon."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskgated.attempts import outputs
from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def overlap(lines: list[str]) -> int:
    """How many jobs ran at once, at most, of a log of ``start N`` and ``end N`` lines in order."""
    running, most = 0, 0
    for line in lines:
        running += 1 if line.startswith("start") else -1
        most = max(most, running)
    return most


class TestForms:
    def test_spec_script_list(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "name: spec\ncommand: [echo, 'two  words']\n")
        gate.drop(
            "b.json",
            '[{"name": "j1", "command": "echo $X", "env": {"X": "y"}}, {"name": "j2", "command": ["true"]}]',
        )
        gate.drop("c", "#!/bin/sh\n#TASKGATE name: script\n#TASKGATE success_exit_codes: [7]\nexit 7\n")
        gate.drop("d.tasks", "# a comment\n\necho line one\nexit 4\n")
        jobs = gate.until_over(6)
        ends = {(job["source"], job["name"]): (job["state"], job["exit_code"]) for job in jobs}
        assert ends == {
            ("a.yaml", "spec"): ("succeeded", 0),
            ("b.json", "j1"): ("succeeded", 0),
            ("b.json", "j2"): ("succeeded", 0),
            ("c", "script"): ("succeeded", 7),
            ("d.tasks", "echo"): ("succeeded", 0),
            ("d.tasks", "exit"): ("failed", 4),
        }
        spec = next(job for job in jobs if job["name"] == "spec")
        assert gate.ctl("logs", str(spec["id"])).stdout == b"two  words\n"
        assert os.listdir(gate.layout.spool) == [".claims", "rejected"] or set(os.listdir(gate.layout.spool)) >= {
            "rejected"
        }
        assert os.listdir(gate.layout.scripts) == []

    def test_handlers(self, make_gate: MakeGate) -> None:
        gate = make_gate(
            "queues:\n"
            "  thumbs: {handler: {command: [cat, '{file}']}}\n"
            "  lines: {handler: {command: [echo, '<{line}>']}}\n"
        )
        gate.drop("picture 1.jpg", b"\0\xffdata", "thumbs")
        gate.drop("x.yaml", "a: b\n# c\n", "lines")
        jobs = gate.until_over(3)
        assert {job["state"] for job in jobs} == {"succeeded"}
        outputs = {gate.ctl("logs", str(job["id"])).stdout for job in jobs}
        assert outputs == {b"\0\xffdata", b"<a: b>\n", b"<# c>\n"}
        until(
            lambda: not any(files for *_, files in os.walk(gate.layout.claims)), "the kept file is gone after its job"
        )

    def test_a_queue_directory_made_while_it_runs(self, gate: GateEnv) -> None:
        (gate.layout.spool / "etl").mkdir()
        gate.drop("a.yaml", "command: [true]\n".replace("true", "'true'"), "etl")
        (job,) = gate.until_over(1)
        assert (job["queue"], job["state"]) == ("etl", "succeeded")

    def test_bad_input_is_put_aside_with_a_reason(self, gate: GateEnv) -> None:
        gate.drop("bad.yaml", "name: x\npriorty: 3\ncommand: x\n")
        gate.drop("good.yaml", "command: 'true'\n")
        gate.until_over(1)
        reason = until(
            lambda: (p := gate.layout.rejected / "bad.yaml.reason").exists() and p.read_text(),
            "it is refused",
        )
        assert "bad.yaml:2:1: unknown key 'priorty' (did you mean 'priority'?)" in reason
        assert (gate.layout.rejected / "bad.yaml").read_text() == "name: x\npriorty: 3\ncommand: x\n"

    def test_a_script_that_no_message_can_quote(self, gate: GateEnv) -> None:
        """Its first line is not UTF-8, and the journal and the store want to say what was wrong with it."""
        gate.drop("a", b"#!/no/such/\xff" + b"x" * 150 + b"\n")
        gate.drop("b", b"#!/bin/sh\n")
        jobs = {job["name"]: job for job in gate.until_over(2)}
        assert jobs["b"]["state"] == "succeeded"
        assert (jobs["a"]["state"], jobs["a"]["exit_code"]) == ("failed", 127)
        assert "interpreter was not found: #!/no/such/\\xff" in jobs["a"]["reason"]
        assert len(jobs["a"]["reason"]) < 180

    @pytest.mark.parametrize("name", [b"sp ace.yaml", b"new\nline.yaml", b"\xff\xfe.yaml", b"x" * 250 + b".yaml"])
    def test_any_name(self, gate: GateEnv, name: bytes) -> None:
        gate.drop(name, "command: 'true'\n")
        (job,) = gate.until_over(1)
        given = job["source_bytes"]
        assert (job["source"].encode() if given is None else base64.b64decode(given)) == name
        assert gate.ctl("list").returncode == 0


class TestContract:
    """What scripts rely on."""

    def test_list_json(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "name: n\ncommand: exit 3\n")
        gate.until_over(1)
        (job,) = gate.ctl_json("list")
        assert {k: job[k] for k in ("id", "name", "queue", "state", "attempt", "exit_code", "source")} == {
            "id": 1, "name": "n", "queue": "default", "state": "failed", "attempt": 1, "exit_code": 3,
            "source": "a.yaml",
        }  # fmt: skip
        for key in ("submitted", "started", "finished"):
            assert TIME.fullmatch(job[key])

    def test_list_pages_and_filters(self, gate: GateEnv) -> None:
        gate.drop("a.tasks", "exit 1\n" + "true\n" * 1200)
        gate.until_over(1201, 120)
        jobs = gate.ctl_json("list")
        assert [job["id"] for job in jobs] == list(range(1, 1202))
        assert [job["id"] for job in gate.ctl_json("list", "--state", "failed")] == [1]
        assert [job["id"] for job in gate.ctl_json("list", "--after", "1000", "--limit", "3")] == [
            1001,
            1002,
            1003,
        ]
        assert gate.ctl_json("list", "--queue", "nosuch") == []

    def test_status(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\nqueues: {etl: {limit: 1}}\n", start=False)
        assert gate.ctl("status").returncode == os.EX_UNAVAILABLE
        gate.start()
        gate.drop("a.yaml", "- {name: a, command: sleep 60}\n- {name: b, command: sleep 60}\n")
        running = gate.until_running("a")
        result = gate.ctl("status", "--json")
        assert result.returncode == 0
        status = json.loads(result.stdout)
        assert status["counts"]["running"] == 1
        assert status["counts"]["queued"] == 1
        (worker,) = status["workers"]
        assert (worker["state"], worker["job"]) == ("running", running["id"])
        os.kill(worker["pid"], 0)
        assert {q["name"]: q["limit"] for q in status["queues"]} == {"default": None, "etl": 1}

    def test_wait_leaves_with_the_exit_code_of_the_job(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "- command: sleep 0.3; exit 5\n- command: 'true'\n- command: kill -9 $$\n")
        until(lambda: len(gate.jobs()) == 3, "the jobs are there")
        assert gate.ctl("wait", "1").returncode == 5
        assert gate.ctl("wait", "2").returncode == 0
        assert gate.ctl("wait", "3").returncode == 128 + 9
        assert gate.ctl("wait", "2", "1", "3").returncode == 5
        assert [job["id"] for job in gate.ctl_json("wait", "3", "1")] == [3, 1]
        missing = gate.ctl("wait", "99")
        assert missing.returncode == 1
        assert b"no job 99" in missing.stderr

    def test_exit_by_code_and_by_signal_are_told_apart(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "- {name: code, command: exit 9}\n- {name: signal, command: kill -9 $$}\n")
        gate.until_over(2)
        code, killed = gate.job("code"), gate.job("signal")
        assert code and (code["exit_code"], code["signal"]) == (9, None)
        assert killed and (killed["exit_code"], killed["signal"]) == (None, 9)

    def test_check_says_what_the_daemon_would(self, make_gate: MakeGate) -> None:
        gate = make_gate(start=False)
        bad = gate.root / "x.yaml"
        bad.write_text("command: 'true'\npriority: high\n")
        result = gate.ctl("check", str(bad))
        assert result.returncode == 1
        assert b"x.yaml:2:11: priority: expected a whole number" in result.stdout
        bad.write_text("command: 'true'\n")
        assert gate.ctl("check", str(bad)).stdout == f"{bad}: 1 job\n".encode()

    def test_check_has_the_notes_about_an_array_once(self, make_gate: MakeGate) -> None:
        gate = make_gate(start=False)
        array = gate.root / "x.sh"
        array.write_text("#!/bin/sh\n#SBATCH --array=1-3000 --mem=4G\n")
        (found,) = json.loads(gate.ctl("--json", "check", str(array)).stdout)
        assert found["jobs"] == 3000
        assert [note[:19] for note in found["notes"]] == ["line 2: '--mem=4G' "]

    def test_show_tells_everything_a_job_waits_for(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\nqueues: {default: {limit: 1}}\n")
        gate.drop("a.yaml", "- {name: a, command: sleep 60}\n- {name: b, command: 'true', delay: 1h}\n")
        gate.until_running("a")
        b = gate.job("b")
        assert b
        kinds = [reason["kind"] for reason in gate.call("Show", id=b["id"])["waits_for"]]
        assert kinds == ["time", "queue_limit", "limit"]

    def test_cancel(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\n")
        gate.drop("a.yaml", "- {name: a, command: sleep 60, retry: {attempts: 5}}\n- {name: b, command: 'true'}\n")
        a = gate.until_running("a")
        b = gate.job("b")
        assert b
        assert gate.ctl("cancel", str(b["id"])).returncode == 0
        assert gate.ctl("cancel", str(a["id"])).returncode == 0
        states = {job["name"]: job["state"] for job in gate.until_over(2)}
        assert states == {"a": "cancelled", "b": "cancelled"}
        assert gate.ctl("cancel", str(a["id"])).returncode == 1

    def test_logs_follow_until_the_end(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "name: a\ncommand: echo one; sleep 1; echo two\n")
        job = gate.until_running("a")
        assert gate.ctl("logs", "--follow", str(job["id"])).stdout == b"one\ntwo\n"


class TestLimits:
    def test_a_limit_is_never_exceeded_and_the_order_kept(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 4\nqueues: {etl: {limit: 2}}\n")
        log = gate.scratch / "log"
        command = f"echo start >> {log}; sleep 0.02; echo end >> {log}"
        gate.drop("a.yaml", "".join(f"- {{name: j{n}, command: '{command}'}}\n" for n in range(40)), "etl")
        jobs = gate.until_over(40)
        assert overlap(gate.lines("log")) == 2
        begun = [job["name"] for job in sorted(jobs, key=lambda job: job["started"])]
        assert begun == [f"j{n}" for n in range(40)]

    def test_priority_goes_first(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\n")
        gate.drop("a.yaml", "name: first\ncommand: sleep 0.5\n")
        gate.until_running("first")
        gate.drop("b.yaml", "".join(f"- {{name: p{p}, command: 'true', priority: {p}}}\n" for p in (10, 90, 50)))
        jobs = gate.until_over(4)
        names = [job["name"] for job in sorted(jobs, key=lambda job: job["started"])]
        assert names == ["first", "p90", "p50", "p10"]

    def test_intake_pauses_when_the_backlog_is_full(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\nmax_backlog: 3\n")
        hold = gate.scratch / "hold"
        hold.touch()
        wait = f"while [ -e {hold} ]; do sleep 0.05; done"
        for n in range(10):
            gate.drop(f"{n}.yaml", f"command: '{wait}'\n")
        until(lambda: "intake paused" in gate.status()["text"], "the status says so")
        assert gate.status()["counts"]["queued"] <= 3
        left = [name for name in os.listdir(gate.layout.spool) if name.endswith(".yaml")]
        assert len(left) >= 5, "files stay in the spool"
        until(lambda: "intake pauses" in gate.log(), "the log says so")
        hold.unlink()
        gate.until_over(10)
        until(lambda: "intake goes on" in gate.log(), "the log says that it goes on")


class TestRetry:
    def test_until_it_succeeds(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "command: test $TASKGATE_ATTEMPT -ge 3\nretry: {attempts: 5, delay: 100ms}\n")
        (job,) = gate.until_over(1)
        assert (job["state"], job["attempt"], job["failures"]) == ("succeeded", 3, 2)
        results = [a["result"] for a in gate.call("Show", id=1)["attempts"]]
        assert results == ["failed", "failed", "succeeded"]

    def test_until_the_attempts_are_used_up(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "command: exit 2\nretry: {attempts: 2, delay: 50ms}\n")
        (job,) = gate.until_over(1)
        assert (job["state"], job["attempt"], job["exit_code"]) == ("failed", 2, 2)

    def test_timeout(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "command: trap '' TERM; sleep 60\ntimeout: 200ms\nkill_after: 100ms\n")
        (job,) = gate.until_over(1)
        assert (job["state"], job["result"], job["signal"]) == ("failed", "timed_out", 9)

    def test_delay_and_expiry(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\n")
        gate.drop("a.yaml", "- {name: late, command: 'true', delay: 500ms}\n- {name: long, command: sleep 1.5}\n")
        gate.until_running("long")
        gate.drop("b.yaml", "name: never\ncommand: 'true'\nexpires: 300ms\n")
        ends = {job["name"]: (job["state"], job["reason"]) for job in gate.until_over(3)}
        assert ends["late"][0] == "succeeded"
        assert ends["never"][0] == "cancelled"
        assert "expired" in ends["never"][1]


class TestCrashes:
    def test_a_killed_worker_is_replaced_and_its_job_run_again(self, gate: GateEnv) -> None:
        marks = gate.scratch / "marks"
        command = f"echo $TASKGATE_ATTEMPT >> {marks}; [ $TASKGATE_ATTEMPT = 2 ] || sleep 60"
        gate.drop("a.yaml", f"name: a\ncommand: '{command}'\n")
        gate.drop("b.yaml", "name: b\ncommand: sleep 1\n")
        gate.until_running("a")
        gate.until_running("b")
        until(lambda: gate.lines("marks"), "it began")
        victim = next(w["pid"] for w in gate.status()["workers"] if w["job"] == 1)
        os.kill(victim, signal.SIGKILL)
        jobs = gate.until_over(2)
        ends = {job["name"]: (job["state"], job["attempt"]) for job in jobs}
        assert ends == {"a": ("succeeded", 2), "b": ("succeeded", 1)}
        assert gate.lines("marks") == ["1", "2"]
        until(lambda: len(gate.status()["workers"]) == 2, "there are two workers again")
        assert victim not in [w["pid"] for w in gate.status()["workers"]]

    def test_nothing_of_the_attempt_is_left_when_it_runs_again(self, gate: GateEnv) -> None:
        """Its worker dies; what it had started, daemonized even, must be dead before the next attempt."""
        spawn = gate.scratch / "spawn.py"
        spawn.write_text(
            "import os, sys, time\n"
            "if os.fork(): time.sleep(60)\n"
            "os.setsid()\n"
            "if os.fork(): os._exit(0)\n"
            f"open('{gate.scratch}/pids', 'a').write(f'{{os.getpid()}}\\n')\n"
            "time.sleep(60)\n"
        )
        test = "for p in $(cat pids); do kill -0 $p && echo alive; done >> alive 2>/dev/null"
        check = f"cd {gate.scratch}; {test}; exit 0"
        first = f"exec python3 {spawn}"
        gate.drop("a.yaml", f"name: a\ncommand: |\n  [ $TASKGATE_ATTEMPT = 1 ] && {first}\n  {check}\n")
        gate.until_running("a")
        until(lambda: gate.lines("pids"), "the daemonized process runs")
        os.kill(next(w["pid"] for w in gate.status()["workers"] if w["job"]), signal.SIGKILL)
        (job,) = gate.until_over(1)
        assert (job["state"], job["attempt"]) == ("succeeded", 2)
        assert gate.lines("alive") == []

    def test_interrupted_fail(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "name: a\ncommand: sleep 60\ninterrupted: fail\n")
        gate.until_running("a")
        os.kill(next(w["pid"] for w in gate.status()["workers"] if w["job"]), signal.SIGKILL)
        (job,) = gate.until_over(1)
        assert (job["state"], job["attempt"], job["result"]) == ("failed", 1, "lost")

    def test_poison(self, gate: GateEnv) -> None:
        """A job that kills its worker is tried three times, and nobody else is harmed."""
        gate.drop("a.yaml", "name: poison\ncommand: kill -9 $PPID; sleep 5\n")
        gate.drop("b.tasks", "sleep 0.2\n" * 10)
        jobs = gate.until_over(11)
        (poison,) = [job for job in jobs if job["name"] == "poison"]
        assert (poison["state"], poison["attempt"]) == ("failed", 3)
        assert "poison" in poison["reason"]
        others = [job for job in jobs if job["name"] != "poison"]
        assert {(job["state"], job["attempt"]) for job in others} == {("succeeded", 1)}

    def test_the_worker_server_dies(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "name: a\ncommand: sleep 1\n")
        gate.until_running("a")
        before = gate.server()
        os.kill(before, signal.SIGKILL)
        (job,) = gate.until_over(1)
        assert (job["state"], job["attempt"]) == ("succeeded", 1), "the worker did not notice"
        until(lambda: "starting another" in gate.log(), "it is said")
        until(lambda: gate.status()["ready"], "all is well again, though no worker had to be replaced")
        for worker in gate.status()["workers"]:
            os.kill(worker["pid"], signal.SIGKILL)
        gate.drop("b.yaml", "command: 'true'\n")
        assert gate.until_over(2)[1]["state"] == "succeeded"

    def test_the_daemon_dies_and_its_jobs_live(self, make_gate: MakeGate) -> None:
        """Counted before anything new starts, neither killed nor repeated; results of meanwhile are kept."""
        gate = make_gate("workers: 2\n")
        log = gate.scratch / "log"
        command = f"echo start >> {log}; sleep $0; echo end >> {log}"
        specs = "".join(
            f"- {{name: j{n}, command: [sh, -c, '{command}', '{seconds}']}}\n"
            for n, seconds in enumerate([0.5, 3, 0.2, 0.2, 0.2, 0.2])
        )
        gate.drop("a.yaml", specs)
        gate.until_running("j0")
        gate.until_running("j1")
        until(lambda: len(gate.lines("log")) >= 2, "both began")
        gate.kill()
        until(lambda: "end" in gate.lines("log"), "one of them ended with nobody there")
        gate.start()
        jobs = gate.until_over(6)
        assert {(job["state"], job["attempt"]) for job in jobs} == {("succeeded", 1)}
        assert gate.lines("log").count("start") == 6
        assert overlap(gate.lines("log")) == 2
        assert list(gate.layout.outcomes.iterdir()) == []

    def test_daemon_and_workers_die(self, make_gate: MakeGate) -> None:
        """As after a power cut, but within one boot: what was left of the attempt is ended first."""
        gate = make_gate("workers: 1\n")
        mark = gate.scratch / "mark"
        gate.drop("a.yaml", f"name: a\ncommand: echo x >> {mark}; [ $TASKGATE_ATTEMPT = 2 ] || sleep 60\n")
        gate.until_running("a")
        until(lambda: gate.lines("mark"), "it began")
        workers = [w["pid"] for w in gate.status()["workers"]]
        server = gate.server()
        gate.kill()
        for pid in (server, *workers):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        gate.start()
        (job,) = gate.until_over(1)
        assert (job["state"], job["attempt"]) == ("succeeded", 2)
        assert len(gate.lines("mark")) == 2

    def test_a_spool_that_is_replaced(self, gate: GateEnv) -> None:
        gate.layout.spool.rename(gate.root / "old")
        gate.layout.spool.mkdir()
        (gate.layout.spool / "rejected").mkdir()
        gate.drop("a.yaml", "command: 'true'\n")
        assert gate.until_over(1)[0]["state"] == "succeeded"
        until(lambda: gate.status()["ready"], "the gate is ready again")


class TestLeavesNothing:
    def test_what_daemonizes_is_gone_when_the_job_is_over(self, gate: GateEnv) -> None:
        pids = gate.scratch / "pids"
        daemons = f"setsid sh -c 'echo $$ >> {pids}; sleep 60' & setsid -f sleep 61"
        command = f"{daemons}; while [ ! -s {pids} ]; do sleep 0.01; done"
        gate.drop("a.yaml", f"command: |\n  {command}\n")
        (job,) = gate.until_over(1)
        assert job["state"] == "succeeded"
        (pid,) = gate.lines("pids")
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)

    def test_a_chatty_job_keeps_beginning_and_end(self, make_gate: MakeGate) -> None:
        gate = make_gate("output: {max_size: 64K}\n")
        gate.drop("a.yaml", "command: echo begin; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo end\n")
        (job,) = gate.until_over(1)
        (attempt,) = gate.call("Show", id=job["id"])["attempts"]
        output = gate.ctl("logs", "1").stdout
        assert output.startswith(b"begin\n")
        assert output.endswith(b"\nend\n")
        assert len(output) <= 64 * 1024 + 100
        assert attempt["output"] == 50_000_000 + len("begin\n\nend\n")
        assert attempt["omitted"] > 49_000_000
        assert attempt["user"] + attempt["system"] > 0

    def test_what_holds_for_all_holds_in_a_queue_that_is_only_a_directory(self, make_gate: MakeGate) -> None:
        gate = make_gate("output: {max_size: 64K}\numask: '077'\n")
        (gate.layout.spool / "plain").mkdir()
        gate.drop("a.yaml", "command: umask; head -c 1000000 /dev/zero | tr '\\0' x\n", "plain")
        gate.until_over(1)
        (attempt,) = gate.call("Show", id=1)["attempts"]
        assert attempt["omitted"] > 900_000
        assert gate.ctl("logs", "1").stdout.startswith(b"0077\n")


class TestStop:
    def test_running_jobs_may_end(self, gate: GateEnv) -> None:
        gate.drop("a.yaml", "name: a\ncommand: sleep 1\n")
        gate.until_running("a")
        assert gate.stop() == 0
        gate.start()
        (job,) = gate.jobs()
        assert (job["state"], job["attempt"]) == ("succeeded", 1)

    def test_after_stop_timeout_they_are_put_back(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\nstop_timeout: 300ms\n")
        gate.drop("a.yaml", "name: a\ncommand: '[ $TASKGATE_ATTEMPT = 2 ] || sleep 60'\n")
        gate.until_running("a")
        assert gate.stop() == 0
        assert not gate.processes()
        gate.start()
        (job,) = gate.until_over(1)
        assert (job["state"], job["attempt"], job["failures"]) == ("succeeded", 2, 0)

    def test_a_second_signal_is_quicker(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\nstop_timeout: 1h\n")
        gate.drop("a.yaml", "name: a\ncommand: sleep 600\n")
        gate.until_running("a")
        gate.signal(signal.SIGTERM)
        until(lambda: "stopping" in gate.status()["text"], "it is stopping")
        gate.signal(signal.SIGTERM)
        assert gate.wait() == 0

    def test_nothing_is_taken_in_any_more(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\n")
        gate.drop("a.yaml", "name: a\ncommand: sleep 1.5\n")
        gate.until_running("a")
        gate.signal(signal.SIGTERM)
        until(lambda: "stopping" in gate.status()["text"], "it is stopping")
        gate.drop("b.yaml", "command: 'true'\n")
        assert gate.wait() == 0
        assert (gate.layout.spool / "b.yaml").exists()
        gate.start()
        assert {job["state"] for job in gate.until_over(2)} == {"succeeded"}


class TestReload:
    def test_workers_are_resized_without_killing_a_job(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\n")
        gate.drop("a.tasks", "sleep 2\n" * 4)
        until(lambda: gate.status()["counts"].get("running") == 1, "one runs")
        gate.configure("workers: 3\n")
        gate.signal(signal.SIGHUP)
        until(lambda: gate.status()["counts"].get("running") == 3, "three run")
        gate.configure("workers: 1\n")
        gate.signal(signal.SIGHUP)
        jobs = gate.until_over(4)
        assert {(job["state"], job["attempt"]) for job in jobs} == {("succeeded", 1)}
        until(lambda: len(gate.status()["workers"]) == 1, "one worker is left")

    def test_a_limit_that_more_than_all_workers_would_need(self, make_gate: MakeGate) -> None:
        """It is allowed: workers may be added later. But who writes it is told what holds until then."""
        gate = make_gate("workers: 2\nqueues: {etl: {limit: 5}, small: {limit: 2}}\n")
        note = "queue etl: its limit is 5, but no more than 2 jobs run at once in all (workers: 2)"
        status = gate.status()
        assert (status["ready"], status["notes"], status["problems"]) == (True, [note], [])
        assert f"\n  note: {note}\n" in gate.ctl("status").stdout.decode()
        check = [sys.executable, "-m", "taskgated", "--root", str(gate.root), "--check"]
        done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.splitlines() == ["the configuration is fine", f"note: {note}"]
        gate.configure("workers: 5\nqueues: {etl: {limit: 5}}\n")
        assert gate.ctl_json("reload")["notes"] == [
            "queue small: its limit of 2 is lifted, as it is not in the configuration any more"
        ]

    def test_a_limit_that_is_taken_away_is_named(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 2\nqueues: {etl: {limit: 1}, kept: {limit: 1}, changed: {limit: 1}}\n")
        gate.configure("workers: 2\nqueues: {kept: {limit: 1}, changed: {}}\n")
        done = gate.ctl("reload").stdout.decode().splitlines()
        lifted = [
            f"queue {name}: its limit of 1 is lifted, as it is not in the configuration any more"
            for name in ("etl", "changed")
        ]
        assert done == ["configuration reloaded", *(f"note: {line}" for line in lifted)]
        until(lambda: all(line in gate.log() for line in lifted), "the journal has it as well")
        assert gate.ctl_json("reload") == {"notes": []}

    def test_a_bad_configuration_changes_nothing(self, gate: GateEnv) -> None:
        gate.configure("workers: 3\nworkerz: 4\n")
        gate.signal(signal.SIGHUP)
        until(lambda: "did you mean 'workers'?" in gate.log(), "the log says what is wrong")
        status = gate.status()
        assert len(status["workers"]) == 2
        assert status["problems"]
        gate.configure("workers: 2\n")
        gate.signal(signal.SIGHUP)
        until(lambda: gate.status()["ready"], "it is fine again")


class TestCannotStart:
    def run(self, gate: GateEnv, env: dict[str, str] | None = None, *args: str) -> int:
        return gate.launch(env, *args).wait(60)

    def test_bad_configuration(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: none\nqueues: {x: {limmit: 3}}\n", start=False)
        assert self.run(gate) == os.EX_CONFIG
        assert "taskgated.yaml:1:10" in gate.log()
        assert "did you mean 'limit'?" in gate.log()
        assert self.run(gate, None, "--check") == os.EX_CONFIG

    def test_a_second_daemon(self, gate: GateEnv) -> None:
        first = gate.process
        assert first
        assert self.run(gate) == os.EX_TEMPFAIL
        assert f"another taskgated (pid {first.pid})" in gate.log()
        gate.process = first
        assert gate.status()["ready"], "the first one is not disturbed"

    def test_a_newer_database(self, make_gate: MakeGate) -> None:
        import sqlite3

        gate = make_gate()
        gate.stop()
        with sqlite3.connect(gate.layout.database) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        assert self.run(gate) == os.EX_IOERR
        assert "newer taskgated" in gate.log()

    def test_no_worker_can_be_started(self, make_gate: MakeGate) -> None:
        gate = make_gate(start=False)
        broken = gate.root / "broken"
        broken.mkdir()
        (broken / "sitecustomize.py").write_text(
            "import sys, os\n"
            "if 'taskgated.worker' in ' '.join(sys.orig_argv): os._exit(3)\n"
        )  # fmt: skip
        path = f"{broken}:{REPOSITORY}"
        assert self.run(gate, {"PYTHONPATH": path}) == os.EX_UNAVAILABLE
        assert "no worker can be started" in gate.log()


class TestOldWay:
    """The template: a file of lines, read and truncated; two consumers that take their time for each line."""

    CONFIG = """
workers: 4
max_backlog: 5
queues:
  lines:
    limit: 2
    handler: {command: [sh, -c, 'echo "start $0" >> LOG; sleep 0.02; echo "end $0" >> LOG', "{line}"]}
"""

    def test_every_line_once_never_more_than_two_in_order(self, make_gate: MakeGate) -> None:
        gate = make_gate(start=False)
        gate.configure(self.CONFIG.replace("LOG", str(gate.scratch / "log")))
        gate.start()
        target = gate.layout.spool / "lines" / "lines.txt"
        until(target.parent.is_dir, "the queue has its directory")
        script = f"for n in $(seq $0 $1); do echo $n; done >> {target}"
        for first in (1, 11, 21):
            subprocess.run(["sh", "-c", script, str(first), str(first + 9)], check=True)
        jobs = gate.until_over(30)
        assert overlap(gate.lines("log")) == 2
        begun = [line.split()[1] for line in gate.lines("log") if line.startswith("start")]
        assert sorted(begun, key=int) == [str(n) for n in range(1, 31)]
        by_id = sorted(jobs, key=lambda job: job["started"])
        assert [job["id"] for job in by_id] == sorted(job["id"] for job in jobs)
        assert "intake pauses" in gate.log(), "the producer is held back when the queue is full"

    def test_concurrent_appends_lose_nothing(self, make_gate: MakeGate) -> None:
        gate = make_gate(start=False)
        gate.configure("workers: 2\nqueues: {lines: {handler: {command: [echo, '{line}']}}}\n")
        gate.start()
        target = gate.layout.spool / "lines" / "lines.txt"
        until(target.parent.is_dir, "the queue has its directory")

        def append(who: int) -> None:
            for n in range(60):
                with open(target, "a") as file:
                    file.write(f"{who}-{n}\n")

        threads = [threading.Thread(target=append, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        jobs = gate.until_over(240)
        lines = sorted((Path(outputs.path(gate.layout.log, job["id"], 1))).read_text().strip() for job in jobs)
        assert lines == sorted(f"{who}-{n}" for who in range(4) for n in range(60))

    def test_the_template_loses_lines(self, tmp_path: Path) -> None:
        """Why: what is appended between its read and its truncate is gone."""
        target = tmp_path / "lines.txt"
        target.write_text("1\n2\n")
        with open(target, "r+") as producer:
            taken = producer.read().splitlines()
            with open(target, "a") as other:
                other.write("3\n")
            producer.truncate(0)
        assert taken + target.read_text().splitlines() == ["1", "2"]


class TestMemory:
    def test_is_bounded_by_configuration_not_by_backlog(self, gate: GateEnv) -> None:
        def resident() -> int:
            assert gate.process
            return int(Path(f"/proc/{gate.process.pid}/statm").read_text().split()[1]) * 4096

        gate.drop("warm.tasks", "true\n" * 100)
        gate.until_over(100)
        before = resident()
        gate.drop("many.tasks", "sleep 60\n" * 50_000)
        for n in range(2_000):
            gate.drop(f"{n}.yaml", "command: sleep 60\n")
        until(lambda: sum(gate.status()["counts"].values()) == 52_100, "all of them are in the store", 120)
        assert resident() - before < 30_000_000


class TestEnvironment:
    def test_of_a_job(self, gate: GateEnv) -> None:
        gate.drop(
            "a.yaml",
            "command: env; umask; pwd; readlink /proc/self/fd/0; ps -o sid= -p $$\nenv: {MINE: 'a b'}\n",
        )
        gate.until_over(1)
        output = gate.ctl("logs", "1").stdout.decode().splitlines()
        env: dict[str, Any] = dict(line.split("=", 1) for line in output if "=" in line)
        assert env["MINE"] == "a b"
        assert env["TASKGATE_JOB_ID"] == "1"
        assert env["TASKGATE_ATTEMPT"] == "1"
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "PYTHONPATH"} & env.keys()
        assert output[-4:-1] == ["0022", "/", "/dev/null"]
