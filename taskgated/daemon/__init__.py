"""The daemon: the only place that sees every part, and what stands between the core and the outside."""
