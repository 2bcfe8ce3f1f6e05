"""What a crash of everything does to our jobs, and to those of others who do such work. On demand only:

    python -m tests.chaos.peers [NAME...]

Fifty jobs, two at a time; when some have run, every process of the tool is killed (-9), its broker or database and
its jobs included; a second later it is started again, as its service manager would, and watched for 40 s. Where a
tool has settings for safety, it has them here. One that cannot be had on this host is left out, and said so.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.chaos.peertrial import JOBS, LIMIT, WATCHED, Start, Trial
from tests.env.gate import GateEnv
from tests.env.until import until

NOBODY = 65534


def ours(trial: Trial) -> Start:
    from taskgated import __version__

    trial.version = __version__
    gate = GateEnv(trial.directory / "gate", f"workers: {LIMIT}\n")

    def start(first: bool) -> None:
        gate.launch({"PEERS_TRIAL": str(trial.directory)})
        if first:
            jobs = [{"name": name, "command": trial.command(name)} for name in trial.names]
            until(gate.layout.spool.is_dir, "there is a spool")
            gate.drop("jobs.json", json.dumps(jobs))

    return start


# -- spoolers ------------------------------------------------------------------------------------


def task_spooler(trial: Trial) -> Start:
    tsp = str(trial.unpacked("task-spooler") / "bin/tsp")
    trial.env["TS_SOCKET"] = str(trial.directory / "socket")

    def start(first: bool) -> None:
        trial.run(tsp, "-S", str(LIMIT))  # it starts its server
        if first:
            for name in trial.names:
                trial.run(tsp, "-n", *trial.command(name))

    return start


def nq(trial: Trial) -> Start:
    """It has no limit but one, so there are two queues; each job is a process that waits for those before it."""
    program = str(trial.unpacked("nq") / "bin/nq")

    def start(first: bool) -> None:
        if first:
            for n, name in enumerate(trial.names):
                trial.env["NQDIR"] = str(trial.directory / f"q{n % LIMIT}")
                trial.run(program, "-q", *trial.command(name))

    return start


def filespooler(trial: Trial) -> Start:
    """A queue is worked on by one process, so there are two. ``queue-process`` ends when its queue is empty."""
    fspl = str(trial.unpacked("filespooler") / "bin/fspl")
    queues = [str(trial.directory / f"q{n}") for n in range(LIMIT)]
    script = trial.directory / "job"
    script.write_text(f"#!/bin/sh\nexec {shlex.join(trial.command('$1'))}\n".replace("'$1'", '"$1"'))
    script.chmod(0o755)

    def start(first: bool) -> None:
        if first:
            for queue in queues:
                trial.run(fspl, "queue-init", "--queuedir", queue)
            for n, name in enumerate(trial.names):
                packet = trial.run(fspl, "prepare", "--seqfile", f"{queues[n % LIMIT]}.seq", "--", name)
                trial.run(fspl, "queue-write", "--queuedir", queues[n % LIMIT], stdin=packet)
        for queue in queues:
            trial.spawn(fspl, "queue-process", "--queuedir", queue, "--allow-job-params", str(script))

    return start


def parallel(trial: Trial) -> Start:
    """With a log of what is done, from which it resumes."""
    program = str(trial.unpacked("parallel") / "bin/parallel")
    jobs = trial.directory / "jobs"

    def start(first: bool) -> None:
        if first:
            jobs.write_text(trial.lines())
        trial.spawn(program, "--will-cite", "--joblog", "done", "--resume", "-j", str(LIMIT), "-a", str(jobs))

    return start


# -- task queues of Python -----------------------------------------------------------------------

TASK = "import json, subprocess, sys\ndef job(command): subprocess.run(command, check=True)\n"


def tasks(trial: Trial, text: str, submit: str) -> Callable[[str], None]:
    """A module ``tasks``; returns what submits all jobs, with the interpreter that is given."""
    (trial.directory / "tasks.py").write_text(text)

    def submit_all(python: str) -> None:
        commands = json.dumps([trial.command(name) for name in trial.names])
        trial.run(python, "-c", f"from tasks import *\nfor command in json.load(sys.stdin): {submit}",
                  stdin=commands.encode())  # fmt: skip

    return submit_all


def huey(trial: Trial) -> Start:
    programs = trial.environment("huey")
    database = str(trial.directory / "huey.db")
    text = f"{TASK}from huey import SqliteHuey\nhuey = SqliteHuey(filename={database!r}, fsync=True)\n"
    submit = tasks(trial, f"{text}job = huey.task()(job)\n", "job(command)")

    def start(first: bool) -> None:
        if first:
            submit(str(programs / "python"))
        trial.spawn(str(programs / "huey_consumer"), "tasks.huey", "-w", str(LIMIT), "-k", "process")

    return start


def redis(trial: Trial) -> tuple[Callable[[], None], str]:
    """A server that syncs each change; returns what starts it, and where its socket is. It is no tool by itself, so
    it names no version."""
    packages = ("liblua5.1-0", "libjemalloc2", "liblzf1", "libhiredis0.14", "lua-cjson", "lua-bitop")
    server = str(trial.unpacked("redis-server", "redis-tools", *packages) / "bin/redis-server")
    client = str(Path(server).with_name("redis-cli"))
    socket = str(trial.directory / "redis.sock")
    kept = ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(trial.directory))

    def answers() -> bool:
        ping = [client, "-s", socket, "ping"]
        return subprocess.run(ping, env=trial.env, capture_output=True, check=False).stdout == b"PONG\n"

    def start() -> None:
        trial.spawn(server, "--port", "0", "--unixsocket", socket, *kept)
        until(answers, "redis answers", 30)

    return start, socket


def celery(trial: Trial) -> Start:
    """A task is acknowledged when it is done, and a worker reserves one."""
    start_redis, socket = redis(trial)
    programs = trial.environment("celery", "redis", "packaging")
    text = f"{TASK}from celery import Celery\napp = Celery('tasks', broker='redis+socket://{socket}')\n"
    text += "app.conf.worker_prefetch_multiplier = 1\n"
    text += "job = app.task(name='job', acks_late=True, reject_on_worker_lost=True)(job)\n"
    submit = tasks(trial, text, "job.delay(command)")

    def start(first: bool) -> None:
        start_redis()
        if first:
            submit(str(programs / "python"))
        trial.spawn(str(programs / "celery"), "-A", "tasks", "worker", "-c", str(LIMIT))

    return start


def rq(trial: Trial) -> Start:
    """A job may be tried again; two workers."""
    start_redis, socket = redis(trial)
    programs = trial.environment("rq")
    text = f"{TASK}from redis import Redis\nfrom rq import Queue, Retry\n"
    text += f"queue = Queue(connection=Redis(unix_socket_path={socket!r}))\n"
    submit = tasks(trial, text, "queue.enqueue(job, command, retry=Retry(max=2))")

    def start(first: bool) -> None:
        start_redis()
        if first:
            submit(str(programs / "python"))
        for _ in range(LIMIT):
            trial.spawn(str(programs / "rq"), "worker", "--url", f"unix://{socket}")

    return start


def procrastinate(trial: Trial) -> Start:
    """On a PostgreSQL that is installed here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise OSError("PostgreSQL is not installed")
    data = trial.directory / "postgres"
    data.mkdir()
    shutil.chown(data, NOBODY, NOBODY)
    initdb = [str(found[-1].with_name("initdb")), "-D", str(data), "-U", "postgres", "-A", "trust"]
    subprocess.run(initdb, user=NOBODY, group=NOBODY, extra_groups=[], cwd=data, check=True, capture_output=True)
    programs = trial.environment("procrastinate", "psycopg[binary]")
    text = f"{TASK}from procrastinate import App, PsycopgConnector\n"
    text += f"app = App(connector=PsycopgConnector(conninfo='host={data} user=postgres dbname=postgres'))\n"
    text += "job = app.task(name='job', retry=3)(job)\n"
    text += "def submit(command):\n  with app.open(): job.defer(command=command)\n"
    submit = tasks(trial, text, "submit(command)")

    def answers() -> bool:
        ready = str(found[-1].with_name("pg_isready"))
        return subprocess.run([ready, "-q", "-h", str(data)], check=False).returncode == 0

    def start(first: bool) -> None:
        trial.spawn(str(found[-1]), "-D", str(data), "-k", str(data), "-c", "listen_addresses=", user=NOBODY)
        until(answers, "PostgreSQL answers", 30)
        program = (str(programs / "procrastinate"), "--app", "tasks.app")
        if first:
            trial.run(*program, "schema", "--apply")
            submit(str(programs / "python"))
        trial.spawn(*program, "worker", "--concurrency", str(LIMIT))

    return start


