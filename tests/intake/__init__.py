"""Of the way from a file in the spool to jobs."""
