"""The lab: the packaged gate in containers with real systemd."""
