"""What the manual says of directives of other batch systems: their options, and the variables of their scripts."""

from __future__ import annotations

from collections.abc import Callable

from taskgated.core.job import Dialect
from taskgated.language.foreign.dialect import Option
from taskgated.language.foreign.reading import SYNTAXES
from taskgated.worker.foreign import VARIABLES, Fact

Roff = Callable[[str], str]


def options(found: tuple[Option, ...], bold: Roff, escape: Roff) -> str:
    """Options that become the same stand together, in the order of the first."""
    together: dict[str, list[str]] = {}
    for option in found:
        together.setdefault(option.becomes, []).append(", ".join(map(bold, option.names)))
    return "".join(f".TP\n{'; '.join(names)}\n{_words(text, bold, escape)}\n" for text, names in together.items())


def variables(dialect: Dialect, bold: Roff, escape: Roff) -> str:
    together: dict[str, list[str]] = {}
    for name, fact in VARIABLES[dialect].items():
        together.setdefault(fact.value if isinstance(fact, Fact) else f"always {fact}", []).append(bold(name))
    return "".join(f".TP\n{', '.join(names)}\n{_words(text, bold, escape)}\n" for text, names in together.items())


def parts(bold: Roff, escape: Roff) -> dict[str, Callable[[], str]]:
    """The generated parts of the page, by their names."""
    made: dict[str, Callable[[], str]] = {}
    for dialect, syntax in SYNTAXES.items():
        made[f"{dialect}"] = lambda syntax=syntax: options(syntax.options, bold, escape)  # type: ignore[misc]
        if syntax.resources:
            made[f"{dialect}-resources"] = lambda syntax=syntax: options(syntax.resources, bold, escape)  # type: ignore[misc]
        made[f"{dialect}-variables"] = lambda dialect=dialect: variables(dialect, bold, escape)  # type: ignore[misc]
    return made


def _words(text: str, bold: Roff, escape: Roff) -> str:
    """A sentence in which the names of keys, which stand between backquotes, are bold."""
    pieces = (text[:1].upper() + text[1:]).split("`")
    return "".join(bold(piece) if number % 2 else escape(piece) for number, piece in enumerate(pieces)) + "."
