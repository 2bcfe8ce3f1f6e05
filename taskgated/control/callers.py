"""Who calls: the kernel says the uid, and jobs have owners with names (``core/owner.py``).

The name is found before a call is looked at, and off the main loop where it takes asking. It may be that nobody can
tell it now: then the caller sees of jobs what strangers see, and ends none.
"""

from __future__ import annotations

from taskgated.errors import Trouble
from taskgated.host.helper import Helper
from taskgated.host.names import Names
from taskgated.protocol.varlink import Call, Method


class Callers:
    def __init__(self, names: Names, helper: Helper) -> None:
        self._names = names
        self._helper = helper

    def known(self, method: Method) -> Method:
        """The method, for calls of which it is known who calls."""

        def called(call: Call) -> None:
            call.name = self._names.at_hand(call.uid)
            if call.privileged or call.name is not None:
                method(call)
            else:
                self._helper.do(lambda: self._ask(call.uid), call.then(lambda name: told(call, name)))

        def told(call: Call, name: str | None) -> None:
            call.name = name
            method(call)

        return called

    def _ask(self, uid: int) -> str | None:
        try:
            return self._names.owner(uid)
        except Trouble:
            return None
