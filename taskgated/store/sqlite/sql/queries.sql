-- The statements of the SQLite store. "-- name:" starts one; the sentence under it says what it is for. {job}, {record},
-- {attempt} and {rank} stand for the columns that rows.py names, and {x} for what stands under "-- shared: x", in the same
-- file or another. What becomes of a job is not decided here: states, reasons and times are given.

-- name: claim_parts
-- How many parts of a claimed file are known, and the array that the last of them belongs to.
SELECT parts, array FROM claims WHERE host = :host AND claim = :claim;

-- name: claim_plan
-- What all parts of a claimed file are.
SELECT plan FROM claims WHERE host = :host AND claim = :claim;

-- name: claim_earlier
-- Whether an earlier version began to take in a claimed file.
SELECT earlier FROM claims WHERE host = :host AND claim = :claim;

-- name: claim_put
-- Remember how far a claimed file was taken in.
INSERT INTO claims (host, claim, parts, array, coming, plan) VALUES (:host, :claim, :parts, :array, :coming, :plan)
ON CONFLICT DO UPDATE SET parts = excluded.parts, array = excluded.array, coming = excluded.coming;

-- name: claim_forget
-- The claimed file is gone.
DELETE FROM claims WHERE host = :host AND claim = :claim;

-- name: claim_keeper
-- The job that works on a kept file.
SELECT state FROM jobs WHERE claim = :claim AND claim_host = :host;

-- name: add
-- One new job.
INSERT INTO jobs (state, queue, priority, name, source, owner, uid, submitted, finished, reason, since, turn, due, due_clock,
        expires, deadline, claim, claim_host, array, parked, waits, nested, key, line, spec)
VALUES (:state, :queue, :priority, :name, :source, :owner, :uid, :submitted, :finished, :reason, :since, :turn, :due, :due_clock,
        :expires, :deadline, :claim, :host, :array, :parked, :waits, :nested, :key, :line, :spec);

-- name: array_coming
-- How many jobs of an array are still to be taken in.
SELECT coalesce(sum(coming), 0) FROM claims INDEXED BY claims_coming WHERE array = :array AND coming > 0;

-- name: array_cancel
-- From now on no job of an array starts. There are few such arrays, and none for long.
INSERT INTO cancelled_arrays (array) VALUES (:array) ON CONFLICT DO UPDATE SET swept = 0;

-- name: array_cancelled
-- Whether that is so.
SELECT 1 FROM cancelled_arrays WHERE array = :array;

-- name: array_cancelling
-- Arrays that have jobs which are still to be cancelled.
SELECT array FROM cancelled_arrays WHERE swept = 0;

-- name: array_sweep
-- A piece of an array will not start.
UPDATE jobs SET state = :state, finished = :finished, reason = :reason, since = :since
WHERE id IN (
    SELECT id FROM jobs INDEXED BY jobs_array
    WHERE array = :array AND id > :after AND id <= :until AND state IN ('queued', 'held') ORDER BY id LIMIT :limit
)
RETURNING id, claim, claim_host, line;

-- name: array_end
-- What of that piece runs is to end.
UPDATE jobs SET ending = 'cancel'
WHERE id IN (
    SELECT id FROM jobs INDEXED BY jobs_array
    WHERE array = :array AND id > :after AND id <= :until AND state = 'running'
)
RETURNING id;

-- name: array_swept
-- All that there is of an array was cancelled, and more is to come.
UPDATE cancelled_arrays SET swept = 1 WHERE array = :array;

-- name: array_forget
-- All of an array was cancelled.
DELETE FROM cancelled_arrays WHERE array = :array;

-- name: array_all_cancelled
-- The last of an array has come.
DELETE FROM cancelled_arrays WHERE array = :array AND swept = 1;

-- name: array_comes_no_more
-- A claimed file goes; what was to come of its last array will not.
DELETE FROM cancelled_arrays
WHERE swept = 1 AND array = (SELECT array FROM claims WHERE host = :host AND claim = :claim AND coming > 0);

-- name: array_owner
-- Whose an array is; all its jobs are of one file.
SELECT owner FROM jobs INDEXED BY jobs_array WHERE array = :array LIMIT 1;

-- name: array_head
-- The first job of an array, by which that is called.
UPDATE jobs SET array = id, line = :line WHERE id = :id;

-- name: key_rivals
-- Jobs with the same key, but for those of the same array.
SELECT id FROM jobs INDEXED BY jobs_key
WHERE key = :key AND state = :state AND state IN ('queued', 'running') AND id != :id
  AND (:array IS NULL OR array IS NOT :array)
