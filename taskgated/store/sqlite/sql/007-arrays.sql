-- Arrays: which jobs belong together, and how many of them may run at once. What is beyond that is parked: it is
-- queued, and not among what is ready, so that an array which is full keeps nothing else of its queue waiting.

ALTER TABLE jobs ADD COLUMN array INTEGER;    -- the id of its array's first job
ALTER TABLE jobs ADD COLUMN at_most INTEGER;  -- of its array at once
ALTER TABLE jobs ADD COLUMN parked INTEGER NOT NULL DEFAULT 0 CHECK (parked IN (0, 1));
ALTER TABLE claims ADD COLUMN array INTEGER;  -- the one that its last part belongs to

DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (queue, priority DESC, id) WHERE state = 'queued' AND due IS NULL AND parked = 0;
CREATE INDEX jobs_array ON jobs (array, id) WHERE array IS NOT NULL;
CREATE INDEX jobs_places ON jobs (array, parked, state, id)
    WHERE at_most IS NOT NULL AND state IN ('queued', 'held', 'running');
