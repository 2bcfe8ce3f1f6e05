-- Every statement of the SQLite store. "-- name:" starts one; the sentence under it says what it is for.

-- name: claim_parts
-- How many parts of a claimed file are known.
SELECT parts FROM claims WHERE claim = :claim;

-- name: claim_put
-- Remember how far a claimed file was taken in.
INSERT INTO claims VALUES (:claim, :parts) ON CONFLICT DO UPDATE SET parts = excluded.parts;

-- name: claim_forget
-- The claimed file is gone.
DELETE FROM claims WHERE claim = :claim;

-- name: claim_keeper
-- The job that works on a kept file.
SELECT state FROM jobs WHERE claim = :claim;

-- name: add
-- One new job.
INSERT INTO jobs (state, queue, priority, name, source, owner, submitted, since, due, due_clock, expires, claim, spec)
VALUES ('queued', :queue, :priority, :name, :source, :owner, :submitted, :since, :due, :due_clock, :expires, :claim,
        :spec);

-- name: last_id
-- The highest id that was given.
SELECT seq FROM sqlite_sequence WHERE name = 'jobs';

-- name: first_id
-- Ids begin after this one; for a database that has given none.
INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', :id);

-- name: skip_ids
-- Ids go on after this one.
UPDATE sqlite_sequence SET seq = :id WHERE name = 'jobs';

-- name: fetch
-- The best jobs of one queue that may run now.
SELECT id, queue, priority, state, spec, source, attempt, failures, crashes, submitted, due, due_clock, expires, claim
FROM jobs INDEXED BY jobs_ready
WHERE queue = :queue AND state = 'queued' AND due IS NULL AND (expires IS NULL OR expires > :steady)
ORDER BY priority DESC, id LIMIT :limit;

-- name: heads
-- The first job that may run now, of each of these queues that has one.
SELECT id, queue, priority FROM jobs WHERE id IN (
    SELECT (
        SELECT id FROM jobs INDEXED BY jobs_ready
        WHERE queue = asked.value AND state = 'queued' AND due IS NULL AND (expires IS NULL OR expires > :steady)
        ORDER BY priority DESC, id LIMIT 1
    ) FROM json_each(:queues) AS asked
);

-- name: job
-- One job as the gate needs it, and what was asked of it while it ran.
SELECT id, queue, priority, state, spec, source, attempt, failures, crashes, submitted, due, due_clock, expires, claim,
       ending
FROM jobs WHERE id = :id;

-- name: place
-- Where a job is in its life.
SELECT state, attempt, claim FROM jobs WHERE id = :id;

-- name: start
-- A queued job starts its next attempt. It has started in time then, for good, however often it comes back.
UPDATE jobs SET state = 'running', attempt = :attempt, started = :at, finished = NULL, due = NULL, due_clock = NULL,
       expires = NULL, exit_code = NULL, signal = NULL, result = NULL, reason = ''
WHERE id = :id AND state = 'queued' AND attempt = :attempt - 1 AND (expires IS NULL OR expires > :steady);

-- name: start_attempt
-- The record of that attempt.
INSERT INTO attempts (job, number, worker, started) VALUES (:id, :attempt, :worker, :at);

-- name: finish
-- The running attempt ended; the job goes where the verdict says, but not back to the queue if it was to be cancelled.
-- Its start is ours, unless the clock was stepped since.
UPDATE jobs SET state = iif(:again AND ending IS NOT NULL, 'cancelled', :state), ending = NULL,
       finished = iif(:again AND ending IS NULL, NULL, :finished),
       since = iif(:again AND ending IS NULL, since, :uptime),
       due = iif(ending IS NULL, :due, NULL), due_clock = iif(ending IS NULL, :due_clock, NULL),
       started = CASE WHEN abs(:started - started) > 1000000 THEN :started ELSE started END,
       failures = :failures, crashes = :crashes, exit_code = :exit_code, signal = :signal, result = :result,
       reason = iif(:again AND ending IS NOT NULL, :cancelled, :reason)
WHERE id = :id AND state = 'running' AND attempt = :attempt
RETURNING state, claim;

