"""What taskgated decides, and nothing it does: no clock, no file, no socket, no process, no logging."""
