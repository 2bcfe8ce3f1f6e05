"""Of the pure decisions."""
