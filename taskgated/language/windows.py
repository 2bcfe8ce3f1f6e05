"""The key ``windows``: when jobs of a queue may start, as one window or a list of them."""

from __future__ import annotations

from taskgated.core.calendar import Calendar
from taskgated.core.window import AtClose, Window, opens_ever
from taskgated.host.zones import ZONES, UnknownZone
from taskgated.language import calendars
from taskgated.language.declare import Check, Key, Mismatch, Type, expected, keys_of, read_section, schema_of
from taskgated.language.nodes import Entries, Node, node_at
from taskgated.language.types import choice, list_of

_WHAT = "a calendar expression such as 'Mon..Fri 22:00 Europe/Berlin'"


def _calendar(node: Node, check: Check) -> Calendar:
    if not isinstance(node.value, str):
        raise expected(_WHAT, node)
    try:
        found = calendars.calendar(node.value, _wrong_with)
        if not found.elapses(ZONES(found.zone)):
            raise Mismatch(f"'{found.text}' never comes")
        return found
    except ValueError as error:  # also that the zone of the host is not known
        raise Mismatch(str(error)) from None


def _wrong_with(zone: str) -> str:
    try:
        ZONES(zone)
    except UnknownZone as error:
        return str(error)
    return ""


calendar = Type(_calendar, {"type": "string", "maxLength": calendars.LONGEST}, lambda value: "")

WINDOW = keys_of(
    Window,
    Key("opens", calendar, "when it opens, as in systemd.time(7): 'Mon..Fri 22:00', '*-*~1 18:00 Europe/Berlin'", ""),
    Key("closes", calendar, "when it closes, in the same way; at the same time as opens it closes", ""),
    Key(
        "at_close",
        choice(*AtClose),
        "running jobs when it closes: leave, or stop (they are ended and put back; interrupted: fail, they fail)",
    ),
)


def _window(node: Node, check: Check) -> Window | None:
    """None: what is wrong with it has been said."""
    before = len(check.problems)
    values = read_section(node, check, WINDOW, hint=_HOW)
    if not isinstance(node.value, Entries):
        return None
    for name in ("opens", "closes"):
        if name not in node.value:
            check.wrong(node, f"'{name}' is missing")
    opens, closes, at_close = (values.get(key.name, key.default) for key in WINDOW)
    if len(check.problems) > before or not (isinstance(opens, Calendar) and isinstance(closes, Calendar)):
        return None
    made = Window(opens, closes, AtClose(str(at_close)))
    if not opens_ever(made, ZONES):
        check.wrong(node_at(node, "opens"), "opens: it never opens, as it closes whenever it opens")
    return made


_schema = {**schema_of(WINDOW), "required": ["opens", "closes"]}
_HOW = "write {opens: 'Mon..Fri 22:00', closes: '06:00'}"
_list = list_of(Type(_window, _schema), "a list of windows", least=0)


def _windows(node: Node, check: Check) -> tuple[Window | None, ...]:
    if not isinstance(node.value, Entries | list):
        raise Mismatch(str(expected("a window, or a list of them", node)), _HOW)
    return (_window(node, check),) if isinstance(node.value, Entries) else _list.read(node, check)


windows = Type(_windows, {"anyOf": [_schema, _list.schema]})
"""One window, or several. In what was found to be without fault there is no None."""
