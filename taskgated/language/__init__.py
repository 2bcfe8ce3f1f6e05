"""What people write, from bytes to specs and configuration: reading, checking, saying what is wrong where."""
