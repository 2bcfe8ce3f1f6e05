"""Of the SQLite store alone."""