ORDER BY id LIMIT :limit;

-- name: replaced
-- A queued job goes for another with its key.
UPDATE jobs SET state = :state, finished = :finished, reason = :reason, since = :since
WHERE id = :id AND state = 'queued' RETURNING claim, claim_host, line;

-- name: line_put
-- How many of a line may be out.
INSERT INTO lines VALUES (:line, :most) ON CONFLICT DO UPDATE SET most = excluded.most WHERE most != excluded.most;

-- name: line_out
-- How many of a line are out, so many at most are counted; and one that is out, and does not run, and comes after that
-- turn. (Where there is one among many, it is found first.)
SELECT (
    SELECT count(*) FROM (
        SELECT * FROM (
            SELECT 1 FROM jobs INDEXED BY jobs_line
            WHERE line = :line AND parked = 0 AND due IS NULL AND state IN ('queued', 'running') LIMIT :most
        ) UNION ALL SELECT * FROM (
            SELECT 1 FROM jobs INDEXED BY jobs_line
            WHERE line = :line AND parked = 1 AND waits > '' AND due IS NULL AND state IN ('queued', 'running') LIMIT :most
        )
    )
), coalesce((
    SELECT id FROM jobs INDEXED BY jobs_line
    WHERE line = :line AND parked = 0 AND waits IS NULL AND turn > :turn
      AND due IS NULL AND state IN ('queued', 'running') AND state = 'queued' ORDER BY turn DESC LIMIT 1
), (
    SELECT id FROM jobs INDEXED BY jobs_line
    WHERE line = :line AND parked = 1 AND waits > '' AND turn > :turn
      AND due IS NULL AND state IN ('queued', 'running') ORDER BY waits DESC, turn DESC LIMIT 1
));

-- name: line_before
-- Whether a queued job of its line comes before a job: one that is out and may run, waits for something by name, or is
-- behind the line as well.
SELECT 1 FROM jobs j WHERE j.id = :id AND (EXISTS (
    SELECT 1 FROM jobs o INDEXED BY jobs_line
    WHERE o.line = j.line AND o.parked = 0 AND o.due IS NULL AND o.state IN ('queued', 'running')
      AND o.state = 'queued' AND (o.turn, o.id) < (j.turn, j.id)
) OR EXISTS (
    SELECT 1 FROM jobs o INDEXED BY jobs_line
    WHERE o.line = j.line AND o.parked = 1 AND o.waits > '' AND o.due IS NULL AND o.state IN ('queued', 'running')
      AND o.state = 'queued' AND (o.turn, o.id) < (j.turn, j.id)
) OR EXISTS (
    SELECT 1 FROM jobs o INDEXED BY jobs_line
    WHERE o.line = j.line AND o.parked = 1 AND o.waits IS NULL AND o.due IS NULL AND o.state IN ('queued', 'running')
      AND o.state = 'queued' AND (o.turn, o.id) < (j.turn, j.id)
));

-- name: line_next
-- The best of those that are parked behind a line comes out, if there is a place, or one is out that comes after it.
UPDATE jobs SET parked = 0
WHERE id = (
    SELECT id FROM jobs INDEXED BY jobs_line
    WHERE line = :line AND parked = 1 AND waits IS NULL AND due IS NULL AND state IN ('queued', 'running')
    ORDER BY turn, id LIMIT 1
) AND state = 'queued' AND (coalesce((SELECT most FROM lines WHERE line = :line), 1) > (
    SELECT count(*) FROM jobs INDEXED BY jobs_line
    WHERE line = :line AND parked = 0 AND due IS NULL AND state IN ('queued', 'running')
) + (
    SELECT count(*) FROM jobs INDEXED BY jobs_line
    WHERE line = :line AND parked = 1 AND waits > '' AND due IS NULL AND state IN ('queued', 'running')
) OR EXISTS (
    SELECT 1 FROM jobs o INDEXED BY jobs_line
    WHERE o.line = :line AND o.parked = 0 AND o.waits IS NULL AND o.due IS NULL AND o.state IN ('queued', 'running')
      AND o.state = 'queued' AND (o.turn, o.id) > (jobs.turn, jobs.id)
) OR EXISTS (
    SELECT 1 FROM jobs o INDEXED BY jobs_line
    WHERE o.line = :line AND o.parked = 1 AND o.waits > '' AND o.due IS NULL AND o.state IN ('queued', 'running')
      AND o.state = 'queued' AND (o.turn, o.id) > (jobs.turn, jobs.id)
))
RETURNING {rank};

