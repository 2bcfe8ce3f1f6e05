"""taskgated: one gate on a host that all heavy jobs pass."""

__version__ = "0.3.0"
