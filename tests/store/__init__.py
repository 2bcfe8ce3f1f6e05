"""Of the store, and of what it remembers of waiting and time."""
