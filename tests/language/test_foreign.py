"""Directives of other batch systems: how they are read, piece by piece. Whole scripts are in ``test_corpus``."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgated.core.job import Dialect, Receiver, Signal, Spec, Warn
from taskgated.core.streams import Mode, Stdin, Stream
from taskgated.ctl import __main__ as ctl
from taskgated.errors import Refused
from taskgated.language import jobfile, scripts, units
from taskgated.language.config import from_values
from taskgated.language.declare import Check, Mismatch
from taskgated.language.foreign import pbs, readers, sge, slurm, times
from taskgated.language.foreign.reading import SYNTAXES
from taskgated.language.foreign.wishes import Given, Wishes
from taskgated.language.source import Source
from tests.env.jobfile import round_trips

NOW = datetime(2030, 5, 15, 14, 30)
EVERY = ("slurm", "pbs", "sge")
QUEUES = {
    "there": {"defaults": {"cwd": "/there"}},
    "night": {"defaults": {"priority": 20, "delay": 60.0, "env": {"A": "queue", "B": "queue"}}},
}


def read(text: str, *dialects: str, queue: str = "default") -> Spec:
    """The job of a script with these lines behind its first."""
    config = from_values({"foreign_directives": dialects or EVERY, "queues": QUEUES})
    (spec,) = jobfile.read_file("s", f"#!/bin/bash\n{text}\ntrue\n".encode(), queue, config)
    return spec


def read_all(text: str) -> list[Spec]:
    """All jobs of such a script."""
    config = from_values({"foreign_directives": EVERY})
    return list(jobfile.read_file("s", f"#!/bin/bash\n{text}\ntrue\n".encode(), "default", config))


def refused(text: str, *dialects: str) -> list[str]:
    with pytest.raises(Refused) as caught:
        read(text, *dialects)
    return [str(problem).split("\n")[0] for problem in caught.value.problems]


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return NOW

    monkeypatch.setattr(scripts, "datetime", Clock)


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("60", 3600), ("1:30", 120), ("0:30", 60), ("1:00:00", 3600), ("00:10:00", 600), ("2-0", 172800),
            ("1-12", 129600), ("1-12:30", 131400), ("1-12:30:15", 131460), ("100:00:00", 360000), ("0", None),
            ("00:00:00", None), ("UNLIMITED", None), ("infinite", None), ("-1", None),
        ],
    )  # fmt: skip
    def test_limits_of_slurm(self, text: str, seconds: int | None) -> None:
        assert slurm.time_limit(text) == seconds

    @pytest.mark.parametrize("text", ["", "1h", "1:2:3:4", "1-", "-5", "1-2:3:4:5", "a:b", "1.5", "9" * 400])
    def test_no_limits_of_slurm(self, text: str) -> None:
        with pytest.raises(Mismatch, match="expected minutes"):
            slurm.time_limit(text)

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("90", 90), ("1:30", 90), ("1:0:0", 3600), ("48:00:00", 172800), ("1:00:00:00", 86400), ("::30", 30),
         ("3600.5", 3600), ("0:90:0", 5400)],
    )  # fmt: skip
    def test_limits_of_pbs_and_grid_engine_are_seconds(self, text: str, seconds: int) -> None:
        assert readers.clock_time(text) == seconds
        assert read(f"#PBS -l walltime={text}").timeout == seconds
        assert read(f"#$ -l h_rt={text}").timeout == seconds

    @pytest.mark.parametrize("text", ["", ":", "1h", "1:2:3:4:5", "-5"])
    def test_no_such_limits(self, text: str) -> None:
        with pytest.raises(Mismatch):
            readers.clock_time(text)

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("16:00", "2030-05-15T16:00:00"), ("14:00", "2030-05-16T14:00:00"), ("4:00PM", "2030-05-15T16:00:00"),
            ("'4:00 PM'", "2030-05-15T16:00:00"), ("12:05am", "2030-05-16T00:05:00"),
            ("midnight", "2030-05-16T00:00:00"), ("noon", "2030-05-16T12:00:00"), ("fika", "2030-05-15T15:00:00"),
            ("teatime", "2030-05-15T16:00:00"), ("elevenses", "2030-05-16T11:00:00"),
            ("tomorrow", "2030-05-16T00:00:00"), ("today", "2030-05-15T00:00:00"),
            ("'tomorrow 08:15:30'", "2030-05-16T08:15:30"), ("'noon tomorrow'", "2030-05-16T12:00:00"),
            ("2031-01-20T12:34:00", "2031-01-20T12:34:00"), ("2031-01-20", "2031-01-20T00:00:00"),
            ("01/20/31", "2031-01-20T00:00:00"), ("012031", "2031-01-20T00:00:00"),
            ("05/14", "2031-05-14T00:00:00"), ("05/16", "2030-05-16T00:00:00"),
            ("'4:00  PM'", "2030-05-15T16:00:00"), ("'05/16 T4:00'", "2030-05-16T04:00:00"),
        ],
    )  # fmt: skip
    def test_moments_of_slurm(self, text: str, moment: str) -> None:
        spec = read(f"#SBATCH --begin={text}")
        assert (spec.not_before, spec.delay) == (units.timestamp(moment), 0.0)

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("now", 0), ("now+60", 60), ("now+1hour", 3600), ("'now + 2 hours'", 7200), ("now+90minutes", 5400),
         ("now+3days", 259200), ("now+1week", 604800), ("now+5min", 300)],
    )  # fmt: skip
    def test_delays_of_slurm(self, text: str, seconds: int) -> None:
        spec = read(f"#SBATCH -b {text}")
        assert (spec.delay, spec.not_before) == (seconds, None)

    @pytest.mark.parametrize("text", ["soon", "25:00", "now+1fortnight", "2030-02-30", "16:00noon", "13/45/30"])
    def test_no_moments_of_slurm(self, text: str) -> None:
        assert len(refused(f"#SBATCH --begin={text}")) == 1

    @pytest.mark.parametrize(("prefix", "option"), [("#SBATCH", "-n 1"), ("#PBS", "-N x"), ("#$", "-N x")])
    def test_more_directives_than_anybody_means_are_refused_at_once(self, prefix: str, option: str) -> None:
        line = f"{prefix} {option}"
        assert read("\n".join([line] * 1000)).dialect
        said = f"s:1002:{len(prefix) + 1}: {prefix}: more than 1000 directives (say each option once)"
        started = time.process_time()
        assert refused("\n".join([line] * (1_000_000 // (len(line) + 1)))) == [said]
        assert time.process_time() - started < 2

    def test_more_options_than_anybody_means_are_refused_at_once(self) -> None:
        line = "#SBATCH" + " -n 1" * 1600
        said = "s:10:8: #SBATCH: more than 65536 characters of options (say each option once)"
        assert read("\n".join([line] * 8)).dialect
        assert refused("\n".join([line] * 100)) == [said]

    @pytest.mark.parametrize("piece", ["T", "Tt", "' '", "'T '"])
    def test_a_moment_that_goes_on_and_on_is_refused_at_once(self, piece: str) -> None:
        wishes = Wishes(Check(Source("s", ("#!/bin/sh",))), NOW, 50)
        started = time.process_time()
        with pytest.raises(Mismatch):
            times.slurm_begin(Given("--begin", piece.strip("'") * 20_000 + "x", 2, 1), wishes)
        assert time.process_time() - started < 1

    @pytest.mark.parametrize("prefix", ["#PBS", "#$"])
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("1600", "2030-05-15T16:00:00"), ("1000", "2030-05-16T10:00:00"), ("1600.30", "2030-05-15T16:00:30"),
            ("201000", "2030-05-20T10:00:00"), ("101000", "2030-06-10T10:00:00"),
            ("06101000", "2030-06-10T10:00:00"), ("04101000", "2031-04-10T10:00:00"),
            ("3104101000", "2031-04-10T10:00:00"), ("203104101000", "2031-04-10T10:00:00"),
        ],
    )  # fmt: skip
    def test_moments_of_pbs_and_grid_engine(self, prefix: str, text: str, moment: str) -> None:
        assert read(f"{prefix} -a {text}").not_before == units.timestamp(moment)

    @pytest.mark.parametrize("text", ["2500", "160", "99991600", "16:00", "02301600"])
    def test_no_moments_of_pbs(self, text: str) -> None:
        assert len(refused(f"#PBS -a {text}")) == 1

    def test_december_comes_before_january(self) -> None:
        wishes = Wishes(Check(Source("s", ("#!/bin/sh",))), datetime(2030, 12, 20, 12), 50)
        times.digits_begin(Given("-a", "101000", 2, 1), wishes)
        assert wishes.keys["not_before"][1].value == "2031-01-10T10:00:00"


class TestWords:
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("#SBATCH -J a", "a"), ("#SBATCH -Ja", "a"), ("#SBATCH --job-name a", "a"), ("#SBATCH --job-name=a", "a"),
            ("#SBATCH --job-n=a", "a"), ("#SBATCH\t-J\ta", "a"), ("#SBATCH -QJa", "a"), ("#SBATCH -J a#b", "a"),
            ("#SBATCH -J 'a b'", "a b"), ('#SBATCH -J "a # b" # c', "a # b"), (r"#SBATCH -J a\ b", "a b"),
            (r'#SBATCH -J "a\"b"', 'a"b'), ("#SBATCH -J a -J b", "b"), ("#SBATCH -J a\r", "a"),
            ("#PBS -N a", "a"), ("#PBS -Na", "a"), ("  #PBS -N a", "a"), ("#PBS -V -N 'a b' # c", "a b"),
            ("#PBS -N a#b", "a#b"), ("#$ -N a", "a"), ('#$ -cwd -N "a b"', "a b"), ("#$ -N a # b", "a"),
            ("#$-N a", "a"),
        ],
    )  # fmt: skip
    def test_as_the_real_tools_read_them(self, text: str, name: str) -> None:
        assert read(text).name == name

    @pytest.mark.parametrize(
        "text", ["##SBATCH -J a", "# SBATCH -J a", " #SBATCH -J a", "#SBATCHES -J a", "#PBSX -N a", "#$x -N a",
                 "#$Id$", "#$HOME", " #$ -N a", "#sbatch -J a"],
    )  # fmt: skip
    def test_what_is_a_comment(self, text: str) -> None:
        assert (read(text).name, read(text).dialect, read(text).notes) == ("s", None, ())

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("#SBATCH --time", "s:2:9: '--time' needs a value"),
            ("#SBATCH --hold=x", "s:2:9: '--hold' takes no value"),
            ("#SBATCH -J a b", "s:2:14: 'b' is no option (quote a value with blanks in it, and begin a comment with"
             " #)"),
            ("#SBATCH: --time=5", "s:2:8: ':' is no option (quote a value with blanks in it, and begin a comment"
             " with #)"),
            ("#SBATCH --ntasks-per=4", "s:2:9: '--ntasks-per' is not clear (could be --ntasks-per-core or "
             "--ntasks-per-gpu or --ntasks-per-node or --ntasks-per-socket)"),
            ("#SBATCH -Y", "s:2:9: '-Y' is an unknown option"),
            ("#SBATCH --job-name='a", "s:2:8: #SBATCH: the quote ' has no end"),
            ("#SBATCH -J a\x07", "s:2:8: #SBATCH: character U+0007 has no place in a text"),
            ("#SBATCH --chdir=here", "s:2:9: --chdir: expected an absolute path, not 'here' (a dropped file has no "
             "directory of a submission, and nothing expands ~ or $HOME here)"),
            ("#SBATCH --export=1A=x", "s:2:9: --export: '1A' is not a name for a variable"),
            (f"#SBATCH -J {'n' * 201}", "s:2:9: name: longer than 200 characters"),
            ("#SBATCH -t 999999999-0", "s:2:9: timeout: longer than a hundred years"),
            ("#PBS -l walltime=0", "s:2:6: timeout: must be more than nothing"),
            ("#PBS -W colour=red", "s:2:6: -W: 'colour' is an unknown attribute"),
            ("#$ -pe smp", "s:2:4: '-pe' needs two values"),
            (f"#PBS -l nodes={'0' * 50}1+{'9' * 5000}", "s:2:6: -l: nodes: asks for 1000000000 hosts, and this gate"
             " has one (ask for one, if one will do)"),
            ("#$ -pe smp many", "s:2:4: -pe: expected a number of slots, not 'many'"),
        ],
    )  # fmt: skip
    def test_refused_at_its_place(self, text: str, said: str) -> None:
        assert refused(text) == [said]

    def test_all_at_once(self) -> None:
        text = "#SBATCH --tiem=5\n#SBATCH --nodes=2\n#SBATCH -c x"
        assert [said.split(": ")[0] for said in refused(text)] == ["s:2:9", "s:3:9", "s:4:9"]


class TestKeys:
    @pytest.mark.parametrize(
        ("text", "priority"),
        [
            ("#SBATCH --nice", 15), ("#SBATCH --nice=0", 20), ("#SBATCH --nice=-200", 30), ("#SBATCH --nice=400", 0),
            ("#SBATCH --nice=2147483645", 0), ("#SBATCH --nice=-2147483645", 70), ("#PBS -p 1024", 70),
            ("#PBS -p -1024", 0), ("#PBS -p 512", 45), ("#$ -p -512", 0), ("#$ -p 0", 20),
        ],
    )  # fmt: skip
    def test_a_priority_is_counted_from_that_of_the_queue(self, text: str, priority: int) -> None:
        assert read(text, queue="night").priority == priority

    def test_what_the_script_says_stands_before_the_queue(self) -> None:
        spec = read("#SBATCH --export=A=own --begin=16:00", queue="night")
        assert (spec.env, spec.delay) == ({"A": "own", "B": "queue"}, 0.0)

    def test_a_list_of_variables(self) -> None:
        assert read("#PBS -v \"a=10,var2='A,B',c=20,d='Hello world'\"").env == {
            "a": "10", "var2": "A,B", "c": "20", "d": "Hello world"
        }  # fmt: skip
        assert read("#SBATCH --export=\"A=1,B='x,y'\"").env == {"A": "1", "B": "x,y"}

    def test_whether_it_may_run_again(self) -> None:
        for text, word in (("#SBATCH --no-requeue", "fail"), ("#PBS -r n", "fail"), ("#$ -r yes", "rerun")):
            assert read(text).interrupted == word

    def test_of_several_dialects_the_first_that_is_configured_is_read(self) -> None:
        text = "#PBS -N p\n#SBATCH -J s\n#$ -N g"
        assert read(text, "pbs", "slurm").name == "p"
        spec = read(text, "sge", "slurm", "pbs")
        assert (spec.name, spec.dialect) == ("g", Dialect.SGE)
        assert spec.notes == ("line 3: #SBATCH is not read, for #$ is", "line 2: #PBS is not read, for #$ is")

    def test_slurm_and_pbs_are_read_where_nothing_is_configured(self) -> None:
        assert from_values({}).foreign_directives == ("slurm", "pbs")

    def test_notes_are_bounded_by_the_options(self) -> None:
        assert len(read("#SBATCH --mem=1G -p x\n" * 1000).notes) == 2

    def test_what_no_dialect_says_makes_no_difference(self) -> None:
        assert read("# nothing").to_json().keys() == {"script", "name"}


class TestArrays:
    @pytest.mark.parametrize(
        ("text", "indices", "at_most"),
        [
            ("#SBATCH --array=1-10", range(1, 11), None), ("#SBATCH -a 0-15:4%2", range(0, 13, 4), 2),
            ("#SBATCH -a 1,3,5-7", [1, 3, 5, 6, 7], None), ("#SBATCH -a 1-3,8%1", [1, 2, 3, 8], 1),
            ("#SBATCH -a 7", [7], None), ("#PBS -J 2-7:2", [2, 4, 6], None), ("#PBS -t 1-4%3", range(1, 5), 3),
            ("#$ -t 2-10:2", range(2, 11, 2), None), ("#$ -t 1-9 -tc 4", range(1, 10), 4),
        ],
    )  # fmt: skip
    def test_which_jobs_there_are(self, text: str, indices: list[int], at_most: int | None) -> None:
        specs = read_all(text)
        assert [spec.array.index for spec in specs] == list(indices)
        assert {spec.array.at_most for spec in specs} == {at_most}

    @pytest.mark.parametrize(
        "text",
        [
            "#SBATCH -a 5-1",
            "#SBATCH -a x",
            "#SBATCH -a 1-4%0",
            "#PBS -J 1-4:0",
            "#$ -t 1,2",
            "#SBATCH -a ''",
            "#$ -t 3-1",
        ],
    )
    def test_which_cannot_be(self, text: str) -> None:
        assert len(refused(text)) == 1

    def test_its_bounds_are_variables(self) -> None:
        assert read_all("#SBATCH -a 2-8:3")[0].env == {
            "SLURM_ARRAY_TASK_MIN": "2", "SLURM_ARRAY_TASK_MAX": "8", "SLURM_ARRAY_TASK_STEP": "3"
        }  # fmt: skip


class TestWarnings:
    @pytest.mark.parametrize(
        ("text", "warn"),
        [
            ("#SBATCH -t 10 --signal=B:USR1@120", Warn(Signal.USR1, 120.0)),
            ("#SBATCH -t 10 --signal=B:SIGUSR2", Warn(Signal.USR2, 60.0)),
            ("#SBATCH -t 10 --signal=RB:15@30", Warn(Signal.TERM, 30.0)),
            ("#$ -l h_rt=600 -notify", Warn(Signal.USR2, 60.0, Receiver.GROUP)),
            ("#$ -l s_rt=0:8:0 -l h_rt=0:10:0", Warn(Signal.USR1, 120.0, Receiver.GROUP)),
            ("#$ -l s_rt=600,h_rt=600", Warn()),
        ],
    )
    def test_which_comes_when(self, text: str, warn: Warn) -> None:
        assert (read(text).warn, read(text).notes) == (warn, ())

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("#SBATCH --signal=USR1@60", "s:2:9: --signal: without B: the steps of the job get the signal and not its"
             " script, and there are no steps here (write B:USR1@60, and let the script trap it)"),
            ("#SBATCH --signal=B:NONE", "s:2:9: --signal: there is no signal 'NONE'"),
            ("#SBATCH --signal=B:@5", "s:2:9: --signal: expected B:SIGNAL@SECONDS, not 'B:@5'"),
            ("#$ -l s_rt=600", "s:2:4: -l s_rt: a warning needs an end to come before (say h_rt as well)"),
        ],
    )  # fmt: skip
    def test_which_cannot_be_given(self, text: str, said: str) -> None:
        assert refused(text) == [said]

    def test_of_two_the_other_is_noted(self) -> None:
        (note,) = read("#$ -l s_rt=300,h_rt=600 -notify").notes
        assert note == "line 2: '-notify' is passed over: a job has one warning, and s_rt is it"
        assert len(read("#$ -notify").notes) == 1


class TestStreams:
    @pytest.mark.parametrize(
        ("text", "stdout", "stderr"),
        [
            ("#SBATCH -o /l/%x_%j.out", Stream("/l/{name}_{id}.out", Mode.TRUNCATE), "same"),
            ("#SBATCH -o /l/o -e /l/e --open-mode=append", Stream("/l/o"), Stream("/l/e")),
            ("#SBATCH -e /l/e", None, Stream("/l/e", Mode.TRUNCATE)),
            ("#SBATCH -o o%% -D /d", Stream("o%", Mode.TRUNCATE), "same"),
            ("#SBATCH -o none", Stream("/dev/null", Mode.TRUNCATE), "same"),
            ("#PBS -o /l/ -e :/l/e.$PBS_JOBID", Stream("/l/{name}.o{id}", Mode.TRUNCATE),
             Stream("/l/e.{id}", Mode.TRUNCATE)),
            ("#PBS -o /l/ -e /x -j oe", Stream("/l/{name}.o{id}", Mode.TRUNCATE), "same"),
            ("#PBS -o /x -e /l/ -j eo", Stream("/l/{name}.e{id}", Mode.TRUNCATE), "same"),
            ("#PBS -d /d -e ${PBS_JOBNAME}.err", None, Stream("{name}.err", Mode.TRUNCATE)),
            ("#$ -o /l/$JOB_NAME.$JOB_ID", Stream("/l/{name}.{id}"), None),
            ("#$ -wd /d -o o -e e -j y", Stream("o"), "same"),
            ("#$ -o /l/ -e /l/", Stream("/l/{name}.o{id}"), Stream("/l/{name}.e{id}")),
            ("#SBATCH -o /l/%A.%j", Stream("/l/{id}.{id}", Mode.TRUNCATE), "same"),
            ("#SBATCH -o /l/%A_%a.%j -a 3", Stream("/l/{array}_{index}.{id}", Mode.TRUNCATE), "same"),
            ("#PBS -o /l/$PBS_ARRAYID.^array_index^.x -j oe -t 3", Stream("/l/{index}.{index}.x", Mode.TRUNCATE),
             "same"),
            ("#PBS -J 3 -o /l/$PBS_ARRAY_ID.$PBS_JOBID -e /l/", Stream("/l/{array}.{id}", Mode.TRUNCATE),
             Stream("/l/{name}.e{array}.{index}", Mode.TRUNCATE)),
            ("#$ -o /l/$JOB_ID.${TASK_ID} -e /l/ -t 3", Stream("/l/{array}.{index}"),
             Stream("/l/{name}.e{array}.{index}")),
        ],
    )  # fmt: skip
    def test_where_they_go(self, text: str, stdout: Stream | None, stderr: Stream | str | None) -> None:
        spec = read(text)
        assert (spec.stdout, spec.stderr) == (stdout, stdout if stderr == "same" else stderr)
        assert spec.notes == ()

    @pytest.mark.parametrize("text", ["#SBATCH -o o", "#SBATCH -o /l/%u", "#PBS -o host:/l/o", "#$ -e $HOME/e",
                                      "#$ -o ~/o", "#SBATCH -o /l/{id}", "#SBATCH -o /l/%a",
                                      "#PBS -o /l/^array_index^", "#$ -o /l/$TASK_ID"])  # fmt: skip
    def test_a_place_that_is_not_known_leaves_the_output_with_the_gate(self, text: str) -> None:
        spec = read(text)
        assert (spec.stdout, spec.stderr) == (None, None)
        assert spec.notes[0].endswith("the gate keeps the output, see taskgatectl logs")

    def test_a_queue_with_a_directory_has_places(self) -> None:
        assert read("#SBATCH -o o", queue="there").stdout == Stream("o", Mode.TRUNCATE)

    def test_what_it_reads(self) -> None:
        assert read("#SBATCH -i /d/%x.in").stdin == Stdin(path="/d/{name}.in")
        assert refused("#SBATCH -i d") == ["s:2:9: -i is below no known directory (write the whole path)"]
        assert read("#$ -i /dev/null").stdin is None
        assert read("#SBATCH -i /d/%a.in\n#SBATCH -a 3").stdin == Stdin(path="/d/{index}.in")
        assert read("#$ -i /d/$TASK_ID.in -t 3").stdin == Stdin(path="/d/{index}.in")
        assert refused("#SBATCH -i /d/%a") == ["s:2:9: -i: '%a' in a path has no meaning here"]


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=list(SYNTAXES))
def test_no_option_stands_twice_in_a_table(syntax: object) -> None:
    for table in (syntax.options, syntax.resources):  # type: ignore[attr-defined]
        names = Counter(name for option in table for name in option.names)
        assert [name for name, number in names.items() if number > 1] == []


def test_the_letters_of_openpbs_are_all_known() -> None:
    """Those that its qsub takes, by its manual."""
    known = {name for option in pbs.OPTIONS for name in option.names}
    assert {f"-{letter}" for letter in "aAcCefhIjJklmMNopPqrRSuvVWXz"} <= known


def test_a_script_that_names_each_option_is_read_or_refused_for_each() -> None:
    for syntax in SYNTAXES.values():
        for option in syntax.options:
            for name in option.names:
                try:
                    spec = read(f"{syntax.prefix} {name} 1 1")
                except Refused as error:
                    assert name in str(error) or "is no option" in str(error)
                else:
                    assert spec.dialect is syntax.dialect


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["#SBATCH ", "#PBS ", "#$ "]),
    st.lists(
        st.sampled_from([name for syntax in SYNTAXES.values() for option in syntax.options for name in option.names])
        | st.sampled_from(
            ["=", " ", "1", "-", ":", "1:00", "4G", "h_rt=1", "nodes=1:ppn=2", "%", ",", "'", '"', "\\"]
        )
        | st.text(max_size=3),
        max_size=6,
    ),
)
def test_whatever_a_directive_says(prefix: str, pieces: list[str]) -> None:
    try:
        spec = read((prefix + "".join(pieces)).replace("\n", " ").replace("\r", " "))
    except Refused as error:
        assert error.problems and str(error)
    else:
        assert round_trips(spec)


def test_check_tells_the_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "x.sh"
    script.write_text("#!/bin/sh\n#SBATCH --mem=4G\ntrue\n")
    note = "line 2: '--mem=4G' is not counted, nor is memory limited, by this version"
    assert ctl.main(["--root", str(tmp_path), "check", str(script)]) == 0
    assert capsys.readouterr().out == f"{script}: 1 job\n{script}: note: {note}\n"
    assert ctl.main(["--root", str(tmp_path), "--json", "check", str(script)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["notes"] == [note]


def test_grid_engine_has_its_own_table() -> None:
    assert sge.SYNTAX.everywhere and not slurm.SYNTAX.everywhere
