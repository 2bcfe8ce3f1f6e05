"""Files of an attempt that daemon and workers share: its output and its outcome."""