-- name: line_forget
-- Nothing is parked behind a line any more.
DELETE FROM lines WHERE line = :line AND NOT EXISTS (
    SELECT 1 FROM jobs INDEXED BY jobs_line
    WHERE line = :line AND parked = 1 AND waits IS NULL AND due IS NULL AND state IN ('queued', 'running')
);

-- name: lines
-- Lines behind one.
SELECT line FROM lines WHERE line > :after ORDER BY line LIMIT :limit;

-- name: line_sample
-- Some jobs of a line: all of it are alike, and one of them may be damaged.
SELECT {job} FROM jobs INDEXED BY jobs_line
WHERE line = :line AND due IS NULL AND state IN ('queued', 'running') LIMIT 5;

-- name: park
-- A job that is out waits for something.
UPDATE jobs SET parked = 1, waits = :waits, needs = :needs
WHERE id = :id AND state = 'queued' AND parked = 0 AND due IS NULL;

-- name: first_waiting
-- The best of those that wait for something and can ever have it; of what is damaged, nobody knows.
SELECT id, turn, queue, owner, needs FROM jobs INDEXED BY jobs_waiting
WHERE waits = :waits AND state = 'queued' AND (needs <= :total OR typeof(needs) != 'integer') ORDER BY turn, id LIMIT 1;

-- name: come_back
-- It is there.
UPDATE jobs SET parked = 0, waits = NULL WHERE id = :id RETURNING {job};

-- name: dismiss
-- One waits for it no more.
UPDATE jobs SET parked = 0, waits = NULL WHERE id = :id AND waits = :waits AND state = 'queued';

-- name: waiting
-- What jobs wait for by name, and the best of those that wait; "after" and "requires" have no colon.
WITH RECURSIVE found (what) AS (
    SELECT (SELECT min(waits) FROM jobs INDEXED BY jobs_waiting
            WHERE waits > :after AND waits IS NOT NULL AND state = 'queued')
    UNION ALL
    SELECT (SELECT min(waits) FROM jobs INDEXED BY jobs_waiting
            WHERE waits > what AND waits IS NOT NULL AND state = 'queued')
    FROM found WHERE what IS NOT NULL
)
SELECT what, (SELECT id FROM jobs INDEXED BY jobs_waiting WHERE waits = what AND state = 'queued' ORDER BY turn, id LIMIT 1)
FROM found WHERE what LIKE '%:%' LIMIT :limit;

-- name: tokens_demanded
-- The tokens that queued jobs take. Each step leads to the next one by the index.
WITH RECURSIVE found (token) AS (
    SELECT min(token) FROM demands
    UNION
    SELECT (SELECT min(token) FROM demands WHERE token > f.token) FROM found f WHERE f.token IS NOT NULL
)
SELECT token FROM found WHERE token IS NOT NULL;

-- name: demands_beyond
-- How many queued jobs take more of a token than that, so many at most.
SELECT count(*) FROM (SELECT 1 FROM demands WHERE token = :token AND amount > :total LIMIT :limit);

-- name: some_beyond
-- Some of them, those that take least first.
SELECT job, amount FROM demands WHERE token = :token AND amount > :total ORDER BY amount, job LIMIT :limit;

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
-- Some of the jobs of one lane that may run now, in order.
SELECT {job}
FROM jobs INDEXED BY jobs_ready
WHERE queue = :queue AND owner = :owner AND state = 'queued' AND due IS NULL AND parked = 0
  AND (expires IS NULL OR expires > :steady)
  AND (array IS NULL OR array NOT IN (SELECT array FROM cancelled_arrays))
ORDER BY turn, id LIMIT :limit OFFSET :offset;

-- name: lanes
-- The first job of each of the next lanes that are in the index of those that may run. Each step leads to the next lane
-- by the index; no row comes twice, so that it ends in a damaged one as well.
WITH RECURSIVE heads (queue, owner, id) AS (
    SELECT :queue, :owner, NULL
    UNION
    SELECT j.queue, j.owner, j.id FROM heads h CROSS JOIN jobs j ON j.id = coalesce((
        SELECT id FROM jobs INDEXED BY jobs_ready
        WHERE queue = h.queue AND owner > h.owner AND state = 'queued' AND due IS NULL AND parked = 0
        ORDER BY owner, turn, id LIMIT 1
    ), (
        SELECT id FROM jobs INDEXED BY jobs_ready
        WHERE queue > h.queue AND state = 'queued' AND due IS NULL AND parked = 0
        ORDER BY queue, owner, turn, id LIMIT 1
    ))
    LIMIT :steps
)
SELECT {rank} FROM jobs WHERE id IN (SELECT id FROM heads);

