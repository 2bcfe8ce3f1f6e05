-- Order: whose turn it is (core/order.py), with one minute of waiting for each point of priority until the daemon says
-- otherwise. The jobs that may start now are found by queue and user. Jobs that are over have no turn.

ALTER TABLE jobs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET turn = since - priority * 60000000 WHERE state IN ('queued', 'held', 'running');

DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (queue, owner, turn, id) WHERE state = 'queued' AND due IS NULL AND parked = 0;
