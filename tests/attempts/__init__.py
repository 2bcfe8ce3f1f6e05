"""Of the files that attempts leave: outputs and outcomes."""
