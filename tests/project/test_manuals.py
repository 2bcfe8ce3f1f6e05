"""Manual pages and completions say what the code does, and every one of them works in the program that reads it."""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from taskgated.__main__ import parser as daemon_parser
from taskgated.core.fixed import INTERFACE, LARGEST_SPEC
from taskgated.core.job import Result
from taskgated.core.state import State
from taskgated.ctl.__main__ import parser as ctl_parser
from taskgated.ctl.columns import JOB_HEAD
from taskgated.ctl.verb import Exit
from taskgated.daemon import life
from taskgated.events import Event
from taskgated.host.paths import Layout
from taskgated.language.keys import NOT_DEFAULTS
from taskgated.language.nodes import MAX_DEPTH, MAX_NODES
from taskgated.language.types import MAX_ARGUMENT
from taskgated.store.contract import ATTEMPTS
from taskgated.worker.start import clean_env
from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until

sys.path.append(str(REPOSITORY / "packaging"))
import documents

MAN = REPOSITORY / "packaging" / "man"
COMPLETIONS = REPOSITORY / "packaging" / "completions"
PAGES = sorted(documents.PAGES)
PARSERS = {"taskgated": daemon_parser(), "taskgatectl": ctl_parser()}
SYSTEM_PAGES = {
    "cron(8)", "crontab(5)", "fcntl(2)", "journalctl(1)", "proc(5)", "scp(1)", "sd_notify(3)", "setfacl(1)",
    "sd_watchdog_enabled(3)", "syslog(3)", "systemctl(1)", "systemd.exec(5)", "systemd.time(7)", "tzset(3)",
    "tail(1)", "varlinkctl(1)", "pty(7)", "cp(1)", "du(1)", "glob(7)", "mktemp(1)", "sbatch(1)", "mv(1)", "rsync(1)",
    "sftp(1)", "klist(1)", "psql(1)", "sinfo(1)", "squeue(1)", "systemd-analyze(1)", "getpwuid(3)", "timedatectl(1)",
}  # fmt: skip
"""Of others: what our pages may send readers to."""


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


# -- what is generated -----------------------------------------------------------------------------


