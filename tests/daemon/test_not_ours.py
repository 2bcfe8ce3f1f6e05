"""A store that is somebody else's now: the daemon ends at once, for the next one to begin with what there is."""

from __future__ import annotations

from collections.abc import Callable

from tests import REPOSITORY
from tests.env.gate import GateEnv

HOOK = """\
import os, sys
if "taskgated" in sys.orig_argv:
    from taskgated.errors import NotYours
    from taskgated.store.sqlite.store import SqliteStore
    real = SqliteStore.begin
    def begin(store, *args, **keys):
        if os.path.exists(os.environ["TAKEN"]):
            raise NotYours("host b decides here now")
        return real(store, *args, **keys)
    SqliteStore.begin = begin
"""


def test_it_ends_and_what_runs_goes_on(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\n", start=False)
    hook, taken, go = gate.scratch / "hook", gate.scratch / "taken", gate.scratch / "go"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(HOOK)
    environment = {"PYTHONPATH": f"{hook}:{REPOSITORY}", "TAKEN": str(taken)}
    gate.start(environment)
    gate.drop("a.yaml", f"name: a\ncommand: 'until [ -e {go} ]; do sleep 0.05; done'\n")
    gate.until_running("a")
    taken.touch()
    gate.drop("b.yaml", "name: b\ncommand: 'true'\n")
    assert gate.wait() == 74, "so that it is started again"
    said = gate.log()
    assert "giving up: the store's thread has ended: host b decides here now" in said
    assert "cannot write" not in said, "it is not tried again"
    taken.unlink()
    gate.start(environment)
    go.touch()
    assert [(job["state"], job["attempt"]) for job in gate.until_over(2)] == [("succeeded", 1)] * 2
