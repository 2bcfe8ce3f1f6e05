"""The package on a booted system: what an administrator, a member of the group and a stranger do and see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.env import packages as packages_env
from tests.env.until import until
from tests.system.gate import SPOOL, Gate
from tests.system.machine import UNIT, Machine


class TestInstalled:
    def test_it_runs_and_will_after_a_boot(self, gate: Gate) -> None:
        shown = gate.machine.show("ActiveState", "SubState", "UnitFileState", "User", "Type", "DelegateSubgroup")
        assert (shown["ActiveState"], shown["SubState"], shown["UnitFileState"]) == ("active", "running", "enabled")
        assert shown["User"] == "taskgate"
        new = gate.machine.version() >= 254
        assert shown["Type"] == ("notify-reload" if new else "notify")
        assert shown.get("DelegateSubgroup") == ("supervisor" if new else None)

    def test_directories(self, gate: Gate) -> None:
        out = gate.machine.run(
            "stat", "-c", "%n %a %U %G", SPOOL, f"{SPOOL}/rejected", f"{SPOOL}/failed", f"{SPOOL}/.claims",
            "/var/lib/taskgate", "/var/log/taskgate", "/run/taskgate", "/etc/taskgate/taskgated.yaml",
        )  # fmt: skip
        assert out.splitlines() == [
            f"{SPOOL} 3730 taskgate taskgate",
            f"{SPOOL}/rejected 2750 taskgate taskgate",
            f"{SPOOL}/failed 2750 taskgate taskgate",
            f"{SPOOL}/.claims 2700 taskgate taskgate",
            "/var/lib/taskgate 700 taskgate taskgate",
            "/var/log/taskgate 2750 taskgate adm",
            "/run/taskgate 755 taskgate taskgate",
            "/etc/taskgate/taskgated.yaml 644 root root",
        ]

    def test_units_are_clean(self, gate: Gate) -> None:
        for unit in ("system/taskgated.service", "user/taskgated.service"):
            scope = "--user" if unit.startswith("user") else "--system"
            done = gate.machine.try_(
                "env", "XDG_RUNTIME_DIR=/tmp", "systemd-analyze", scope, "verify", f"/usr/lib/systemd/{unit}"
            )
            assert (done.returncode, done.stdout) == (0, "")

    def test_manuals_and_completions(self, gate: Gate) -> None:
        for page in ("8 taskgated", "1 taskgatectl", "5 taskgated.yaml", "5 taskgate-job", "5 taskgate-foreign"):
            assert gate.machine.try_("man", "-w", *page.split()).returncode == 0, page
        for program in ("taskgated", "taskgatectl"):
            for path in (
                f"/usr/share/bash-completion/completions/{program}",
                f"/usr/share/zsh/vendor-completions/_{program}",
                f"/usr/share/fish/vendor_completions.d/{program}.fish",
            ):
                assert (gate.machine.root / path.lstrip("/")).exists(), path

    def test_active_only_when_it_is_ready(self, gate: Gate) -> None:
        """Workers that take their time keep it ``activating``, though the daemon answers already."""
        machine = gate.machine
        machine.write(
            "/opt/slow/sitecustomize.py",
            "import os, sys, time\nif 'taskgated.worker' in ' '.join(sys.orig_argv):\n"
            "    while not os.path.exists('/opt/slow/go'): time.sleep(0.1)\n",
        )
        with machine.drop_in("Environment=PYTHONPATH=/opt/slow"):
            machine.run("systemctl", "restart", "--no-block", UNIT)
            said = until(lambda: gate.status().get("text"), "the daemon answers")
            assert (said, machine.property("ActiveState")) == ("starting", "activating")
            machine.write("/opt/slow/go", "")
            until(gate.active, "it is active")
            assert gate.status()["ready"]
        machine.run("systemctl", "restart", UNIT)


MAN = REPOSITORY / "packaging" / "man" / "taskgate-job.5"


def ways(which: str) -> list[str]:
    """How a file may be dropped, as taskgate-job(5) has it."""
    (found,) = re.findall(rf'^\.\\" WAYS {which}\n(.*?)^\.\\" END WAYS$', MAN.read_text(), re.MULTILINE | re.DOTALL)
    return [line.replace("\\-", "-") for line in found.splitlines()]


class TestDropping:
    def test_a_member_drops_and_sees_its_output(self, gate: Gate) -> None:
        gate.drop("member.yaml", "name: member\ncommand: [id, -un]\n", user="alice")
        job = gate.until_state("member", "succeeded")
        assert gate.ctl("logs", str(job["id"]), user="alice").stdout == "taskgate\n"

    def test_a_stranger_is_refused_by_the_kernel(self, gate: Gate) -> None:
        assert "Permission denied" in gate.drop("stranger.yaml", "command: id\n", user="eve", check=False)
        assert "in the group taskgate" in gate.ctl("status", user="eve").stdout

    def test_root_drops(self, gate: Gate) -> None:
        gate.drop("root.yaml", "name: root\ncommand: 'true'\n")
        gate.until_state("root", "succeeded")

    def test_a_cautious_umask_keeps_nobody_out(self, gate: Gate) -> None:
        spec = "name: cautious\\ncommand: id\\n"
        gate.machine.sh(f"umask 077; printf '{spec}' >{SPOOL}/cautious.yaml", user="alice")
        gate.until_state("cautious", "succeeded")

    @pytest.mark.parametrize(
        ("mode", "which", "only", "taken"),
        [
            ("chmod 600 FILE", "any", "", True),
            ("chmod 644 FILE", "any", "", True),
            ("chmod 644 FILE", "readable", "", True),
            ("chmod 600 FILE; setfacl -m u:taskgate:r FILE", "readable", "", True),
            ("chmod 600 FILE", "readable", "", False),
            ("chmod 640 FILE", "readable", "cp FILE", True),
            ("chmod 640 FILE", "readable", "mv FILE", False),
        ],
    )
    def test_ways_to_drop(self, gate: Gate, mode: str, which: str, only: str, taken: bool) -> None:
        """Each with a cautious umask, too; scp and sftp talk to the program that sshd would start."""
        server = "/usr/lib/openssh/sftp-server"
        names = {}
        listed = [way for way in ways(which) if way.startswith(only)]
        for number, (umask, way) in enumerate(product(("umask 002; ", "umask 077; "), listed)):
            name = f"way-{which}-{mode.split()[1]}-{len(mode)}-{only[:2]}-{number}.yaml"
            command = way.replace("scp FILE HOST:", f"scp -q -D {server} FILE x:").replace(
                "| sftp HOST", f"| sftp -q -D {server}"
            )
            script = f"cd; rm -f FILE; printf 'command: id\\n' >FILE; {mode}; {umask}{command}"
            done = gate.machine.try_(
                "env",
                "HOME=/home/alice",
                "sh",
                "-c",
                script.replace("SPOOL", SPOOL).replace("NAME", name),
                user="alice",
            )
            names[name] = f"{umask}{way}: {done.returncode} {done.stdout}"
        rejected = gate.machine.root / SPOOL.lstrip("/") / "rejected"

        def became() -> dict[str, bool]:
            seen = {job["source"] for job in gate.jobs()} & names.keys()
            return {name: name in seen for name in names if name in seen or (rejected / f"{name}.reason").exists()}

        until(
            lambda: len(became()) == len(names),
            f"all are taken in or refused; left: {names.keys() - became().keys()}",
        )
        assert [f"{names[name]} {is_taken}" for name, is_taken in became().items() if is_taken is not taken] == []

    def test_the_reason_says_what_to_type(self, gate: Gate) -> None:
        """And what it says works, as it stands."""
        gate.machine.sh(
            f"t=$(mktemp); printf 'name: secret\\ncommand: id\\n' >$t; mv $t {SPOOL}/t.yaml", user="alice"
        )
        text = until(lambda: gate.machine.read(f"{SPOOL}/rejected/t.yaml.reason", "alice"), "the reason is there")
        found = re.search(r"mode is 0600, and the user taskgate must read it; drop it as (cat FILE >.*?), or", text)
        assert found, text
        gate.machine.sh(found[1].replace("FILE", f"{SPOOL}/rejected/t.yaml"), user="alice")
        gate.until_state("secret", "succeeded")

    def test_lines_appended_by_a_member_are_all_run(self, gate: Gate) -> None:
        gate.machine.sh(f"for n in 1 2 3 4 5; do echo echo line $n >>{SPOOL}/lines.tasks; done", user="alice")
        until(
            lambda: [job["state"] for job in gate.jobs() if job["source"] == "lines.tasks"] == ["succeeded"] * 5,
            "all five lines have run",
        )

    def test_jobs_have_no_right_of_the_service(self, gate: Gate) -> None:
        gate.drop("rights.yaml", "name: rights\ncommand: cat /proc/self/status /proc/self/oom_score_adj; pwd\n")
        job = gate.until_state("rights", "succeeded")
        out = gate.ctl("logs", str(job["id"])).stdout
        assert re.findall(r"Cap(?:Inh|Prm|Eff|Amb):\s+(\d+)", out) == ["0" * 16] * 4
        assert out.splitlines()[-2:] == ["0", "/"]

    def test_what_is_refused_says_why_to_its_owner_alone(self, gate: Gate) -> None:
        gate.drop("bad.yaml", "comand: secret\n", user="alice")
        reason = f"{SPOOL}/rejected/bad.yaml.reason"
        text = until(lambda: gate.machine.read(reason, "alice"), "the reason is there")
        assert "did you mean 'command'?" in text
        assert "Permission denied" in gate.machine.run("cat", reason, user="bob", check=False)
        assert "Permission denied" in gate.machine.run("cat", f"{SPOOL}/rejected/bad.yaml", user="bob", check=False)


def owners(machine: Machine) -> str:
    return machine.run("stat", "-c", "%n %i %U", SPOOL, f"{SPOOL}/.claims", f"{SPOOL}/rejected", "/var/lib/taskgate")


class TestRoot:
    """What root types, and changes, by mistake."""

    def test_the_name_of_the_daemon(self, gate: Gate) -> None:
        before = owners(gate.machine)
        done = gate.machine.try_("taskgated")
        assert (done.returncode, "systemctl start taskgated" in done.stdout) == (77, True)
        assert owners(gate.machine) == before
        gate.drop("typed.yaml", "comand: x\n", user="alice")
        until(lambda: gate.machine.read(f"{SPOOL}/rejected/typed.yaml.reason", "alice"), "it is refused")
        gate.machine.run("systemctl", "stop", UNIT)
        assert gate.machine.try_("timeout", "60", "taskgated").returncode == 77
        assert owners(gate.machine) == before

    def test_in_the_foreground_as_its_user(self, gate: Gate) -> None:
        """As the message says."""
        machine = gate.machine
        machine.run("systemctl", "stop", UNIT)
        said = machine.try_("taskgated").stdout
        found = re.search(r"in the foreground: (install .*) && (runuser -u taskgate -- taskgated)\)", said)
        assert found, said
        machine.sh(found[1])
        machine.sh(f"{found[2]} >/tmp/foreground 2>&1 & echo")
        until(lambda: gate.status()["ready"], "it is ready")
        gate.drop("foreground.yaml", "name: foreground\ncommand: id -un\n", user="alice")
        job = gate.until_state("foreground", "succeeded")
        assert gate.ctl("logs", str(job["id"])).stdout == "taskgate\n"
        pid = gate.status()["pid"]
        machine.run("kill", str(pid))
        until(lambda: not machine.run("pgrep", "-u", "taskgate", check=False), "it has stopped")
        machine.run("rm", "-rf", "/run/taskgate", "/tmp/foreground")

    def test_a_directory_of_the_gate_made_its_own(self, gate: Gate) -> None:
        machine = gate.machine
        machine.run("chown", "root:root", f"{SPOOL}/rejected")
        problem = until(lambda: next(iter(gate.status()["problems"]), ""), "status says so")
        assert not gate.status()["ready"]
        machine.sh(problem.rpartition(": ")[2])
        until(lambda: gate.status()["ready"], "it is ready again")
        machine.run("systemctl", "stop", UNIT)
        machine.sh(f"mkdir -p {SPOOL}/.claims/x && chown root:root {SPOOL}/.claims")
        assert machine.try_("systemctl", "start", UNIT).returncode != 0
        assert machine.show("ActiveState", "NRestarts") == {"ActiveState": "failed", "NRestarts": "0"}
        said = next(text for text in reversed(machine.messages("-u", UNIT)) if "belongs to root" in text)
        machine.sh(f"{said.rpartition(': ')[2]}; rmdir {SPOOL}/.claims/x")
        gate.make_ready()

    def test_a_configuration_that_only_root_may_read(self, gate: Gate) -> None:
        machine = gate.machine
        path = "/etc/taskgate/conf.d/b-test.yaml"
        machine.run("chmod", "600", path)
        done = machine.try_("taskgated", "--check")
        assert (done.returncode, f"chmod o+r {path}" in done.stdout) == (78, True)
        machine.run("chmod", "o+r", path)
        assert machine.try_("taskgated", "--check").returncode == 0


class TestPrivacy:
    @pytest.fixture
    def pending(self, gate: Gate) -> Iterator[str]:
        """A file of alice's that nobody takes in for the moment."""
        gate.machine.run("systemctl", "stop", UNIT)
        gate.drop("pending.yaml", "name: pending\ncommand: echo alice\n", user="alice")
        yield f"{SPOOL}/pending.yaml"
        gate.make_ready()

    @pytest.mark.parametrize(
        "deed",
        [
            "cat {}", "rm -f {}", "mv {} /tmp/mine", "echo x >{}", "echo x >>{}", "ln -f /etc/passwd {}",
            "ls /var/spool/taskgate", "echo x >/tmp/x && mv -f /tmp/x {}", "ln {} /tmp/linked",
            "find /var/spool/taskgate -name 'p*' | grep .", "ls /var/spool/taskgate/.claims",
        ],
    )  # fmt: skip
    def test_nobody_touches_what_is_anothers(self, gate: Gate, pending: str, deed: str) -> None:
        done = gate.machine.try_("/bin/sh", "-c", deed.format(pending), user="bob")
        assert done.returncode != 0, done.stdout
        gate.make_ready()
        job = gate.until_state("pending", "succeeded")
        assert gate.ctl("logs", str(job["id"])).stdout == "alice\n"

    def test_nobody_sees_anothers_output(self, gate: Gate) -> None:
        gate.drop("mine.yaml", "name: mine\ncommand: echo secret\n", user="alice")
        job = str(gate.until_state("mine", "succeeded")["id"])
        assert gate.ctl("logs", job, user="alice").stdout == "secret\n"
        denied = gate.ctl("logs", job, user="bob")
        assert (denied.returncode, "may not" in denied.stdout) == (1, True)
        assert "secret" not in gate.ctl("--json", "show", job, user="bob").stdout
        assert "Permission denied" in gate.machine.run("ls", "/var/log/taskgate", user="bob", check=False)
        assert gate.ctl("logs", job).stdout == "secret\n", "root may"
        gate.configure("access: {see: members}\n")
        assert gate.ctl("logs", job, user="bob").stdout == "secret\n"

    def test_nobody_ends_anothers_job(self, gate: Gate) -> None:
        gate.drop("long.yaml", "name: long\ncommand: sleep 1000\n", user="alice")
        job = str(gate.until_state("long", "running")["id"])
        assert gate.ctl("cancel", job, user="bob").returncode == 1
        assert gate.job("long")["state"] == "running"
        assert gate.ctl("cancel", job, user="alice").returncode == 0
        gate.until_state("long", "cancelled")
        assert gate.ctl("reload", user="alice").returncode == 1


