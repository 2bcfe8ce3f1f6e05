-- How long a job waits, and how long it is over, is counted in time that has certainly passed, not by the wall clock:
-- a clock that was wrong for a moment had all finished jobs forgotten, with their output.

-- Since when it waits; once it is over, since when it is that. In the clock `uptime`, which starts at 0 with this.
ALTER TABLE jobs ADD COLUMN since INTEGER NOT NULL DEFAULT 0;

-- Of jobs that were over before, the order is known for sure, not the age: it is counted from now on.
UPDATE jobs SET since = place FROM (
    SELECT id AS job, row_number() OVER (ORDER BY finished, id) AS place FROM jobs
    WHERE state IN ('succeeded', 'failed', 'cancelled')
) WHERE id = job;

DROP INDEX jobs_over;
CREATE INDEX jobs_over ON jobs (since, id) WHERE state IN ('succeeded', 'failed', 'cancelled');
