"""Names by which writers say that a file is not finished or is no file of anybody's, and names that look temporary.

The tables have a reason for each: who makes such a name, by its manual or its source. A name that somebody may have
given to a job or to data has no place in the first one, for such a file is left alone without a word. It may stand in
the second, where it only rests; and ``ignore:`` in the configuration is for the rest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

_HIDDEN = (
    (rb"\..*", "vim .NAME.swp .swo .swx, emacs .#NAME, kate .NAME.kate-swp, nano .NAME.swp, LibreOffice .~lock.NAME#,"
     " rsync .NAME.XXXXXX, lftp .in.NAME, gvfs .goutputstream-XXXXXX, Syncthing .syncthing.NAME.tmp, Nextcloud"
     " .NAME.~HASH, NFS .nfsXXXX, FUSE .fuse_hiddenXXXX, macOS .DS_Store ._NAME, and all that ls(1) does not show"),
    (rb"~\$.*", "owner files of Microsoft Office, also through Samba and OneDrive"),
    (rb".*\.tmp", "half of all programs; Syncthing on Windows (~syncthing~NAME.tmp), Java, LibreOffice (luXXXX.tmp)"),
    (rb".*\.part", "Firefox, curl and wget scripts, Nextcloud (NAME.ocTransferIdN.part), KDE, yt-dlp"),
    (rb".*\.swp", "vim with 'shortname'"),
    (rb".*~", "backups of vim, emacs (NAME.~1~), gedit, cp --backup, patch"),
    (rb"#.+#", "emacs, jed and mg: what was not saved yet"),
)  # fmt: skip
"""Patterns that stand for a whole name, and whose they are: neither a file to look at nor a queue."""

_UNFINISHED = (
    (rb".*\.filepart", "WinSCP"),
    (rb".*\.(?:crdownload|opdownload)", "Chromium, Edge, Opera"),
    (rb".*\.(?:partial|download)", "rclone (NAME.XXXXXXXX.partial), Internet Explorer; Safari, Cyberduck"),
    (rb".*\.(?:!ut|!qB|bc!|fdmdownload|aria2__temp)", "uTorrent, qBittorrent, BitComet, FDM; aria2(1)"),
    (rb".*\.(?:aria2|lftp-pget-status)", "what aria2(1) and lftp(1) keep beside a file of how much of it is there"),
    (rb".*_\.gstmp", "gsutil, gcloud storage"),
    (rb".*\.TMP", "the same as .tmp, of programs on Windows (OneDrive NAME~RFXXXX.TMP)"),
    (rb".+\..+\.save(?:\.[0-9]+)?|nano\.save(?:\.[0-9]+)?", "nano(1), ended before it had saved: half a file. But"
     " NAME.save alone may be anybody's"),
    (rb".*\.bak", "what was there before: sed -i.bak, and half of all programs that keep a copy"),
    (rb".*\.(?:orig|rej)", "patch(1), of what it changed and what did not fit; git and mercurial, after a merge"),
    (rb".*\.old", "logrotate(8), dpkg(1), and people who put the last one aside"),
    (rb"DEADJOE", "joe(1), the same, all of them in one file"),
    (rb"ed\.hup", "ed(1), the same (POSIX.1-2017)"),
    (rb".+___jb_(?:tmp|old|bak)___", "JetBrains' editors, safe write"),
    (rb".+\.sb-[0-9a-f]{8}-[A-Za-z0-9]{6}", "macOS, safe save of programs in a sandbox"),
    (rb".+\.dpkg-(?:new|tmp|old|dist)", "dpkg(1), while a package is unpacked, and after"),
    (rb".+\.(?:rpmnew|rpmsave|rpmorig)|.+;[0-9a-f]{8}", "rpm(8), the same"),
    (rb"(?i:thumbs\.db(?::encryptable)?|ehthumbs\.db|desktop\.ini)|Icon\r", "what Windows and macOS say of a folder"),
)  # fmt: skip
"""The same of files alone: a queue may have such a name."""

_TEMPORARY = (
    (rb"sed[A-Za-z0-9]{6}", "sed(1) -i"),
    (rb"tmp[a-z0-9_]{8}|tmp\.[A-Za-z0-9]{10}|tmp[A-Za-z0-9]{6}", "Python's tempfile; mktemp(1); emacs, with"
     " file-precious-flag"),
    (rb"(?=.*[0-9A-Z])zi[A-Za-z0-9]{6}", "zip(1)"),
    (rb".+\.[0-9]{6,10}", "libraries that write atomically, such as write-file-atomic"),
    (rb".+\.(?=[A-Za-z0-9]*[A-Z])[A-Za-z0-9]{6}", "Qt (QSaveFile, so KDE's editors) and GLib (g_file_set_contents)"),
    (rb"(?:.+\.)?(?=[0-9A-Fa-f]*[0-9])[0-9A-Fa-f]{8}", "Excel, also through Samba (Cedd4100); boto3 and the AWS CLI"),
    (rb".+[0-9]{8}-[0-9]+-[0-9a-z]{5,7}", "Ruby's Tempfile, so Puppet"),
    (rb"4913|5036", "vim, which tries whether it may write there ('backupcopy'), and removes it at once"),
)  # fmt: skip
"""Names that may as well have been chosen."""


def _any_of(*tables: tuple[tuple[bytes, str], ...]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(b"(?:%s)" % pattern for table in tables for pattern, _ in table), re.DOTALL)


_hidden, _making, _temporary = _any_of(_HIDDEN), _any_of(_HIDDEN, _UNFINISHED), _any_of(_TEMPORARY)


def hidden(name: bytes) -> bool:
    """Whether a name is nobody's: neither a file to look at nor a queue."""
    return _hidden.fullmatch(name) is not None


def in_the_making(name: bytes) -> bool:
    """Whether writers use such a name for what is not finished yet: such a file is left alone, for as long as it has
    that name. A directory that ends like a transfer is a queue all the same."""
    return _making.fullmatch(name) is not None


def looks_temporary(name: bytes) -> bool:
    """Whether it may be the temporary name of a program that writes and then renames. It may as well be a name that
    somebody has chosen: so such a file rests, and is then taken for what it is."""
    return _temporary.fullmatch(name) is not None


def matches(name: bytes, globs: Iterable[str]) -> bool:
    """Whether it matches one of these (glob(7), but ``*`` and ``?`` stand for a dot at the beginning, too)."""
    text = os.fsdecode(name)
    return any(fnmatchcase(text, glob) for glob in globs)