PEERS: dict[str, Callable[[Trial], Start]] = {
    "taskgated": ours,
    "task-spooler": task_spooler,
    "nq": nq,
    "filespooler": filespooler,
    "parallel": parallel,
    "huey": huey,
    "celery": celery,
    "rq": rq,
    "procrastinate": procrastinate,
}
"""at(1) and Slurm need a daemon that is installed, with root's directories; pueue is in neither registry."""


def row(name: str) -> str:
    """One line of the table."""
    directory = Path(tempfile.mkdtemp(prefix="peers-"))
    try:
        trial = Trial(directory)
        try:
            start = PEERS[name](trial)
        except (OSError, subprocess.CalledProcessError) as error:
            return f"| {name} | cannot be had: {error} |"
        try:
            return f"| {name} {trial.version} | {' | '.join(map(str, trial.result(start)))} |"
        except (AssertionError, subprocess.SubprocessError) as error:
            log = directory / "log"
            sys.stderr.write(log.read_text(errors="replace")[-3000:] if log.exists() else "")
            return f"| {name} {trial.version} | did not work: {str(error).splitlines()[0]} |"
        finally:
            trial.kill()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main() -> int:
    wanted = sys.argv[1:] or list(PEERS)
    unknown = set(wanted) - set(PEERS)
    if unknown:
        sys.exit(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    watched = f"not ended {WATCHED:.0f} s later"
    print(f"| of {JOBS} jobs | {watched} | of these begun | in flight | of these run again | ended twice |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in wanted:
        print(row(name), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