-- name: reorder_until
-- How far a piece of a new order goes, and the last job of all.
SELECT (SELECT min(id) FROM jobs WHERE id > :after) + :scanned - 1, (SELECT max(id) FROM jobs);

-- name: reorder
-- The turns of a piece, by another worth of a point of priority.
UPDATE jobs SET turn = since - priority * :per_point
WHERE id > :after AND id <= :until AND state IN ('queued', 'held', 'running');

-- shared: owners
-- Users with jobs of a queue that may run. Each step leads to the next one by the index.
owners (owner) AS (
    SELECT min(owner) FROM jobs INDEXED BY jobs_ready
    WHERE queue = :queue AND state = 'queued' AND due IS NULL AND parked = 0
    UNION
    SELECT (
        SELECT min(owner) FROM jobs INDEXED BY jobs_ready
        WHERE queue = :queue AND owner > o.owner AND state = 'queued' AND due IS NULL AND parked = 0
    ) FROM owners o WHERE o.owner IS NOT NULL
)

-- name: before_it
-- How many jobs of its queue come before a job, so many at most; they are counted user by user.
WITH RECURSIVE {owners}
SELECT count(*) FROM (
    SELECT 1 FROM owners o CROSS JOIN jobs j INDEXED BY jobs_ready
    WHERE j.queue = :queue AND j.owner = o.owner AND j.turn <= :turn AND (j.turn < :turn OR j.id < :id)
      AND j.state = 'queued' AND j.due IS NULL AND j.parked = 0
    LIMIT :limit
);

-- name: job
-- One job as the gate needs it, and what was asked of it while it ran.
SELECT {job}, ending
FROM jobs WHERE id = :id;

-- name: place
-- Where a job is in its life.
SELECT state, attempt, claim, claim_host, ending, array, parked, line FROM jobs WHERE id = :id;

-- name: start
-- A queued job starts its next attempt. It has started in time then, for good, however often it comes back; what it
-- has to keep from now on is its deadline.
UPDATE jobs SET state = :state, attempt = :attempt, started = :at, finished = NULL, due = NULL, due_clock = NULL,
       expires = deadline, exit_code = NULL, signal = NULL, result = NULL, reason = ''
WHERE id = :id AND state = 'queued' AND attempt = :attempt - 1 AND parked = 0 AND (:queue IS NULL OR queue = :queue)
  AND (expires IS NULL OR expires > :steady)
  AND (array IS NULL OR array NOT IN (SELECT array FROM cancelled_arrays));

-- name: kept_before
-- The first job of its queue that comes before a job, and waits for something by name, or behind its line.
SELECT k.turn, k.id FROM jobs j CROSS JOIN jobs k INDEXED BY jobs_kept ON k.queue = j.queue
WHERE j.id = :id AND k.state = 'queued' AND k.due IS NULL AND k.parked = 1 AND (k.waits IS NULL OR k.waits != '')
  AND (k.turn, k.id) < (j.turn, j.id) AND (k.array IS NULL OR k.array NOT IN (SELECT array FROM cancelled_arrays))
ORDER BY k.turn, k.id LIMIT 1;

-- name: ready_before
-- The first job of its queue that comes before a job, and may run; the first of each user is looked at.
WITH RECURSIVE {owners}
SELECT j.turn, j.id FROM owners o CROSS JOIN jobs j ON j.id = (
    SELECT id FROM jobs INDEXED BY jobs_ready
    WHERE queue = :queue AND owner = o.owner AND state = 'queued' AND due IS NULL AND parked = 0
    ORDER BY turn, id LIMIT 1
) WHERE (j.turn, j.id) < (:turn, :id) ORDER BY j.turn, j.id LIMIT 1;

-- name: start_attempt
-- The record of that attempt.
INSERT INTO attempts (job, number, host, session, worker, started)
VALUES (:id, :attempt, :host, :session, :worker, :at);

