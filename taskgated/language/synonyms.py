"""What other schedulers and systemd call things, and our names for them: for the hint behind an unknown key."""

from __future__ import annotations

import re
from collections.abc import Container

_WORDS = {
    "command": "argv args arguments cmd cmdline commandline command_line exec exec_start execute executable line "
    "program run runs",
    "script": "bash code commands run_script sh shell_script steps",
    "name": "job job_id job_name jobname label title",
    "queue": "partition pool queue_name",
    "env": "environ environment environment_variables envs envvars export exports variables vars",
    "cwd": "chdir dir directory work_dir workdir working_dir working_directory wd",
    "priority": "importance nice niceness prio",
    "timeout": "max_runtime max_time maxtime runtime_max_sec time time_limit timelimit timeout_sec "
    "wall_time walltime",
    "kill_after": "grace grace_period kill_delay kill_timeout stop_timeout timeout_stop_sec",
    "retry.attempts": "attempts max_attempts max_retries retries retry_count retry_limit tries",
    "retry.delay": "restart_sec retry_delay retry_interval",
    "success_exit_codes": "allowed_exit_codes exit_codes ok_codes ok_exit_codes success success_codes "
    "success_exit_status",
    "not_before": "at begin begin_time eta run_at scheduled_time start start_after start_at start_time when",
    "delay": "countdown sleep wait",
    "deadline": "active_deadline active_deadline_seconds total_timeout",
    "retry.on": "retry_on retry_on_exit_codes",
    "retry.not_on": "no_retry_on prevent_retry_on",
    "expires": "expiration expire expiry ttl",
    "interrupted": "on_crash",
    "output.max_size": "log_size max_log_size max_output output_limit",
    "stdin": "input input_file standard_input",
    "stdout": "log log_file logfile out output_file outfile standard_output",
    "stderr": "err error error_file errfile errlog standard_error",
    "after": "depend dependencies dependency depends depends_on needs",
}
SYNONYMS = {word: key for key, words in _WORDS.items() for word in words.split()}


_NOT_COUNTED = "is not counted by this version: let such jobs go through a queue with a limit"
_NONE = {
    "user": "all jobs run as the user of the gate",
    **dict.fromkeys(
        ["gid", "group", "run_as", "run_as_user", "runas", "uid", "username"], "all jobs run as the user of the gate"
    ),
    **dict.fromkeys(["mem", "mem_limit", "memory", "memory_limit", "memory_max", "ram"], f"memory {_NOT_COUNTED}"),
    **dict.fromkeys(
        ["cores", "cpu", "cpu_quota", "cpus", "ncpus", "nproc", "procs", "threads"],
        f"what CPUs a job takes {_NOT_COUNTED}",
    ),
    **dict.fromkeys(["gpu", "gpus"], f"what GPUs a job takes {_NOT_COUNTED}"),
    **dict.fromkeys(
        ["email", "mail", "notify"], "no mail is sent: taskgatectl wait, list and logs tell how it ended"
    ),
}
"""What nothing here does, and what to do; none of it is near to a key that means something else."""


def plain(word: str) -> str:
    """In the manner in which keys are written here: ``workingDir`` and ``working-dir`` are ``working_dir``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower().replace("-", "_").replace(" ", "_")


def hint(word: str, known: Container[str], later: Container[str] = ()) -> str:
    """What to say of an unknown key that means a known one; "" if it means none of them."""
    if len(word) > 100:
        return ""
    name = plain(word)
    if name in _NONE and "timeout" in known:  # among the keys of a job, that is
        return _NONE[name]
    key = name if name in known else SYNONYMS.get(name, "")
    section, _, inner = key.partition(".")
    if section in later:
        return f"that is '{key}' here, of a later version"
    if section not in known:
        return ""
    return f"did you mean '{section}: {{{inner}: ...}}'?" if inner else f"did you mean '{key}'?"