-- name: finish_attempt
-- What is kept of the attempt.
UPDATE attempts SET started = coalesce(:started, started), finished = :finished, result = :result,
       exit_code = :exit_code, signal = :signal, user = :user, system = :system, max_rss = :max_rss,
       output = :output, omitted = :omitted, message = :message
WHERE job = :id AND number = :attempt AND finished IS NULL;

-- name: move
-- A job that does not run changes its state.
UPDATE jobs SET state = :state, finished = :finished, reason = :reason, since = coalesce(:since, since)
WHERE id = :id AND state = :from;

-- name: condemn
-- A job that the store cannot make sense of has failed.
UPDATE jobs SET state = 'failed', finished = :finished, since = :uptime, due = NULL, due_clock = NULL, ending = NULL,
       reason = :reason
WHERE id = :id AND state NOT IN ('succeeded', 'failed', 'cancelled')
RETURNING claim;

-- name: condemn_attempt
-- Nobody will say how its last attempt ended.
UPDATE attempts SET finished = :finished, result = 'lost', message = :reason WHERE job = :id AND finished IS NULL;

-- name: rank
-- Where a queued job stands in line.
SELECT queue, priority FROM jobs WHERE id = :id;

-- name: mark_cancelled
-- Somebody asked to cancel a running job.
UPDATE jobs SET ending = 'cancel' WHERE id = :id AND state = 'running';

-- name: release_due
-- Jobs whose time has come may run, so many of them at a time.
UPDATE jobs SET due = NULL, due_clock = NULL
WHERE id IN (
    SELECT id FROM jobs INDEXED BY jobs_due
    WHERE state = 'queued' AND due_clock = :clock AND due IS NOT NULL AND due <= :now ORDER BY due LIMIT :limit
)
RETURNING queue, priority;

-- name: next_due
-- When the next job is due.
SELECT min(due) FROM jobs INDEXED BY jobs_due WHERE state = 'queued' AND due_clock = :clock AND due IS NOT NULL;

-- name: expire
-- Jobs that did not start in time, so many of them at a time.
UPDATE jobs SET state = 'cancelled', finished = :finished, since = :uptime, reason = 'expired: it did not start in time'
WHERE id IN (
    SELECT id FROM jobs INDEXED BY jobs_expiring
    WHERE state IN ('queued', 'held') AND expires IS NOT NULL AND expires <= :steady ORDER BY expires LIMIT :limit
)
RETURNING id, queue, name, claim;

-- name: next_expiry
-- When the next job expires.
SELECT min(expires) FROM jobs INDEXED BY jobs_expiring WHERE state IN ('queued', 'held') AND expires IS NOT NULL;

-- name: before
-- Attempts under way. CROSS: the few attempts lead to their jobs; the planner would go through all jobs.
SELECT j.id, queue, priority, state, spec, source, attempt, failures, crashes, submitted, due, due_clock, expires, claim,
       ending, a.worker
FROM attempts a INDEXED BY attempts_running CROSS JOIN jobs j ON j.id = a.job
WHERE a.finished IS NULL ORDER BY j.id;

-- name: queued
-- How many jobs are queued, in all.
SELECT coalesce(sum(jobs), 0) FROM counts INDEXED BY counts_queued WHERE state = 'queued' AND jobs > 0;

-- name: counts
-- Jobs by queue and state.
SELECT queue, state, sum(jobs) FROM counts WHERE jobs > 0 GROUP BY queue, state;

-- name: busiest
-- The same of these queues, and of so many others: those where something runs first, then those where most waits.
SELECT queue, state, sum(jobs) FROM counts WHERE jobs > 0 AND (queue IN (SELECT value FROM json_each(:always))
    OR queue IN (
        SELECT queue FROM counts WHERE jobs > 0 GROUP BY queue
        ORDER BY max(state = 'running') DESC, sum(iif(state IN ('queued', 'held'), jobs, 0)) DESC, queue LIMIT :limit
    ))
GROUP BY queue, state;

-- name: totals
-- Jobs by state.
SELECT state, sum(jobs) FROM counts WHERE jobs > 0 GROUP BY state;

-- name: queues_used
-- How many queues have jobs.
SELECT count(DISTINCT queue) FROM counts WHERE jobs > 0;

