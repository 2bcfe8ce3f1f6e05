"""Of the dealings with Linux: loop, journal, users, access control."""
