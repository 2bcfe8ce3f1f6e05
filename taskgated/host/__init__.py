"""What Linux offers, and nothing of jobs: loop, clocks, processes, paths, permissions, systemd, journal."""