def test_everything_generated_is_up_to_date() -> None:
    command = [sys.executable, "packaging/documents.py", "--check"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "run packaging/documents"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the documents, and ``documents`` works on that one."""
    for path in documents.documents():
        target = tmp_path / path.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    monkeypatch.setattr(documents, "REPOSITORY", tmp_path)
    monkeypatch.setattr(documents, "MAN", tmp_path / "packaging" / "man")
    monkeypatch.setattr(documents, "COMPLETIONS", tmp_path / "packaging" / "completions")
    monkeypatch.setattr(documents, "README", tmp_path / "README.md")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "of_the_code"),
    [
        ("README.md", "| `priority` | "),
        ("README.md", "show ID | why ID | "),
        ("packaging/man/taskgate-job.5", r"\fBretry.max_delay\fR"),
        ("packaging/man/taskgated.yaml.5", r"\fBqueues.\fINAME\fB.limit\fR"),
        ("packaging/man/taskgatectl.1", r"\fB\-\-follow\fR"),
        ("packaging/man/taskgated.8", r"\fB\-\-check\fR"),
        ("packaging/man/taskgated.8", "A job has succeeded"),
        ("packaging/man/taskgate-probes.8", r"\fB\-\-max\-pending\fR"),
        ("packaging/completions/taskgatectl.bash", "--patience"),
        ("packaging/completions/_taskgatectl", "(queued held running"),
        ("packaging/completions/taskgatectl.fish", "-a cancel"),
        ("packaging/completions/taskgated.fish", "-l check-store"),
        ("taskgated/job.schema.json", '"priority"'),
        ("taskgated/config.schema.json", '"retention"'),
    ],
)
def test_what_differs_from_the_code_is_found_and_mended(
    copy: Path, capsys: pytest.CaptureFixture[str], name: str, of_the_code: str
) -> None:
    path = copy / name
    right = path.read_text()
    assert of_the_code in right
    path.write_text(wrong := right.replace(of_the_code, "old"))

    assert documents.main(["--check"]) == 1
    assert capsys.readouterr().out == f"{name}\n"
    assert path.read_text() == wrong
    assert documents.main([]) == 0
    assert path.read_text() == right
    assert documents.main(["--check"]) == 0


@pytest.mark.parametrize("name", ["README.md", "packaging/man/taskgatectl.1"])
def test_what_is_written_by_hand_stays(copy: Path, name: str) -> None:
    path = copy / name
    before = path.read_text()
    path.write_text(text := before + "by hand\n")
    assert documents.main([]) == 0
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("README.md", documents.TABLE_END, documents.TABLE_END.replace("`", "")),
        ("packaging/man/taskgatectl.1", "GENERATED commands", "GENERATED comands"),
        ("packaging/man/taskgated.8", '.\\" BEGIN GENERATED events', ""),
    ],
)
def test_a_document_without_its_place(
    copy: Path, capsys: pytest.CaptureFixture[str], name: str, old: str, new: str
) -> None:
    path = copy / name
    path.write_text(text := path.read_text().replace(old, new))
    assert documents.main([]) == 1
    assert path.name in capsys.readouterr().err
    assert path.read_text() == text


def test_any_text_survives_roff() -> None:
    groff = needed("groff")
    text = r".It's \fB 'so' -- \"all\" of `it`: ^~ \n[x] \(aq $HOME/*.yaml {file} #!"
    page = f'.TH X 1 "" ""\n.nh\n.ad l\n{documents.sentence(text)}\n'
    command = [groff, "-man", "-ww", "-Tutf8", "-rLL=200n", "-P-cbou"]
    done = subprocess.run(command, input=page, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert f"{text}." in [line.strip() for line in done.stdout.splitlines()]


# -- manual pages ----------------------------------------------------------------------------------


def section(page: str, name: str) -> str:
    """The source of one section."""
    text = (MAN / page).read_text()
    found = re.search(rf'^\.SH "?{name}"?\n(.*?)(?=^\.SH |\Z)', text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {name}"
    return found[1]


@pytest.mark.parametrize("page", PAGES)
def test_man_renders_a_page_without_a_warning(page: str) -> None:
    man = needed("man")
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80"}
    command = [man, "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(MAN / page)]  # as lintian does
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) > 1000


@pytest.mark.parametrize("page", PAGES)
def test_groff_has_nothing_to_say_against_a_page(page: str) -> None:
    command = [needed("groff"), "-man", "-ww", "-z", "-Tutf8", str(MAN / page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("page", "sections"),
    [
        (
            "taskgated.8",
            "SYNOPSIS, DESCRIPTION, OPTIONS, SIGNALS, EXIT STATUS, ENVIRONMENT, FILES, JOURNAL, SECURITY, EXAMPLES",
        ),
        (
            "taskgatectl.1",
            "SYNOPSIS, DESCRIPTION, COMMANDS, OPTIONS, OUTPUT, EXIT STATUS, ENVIRONMENT, FILES, EXAMPLES",
        ),
        ("taskgated.yaml.5", "SYNOPSIS, DESCRIPTION, KEYS, FILES, EXAMPLES"),
        ("taskgate-foreign.5", "SYNOPSIS, DESCRIPTION, SLURM, PBS, GRID ENGINE, ENVIRONMENT, EXAMPLES"),
        (
            "taskgate-probes.8",
            "SYNOPSIS, DESCRIPTION, YARN, SLURM, HTTP, POSTGRESQL, KERBEROS, EXIT STATUS, FILES, EXAMPLES",
        ),
        ("taskgate-job.5", "SYNOPSIS, DESCRIPTION, KEYS, ENVIRONMENT, HOW A JOB ENDS, FILES, EXAMPLES"),
    ],
)
def test_a_page_has_its_sections(page: str, sections: str) -> None:
    for name in ("NAME", *sections.split(", "), "SEE ALSO"):
        assert section(page, name).strip()
    name = page.rpartition(".")[0].replace("-", "\\-")
    assert section(page, "NAME").startswith(f"{name} \\- ")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_refers_to_pages_that_exist(page: str) -> None:
    ours = {f"{name.rpartition('.')[0]}({name[-1]})" for name in PAGES}
    text = (MAN / page).read_text().replace("\\-", "-")
    referred = {
        f"{name}({number})" for name, number in re.findall(r"^\.(?:BR|RB \() (\S+) \((\d)\)", text, re.MULTILINE)
    }
    assert referred <= ours | SYSTEM_PAGES
    also = set(re.findall(r"^\.BR (\S+ \(\d\))", section(page, "SEE ALSO").replace("\\-", "-"), re.MULTILINE))
    assert {name.replace(" ", "") for name in also} >= ours - {f"{page.rpartition('.')[0]}({page[-1]})"}


def test_exit_statuses() -> None:
    said = set(re.findall(r"^\.B (\d+)$", section("taskgated.8", "EXIT STATUS"), re.MULTILINE))
    ours = {value for name, value in vars(life).items() if name.startswith("EX_")}
    assert said == {*map(str, ours), str(os.EX_SOFTWARE), str(os.EX_DATAERR), "2"}  # 65: of --check-store


def test_exit_statuses_of_the_command() -> None:
    said = re.findall(r"^\.B (\d+)$", section("taskgatectl.1", "EXIT STATUS"), re.MULTILINE)
    assert said == [str(int(status)) for status in Exit]
    assert Exit.UNAVAILABLE == os.EX_UNAVAILABLE


def test_what_is_said_of_the_probes() -> None:
    names = {path.name for path in documents.PROBES.iterdir() if path.is_file() and os.access(path, os.X_OK)}
    assert names == set(documents.PROBE_NAMES)
    said = re.findall(r"/usr/share/taskgated/probes/(\w+)\n", section("taskgate-probes.8", "SYNOPSIS"))
    assert tuple(said) == documents.PROBE_NAMES
    assert re.findall(r"^\.B (\d)$", section("taskgate-probes.8", "EXIT STATUS"), re.MULTILINE) == [
        "0",
        "1",
        "2",
        "3",
    ]


def test_the_examples_of_probes_are_right() -> None:
    """Each is a command line that the probe takes."""
    text = section("taskgate-probes.8", "EXAMPLES").replace("\\-", "-").replace(" \\e\n", " ")
    lines = [line for line in text.splitlines() if line.split(" ")[0] in documents.PROBE_NAMES]
    (listed,) = re.findall(r"command: \[/usr/share/taskgated/probes/(.*?)\]", text, re.DOTALL)
    lines.append(listed.replace(",", " "))
    assert {line.split()[0] for line in lines} == set(documents.PROBE_NAMES) - {"slurm"}
    for line in lines:
        name, *words = shlex.split(line)
        documents.of_a_probe(documents.PROBES / name).parse_args(words)  # else it exits


def test_exit_statuses_that_a_restart_cannot_mend() -> None:
    for unit in ("taskgated.service", "user/taskgated.service"):
        text = (REPOSITORY / "systemd" / unit).read_text()
        assert f"\nRestartPreventExitStatus={os.EX_NOPERM} {os.EX_CONFIG}\n" in text


def test_columns_of_a_list() -> None:
    listed = section("taskgatectl.1", "OUTPUT").split(".SS list\n")[1].split(".SS show\n")[0]
    assert tuple(re.findall(r"^\.TP\n\.B (\w+)$", listed, re.MULTILINE)) == JOB_HEAD


def test_the_last_attempts_that_are_shown() -> None:
    assert f"its last {ATTEMPTS} attempts" in section("taskgatectl.1", "OUTPUT")


def test_the_socket_of_the_command() -> None:
    assert f".I {Layout.system().control_socket}\n" in section("taskgatectl.1", "FILES")
    assert Layout.system().control_socket.name == INTERFACE


def test_options_in_the_synopsis_of_the_daemon() -> None:
    said = section("taskgated.8", "SYNOPSIS").replace("\\-", "-")
    assert set(re.findall(r"(?<=[\[. ])--[a-z-]+", said.partition(".PP")[0])) == {
        name for name in flags(PARSERS["taskgated"]) if name.startswith("--")
    } - {"--help", "--version"}


@pytest.mark.parametrize("page", ["taskgated.8", "taskgatectl.1"])
def test_environment_of_a_program(page: str) -> None:
    class Asked(dict[str, str]):
        def get(self, name: str, default: object = None) -> str:  # type: ignore[override]
            asked.add(name)
            return "/"

    asked: set[str] = set()
    Layout.user(Asked())
    said = section(page, "ENVIRONMENT")
    assert asked == {"HOME", *re.findall(r"XDG_\w+", said)}
    assert "HOME" in said
    assert ".B TASKGATE_ROOT\n" in said


def test_what_a_job_file_may_hold() -> None:
    text = (MAN / "taskgate-job.5").read_text()
    for words in (f"{MAX_DEPTH} levels and {MAX_NODES} values", f"at most {MAX_ARGUMENT} bytes"):
        assert words in text
    assert f"one job of it, or a script, at most {LARGEST_SPEC // 1024**2}M" in text


def test_keys_that_are_no_defaults() -> None:
    said = (MAN / "taskgated.yaml.5").read_text().split("takes the keys of\n")[1].split("\nA job")[0]
    assert tuple(re.findall(r"^\.IR? (\w+)", said.partition("but for\n")[2], re.MULTILINE)) == NOT_DEFAULTS


def test_the_reference_has_every_key_inside_others() -> None:
    text = (REPOSITORY / "etc" / "taskgated.yaml").read_text()
    for name, _ in documents.entries(documents.schema_of(documents.KEYS)):
        outer, _, inner = name.partition(".")
        if outer not in ("queues", "probes", "users") and inner:
            section_ = re.search(rf"^{outer}:\n((?:  .*\n)+)", text, re.MULTILINE)
            assert section_ and re.search(rf"^  {inner}:", section_[1], re.MULTILINE), name


def test_the_event_in_the_example() -> None:
    assert f"MESSAGE_ID={Event.JOB_FAILED}\n" in section("taskgated.8", "EXAMPLES")


def test_the_readme_has_the_states_and_the_environment_of_a_job() -> None:
    text = (REPOSITORY / "README.md").read_text()
    *most, last = (f"`{state}`" for state in State)
    assert f"A job is {', '.join(most)} or {last}" in text
    assert f"(`{' '.join(name.decode() for name in clean_env())}`" in text


def test_fields_of_the_journal() -> None:
    said = set(re.findall(r"^\.B TASKGATE_(\w+)=$", section("taskgated.8", "JOURNAL"), re.MULTILINE))
    modules = [path.read_text() for path in sorted((REPOSITORY / "taskgated" / "daemon").glob("*.py"))]
    calls = "".join(text for text in modules if "journal.event(" in text)
    known = {"job_id", "job_name", "queue", "attempt", "outcome", "exit_code", "signal", "source"}
    assert said == {name.upper() for name in known if f"{name}=" in calls}


def test_paths() -> None:
    layout = Layout.system()
    said = section("taskgated.8", "FILES")
    directories = [layout.spool, layout.rejected, layout.claims, layout.outcomes, layout.scripts]
    files = [layout.config_file, layout.database, layout.control_socket, layout.worker_socket]
    for path in [*(f"{directory}/" for directory in directories), *files, f"{layout.config_drop_ins}/*.yaml"]:
        assert f".I {path}\n" in said
    assert f".I {layout.log}/DIR/JOB.ATTEMPT.log\n" in said


def test_paths_of_a_user_of_ones_own() -> None:
    layout = Layout.user({"HOME": "~"})
    said = section("taskgated.8", "FILES").replace("\\(ti", "~")
    assert {layout.spool.parent, layout.state.parent, layout.log.parent} == {Path("~/.local/state/taskgate")}
    assert f".IR {layout.run}/ ." in said
    assert f".I {layout.etc.parent}\n" in said
    assert f".IR {layout.spool.parents[1]} ," in said


def test_environment_of_a_job() -> None:
    said = section("taskgate-job.5", "ENVIRONMENT")
    assert {name for name in clean_env() if name.decode() not in said} == set()
    for name, value in clean_env().items():
        if name in (b"PATH", b"SHELL", b"LANG"):
            assert value.decode().replace("-", "\\-") in said


def test_states_and_results() -> None:
    said = section("taskgate-job.5", "HOW A JOB ENDS")
    attempts, states = said.split(".SS States\n")
    assert re.findall(r"^\.TP\n\.B (\w+)$", states, re.MULTILINE) == list(State)
    words = [words.removeprefix("been ") for words in re.findall(r"^\.TP\n\.B (.*)$", attempts, re.MULTILINE)]
    assert words == list(Result)


# -- completions: the files --------------------------------------------------------------------------


def flags(parser: argparse.ArgumentParser) -> set[str]:
    return {name for action in documents.flags(parser) for name in action.option_strings}


def sub_commands(program: str) -> dict[str, argparse.ArgumentParser]:
    for action in PARSERS[program]._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def all_flags(program: str) -> set[str]:
    return flags(PARSERS[program]).union(*map(flags, sub_commands(program).values()))


@pytest.mark.parametrize("program", PARSERS)
@pytest.mark.parametrize("file", ["{}.bash", "_{}", "{}.fish"])
def test_a_file_has_every_option_and_no_other(program: str, file: str) -> None:
    text = (COMPLETIONS / file.format(program)).read_text()
    if file.endswith(".fish"):
        lines = "\n".join(line for line in text.splitlines() if line.startswith("complete "))
        found = {f"--{name}" for name in re.findall(r" -l ([a-z-]+)", lines)}
        found |= {f"-{letter}" for letter in re.findall(r" -s (\w)", lines)}
        assert found == all_flags(program)
    else:
        code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        found = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", code))
        assert found == {name for name in all_flags(program) if name.startswith("--")}
    for command in sub_commands(program):
        assert re.search(rf"\b{command}\b", text)


def test_shells_have_nothing_to_say_against_the_files() -> None:
    shells = {"bash": "*.bash", "zsh": "_*", "fish": "*.fish"}
    here = [shell for shell in shells if shutil.which(shell)]
    for shell in here:
        for path in COMPLETIONS.glob(shells[shell]):
            subprocess.run([shell, "-n", str(path)], check=True)
    if len(here) < len(shells):
        pytest.skip(f"not installed: {', '.join(shells.keys() - here)}")


def test_shellcheck() -> None:
    files = [*COMPLETIONS.glob("*.bash"), REPOSITORY / "packaging" / "documents"]
    done = subprocess.run([needed("shellcheck"), *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


# -- completions: in the shells ----------------------------------------------------------------------


class Shell(Protocol):
    """A shell with our completions, in a directory of its own."""

    def complete(self, line: str) -> list[tuple[str, str]]:
        """What the shell offers at the end of a line: words, in order, each with its description if it has one."""

    def close(self) -> None: ...


def run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.stdout


class Bash:
    """Does what readline does: splits the line as COMP_WORDBREAKS has it and calls the function."""

    SCRIPT = """
    for file in "$1"/*.bash; do source "$file"; done
    line=$2; shift 2
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE=$line COMP_POINT=${#line}
    function=$(complete -p "$1"); function=${function#*-F }; function=${function%% *}
    "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
    """

    def __init__(self, cwd: Path) -> None:
        self._bash = needed("bash")
        self._cwd = cwd

    def complete(self, line: str) -> list[tuple[str, str]]:
        words = [*re.findall(r"=|[^\s=]+", line), *([""] if line.endswith(" ") else [])]
        command = [self._bash, "--norc", "-u", "-c", self.SCRIPT, "bash", str(COMPLETIONS), line, *words]
        return [(word, "") for word in run(command, self._cwd).splitlines()]

    def close(self) -> None:
        pass


class Fish:
    SCRIPT = 'for file in "$argv[1]"/*.fish; source $file; end; complete -C $argv[2]'

    def __init__(self, cwd: Path) -> None:
        self._fish = needed("fish")
        self._cwd = cwd

    def complete(self, line: str) -> list[tuple[str, str]]:
        out = []
        for match in run(
            [self._fish, "--no-config", "-c", self.SCRIPT, str(COMPLETIONS), line], self._cwd
        ).splitlines():
            word, _, description = match.partition("\t")
            _, equals, value = word.partition("=")  # fish offers --option=value as one word
            out.append((value if equals else word, description))
        return out

    def close(self) -> None:
        pass


class Zsh:
    """Its completion works in the line editor only: so one that thinks it is at a terminal, and tells by a pipe
    what it would offer."""

    SCRIPT = """
    bindkey -e
    fpath=($COMPLETIONS $fpath)
    autoload -Uz compinit
    compinit -u -D
    zstyle ':completion:*' insert-tab false
    zle-line-init() { print -u $TOLD -r -- ready }
    zle -N zle-line-init
    compadd() {
        if [[ " ${(j: :)@[1,(i)(-|--)]}" != *\\ -[^\\ ]#(O|A|D)\\ * ]]; then
            local -a hits said
            local -i at=${@[(I)-*d]}
            (( at )) && [[ $@[at] != --* ]] && said=(${(P)@[at+1]})
            builtin compadd -A hits -D said "$@"
            local -i n
            for (( n = 1; n <= $#hits; n++ )); do print -u $TOLD -r -- "$hits[n]"$'\\t'"$said[n]"; done
        fi
        builtin compadd "$@"
    }
    finish() {
        compstate[insert]= compstate[list]=
        comppostfuncs=(finish)
        print -u $TOLD -r -- end
    }
    comppostfuncs=(finish)
    """

    def __init__(self, cwd: Path) -> None:
        zsh = needed("zsh")
        (cwd.parent / "zsh").mkdir()
        script = cwd.parent / "zsh" / ".zshrc"
        self._told, told = os.pipe()
        script.write_text(self.SCRIPT)
        env = {**os.environ, "TERM": "dumb", "ZDOTDIR": str(script.parent), "COMPLETIONS": str(COMPLETIONS)}
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.set_inheritable(told, True)
            os.chdir(cwd)
            os.execve(zsh, ["zsh", "-d", "-i"], {**env, "TOLD": str(told)})
        os.close(told)
        self._rest = b""
        assert self._read_until("ready") == []

    def complete(self, line: str) -> list[tuple[str, str]]:
        os.write(self._terminal, b"\x15" + line.encode() + b"\t")  # ^U: an empty line first
        matches: dict[str, str] = {}  # what it tries in several ways it tells several times
        for match in self._read_until("end"):
            word, _, description = match.partition("\t")
            matches[word] = description.rpartition(" -- ")[2]
        # Where no argument can stand it offers options, also for an empty word.
        options = line.rpartition(" ")[2].startswith("-")
        return [(word, said) for word, said in matches.items() if options or not word.startswith("-")]

    def _read_until(self, last: str) -> list[str]:
        """The lines that it tells until that one; what it shows on the terminal is nobody's concern."""
        end = time.monotonic() + 60
        shown = b""
        while (left := end - time.monotonic()) > 0:
            if (at := self._rest.find(f"{last}\n".encode())) >= 0 and self._rest[at - 1 : at] in (b"", b"\n"):
                lines, self._rest = self._rest[:at], self._rest[at + len(last) + 1 :]
                return lines.decode().splitlines()
            for fd in select.select([self._told, self._terminal], [], [], left)[0]:
                data = os.read(fd, 65536)
                if fd == self._told:
                    self._rest += data
                else:
                    shown += data
        raise AssertionError(f"zsh did not answer; it shows {shown!r}")

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)
        os.close(self._told)


SHELLS: dict[str, Callable[[Path], Shell]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Each of the shells, and a ``taskgatectl`` on PATH that is ours."""
    programs = tmp_path / "bin"
    programs.mkdir()
    wrapper = programs / "taskgatectl"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m taskgated.ctl "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TASKGATE_ROOT", str(tmp_path / "nowhere"))
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    cwd = tmp_path / "cwd"
    (cwd / "directory").mkdir(parents=True)
    (cwd / "file.yaml").touch()
    made = SHELLS[request.param](cwd)
    yield made
    made.close()


def words(matches: list[tuple[str, str]]) -> list[str]:
    return [word.rstrip("/=") for word, _ in matches]


def test_sub_commands_are_offered(shell: Shell) -> None:
    expected = sub_commands("taskgatectl").keys()
    for line in ("taskgatectl ", "taskgatectl --json ", "taskgatectl --root x ", "taskgatectl --root=x --json "):
        found = shell.complete(line)
        assert set(words(found)) == expected
        assert len(found) == len(expected)
        if not isinstance(shell, Bash):
            assert all(description for _, description in found)
    assert words(shell.complete("taskgatectl st")) == ["status"]


def test_the_options_of_each_sub_command_are_offered(shell: Shell) -> None:
    assert set(words(shell.complete("taskgatectl -"))) == flags(PARSERS["taskgatectl"])
    for command, parser in sub_commands("taskgatectl").items():
        assert set(words(shell.complete(f"taskgatectl {command} -"))) == flags(parser), command


def test_options_of_the_daemon_are_offered(shell: Shell) -> None:
    assert set(words(shell.complete("taskgated -"))) == flags(PARSERS["taskgated"])


def test_states_are_offered(shell: Shell) -> None:
    assert set(words(shell.complete("taskgatectl list --state "))) == set(State)
    assert words(shell.complete("taskgatectl list --json --state=su")) == ["succeeded"]


def test_files_and_directories_are_offered(shell: Shell) -> None:
    assert set(words(shell.complete("taskgatectl check "))) == {"directory", "file.yaml"}
    assert set(words(shell.complete("taskgatectl check file.yaml d"))) == {"directory"}
    for line in ("taskgatectl check --config ", "taskgated --config "):
        assert "file.yaml" in words(shell.complete(line))
    for line in ("taskgatectl --root ", "taskgatectl show --root ", "taskgatectl --root=", "taskgated --root "):
        assert words(shell.complete(line)) == ["directory"]


def test_nothing_is_offered_where_nobody_knows(shell: Shell) -> None:
    """No gate, no queue, no id; and an id more than a command takes."""
    for rest in (
        "show ",
        "cancel ",
        "wait ",
        "logs ",
        "list --queue ",
        "list --limit ",
        "logs --attempt ",
        "reload ",
    ):
        assert shell.complete(f"taskgatectl {rest}") == [], rest


def test_jobs_and_queues_of_the_gate_are_offered(shell: Shell, make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\nqueues: {etl: {limit: 1}, odd.name-1: {}}\n")
    for name, command in (("good", "true"), ("bad", "false")):
        gate.drop(f"{name}.yaml", f"name: {name}\ncommand: '{command}'\n")
        until(lambda name=name: (job := gate.job(name)) and job["finished"], f"{name} is over")
    gate.drop("runs.yaml", "name: 'runs: \"long\"'\ncommand: sleep 1000\n")
    gate.until_running('runs: "long"')
    gate.drop("waits.yaml", "name: waits\nqueue: etl\ncommand: 'true'\n")
    until(lambda: gate.job("waits"), "the last one is there")

    root = f"--root {gate.root}"
    assert words(shell.complete(f"taskgatectl {root} cancel ")) == ["4", "3"]
    for line in (f"{root} wait 3 ", f"{root} cancel 4 "):
        assert words(shell.complete(f"taskgatectl {line}")) == ["4", "3"], line
    for line in (f"{root} show", f"--root={gate.root} logs", f"logs -f {root} --attempt 1", f"show {root}"):
        found = shell.complete(f"taskgatectl {line} ")
        assert words(found) == ["4", "3", "2", "1"], line
        if not isinstance(shell, Bash):
            said = [
                "queued, etl: waits",
                'running, default: runs: "long"',
                "failed, default: bad",
                "succeeded, default: good",
            ]
            assert [description for _, description in found] == said
    for line in (f"{root} list --queue ", f"check --root={gate.root} --queue="):
        assert set(words(shell.complete(f"taskgatectl {line}"))) == {"default", "etl", "odd.name-1"}
    assert "3" in words(shell.complete(f"taskgatectl {root} cancel 4 ")), "it takes several"
    for line in (f"{root} show 4 ", f"{root} reload ", f"{root} status "):
        assert shell.complete(f"taskgatectl {line}") == []


def test_of_many_jobs_the_newest_are_offered(shell: Shell, make_gate: Callable[..., GateEnv]) -> None:
    """At most 50. Where all would be too many to be looked at, those that are to run next."""
    gate = make_gate("workers: 1\n")
    gate.drop("a.yaml", "name: blocks\ncommand: sleep 1000\n")
    gate.until_running("blocks")
    gate.drop("b.yaml", "".join(f"- {{name: job {n}, command: 'true'}}\n" for n in range(99)))
    until(lambda: gate.status()["counts"].get("queued") == 99, "all are queued")
    line = f"taskgatectl --root {gate.root}"
    assert words(shell.complete(f"{line} show ")) == [str(n) for n in range(100, 50, -1)]
    assert words(shell.complete(f"{line} cancel ")) == [str(n) for n in range(50, 0, -1)]
    gate.drop("c.tasks", "true\n" * 5000)
    until(lambda: gate.status()["counts"].get("queued") == 5099, "all are queued")
    assert words(shell.complete(f"{line} show ")) == [str(n) for n in range(50, 0, -1)]


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("cancel ", ""),
        ("--user cancel ", "--user "),
        ("cancel --user ", "--user "),
        ("--root /x cancel ", "--root /x "),
        ("--root=/x --json cancel ", "--root /x "),
        ("--root ~/gate cancel ", "--root {home}/gate "),
    ],
)
def test_the_gate_that_the_line_means_is_asked(shell: Shell, tmp_path: Path, line: str, asked: str) -> None:
    (tmp_path / "bin" / "taskgatectl").write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\n')
    assert shell.complete(f"taskgatectl {line}") == []
    expected = f"{asked}list --state queued --state held --state running --limit 50\n"
    assert (tmp_path / "asked").read_text() == expected.format(home=tmp_path / "home")
