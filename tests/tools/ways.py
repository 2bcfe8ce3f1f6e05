"""The ways in which people put a file into a spool: a shell line for each, as typed, or as it stands in a crontab.

In a line ``{new}`` is a whole file that lies elsewhere, ``{dir}`` the directory of a queue, ``{name}`` the name that
the file is to have there, ``{target}`` both together; ``{new}.d`` is a directory with that file alone, called so.
``{ssh}``, ``{sftp}``, ``{scp}``, ``{lftp}`` (with an open quote) and ``{smb}`` reach this host itself, over loopback.
When the line is over, with status 0, a file of that name and content was dropped, once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Way:
    """``needs``: programs. ``keys``: what is typed on the terminal, a piece each time that it has become quiet; None:
    there is no terminal. ``slow``: the file is large, and the line writes it for about a second or more."""

    name: str
    line: str
    needs: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None
    slow: bool = False


def _vim(name: str, settings: str) -> Way:
    written = "-c '%d' -c 'silent 0r {new}' -c '$d' -c preserve -c 'sleep 1' -c x {target}"
    line = f"vim.tiny -N -u NONE {settings} {written}"
    return Way(f"vim, {name}", line, ("vim.tiny",), (), slow=True)


def _emacs(name: str, settings: str) -> Way:
    lisp = (
        f'(progn {settings} (insert-file-contents "{{new}}") (do-auto-save) (sit-for 1) (set-buffer-modified-p t)'
        " (save-buffer) (kill-emacs))"
    )
    return Way(f"emacs, {name}", f"emacs -nw -Q {{target}} --eval '{lisp}'", ("emacs",), (), slow=True)


def _nano(name: str, options: str) -> Way:
    return Way(f"nano, {name}", f"nano -I {options} {{target}}", ("nano",), ("\x12", "{new}\r", "\x0f", "\r", "\x18"))


EDITORS = (
    _vim("as it comes", ""),
    _vim("with a backup", "--cmd 'set backup'"),
    _vim("copying", "--cmd 'set backupcopy=yes'"),
    _vim("renaming", "--cmd 'set backupcopy=no writebackup'"),
    _vim("synced", "--cmd 'set fsync backup patchmode=.orig~'"),
    _emacs("as it comes", ""),
    _emacs("with precious files", "(setq file-precious-flag t)"),
    _emacs("with numbered backups", "(setq version-control t)"),
    _nano("as it comes", ""),
    _nano("with a backup and a lock", "-B -G"),
)

COPIES = (
    Way("cp", "cp {new} {target}"),
    Way("cp -p", "cp -p {new} {target}"),
    Way("mv", "cp {new} {new}.mine && mv {new}.mine {target}"),
    Way("install", "install -m 640 {new} {target}"),
    Way("ln and rm", "cp {new} {dir}/.{name}.mine && ln {dir}/.{name}.mine {target} && rm {dir}/.{name}.mine"),
    Way("cat", "cat {new} >{target}"),
    Way("tee", "tee {target} <{new} >/dev/null"),
    Way("dd", "dd if={new} of={target} bs=1k status=none"),
    Way("dd, slowly", "(dd bs=1k count=8; sleep 1; cat) <{new} 2>/dev/null >{target}", slow=True),
    Way("tar", "tar cf - -C {new}.d {name} | tar xf - -C {dir}"),
    Way("mktemp and mv", "t=$(mktemp {dir}/.new.XXXXXX) && cat {new} >$t && chmod 644 $t && mv $t {target}"),
)

RESTING = (
    Way("cp, then chmod", "cp {new} {target}; chmod 644 {target}"),
    Way("cp, then touch -r", "cp {new} {target}; touch -r {new} {target}"),
    Way(
        "cp, then sed -i",
        "sed 1!s/^.*$/XX/ {new} >{target} && sed -i -n -e '1r {new}' -e 1d {target}",
    ),
)
"""A file that was written in place rests a moment, so that what follows at once still finds it."""

MAKING = (
    Way("mktemp tmp.XXXXXXXXXX and mv", "cp {new} $(mktemp -p {dir}) && sleep .3 && mv {dir}/tmp.* {target}"),
    Way("Python's tempfile", "t={dir}/tmpk3_x81qa; cp {new} $t && sleep .3 && mv $t {target}"),
    Way("a sed that takes long", "t={dir}/sedG7aX1p; cp {new} $t && sleep .3 && mv $t {target}"),
    Way("write-file-atomic of Node", "t={target}.2093741157; cp {new} $t && sleep .3 && mv $t {target}"),
    Way("an auto-save of emacs", "cp {new} {dir}/'#{name}#' && sleep 1 && cp {new} {target} && rm {dir}/'#{name}#'"),
    Way("an owner file of an office program", "cp {new} '{dir}/~${name}' && sleep 1 && mv '{dir}/~${name}' {target}"),
    *(
        Way(f"a download as {ending}", f"t={{target}}{ending}; cp {{new}} $t && sleep 1 && mv $t {{target}}")
        for ending in (".filepart", ".part", ".crdownload", ".partial", ".download", ".!ut", ".tmp", ".swp")
    ),
)
"""Names that a tool gives to what it makes; it is whole there, and then gets its own name. The first four are such as
people may choose as well: what has one of them rests for ``settle_time``, and the tool has to be done by then."""

_RSYNC = (
    Way("rsync -a", "rsync -a {new} {target}", ("rsync",)),
    Way("rsync, slowly", "rsync -a --bwlimit=100 {new} {target}", ("rsync",), slow=True),
    Way("rsync --inplace, slowly", "rsync --inplace --bwlimit=100 {new} {target}", ("rsync",), slow=True),
    Way("rsync --partial", "rsync -a --partial --partial-dir=.partial {new} {target}", ("rsync",)),
    Way("rsync --delay-updates", "rsync -a --delay-updates {new} {target}", ("rsync",)),
    Way("rsync --backup", "rsync -a --backup {new} {target}", ("rsync",)),
    Way("rsync over ssh", "rsync -a -e '{ssh}' {new} host:{target}", ("rsync", "sshd")),
)

_SFTP, _SSHD, _LFTP, _SAMBA = ("sftp", "sftp-server"), ("ssh", "sshd"), ("lftp", "sshd"), ("smbclient", "smbd")
_RENAMED = "printf 'put {{new}} {{target}}.part\\nrename {} {{target}}.part {{target}}\\n' | {{sftp}} host"
_WINSCP = "printf 'put -p {new} {target}.filepart\\n!sleep 1\\nrename {target}.filepart {target}\\n' | {sftp} host"

_SSH = (
    Way("ssh and cat", "{ssh} host 'cat >{target}' <{new}", _SSHD),
    Way("scp", "{scp} {new} host:{target}", _SFTP),
    Way("scp -p", "{scp} -p {new} host:{target}", _SFTP),
    Way("scp, slowly", "{scp} -l 800 {new} host:{target}", _SFTP, slow=True),
    Way("scp -O, the older protocol", "{scp} -O {new} host:{target}", _SSHD),
    Way("scp -O -p, slowly", "{scp} -O -p -l 800 {new} host:{target}", _SSHD, slow=True),
    Way("sftp put", "echo put {new} {target} | {sftp} host", _SFTP),
    Way("sftp put -p, slowly", "echo put -p {new} {target} | {sftp} -l 800 host", _SFTP, slow=True),
    Way("sftp put and rename", _RENAMED.format(""), _SFTP),
    Way("sftp put and rename, by link and unlink", _RENAMED.format("-l"), _SFTP),
    Way("WinSCP's .filepart", _WINSCP, _SFTP),
    Way("lftp put", "{lftp} put {new} -o {target}'", _LFTP),
    Way("lftp put, slowly", "{lftp} set net:limit-rate 0:60000; put {new} -o {target}'", _LFTP, slow=True),
    Way("lftp with a temporary name", "{lftp} set xfer:use-temp-file yes; put {new} -o {target}'", _LFTP),
    Way("lftp mirror -R", "{lftp} mirror -R {new}.d {dir}'", _LFTP),
)

_SMB_SLOWLY = "(head -c 9000 {new}; sleep 1; tail -c +9001 {new}) | {smb} -c 'put /dev/stdin {share}\\{name}'"
_SMB_RENAMED = "{smb} -c 'put {new} {share}\\{name}.tmp; rename {share}\\{name}.tmp {share}\\{name}'"
_SMB = (
    Way("Samba put", "{smb} -c 'put {new} {share}\\{name}'", _SAMBA),
    Way("Samba put, slowly", _SMB_SLOWLY, _SAMBA, slow=True),
    Way("Samba put and rename", _SMB_RENAMED, _SAMBA),
)

TRANSFERS = (*_RSYNC, *_SSH, *_SMB)

ALL = (*EDITORS, *COPIES, *RESTING, *MAKING, *TRANSFERS)
