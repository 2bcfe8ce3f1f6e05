-- Where each attempt runs: on which host, and in which session of that host (store/placement.py). Until now there was
-- one of each.
ALTER TABLE attempts ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN session TEXT NOT NULL DEFAULT '';
