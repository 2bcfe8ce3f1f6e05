"""The operator's command. It asks the daemon over the control socket and prints; it decides nothing."""