-- name: finish
-- The attempt under way ended. Its start is ours, unless the clock was stepped since. Of a job that may run again at once
-- it is looked anew whether what it requires is there; else it is behind its line, for those that came before it
-- meanwhile.
UPDATE jobs SET state = :state, ending = NULL, finished = :finished, since = coalesce(:since, since),
       due = iif(:look IS NOT NULL AND json_valid(spec) AND json_type(spec, '$.requires') IS NOT NULL, :look, :due),
       due_clock = :due_clock,
       started = CASE WHEN abs(:started - started) > 1000000 THEN :started ELSE started END,
       failures = :failures, crashes = :crashes, exit_code = :exit_code, signal = :signal, result = :result,
       reason = :reason,
       parked = iif(:look IS NULL OR line IS NULL OR (json_valid(spec) AND json_type(spec, '$.requires') IS NOT NULL),
                    parked, 1)
WHERE id = :id;

-- name: finish_attempt
-- What is kept of the attempt.
UPDATE attempts SET started = coalesce(:started, started), finished = :finished, result = :result,
       exit_code = :exit_code, signal = :signal, user = :user, system = :system, max_rss = :max_rss,
       output = :output, omitted = :omitted, message = :message
WHERE job = :id AND number = :attempt AND finished IS NULL;

-- name: move
-- A job that does not run changes its state. One that comes again joins its line anew.
UPDATE jobs SET state = :state, finished = :finished, reason = :reason, since = coalesce(:since, since),
       parked = iif(:state != 'queued', parked,
                    iif((line IS NULL OR due IS NOT NULL) AND (waits IS NULL OR waits LIKE '%:%'), 0, 1)),
       waits = iif(:state = 'queued' AND waits LIKE '%:%', NULL, waits)
WHERE id = :id AND state = :before;

-- name: retry
-- A job that is over is as if it had never been tried, but for its number of attempts. It may run at once, unless it
-- requires something: then it is time to look for that.
UPDATE jobs SET state = :state, failures = 0, crashes = 0, finished = NULL, due_clock = NULL,
       due = iif(json_valid(spec) AND json_type(spec, '$.requires') IS NOT NULL, :steady, NULL),
       expires = :expires, deadline = :deadline, reason = :reason, since = :since, turn = :since - priority * :per_point,
       parked = iif(line IS NULL OR (json_valid(spec) AND json_type(spec, '$.requires') IS NOT NULL), 0, 1),
       waits = NULL, output_removed = NULL
WHERE id = :id AND state = :before;

-- name: hasten
-- The pause of a job before its next attempt is over: it has failed, and is due after a delay.
UPDATE jobs SET due = :steady, reason = :reason
WHERE id = :id AND state = 'queued' AND failures > 0 AND due_clock = 'steady' AND due > :steady
RETURNING id;

-- name: change_queue
-- A job goes over to another queue, and so to another line. (One that has none may wait for the retries of its queue.)
UPDATE jobs SET queue = :queue, line = :line,
       parked = iif(state != 'queued' OR due IS NOT NULL OR waits = '', parked, :line IS NOT NULL),
       waits = iif(waits LIKE '%:%', NULL, waits)
WHERE id = :id;

-- name: change_priority
-- A job gets another priority, and its turn by that, also in its line.
UPDATE jobs SET priority = :priority, turn = since - :priority * :per_point,
       parked = iif(waits IS NULL OR waits LIKE '%:%', line IS NOT NULL AND state = 'queued' AND due IS NULL, parked),
       waits = iif(waits LIKE '%:%', NULL, waits)
WHERE id = :id;

-- name: condemn
-- A job that the store cannot make sense of has failed.
UPDATE jobs SET state = :state, finished = :finished, since = :since, due = NULL, due_clock = NULL, ending = NULL,
       reason = :reason
WHERE id = :id AND state NOT IN ('succeeded', 'failed', 'cancelled')
RETURNING claim, claim_host, line;

-- name: condemn_attempt
-- Nothing will say how its last attempt ended.
UPDATE attempts SET finished = :finished, result = :result, message = :reason WHERE job = :id AND finished IS NULL;

-- name: rank
-- Where a queued job stands in line.
SELECT {rank} FROM jobs WHERE id = :id;

-- name: queued_rank
-- The same of one that is queued.
SELECT {rank} FROM jobs WHERE id = :id AND state = 'queued';

-- name: mark_cancelled
-- A running job is to be cancelled.
UPDATE jobs SET ending = 'cancel' WHERE id = :id AND state = 'running';

