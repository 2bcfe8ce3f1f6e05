"""Which names are left alone, as the tools that make them have them; and which are people's own, and taken."""

from __future__ import annotations

import os
import time

import pytest

from taskgated.language import names
from taskgated.language.names import hidden, in_the_making, looks_temporary

LEFT_ALONE = [
    # editors
    ".job.sh.swp", ".job.sh.swo", ".job.sh.swx", "job.sh.swp", "job.sh~", ".#job.sh", "#job.sh#", "job.sh.~1~",
    ".job.sh.kate-swp", "job.sh.save", "job.yaml.save.1",
    "job.sh.bak", "job.yaml.orig", "job.yaml.rej", "job.sh.old", "nano.save", "nano.save.12", "DEADJOE", "ed.hup",
    ".~lock.list.ods#", "lu12345abcde.tmp", ".goutputstream-A1B2C3", "job.sh___jb_tmp___", "job.sh___jb_old___",
    "~$list.xlsx", "~WRL0001.tmp", "list~RF1a2b3c.TMP", "job.txt.sb-8e6e3b6c-1v7dF3",
    # transfers and sync
    ".job.sh.aB3dE6", "job.sh.filepart", ".in.job.sh", "job.sh.lftp-pget-status", "job.sh.aria2", "x.aria2__temp",
    "job.sh.1a2b3c4d.partial", "x.crdownload", "x.opdownload", "x.download", "x.part", "x.ocTransferId12.part",
    ".x.~1a2b", ".sync_1a2b.db", ".syncthing.job.sh.tmp", "~syncthing~job.sh.tmp", ".dropbox.cache", "x.!ut", "x.!qB",
    "x.bc!", "x.fdmdownload", "x_.gstmp", ".azDownload-1-x", ".unison.x.1a.unison.tmp", ".pureftpd-upload.1a",
    # systems
    ".DS_Store", "._job.sh", "Icon\r", "Thumbs.db", "thumbs.db", "Thumbs.db:encryptable", "ehthumbs.db",
    "desktop.ini", "Desktop.ini", ".nfs000000000123", ".fuse_hidden0001", ".ansible_tmpabcjob.sh", ".#job.sh1a2b3c",
    "job.yaml.dpkg-new", "job.yaml.dpkg-tmp", "job.yaml.dpkg-old", "job.yaml.dpkg-dist", "job.yaml.rpmnew",
    "job.yaml;521a4bd1", "job.yaml.rpmsave",
]  # fmt: skip
RESTS = [
    "seda1B2c3", "tmpab12_cde", "tmp.a1B2c3D4e5", "tmpKx81Qz", "zia1B2c3", "job.yaml.1234567", "job.sh.aBcDeF",
    "job.sh.Q0ZK12", "Cedd4100", "4CCA4100", "job.sh.1A2b3C4d", "job20260131-1234-1a2b3c", "4913", "5036",
]  # fmt: skip
CHOSEN = [
    "job", "job.sh", "job.yaml", "job.yml", "job.json", "list.txt", "list.tasks", "run.py", "backup.save", "a.b",
    "job.12345", "v1.2.3", "x.sha256", "x.done", "x.tar.gz", "x.backup", "x.config", "x.sqlite3", "x.parquet",
    "part", "download", "save", "save.sh", "partial.sh", "my.download.sh", "tmp.yaml", "core.yaml", "a#b", "#1",
    "windows.ini", "desktop.ini.yaml", "thumbs.dbx", "deadjoe.sh", "DEADJOE.sh", "ed.hup.sh", "a;b", "Icon", "aria2",
    "x-2026-01-31", "2026-01-31.yaml", "dpkg-new", "job (1).sh", "job (conflicted copy).sh", "nano.sh", "~job",
    "x.sync-conflict-20260131-101010-ABCDEFG.sh", "x.new", "bak",
    "orig", "x.bak.sh", "x.old.yaml", "old.sh", "x.origin", "CON", "a~b", "tasks",
]  # fmt: skip


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_tools_make_on_their_way_is_left_alone(name: str) -> None:
    assert in_the_making(os.fsencode(name))


@pytest.mark.parametrize("name", RESTS)
def test_what_may_be_renamed_next_only_rests(name: str) -> None:
    assert looks_temporary(os.fsencode(name)) and not in_the_making(os.fsencode(name))


@pytest.mark.parametrize("name", CHOSEN)
def test_what_people_call_their_files_is_taken(name: str) -> None:
    assert not in_the_making(os.fsencode(name)) and not looks_temporary(os.fsencode(name))


def test_each_line_of_the_tables_has_an_example() -> None:
    for table, examples in ((names._HIDDEN, LEFT_ALONE), (names._UNFINISHED, LEFT_ALONE), (names._TEMPORARY, RESTS)):
        for pattern, whose in table:
            alone = names._any_of(((pattern, whose),))
            assert whose and any(alone.fullmatch(os.fsencode(name)) for name in examples), pattern


def test_a_queue_may_have_a_name_that_no_file_may() -> None:
    for name in (b"x.download", b"x.bak", b"x.save.1", b"desktop.ini", b"DEADJOE"):
        assert not hidden(name)
    for name in (b".x", b"x.tmp", b"x~"):
        assert hidden(name)


@pytest.mark.parametrize(
    "name", [b"." * 255, b"a" * 255, b"a." * 127, b"a-1" * 85, b"1" * 255, b"#" * 254, b"\n" * 255]
)
def test_no_name_takes_long(name: bytes) -> None:
    started = time.process_time()
    for _ in range(10):
        in_the_making(name[:254] + b"x")
        looks_temporary(name[:254] + b"!")
    assert time.process_time() - started < 1.0
