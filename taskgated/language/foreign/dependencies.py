"""Conditions on other jobs, as batch systems write them; each becomes one of the key ``after``.

A number is the id of a job of this gate. The first job of an array stands for all of it: so the marks of an array
behind a number (``7[]``) say nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from taskgated.core.after import When
from taskgated.language.declare import Mismatch
from taskgated.language.foreign.wishes import Given, Value, Wishes
from taskgated.text import quoted

_TYPES = {"afterok": When.SUCCEEDED, "afternotok": When.FAILED, "afterany": When.OVER}
"""sbatch(1), ``--dependency``; qsub(1B), ``depend``."""
BECOMES = "`after`: afterok, afternotok, afterany; others are refused"
_SLURM_ID = re.compile(r"([0-9]{1,18})")
_PBS_ID = re.compile(r"([0-9]{1,18})(?:\[\])?(?:\..*)?")
_NAME = re.compile(r"[^*?\[\]|&!()]+")


def _typed(text: str, id_: re.Pattern[str]) -> Iterable[Value]:
    for part in text.split(","):
        word, colon, ids = part.strip().partition(":")
        when = _TYPES.get(word.lower())
        if when is None or not colon:
            hint = "key: has jobs of one name run one at a time" if word.lower() == "singleton" else ""
            raise Mismatch(f"expected {', '.join(_TYPES)} with ids behind, not {quoted(part)}", hint)
        for one in ids.split(":"):
            match = id_.fullmatch(one)
            if match is None or int(match[1]) == 0:
                raise Mismatch(f"{quoted(one)} is no id of a job of this gate", "say #TASKGATE after: NAME")
            yield {"job": int(match[1]), "when": str(when)}


def _say(given: Given, wishes: Wishes, found: Iterable[Value]) -> None:
    wishes.say("after", given, [*found])


def slurm(given: Given, wishes: Wishes) -> None:
    """``afterok:7:8,afterany:9``: all of them. With ``?`` in place of the commas any one would do."""
    if "?" in given.value:
        raise Mismatch(
            "one of several cannot be waited for, only all of them", "say all with commas, or wait for one"
        )
    _say(given, wishes, _typed(given.value, _SLURM_ID))


def pbs(given: Given, wishes: Wishes) -> None:
    """The same; an id may have its server behind it."""
    _say(given, wishes, _typed(given.value, _PBS_ID))


def sge(given: Given, wishes: Wishes) -> None:
    """``-hold_jid``: ids and names, of jobs that are to be over in any way (submit(1))."""

    def read(one: str) -> Value:
        if not _NAME.fullmatch(one):
            raise Mismatch(f"{quoted(one)} is a pattern: a job is waited for by its name or id", "name each of them")
        return {"job": int(one) if _SLURM_ID.fullmatch(one) else one, "when": str(When.OVER)}

    _say(given, wishes, [read(one.strip()) for one in given.value.split(",")])