-- name: come_to_look
-- Jobs whose time has come, and which require something: it is time to look whether that is there, unless they wait for
-- others. (Due at 0: it is there.)
UPDATE jobs SET due = iif(waits = '', NULL, :steady), due_clock = NULL
WHERE id IN (
    SELECT id FROM jobs INDEXED BY jobs_due
    WHERE state = 'queued' AND due_clock = :clock AND due IS NOT NULL AND due > 0 AND due <= :now
      AND json_valid(spec) AND json_type(spec, '$.requires') IS NOT NULL
    ORDER BY due LIMIT :limit
);

-- name: looking_users
-- Users with jobs for which it is time to look, and for how many it is being looked; first those with the fewest, and
-- of these the one whose first job has waited the longest.
WITH RECURSIVE users (owner) AS (
    SELECT min(owner) FROM jobs INDEXED BY jobs_looks WHERE state = 'queued' AND due_clock IS NULL AND due IS NOT NULL
    UNION ALL
    SELECT (SELECT min(owner) FROM jobs INDEXED BY jobs_looks
            WHERE state = 'queued' AND due_clock IS NULL AND due IS NOT NULL AND owner > users.owner)
    FROM users WHERE owner IS NOT NULL
)
SELECT owner,
       (SELECT count(*) FROM json_each(:known) known CROSS JOIN jobs ON jobs.id = known.value
        WHERE jobs.owner = users.owner) AS under_way,
       (SELECT min(due) FROM jobs INDEXED BY jobs_looks
        WHERE state = 'queued' AND due_clock IS NULL AND due IS NOT NULL AND jobs.owner = users.owner) AS first
FROM users WHERE owner IS NOT NULL AND first <= :steady ORDER BY under_way, first;

-- name: looks
-- Jobs of a user for which it is time to look.
SELECT {job} FROM jobs INDEXED BY jobs_looks
WHERE state = 'queued' AND due_clock IS NULL AND due IS NOT NULL AND due <= :steady AND owner = :owner
  AND id NOT IN (SELECT value FROM json_each(:known))
ORDER BY due LIMIT :limit;

-- name: next_look
-- When it is time for the next look, of those later than that.
SELECT min(due) FROM jobs INDEXED BY jobs_due
WHERE state = 'queued' AND due_clock IS NULL AND due IS NOT NULL AND due > :after;

-- name: looked
-- It was looked whether what a job requires is there.
UPDATE jobs SET due = :due, due_clock = :clock
WHERE id = :id AND state = 'queued' AND due_clock IS NULL AND due IS NOT NULL;

-- name: come_due
-- Jobs whose time has come may run, so many of them at a time; those of a line join that, behind it.
UPDATE jobs SET due = NULL, due_clock = NULL, parked = iif(line IS NULL, parked, 1)
WHERE id IN (
    SELECT id FROM jobs INDEXED BY jobs_due
    WHERE state = 'queued' AND due_clock = :clock AND due IS NOT NULL AND due <= :now
      AND NOT (due > 0 AND json_valid(spec) AND json_type(spec, '$.requires') IS NOT NULL)
    ORDER BY due LIMIT :limit
)
RETURNING {rank}, line;

-- name: next_due
-- When the next job is due.
SELECT min(due) FROM jobs INDEXED BY jobs_due WHERE state = 'queued' AND due_clock = :clock AND due IS NOT NULL;

-- name: expire
-- Jobs that did not start in time, or are past their deadline, are over, so many of them at a time.
UPDATE jobs SET state = :state, finished = :finished, since = :since, reason = iif(deadline <= :steady, :late, :reason)
WHERE id IN (
    SELECT id FROM jobs INDEXED BY jobs_expiring
    WHERE state IN ('queued', 'held') AND expires IS NOT NULL AND expires <= :steady ORDER BY expires LIMIT :limit
)
RETURNING id, queue, name, claim, claim_host, line, deadline <= :steady;

-- name: next_expiry
-- When the next job expires.
SELECT min(expires) FROM jobs INDEXED BY jobs_expiring WHERE state IN ('queued', 'held') AND expires IS NOT NULL;

-- name: before
-- Attempts under way. CROSS: the few attempts lead to their jobs; the planner would go through all jobs.
SELECT {job}, ending, a.host, a.session, a.worker
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
WHERE id = (SELECT min(id) FROM jobs INDEXED BY jobs_ready WHERE state = 'queued' AND due IS NULL AND parked = 0);