-- name: queued_by
-- How many jobs of one owner are queued.
SELECT coalesce(sum(jobs), 0) FROM counts INDEXED BY counts_queued
WHERE state = 'queued' AND jobs > 0 AND owner = :owner;

-- name: oldest_queued
-- The longest wait of a job that could run; read off one index from end to end, by the reader alone.
SELECT submitted, since FROM jobs
WHERE id = (SELECT min(id) FROM jobs INDEXED BY jobs_ready WHERE state = 'queued' AND due IS NULL);

-- name: delayed
-- Queued jobs that are not due yet, by queue; no more are counted than a status line is worth.
SELECT queue, count(*) FROM (
    SELECT queue FROM jobs INDEXED BY jobs_due WHERE state = 'queued' AND due IS NOT NULL LIMIT :limit
) GROUP BY queue;

-- name: record
-- One job as people see it.
SELECT id, name, queue, state, priority, attempt, failures, source, owner, submitted, started, finished, due, exit_code,
       signal, result, reason
FROM jobs WHERE id = :id;

-- name: list
-- A page of jobs, oldest first, of those with ids up to one. An empty list of states or queues stands for all of them.
SELECT id, name, queue, state, priority, attempt, failures, source, owner, submitted, started, finished, due, exit_code,
       signal, result, reason
FROM jobs
WHERE id > :after AND id <= :until
  AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
  AND (:queues = '[]' OR queue IN (SELECT value FROM json_each(:queues)))
ORDER BY id LIMIT :limit;

-- name: first_after
-- The first job with a higher id, and the last of all.
SELECT (SELECT min(id) FROM jobs WHERE id > :after), (SELECT max(id) FROM jobs);

-- name: attempts
-- The last attempts of a job before one of them, last to first.
SELECT number, worker, started, finished, result, exit_code, signal, user, system, max_rss, output, omitted, message
FROM attempts WHERE job = :id AND number < :before ORDER BY number DESC LIMIT :limit;

-- name: over
-- How many jobs are over.
SELECT coalesce(sum(jobs), 0) FROM counts WHERE state IN ('succeeded', 'failed', 'cancelled');

-- name: prunable
-- The jobs that were over first.
SELECT id FROM jobs INDEXED BY jobs_over
WHERE state IN ('succeeded', 'failed', 'cancelled') AND since <= :until ORDER BY since, id LIMIT :limit;

-- name: prune_attempts
-- The attempts of a job that is forgotten.
DELETE FROM attempts WHERE job = :id;

-- name: prune
-- A job is forgotten.
DELETE FROM jobs WHERE id = :id AND state IN ('succeeded', 'failed', 'cancelled');

-- name: meta_get
-- A fact about the database itself.
SELECT value FROM meta WHERE key = :key;

-- name: meta_put
-- Keep a fact about the database itself.
INSERT INTO meta VALUES (:key, :value) ON CONFLICT DO UPDATE SET value = excluded.value;

-- name: check_jobs
-- Jobs with higher ids, as the gate needs them.
SELECT id, queue, priority, state, spec, source, attempt, failures, crashes, submitted, due, due_clock, expires, claim,
       ending
FROM jobs NOT INDEXED WHERE id > :after ORDER BY id LIMIT :limit;

-- name: check_attempts
-- Attempts behind one.
SELECT job, number, worker, started, finished, result, exit_code, signal, user, system, max_rss, output, omitted, message
FROM attempts WHERE (job, number) > (:job, :number) ORDER BY job, number LIMIT :limit;

-- name: check_counts
-- Where the counts and the jobs do not agree.
SELECT queue, state, sum(counted), sum(there) FROM (
    SELECT queue, state, owner, jobs AS counted, 0 AS there FROM counts
    UNION ALL SELECT queue, state, owner, 0, count(*) FROM jobs NOT INDEXED GROUP BY queue, state, owner
) GROUP BY queue, state, owner HAVING sum(counted) != sum(there);

-- name: check_running
-- Jobs that run without an attempt under way, and the other way round.
SELECT id, state FROM jobs NOT INDEXED
WHERE (state = 'running') != EXISTS (SELECT 1 FROM attempts WHERE job = jobs.id AND finished IS NULL);

-- name: check_facts
-- All facts about the database itself.
SELECT key, value FROM meta;