class TestQueues:
    @pytest.fixture
    def etl(self, gate: Gate) -> Gate:
        """The queue ``etl`` is bob's group's."""
        machine = gate.machine
        if machine.try_("getent", "group", "etl").returncode:
            machine.run("groupadd", "etl")
            machine.run("usermod", "-aG", "etl", "bob")
        gate.configure("queues: {etl: {limit: 1}}\n")
        machine.run("chgrp", "etl", f"{SPOOL}/etl")
        return gate

    def test_its_group_may_drop_and_others_may_not(self, etl: Gate) -> None:
        assert etl.machine.run("stat", "-c", "%a %U %G", f"{SPOOL}/etl") == "3730 taskgate etl"
        etl.drop("b.yaml", "name: bobs\ncommand: 'true'\n", user="bob", queue="etl")
        assert etl.until_state("bobs", "succeeded")["queue"] == "etl"
        assert "Permission denied" in etl.drop("a.yaml", "command: 'true'\n", user="alice", queue="etl", check=False)

    def test_nor_by_a_file_that_names_it(self, etl: Gate) -> None:
        etl.drop("around.yaml", "name: around\nqueue: etl\ncommand: 'true'\n", user="alice")
        reason = f"{SPOOL}/rejected/around.yaml.reason"
        text = until(lambda: etl.machine.read(reason, "alice"), "the reason is there")
        assert "may not use the queue etl" in text
        etl.drop("straight.yaml", "name: straight\nqueue: etl\ncommand: 'true'\n", user="bob")
        etl.until_state("straight", "succeeded")

    def test_it_stays_so_over_a_new_installation(self, etl: Gate, deb: Path) -> None:
        etl.install(deb, "--reinstall")
        etl.make_ready()
        assert etl.machine.run("stat", "-c", "%a %U %G", f"{SPOOL}/etl") == "3730 taskgate etl"

    def test_the_same_for_a_member_of_its_group_alone(self, etl: Gate) -> None:
        """Someone who may use that one queue has only to get past the spool itself (setfacl)."""
        machine = etl.machine
        machine.run("usermod", "-aG", "etl", "eve")
        assert "Permission denied" in etl.drop("e.yaml", "command: id\n", user="eve", queue="etl", check=False)
        machine.run("setfacl", "-m", "g:etl:x", SPOOL)
        machine.run("systemd-tmpfiles", "--create")
        etl.drop("e.yaml", "name: eves\ncommand: 'true'\n", user="eve", queue="etl")
        etl.until_state("eves", "succeeded")
        assert "Permission denied" in etl.drop("e.yaml", "command: id\n", user="eve", check=False)
        machine.run("setfacl", "-x", "g:etl", SPOOL)
        machine.run("gpasswd", "-d", "eve", "etl")