-- name: delayed
-- Queued jobs that are not due yet, by queue; no more are counted than a status line is worth.
SELECT queue, count(*) FROM (
    SELECT queue FROM jobs INDEXED BY jobs_due WHERE state = 'queued' AND due IS NOT NULL LIMIT :limit
) GROUP BY queue;

-- name: own_waits
-- Queued jobs by what they wait for of their own, so many at most of those that are not due, and of the others.
SELECT queue, owner, CASE WHEN due_clock IS NULL THEN 'requires' ELSE 'time' END AS what, count(*) FROM (
    SELECT queue, owner, due_clock FROM jobs INDEXED BY jobs_due
    WHERE state = 'queued' AND due IS NOT NULL LIMIT :limit
) GROUP BY queue, owner, what
UNION ALL
SELECT queue, owner, CASE waits WHEN '' THEN 'after' ELSE substr(waits, 1, instr(waits, ':') - 1) END AS what, count(*)
FROM (
    SELECT queue, owner, waits FROM jobs INDEXED BY jobs_waiting
    WHERE waits IS NOT NULL AND state = 'queued' AND due IS NULL LIMIT :limit
) GROUP BY queue, owner, what;

-- name: queued_of
-- How many jobs of these owners are queued, by queue.
SELECT queue, owner, jobs FROM counts INDEXED BY counts_queued
WHERE state = 'queued' AND jobs > 0 AND owner IN (SELECT value FROM json_each(:users));

-- name: record
-- One job as people see it.
SELECT {record} FROM jobs WHERE id = :id;

-- name: record_of_claim
-- The same of the job that works, or worked, on a kept file.
SELECT {record} FROM jobs WHERE claim = :claim AND claim_host = :host;

-- name: list
-- A page of jobs, oldest first, of those with ids up to one. An empty list of states or queues stands for all of them.
SELECT {record} FROM jobs
WHERE id > :after AND id <= :until
  AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
  AND (:queues = '[]' OR queue IN (SELECT value FROM json_each(:queues)))
ORDER BY id LIMIT :limit;

-- name: list_array
-- The same of the jobs of one array, or of that one with an index. (A spec leaves out what is 0; one that is damaged has
-- no index.)
SELECT {record} FROM jobs INDEXED BY jobs_array
WHERE array = :array AND id > :after AND id <= :until
  AND (:index IS NULL
       OR iif(json_valid(spec), coalesce(json_extract(spec, '$.array.index'), 0), NULL) = :index)
  AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
  AND (:queues = '[]' OR queue IN (SELECT value FROM json_each(:queues)))
ORDER BY id LIMIT :limit;

-- name: last_of_array
-- How far such a page looks, and the last job of that array.
SELECT coalesce((SELECT id FROM jobs INDEXED BY jobs_array WHERE array = :array AND id > :after ORDER BY id LIMIT 1
                 OFFSET :scanned), last), last
FROM (SELECT max(id) AS last FROM jobs INDEXED BY jobs_array WHERE array = :array);

-- name: first_after
-- The first job with a higher id, and the last of all.
SELECT (SELECT min(id) FROM jobs WHERE id > :after), (SELECT max(id) FROM jobs);

-- name: attempts
-- The last attempts of a job before one of them, last to first.
SELECT {attempt}
FROM attempts WHERE job = :id AND number < :before ORDER BY number DESC LIMIT :limit;

-- name: over
-- How many jobs are over.
SELECT coalesce(sum(jobs), 0) FROM counts WHERE state IN ('succeeded', 'failed', 'cancelled');

-- name: prunable
-- The jobs that were over first, but for those whose file is not let go yet.
SELECT id FROM jobs INDEXED BY jobs_over
WHERE state IN ('succeeded', 'failed', 'cancelled') AND since <= :until
      AND (claim IS NULL OR NOT EXISTS (SELECT 1 FROM claims c WHERE c.host = claim_host AND c.claim = jobs.claim))
      AND id NOT IN (SELECT job FROM ended)
      AND (array IS NULL OR NOT EXISTS (SELECT 1 FROM watched WHERE watched.array = jobs.array AND jobs.id > seen))
ORDER BY since, id LIMIT :limit;

-- name: over_after
-- Jobs that are over, in the order of that, behind one of them.
SELECT id, since, output_removed FROM jobs INDEXED BY jobs_over
WHERE state IN ('succeeded', 'failed', 'cancelled') AND (since, id) > (:since, :id) ORDER BY since, id LIMIT :limit;

-- name: note_output
-- The output of a job that is over goes, to make room; or it has not gone.
UPDATE jobs SET output_removed = :at WHERE id = :id AND state IN ('succeeded', 'failed', 'cancelled');

