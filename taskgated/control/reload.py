"""``Reload``: the configuration is read again and put in force."""

from __future__ import annotations

from taskgated.control import needs
from taskgated.protocol.replies import ReloadReply
from taskgated.protocol.varlink import Call, denied


class Reload:
    def __init__(self, reload: needs.Reload) -> None:
        self._reload = reload

    def __call__(self, call: Call) -> None:
        call.allow()
        if not call.privileged:
            raise denied()
        call.reply(ReloadReply(notes=self._reload()))