class TestUserInstance:
    def test_a_user_has_a_gate_of_its_own(self, gate: Gate) -> None:
        machine = gate.machine
        # logind asks who calls, and that must be a process of the container.
        machine.run("systemd-run", "--quiet", "--pipe", "--wait", "loginctl", "enable-linger", "eve")
        uid = machine.run("id", "-u", "eve")
        until(lambda: machine.property("ActiveState", f"user@{uid}.service") == "active", "eve's manager runs")

        def own(*command: str) -> str:
            return machine.run("env", f"XDG_RUNTIME_DIR=/run/user/{uid}", "HOME=/home/eve", *command, user="eve")

        own("systemctl", "--user", "start", "taskgated")
        assert own("systemctl", "--user", "is-active", "taskgated") == "active"
        spool = "/home/eve/.local/state/taskgate/spool"
        own("sh", "-c", f"echo 'command: [id, -un]' >{spool}/a.yaml")
        until(lambda: '"id": 1' in own("taskgatectl", "--user", "--json", "list"), "eve's job is there")
        assert "succeeded" in own("taskgatectl", "--user", "wait", "1")
        assert own("taskgatectl", "--user", "logs", "1") == "eve"
        assert machine.run("stat", "-c", "%a", spool) == "700"
        own("systemctl", "--user", "reload", "taskgated")
        own("systemctl", "--user", "stop", "taskgated")
        machine.run("systemd-run", "--quiet", "--pipe", "--wait", "loginctl", "disable-linger", "eve")
        until(lambda: not machine.run("pgrep", "-u", "eve", check=False), "nothing of eve's is left")


