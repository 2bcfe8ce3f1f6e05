"""What is fixed and concerns several parts. It imports nothing, as every command of ``taskgatectl`` loads it."""

INTERFACE = "io.taskgate.Gate"
"""The interface at the control socket, and so the name of the socket's file, as is usual with Varlink."""

DEFAULT_QUEUE = "default"
"""The queue of what is dropped into the spool itself."""

HIGHEST_PRIORITY = 100
"""The lowest is 0."""

LARGEST_SPEC = 15 * 1024**2
"""Bytes of a spec as its worker is given it: no more can be handed over in one piece, with what goes with it. That
form is JSON in ASCII: most text has its own size there; a character beyond ASCII, a control character and a byte that
is no text take six bytes each."""
