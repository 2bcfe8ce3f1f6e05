"""Of workers and their server, with real processes."""
