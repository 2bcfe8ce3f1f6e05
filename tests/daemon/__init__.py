"""Of the whole gate: the real daemon, driven as its users do."""