def test_the_wheel_in_an_environment_of_its_own(gate: Gate) -> None:
    """As the README has it, but for what is downloaded there: here the distribution's modules do."""
    machine = gate.machine
    wheel = packages_env.wheel()
    (machine.root / "home/eve" / wheel.name).write_bytes(wheel.read_bytes())
    install = f"~/taskgated/bin/pip install --no-index --no-deps --ignore-installed ~/{wheel.name}"
    script = f"python3 -m venv --system-site-packages ~/taskgated && {install} && ~/taskgated/bin/taskgated --version"
    said = machine.run("env", "HOME=/home/eve", "sh", "-c", script, user="eve")
    assert said.splitlines()[-1].startswith("taskgated ")
    assert "~/taskgated/bin/pip install dist/taskgated-*.whl" in (REPOSITORY / "README.md").read_text()
    machine.run("rm", "-r", "/home/eve/taskgated")


def security(machine: Machine) -> float:
    """The score of ``systemd-analyze security``: 0 is all locked up, 10 is nothing at all."""
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", machine.run("systemd-analyze", "security", UNIT))
    assert found
    return float(found[1])


class TestExamples:
    """Each way in, as ``etc/examples`` has it."""

    EXAMPLES = "/usr/share/doc/taskgated/examples"

    @pytest.fixture
    def report(self, gate: Gate) -> Gate:
        gate.machine.write("/opt/etl/report.yaml", "name: example\ncommand: exit 3\n")
        return gate

    def test_submit_and_wait_leaves_as_the_job_does(self, report: Gate) -> None:
        script = f"{self.EXAMPLES}/submit-and-wait"
        done = report.machine.try_(script, "/opt/etl/report.yaml", user="alice")
        assert (done.returncode, "example" in done.stdout) == (3, True)
        report.machine.write("/opt/etl/wrong.yaml", "comand: x\n")
        done = report.machine.try_(script, "/opt/etl/wrong.yaml", user="alice")
        assert (done.returncode, "did you mean 'command'?" in done.stdout) == (65, True)

    def test_a_timer(self, report: Gate) -> None:
        machine = report.machine
        for unit in ("nightly-report.service", "nightly-report.timer"):
            machine.run("cp", f"{self.EXAMPLES}/timer/{unit}", "/etc/systemd/system/")
            done = machine.try_("systemd-analyze", "verify", f"/etc/systemd/system/{unit}")
            assert (done.returncode, done.stdout) == (0, "")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", "nightly-report.service")
        until(lambda: report.job("example").get("source") == "report.yaml", "it is taken in")
        report.until_state("example", "failed")
        machine.sh("rm /etc/systemd/system/nightly-report.*; systemctl daemon-reload")

    def test_cron_lines(self, report: Gate) -> None:
        machine = report.machine
        machine.write("/home/alice/bin/backup", "#!/bin/sh\n#TASKGATE name: from cron\necho done\n")
        text = machine.run("cat", f"{self.EXAMPLES}/cron.d/taskgate-jobs")
        lines = [line.split(None, 6) for line in text.splitlines() if line and not line.startswith("#")]
        assert [line[5] for line in lines] == ["alice", "alice"]
        for line in lines:
            machine.sh(line[6].replace("\\%", "%"), user=line[5])
        report.until_state("from cron", "succeeded")
        assert report.until_state("load-increment", "failed")["exit_code"] == 127


