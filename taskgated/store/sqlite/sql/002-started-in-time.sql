-- What has started in time does not expire any more. Until now a start did not say so: a job that had come back to its
-- queue since was cancelled as one that had not started, or stayed in the queue, where nobody looked at it again.
UPDATE jobs SET expires = NULL WHERE expires IS NOT NULL AND attempt > 0 AND state IN ('queued', 'held', 'running');
