"""The packages: what is in them, what they do to a system, and that the same files give the same bytes.

What they do on a running systemd is proved elsewhere: here, no service is started by a package.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import REPOSITORY
from tests.env import packages as packages_env
from tests.env.until import until

PYTHON = "/usr/bin/python3"
NOBODY = 65534

SCRIPTS = ("packaging/build", "packaging/install", "packaging/debian/postrm", "packaging/debian/tests/smoke")

CONFIGURATION = "/etc/taskgate/taskgated.yaml"
PROGRAMS = ("/usr/bin/taskgated", "/usr/bin/taskgatectl")
GENERATORS = (
    "/usr/lib/systemd/system-generators/taskgated-generator",
    "/usr/lib/systemd/user-generators/taskgated-generator",
)
PROBES = tuple(f"/usr/share/taskgated/probes/{name}" for name in ("http", "kerberos", "postgresql", "slurm", "yarn"))
FILES = {
    CONFIGURATION,
    *PROGRAMS,
    *GENERATORS,
    *PROBES,
    "/usr/lib/systemd/system/taskgated.service",
    "/usr/lib/systemd/user/taskgated.service",
    "/usr/lib/systemd/catalog/taskgated.catalog",
    "/usr/lib/sysusers.d/taskgated.conf",
    "/usr/lib/tmpfiles.d/taskgated.conf",
    "/usr/share/bash-completion/completions/taskgatectl",
    "/usr/share/bash-completion/completions/taskgated",
    "/usr/share/fish/vendor_completions.d/taskgatectl.fish",
    "/usr/share/fish/vendor_completions.d/taskgated.fish",
    "/usr/share/zsh/vendor-completions/_taskgatectl",
    "/usr/share/zsh/vendor-completions/_taskgated",
    "/usr/share/man/man1/taskgatectl.1.gz",
    "/usr/share/man/man5/taskgate-foreign.5.gz",
    "/usr/share/man/man5/taskgate-job.5.gz",
    "/usr/share/man/man5/taskgated.yaml.5.gz",
    "/usr/share/man/man8/taskgate-probes.8.gz",
    "/usr/share/man/man8/taskgated.8.gz",
    "/usr/share/doc/taskgated/NEWS.gz",
    "/usr/share/doc/taskgated/README.Debian",
    "/usr/share/doc/taskgated/README.md.gz",
    "/usr/share/doc/taskgated/changelog.gz",
    "/usr/share/doc/taskgated/copyright",
    "/usr/share/taskgated/probes/probe.py",
    "/usr/share/taskgated/probes/web.py",
}
"""Everything in the .deb but modules, their metadata and examples."""

MODULES = "/usr/lib/python3/dist-packages/"
INSTALLED = {".py", ".json", ".sql", ".varlink", ".typed"}
"""The suffixes of what is installed of taskgated/."""

ONLY_DEB = re.compile(r"/usr/share/doc/taskgated/(README\.Debian|changelog|copyright)|.*\.dist-info/RECORD")
ONLY_RPM = re.compile(r"/usr/share/licenses/.*|.*\.dist-info/(INSTALLER|LICENSE)|.*/__pycache__/.*")
MOVED = (
    (re.compile(r"^/usr/lib/python3\.\d+/site-packages/"), MODULES),
    (re.compile(r"^/usr/share/zsh/site-functions/"), "/usr/share/zsh/vendor-completions/"),
)
"""How the RPM's files differ from those of the .deb: pip and dh_python3 keep other metadata, bytecode is made when an
RPM is built but when a .deb is installed, each has documents and directories of its own. Pages may be compressed."""


def source_version() -> str:
    found = re.search(r'^__version__ = "(.*)"$', (REPOSITORY / "taskgated" / "__init__.py").read_text(), re.MULTILINE)
    assert found
    return found[1]


def run(*command: str | Path) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def installed_modules() -> set[str]:
    """The files of taskgated/ that a package has, as paths below the directory for modules."""
    package = REPOSITORY / "taskgated"
    found = {str(path.relative_to(REPOSITORY)) for path in package.rglob("*") if path.suffix in INSTALLED}
    assert {"taskgated/py.typed", "taskgated/job.schema.json", "taskgated/store/sqlite/sql/queries.sql"} < found
    return found


def test_everything_is_installed_that_is_there_to_be(tmp_path: Path) -> None:
    """A page or a unit that is written but forgotten in ``packaging/install`` helps nobody."""
    run("env", f"DESTDIR={tmp_path}", REPOSITORY / "packaging" / "install")
    installed = {path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for source in ("systemd", "etc", "packaging/man", "packaging/completions", "packaging/probes"):
        files = [path for path in (REPOSITORY / source).rglob("*") if path.is_file() and path.suffix != ".pyc"]
        assert files, source
        assert {path.name for path in files if path.read_bytes() not in installed} == set(), source


# -- the .deb ------------------------------------------------------------------------------------------------


@dataclass
class Deb:
    path: Path
    members: dict[str, tarfile.TarInfo]
    control: dict[str, str]

    @property
    def files(self) -> set[str]:
        return {name for name, member in self.members.items() if not member.isdir()}

    def field(self, name: str) -> str:
        return run("dpkg-deb", "--field", self.path, name).strip()


@pytest.fixture(scope="session")
def deb() -> Deb:
    path = packages_env.deb()
    with tarfile.open(fileobj=io.BytesIO(_bytes("dpkg-deb", "--fsys-tarfile", path))) as tar:
        members = {member.name.removeprefix("."): member for member in tar}
    with tarfile.open(fileobj=io.BytesIO(_bytes("dpkg-deb", "--ctrl-tarfile", path))) as tar:
        opened = {member.name.removeprefix("./"): tar.extractfile(member) for member in tar}
        control = {name: file.read().decode() for name, file in opened.items() if file is not None}
    return Deb(path, members, control)


def _bytes(*command: str | Path) -> bytes:
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def test_what_the_deb_is_called(deb: Deb) -> None:
    assert deb.path.name == f"taskgated_{source_version()}_all.deb"
    assert deb.field("Version") == source_version()
    assert deb.field("Maintainer") == "taskgated maintainers <maintainers@taskgated.invalid>"


def test_lintian_has_nothing_to_say(deb: Deb) -> None:
    """Neither of what is installed nor of what is uploaded."""
    need("lintian")
    run("lintian", "--fail-on", "error,warning", "--tag-display-limit", "0", deb.path, packages_env.source())


def test_every_file_has_its_place(deb: Deb) -> None:
    examples = {f"/usr/share/doc/taskgated/{path.relative_to(REPOSITORY / 'etc')}" for path in _examples()}
    metadata = {name for name in deb.files if name.startswith(f"{MODULES}taskgated-{source_version()}.dist-info/")}
    modules = {MODULES + name for name in installed_modules()}
    assert examples and metadata
    assert deb.files == FILES | examples | modules | metadata
    assert deb.members["/etc/taskgate/conf.d"].isdir()


def _examples() -> list[Path]:
    return [path for path in (REPOSITORY / "etc" / "examples").rglob("*") if path.is_file()]


def test_owners_and_modes(deb: Deb) -> None:
    executable = {*PROGRAMS, *GENERATORS, *PROBES}
    for name, member in deb.members.items():
        assert (member.uname, member.gname) == ("root", "root"), name
        if member.isdir() or name in executable:
            assert member.mode == 0o755, name
        elif "/examples/" in name:
            assert member.mode in (0o644, 0o755), name
        else:
            assert member.isfile() and member.mode == 0o644, name


def test_what_the_administrator_changes_is_kept(deb: Deb) -> None:
    assert deb.control["conffiles"].split() == [CONFIGURATION]


def test_it_depends_on_what_the_distribution_has_and_on_no_version_of_python(deb: Deb) -> None:
    assert sorted(deb.field("Depends").split(", ")) == [
        "init-system-helpers (>= 1.52)",
        "python3-sdnotify",
        "python3-watchdog",
        "python3-yaml",
        "python3:any (>= 3.11~)",
        "systemd | systemd-standalone-sysusers | systemd-sysusers",
    ]


def test_programs_run_with_the_distributions_python(deb: Deb) -> None:
    with tarfile.open(fileobj=io.BytesIO(_bytes("dpkg-deb", "--fsys-tarfile", deb.path))) as tar:
        for name in PROGRAMS:
            program = tar.extractfile(f".{name}")
            assert program and program.readline() == b"#!/usr/bin/python3\n"
        for name in PROBES:
            program = tar.extractfile(f".{name}")
            assert program and program.readline() == b"#!/usr/bin/python3 -IBS\n"


def in_order(script: str, *parts: str) -> None:
    positions = [script.find(part) for part in parts]
    assert -1 not in positions, f"{parts[positions.index(-1)]} is missing\n{script}"
    assert positions == sorted(positions), script


def test_the_user_comes_before_its_directories_and_the_service_last(deb: Deb) -> None:
    in_order(
        deb.control["postinst"],
        "systemd-sysusers ${DPKG_ROOT:+",
        "systemd-tmpfiles ${DPKG_ROOT:+",
        "deb-systemd-helper enable 'taskgated.service'",
        "deb-systemd-invoke $_dh_action 'taskgated.service'",
    )
    in_order(deb.control["postinst"], "py3compile -p taskgated", "deb-systemd-invoke $_dh_action")


def test_an_upgrade_restarts_and_a_removal_stops(deb: Deb) -> None:
    in_order(deb.control["postinst"], '[ -n "$2" ]', "_dh_action=restart", "_dh_action=start")
    in_order(deb.control["prerm"], '"$1" = remove', "deb-systemd-invoke stop 'taskgated.service'", "py3clean")
    assert "preinst" not in deb.control  # which would stop it for as long as the upgrade takes


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_clean(script: str) -> None:
    need("shellcheck")
    run("shellcheck", REPOSITORY / script)


# -- the .deb on a system -------------------------------------------------------------------------------------

TRIAL = r"""
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/system"
mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/system"
mount -t proc none "$1/system/proc"
mount --rbind /dev "$1/system/dev"
cp "$2" "$1/system/root/taskgated.deb"
exec chroot "$1/system" /bin/sh -euc "$3"
"""
"""A shell in a copy of this system that nobody else sees and that is gone when it ends."""


@pytest.fixture
def on_a_system(deb: Deb, tmp_path: Path) -> Callable[[str], list[str]]:
    """Runs commands in a copy of this system; returns the lines that begin with a tab, without it."""
    if os.geteuid() != 0:
        pytest.skip("only root can install packages")
    for module in ("python3-yaml", "python3-watchdog", "python3-sdnotify"):
        if not _is_installed(module):
            pytest.skip(f"{module} is not installed")
    if _is_installed("taskgated"):
        pytest.skip("taskgated is installed here")
    mounts = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    if mounts.returncode != 0:
        pytest.skip(f"no mount namespace can be made: {mounts.stderr.strip()}")

    def commands(script: str) -> list[str]:
        output = run("unshare", "--mount", "sh", "-euc", TRIAL, "sh", tmp_path, deb.path, script)
        return [line[1:] for line in output.splitlines() if line.startswith("\t")]

    return commands


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"


def test_installation_and_removal(on_a_system: Callable[[str], list[str]]) -> None:
    state = ["/var/lib/taskgate", "/var/log/taskgate", "/var/spool/taskgate"]
    lines = on_a_system(
        f"""
        dpkg --no-triggers --install /root/taskgated.deb
        getent passwd taskgate | sed 's/^/\tuser /'
        stat --format '\tmade %n' {" ".join(state)}
        taskgated --version | sed 's/^/\tversion /'
        taskgated --check | sed 's/^/\tcheck /'
        for probe in /usr/share/taskgated/probes/*; do
            [ ! -x $probe ] || [ -d $probe ] || $probe --help | sed -n 's/^usage: /\tprobe /p' | cut -d ' ' -f 1-2
        done
        ls /usr/lib/python3/dist-packages/taskgated/daemon/__pycache__/daemon.* | sed 's/^/\tbytecode /'
        find /etc/systemd -name 'taskgated*' -printf '\tenabled %p\n'
        touch /var/lib/taskgate/a /var/log/taskgate/b /var/spool/taskgate/c
        echo '# mine' >>{CONFIGURATION}
        dpkg --no-triggers --remove taskgated
        find {" ".join(state)} -type f -printf '\tkept %p\n'
        tail -n 1 {CONFIGURATION} | sed 's/^/\tkept /'
        find /usr/bin /usr/lib/python3/dist-packages /usr/lib/systemd -name 'taskgate*' -printf '\tleft %p\n'
        """
    )
    said: dict[str, list[str]] = {}
    for line in lines:
        about, _, what = line.partition(" ")
        said.setdefault(about, []).append(what)
    assert said.pop("user")[0].split(":")[0] == "taskgate"
    assert len(said.pop("bytecode")) == 1
    assert said == {
        "made": state,
        "version": [f"taskgated {source_version()}"],
        "check": ["the configuration is fine"],
        "probe": [Path(name).name for name in PROBES],
        "enabled": ["/etc/systemd/system/multi-user.target.wants/taskgated.service"],  # and not for users
        "kept": ["/var/lib/taskgate/a", "/var/log/taskgate/b", "/var/spool/taskgate/c", "# mine"],
    }


def test_a_purge_leaves_only_what_others_wrote(on_a_system: Callable[[str], list[str]]) -> None:
    list_all = r"find /etc /usr /var /opt -path '*taskgate*' -printf '\t%p\n'"
    lines = on_a_system(
        f"""
        {list_all} >/root/before
        dpkg --no-triggers --install /root/taskgated.deb
        touch /var/lib/taskgate/a /var/log/taskgate/b /var/spool/taskgate/c
        echo 'workers: 1' >/etc/taskgate/conf.d/mine.yaml
        dpkg --no-triggers --purge taskgated
        {list_all} >/root/after
        comm -13 /root/before /root/after
        rm /etc/taskgate/conf.d/mine.yaml
        dpkg --no-triggers --install /root/taskgated.deb
        dpkg --no-triggers --purge taskgated
        {list_all} >/root/after
        cmp /root/before /root/after
        """
    )
    assert sorted(lines) == ["/etc/taskgate", "/etc/taskgate/conf.d", "/etc/taskgate/conf.d/mine.yaml"]


# -- the RPM -------------------------------------------------------------------------------------------------


@dataclass
class RpmFile:
    mode: int
    owner: str
    group: str
    flags: str


@dataclass
class Rpm:
    path: Path
    files: dict[str, RpmFile]

    def tag(self, name: str) -> str:
        return run("rpm", "--query", "--package", "--queryformat", f"%{{{name}}}", self.path)

    def tags(self, name: str) -> list[str]:
        return run("rpm", "--query", "--package", "--queryformat", f"[%{{{name}}}\n]", self.path).splitlines()


@pytest.fixture(scope="session")
def rpm() -> Rpm:
    path = packages_env.rpm()
    each = "[%{FILENAMES}\t%{FILEMODES}\t%{FILEUSERNAME}\t%{FILEGROUPNAME}\t%{FILEFLAGS:fflags}\n]"
    files = {}
    for line in run("rpm", "--query", "--package", "--queryformat", each, path).splitlines():
        name, mode, owner, group, flags = line.split("\t")
        files[name] = RpmFile(int(mode), owner, group, flags)
    return Rpm(path, files)


def test_what_the_rpm_says_of_itself(rpm: Rpm) -> None:
    assert rpm.path.name == f"taskgated-{source_version()}-1.noarch.rpm"
    assert rpm.tag("VERSION") == source_version()
    assert rpm.tag("LICENSE") == "MIT"
    summary = rpm.tag("SUMMARY")
    assert summary[0].isupper() and not summary.endswith(".") and len(summary) < 80
    assert max(map(len, rpm.tag("DESCRIPTION").splitlines())) < 80


def test_what_the_rpm_requires(rpm: Rpm) -> None:
    needed = set(rpm.tags("REQUIRENAME"))
    assert {"python3", "python3-pyyaml", "python3-watchdog", "python3-sdnotify", "systemd", "python(abi)"} <= needed


def test_the_rpm_has_the_files_of_the_deb(rpm: Rpm, deb: Deb) -> None:
    files = {name for name, file in rpm.files.items() if not stat.S_ISDIR(file.mode)}
    in_rpm = {_as_in_deb(name) for name in files if not ONLY_RPM.match(name)}
    in_deb = {_as_in_deb(name) for name in deb.files if not ONLY_DEB.match(name)}
    assert in_rpm == in_deb


def _as_in_deb(name: str) -> str:
    for pattern, replacement in MOVED:
        name = pattern.sub(replacement, name)
    return name.removesuffix(".gz")


PLACES = re.compile(r"/usr/(bin|share|lib/(systemd|sysusers\.d|tmpfiles\.d|python3\.\d+))/|/etc/taskgate(/|$)")


def test_owners_modes_and_places_in_the_rpm(rpm: Rpm) -> None:
    executable = {*PROGRAMS, *GENERATORS, *PROBES}
    for name, file in rpm.files.items():
        assert (file.owner, file.group) == ("root", "root"), name
        assert PLACES.match(name), name
        permissions = stat.S_IMODE(file.mode)
        if stat.S_ISDIR(file.mode) or name in executable:
            assert permissions == 0o755, name
        else:
            assert permissions in ((0o644, 0o755) if "/examples/" in name else (0o644,)), name


def test_the_rpm_owns_its_directories(rpm: Rpm) -> None:
    shared = re.compile(
        r"/usr(/(bin|lib|share))?|/etc|/usr/lib/python3\.\d+(/site-packages)?|/usr/share/(doc|licenses|man(/man\d)?)"
        r"|/usr/lib/(systemd(/(system|user|catalog|(system|user)-generators))?|sysusers\.d|tmpfiles\.d)"
    )
    parents = {str(parent) for name in rpm.files for parent in Path(name).parents} - {"/"}
    missing = {parent for parent in parents if parent not in rpm.files and not shared.fullmatch(parent)}
    assert not missing
    assert stat.S_ISDIR(rpm.files["/etc/taskgate/conf.d"].mode)


def test_what_the_administrator_changes_is_kept_by_the_rpm(rpm: Rpm) -> None:
    assert {name: file.flags for name, file in rpm.files.items() if "c" in file.flags} == {CONFIGURATION: "cn"}
    documents = [file for name, file in rpm.files.items() if name.startswith("/usr/share/doc/taskgated/")]
    assert {file.flags for file in documents if not stat.S_ISDIR(file.mode)} == {"d"}


def test_what_the_rpm_does_to_a_system(rpm: Rpm) -> None:
    need("shellcheck")
    scripts = {name: rpm.tag(name) for name in ("POSTIN", "PREUN", "POSTUN")}
    for script in scripts.values():
        subprocess.run(["shellcheck", "--shell=sh", "-"], input=script.encode(), check=True, timeout=60)
    in_order(scripts["POSTIN"], "systemd-sysusers", "systemd-tmpfiles", "preset taskgated.service")
    in_order(scripts["PREUN"], "-eq 0", "disable --now taskgated.service")
    in_order(scripts["POSTUN"], "daemon-reload", "-ge 1", "try-restart taskgated.service")


# -- the wheel -----------------------------------------------------------------------------------------------


def test_what_is_in_the_wheel() -> None:
    path = packages_env.wheel()
    assert path.name == f"taskgated-{source_version()}-py3-none-any.whl"
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == installed_modules()


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that also others than root can reach, and write to."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        yield path


def test_the_wheel_works_in_a_fresh_environment_without_root(open_directory: Path) -> None:
    """With the modules of the distribution, so that nothing is fetched."""
    modules = [PYTHON, "-c", "import ensurepip, sdnotify, venv, watchdog, yaml"]
    if not Path(PYTHON).exists() or subprocess.run(modules, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{PYTHON} has no venv, yaml, watchdog and sdnotify")
    wheel = shutil.copy(packages_env.wheel(), open_directory)
    identity: dict[str, Any] = {"env": {"PATH": "/usr/bin:/bin", "HOME": str(open_directory), "LANG": "C.UTF-8"}}
    if os.geteuid() == 0:
        identity |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    def call(*args: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            args, **identity, cwd=open_directory, capture_output=True, text=True, timeout=300, check=False
        )

    def say(*args: str | Path) -> str:
        result = call(*args)
        assert result.returncode == 0, f"{args}\n{result.stdout}{result.stderr}"
        return str(result.stdout)

    programs = open_directory / "venv" / "bin"
    say(PYTHON, "-m", "venv", "--system-site-packages", programs.parent)
    say(programs / "python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
    assert say(programs / "taskgated", "--version") == f"taskgated {source_version()}\n"
    assert say(programs / "taskgatectl", "--version") == f"taskgatectl {source_version()}\n"

    gate = open_directory / "gate"
    ask = (programs / "taskgatectl", "--root", gate)
    with open(open_directory / "log", "wb") as log:
        say("mkdir", gate)
        daemon = subprocess.Popen([programs / "taskgated", "--root", gate], stderr=log, **identity)
    try:
        until(lambda: call(*ask, "status").returncode == 0, "the gate is ready")
        staged = open_directory / "staged"
        staged.write_text("command: [echo, it ran]\n")
        staged.rename(gate / "spool" / "a.yaml")
        until(lambda: call(*ask, "show", "1").returncode == 0, "the file is taken in")
        say(*ask, "wait", "1")
        assert say(*ask, "logs", "1") == "it ran\n"
    finally:
        daemon.terminate()
        status = daemon.wait(60)
    assert status == 0, (open_directory / "log").read_text()


# -- the build -----------------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that are built from, to do as one likes with."""
    copy = tmp_path / "checkout"
    left_out = [line.rstrip("/") for line in (REPOSITORY / ".gitignore").read_text().splitlines()]
    for name in ("packaging", "systemd", "etc", "taskgated"):
        ignore = shutil.ignore_patterns(*(pattern for pattern in left_out if pattern != "build"))
        shutil.copytree(REPOSITORY / name, copy / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy2(REPOSITORY / name, copy)
    return copy


def built(checkout: Path, what: str, output: Path) -> dict[str, bytes]:
    result = packages_env.build(checkout / "packaging" / "build", what, "--output", str(output))
    if result.returncode == os.EX_UNAVAILABLE:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 0, result.stderr
    return {path.name: path.read_bytes() for path in output.iterdir()}


def test_the_same_files_give_the_same_bytes(checkout: Path, tmp_path: Path) -> None:
    """With git and without, at another time, under another name, with other modes."""
    need("git")
    once = built(checkout, "all", tmp_path / "once")
    assert {Path(name).suffix for name in once} == {".deb", ".rpm", ".whl"}
    moved = checkout.rename(tmp_path / "elsewhere")
    for path in moved.rglob("*"):
        if path.is_file():
            os.utime(path, (10**9, 10**9))
            path.chmod(0o700 if os.access(path, os.X_OK) else 0o600)
    run("git", "init", "--quiet", moved)
    for ignored in ("dist/old.deb", "taskgated/__pycache__/left.pyc", "build/lib/taskgated/gone.py"):
        (moved / ignored).parent.mkdir(parents=True, exist_ok=True)
        (moved / ignored).write_text("not for a package")
    before = sorted(moved.rglob("*"))
    again = built(moved, "all", tmp_path / "again")
    assert {name for name in once if once[name] != again[name]} == set()
    assert sorted(moved.rglob("*")) == before


def test_versions_that_differ_are_named(checkout: Path, tmp_path: Path) -> None:
    module = checkout / "taskgated" / "__init__.py"
    module.write_text(module.read_text().replace(f'"{source_version()}"', '"97.1"'))
    result = packages_env.build(checkout / "packaging" / "build", "deb", "--output", str(tmp_path / "none"))
    if result.returncode == os.EX_UNAVAILABLE:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 1
    assert f"debian/changelog says {source_version()}, taskgated/__init__.py says 97.1." in result.stderr
    assert not (tmp_path / "none").exists()


def test_another_version_for_upgrades() -> None:
    other = packages_env.deb("0.0.1")
    assert other.name == "taskgated_0.0.1_all.deb"
    assert run("dpkg-deb", "--field", other, "Version").strip() == "0.0.1"
    assert f"{MODULES}taskgated-0.0.1.dist-info/METADATA" in run("dpkg-deb", "--contents", other)
    made = other.stat().st_mtime_ns
    assert packages_env.deb("0.0.1").stat().st_mtime_ns == made  # once


@pytest.mark.parametrize("args", [(), ("nonsense",), ("deb", "--version"), ("deb", "--version", "1/2")])
def test_a_wrong_command_line(args: tuple[str, ...]) -> None:
    result = packages_env.build(packages_env.BUILD, *args)
    assert result.returncode == os.EX_USAGE
    assert result.stderr.startswith("usage: packaging/build deb|rpm|wheel|source|all")