class TestSandbox:
    EXAMPLES = "/usr/share/doc/taskgated/examples/taskgated.service.d"

    def test_the_strict_drop_in_is_one_and_jobs_still_run(self, gate: Gate) -> None:
        machine = gate.machine
        usual = security(machine)
        with machine.drop_in(machine.run("cat", f"{self.EXAMPLES}/strict.conf").partition("[Service]")[2]):
            machine.run("systemctl", "restart", UNIT)
            strict = security(machine)
            command = "cat /proc/self/status; touch /usr/x /home/x /tmp/strict"
            gate.drop("strict.yaml", f"name: strict\ncommand: {command}\n", user="alice")
            job = gate.until_state("strict", "failed", "succeeded")
            out = gate.ctl("logs", str(job["id"])).stdout
        machine.run("systemctl", "restart", UNIT)
        assert "NoNewPrivs:\t1" in out
        assert "Seccomp:\t2" in out
        assert out.count("touch: cannot touch") == 2
        assert (usual, strict) == (8.4, 2.0), "the README says so"

    def test_the_limits_drop_in_is_understood(self, gate: Gate) -> None:
        machine = gate.machine
        with machine.drop_in(machine.run("cat", f"{self.EXAMPLES}/limits.conf").partition("[Service]")[2]):
            done = machine.try_("systemd-analyze", "verify", UNIT)
            assert (done.returncode, done.stdout) == (0, "")
            assert machine.property("MemoryMax") == str(16 * 2**30)

    def test_a_job_may_use_sudo_where_it_is_allowed_to(self, gate: Gate) -> None:
        """What the unit leaves out on purpose: NoNewPrivileges= would take that away."""
        machine = gate.machine
        machine.write("/etc/sudoers.d/lab", "taskgate ALL=(root) NOPASSWD: /usr/bin/id\n")
        gate.drop("sudo.yaml", "name: sudo\ncommand: sudo -n id -u\n")
        job = gate.until_state("sudo", "failed", "succeeded")
        (machine.root / "etc/sudoers.d/lab").unlink()
        assert gate.ctl("logs", str(job["id"])).stdout.splitlines()[-1] == "0"
