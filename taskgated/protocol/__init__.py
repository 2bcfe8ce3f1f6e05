"""What is said between processes: connections, framing and messages, for both ends."""