-- name: output_removed
-- When the output of a job went.
SELECT output_removed FROM jobs WHERE id = :id;

-- name: prune_attempts
-- The attempts of a job that is forgotten.
DELETE FROM attempts WHERE job = :id;

-- name: prune
-- A job is forgotten.
DELETE FROM jobs WHERE id = :id AND state IN ('succeeded', 'failed', 'cancelled') AND id NOT IN (SELECT job FROM ended)
  AND (array IS NULL OR NOT EXISTS (SELECT 1 FROM watched WHERE watched.array = jobs.array AND jobs.id > seen));

-- name: owner_named
-- Jobs of an owner who was noted by a number get a name, and so do what they need and wait for by that.
UPDATE jobs SET owner = :owner, key = :owner || substr(key, length(:before) + 1),
    waits = CASE WHEN substr(waits, 1, length(:before) + 5) = 'key:' || :before || ':'
                 THEN 'key:' || :owner || substr(waits, length(:before) + 5) ELSE waits END
WHERE id IN (SELECT id FROM jobs INDEXED BY jobs_name WHERE owner = :before LIMIT :limit);

-- name: conditions_named
-- So do those that wait for the next job of a name.
UPDATE conditions SET owner = :owner WHERE owner = :before AND name IS NOT NULL;

-- name: came_named
-- So are names of which a job came; also where that is so of two who are one.
UPDATE OR REPLACE came SET owner = :owner WHERE owner = :before;

-- name: meta_get
-- A fact about the database itself.
SELECT value FROM meta WHERE key = :key;

-- name: meta_put
-- Keep a fact about the database itself.
INSERT INTO meta VALUES (:key, :value) ON CONFLICT DO UPDATE SET value = excluded.value;

-- name: overrides
-- All that operators have set by hand.
SELECT name, value FROM overrides;

-- name: override
-- Something is set by hand.
INSERT INTO overrides VALUES (:name, :value) ON CONFLICT DO UPDATE SET value = excluded.value;

-- name: override_end
-- It holds no more.
DELETE FROM overrides WHERE name = :name;

-- name: memory
-- All that the policies of the gate remember.
SELECT key, value FROM memory;

-- name: remember
-- One of them remembers something.
INSERT INTO memory VALUES (:key, :value) ON CONFLICT DO UPDATE SET value = excluded.value;

-- name: forget
-- It remembers nothing.
DELETE FROM memory WHERE key = :key;

-- name: check_jobs
-- Jobs with higher ids, as the gate needs them.
SELECT {job}, ending
FROM jobs NOT INDEXED WHERE id > :after ORDER BY id LIMIT :limit;

-- name: check_attempts
-- Attempts behind one.
SELECT job, {attempt}
FROM attempts WHERE (job, number) > (:job, :number) ORDER BY job, number LIMIT :limit;

-- name: check_counts
-- Where the counts and the jobs do not agree.
SELECT queue, state, sum(counted), sum(there) FROM (
    SELECT queue, state, owner, jobs AS counted, 0 AS there FROM counts
    UNION ALL SELECT queue, state, owner, 0, count(*) FROM jobs NOT INDEXED GROUP BY queue, state, owner
) GROUP BY queue, state, owner HAVING sum(counted) != sum(there);

-- name: check_demands
-- Jobs of which it is not noted which tokens they take, or wrongly.
WITH taken (token, amount, job) AS (
    SELECT j.key, j.value, jobs.id
    FROM jobs NOT INDEXED, json_each(iif(json_valid(spec), spec, '{}'), '$.tokens') j
    WHERE state = 'queued' AND line IS NOT NULL AND j.type = 'integer'
)
SELECT job FROM (SELECT * FROM taken EXCEPT SELECT * FROM demands)
UNION SELECT job FROM (SELECT * FROM demands EXCEPT SELECT * FROM taken);

-- name: check_running
-- Jobs that run without an attempt under way, and the other way round.
SELECT id, state FROM jobs NOT INDEXED
WHERE (state = 'running') != EXISTS (SELECT 1 FROM attempts WHERE job = jobs.id AND finished IS NULL);

-- name: check_settings
-- What operators have set by hand, and what policies remember.
SELECT 'what was set by hand as', name, value FROM overrides
UNION ALL SELECT 'what is remembered as', key, value FROM memory;

-- name: check_facts
-- All facts about the database itself.
SELECT key, value FROM meta;
