"""Where jobs run: a small server process that forks workers, and workers that run one attempt at a time."""
