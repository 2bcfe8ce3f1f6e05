"""From bytes that people wrote to specs: reading, checking, and saying exactly what is wrong where."""
