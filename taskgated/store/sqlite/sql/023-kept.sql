-- Jobs that wait for something by name, or behind their line, in the order of their queue: where that is strict, none
-- starts there that comes after one of them. (Those with '' wait for other jobs.)
CREATE INDEX jobs_kept ON jobs (queue, turn, id)
    WHERE state = 'queued' AND due IS NULL AND parked = 1 AND (waits IS NULL OR waits != '');
