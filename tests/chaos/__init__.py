"""Attacks on the whole gate, and the judge of what came of them."""
