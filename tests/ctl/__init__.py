"""Of the operator's command."""
