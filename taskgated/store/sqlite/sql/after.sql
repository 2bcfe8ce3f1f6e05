-- Statements about jobs that run after others (after.py), in the manner of queries.sql.

-- name: awaited_part
-- The job that a part of a claimed file is, if later ones of the file wait for it.
SELECT jobs.id, state, array FROM awaited CROSS JOIN jobs ON jobs.id = awaited.job
WHERE awaited.host = :host AND awaited.claim = :claim AND awaited.part = :part;

-- name: awaited
-- Remember it, for those of the file that come later.
INSERT INTO awaited (host, claim, part, job) VALUES (:host, :claim, :part, :job);

-- name: awaited_forget
-- None comes any more.
DELETE FROM awaited WHERE host = :host AND claim = :claim;

-- name: job_of_id
-- What there is to know of a job that is to be waited for.
SELECT id, state, array FROM jobs WHERE id = :id;

-- name: newest_of_name
-- The same of the newest job of a name with an id below that; of an array that is called so, its first.
SELECT j.id, j.state, j.array FROM (
    SELECT id, array FROM jobs INDEXED BY jobs_name
    WHERE owner = :owner AND name = :name AND id < :before ORDER BY id DESC LIMIT 1
) n CROSS JOIN jobs j ON j.id = iif((SELECT name FROM jobs WHERE id = n.array) = :name, n.array, n.id);

-- name: next_of_name
-- The same of the first that came behind the first of an array, and is none of that.
SELECT j.id, j.state, j.array FROM (
    SELECT id, array FROM jobs INDEXED BY jobs_name
    WHERE owner = :owner AND name = :name AND id > :array AND array IS NOT :array ORDER BY id LIMIT 1
) n CROSS JOIN jobs j ON j.id = iif((SELECT name FROM jobs WHERE id = n.array) = :name, n.array, n.id);

-- name: condition_at
-- What a job still waits for by that condition.
SELECT other, name, patience FROM conditions WHERE job = :job AND place = :place AND lost IS NULL;

-- shared: behind
-- That job, or array, and for what it waits, however far around, so many at most. Jobs of an array wait for the same: the
-- first, the last, and one that is not over, stand for all of it.
behind (id, whole) AS (
    SELECT :other, :whole
    UNION
    SELECT c.other, c.whole FROM behind b CROSS JOIN conditions c ON c.job IN (
        b.id, iif(b.whole, (SELECT witness FROM watched WHERE array = b.id), NULL),
        iif(b.whole, (SELECT max(id) FROM jobs INDEXED BY jobs_array WHERE array = b.id), NULL)
    ) WHERE c.other IS NOT NULL LIMIT :most
)

-- name: waits_for_array
-- Whether a job, or an array, waits for that array, however far around.
WITH RECURSIVE {behind}
SELECT EXISTS (SELECT 1 FROM behind WHERE id = :array AND whole);

-- name: condition
-- What a new job has to wait for.
INSERT INTO conditions (job, place, until, other, whole, owner, name, patience, lost)
VALUES (:job, :place, :until, :other, :whole, :owner, :name, :patience, :lost);

-- name: any_by_name
-- Whether anybody waits for a job of some name.
SELECT EXISTS (SELECT 1 FROM conditions INDEXED BY conditions_name WHERE name IS NOT NULL);

-- name: condition_by_name
-- Whether anybody waits for a job of this name.
SELECT 1 FROM conditions INDEXED BY conditions_name WHERE owner = :owner AND name = :name LIMIT 1;

-- name: came
-- A job of that name came, and somebody waits for one.
INSERT OR IGNORE INTO came (owner, name) VALUES (:owner, :name);

-- name: next_came
-- One of these.
SELECT owner, name FROM came LIMIT 1;

-- name: came_seen
-- It was given to those that wait for it.
DELETE FROM came WHERE owner = :owner AND name = :name;

-- name: number_behind
-- For how many a job waits, however far around.
WITH RECURSIVE {behind}
SELECT count(*) FROM behind;

-- name: condition_name_came
-- A job of that name came, and so many of those that wait for it are given it. They are not those that it waits for, however
-- far around, nor of an array that it waits for.
UPDATE conditions SET other = :other, whole = :whole, owner = NULL, name = NULL, patience = NULL
WHERE (job, place) IN (
    WITH RECURSIVE {behind}
    SELECT job, place FROM conditions c INDEXED BY conditions_name
    WHERE c.owner = :owner AND c.name = :name AND job NOT IN (SELECT id FROM behind)
      AND coalesce((SELECT array FROM jobs WHERE jobs.id = c.job), 0) NOT IN (SELECT id FROM behind WHERE whole)
    LIMIT :limit
);

-- name: condition_word
-- How a job names another one that it waits for, and how long it waits for one to come.
SELECT iif(json_valid(spec), json_extract(spec, '$.after[' || :place || '].job'), NULL),
       iif(json_valid(spec), json_extract(spec, '$.after_timeout'), NULL)
FROM jobs WHERE id = :id;

-- name: condition_met
-- One condition of a job holds from now on.
DELETE FROM conditions WHERE job = :job AND place = :place;

-- name: condition_left
-- Whether it has another one.
SELECT 1 FROM conditions WHERE job = :job LIMIT 1;

-- name: conditions_on
-- Some of those who wait for a job, or for an array.
SELECT job, place, until FROM conditions INDEXED BY conditions_other
WHERE other = :other AND whole = :whole LIMIT :limit;

-- name: lost_conditions
-- Some of those who wait for what will not come.
SELECT job, place, lost, other FROM conditions INDEXED BY conditions_lost WHERE lost IS NOT NULL
UNION ALL
SELECT job, place, lost, other FROM conditions INDEXED BY conditions_patience WHERE patience IS NOT NULL AND patience <= :steady
LIMIT :limit;

-- name: next_patience
-- When the next of them has waited long enough.
SELECT min(patience) FROM conditions INDEXED BY conditions_patience WHERE patience IS NOT NULL;

-- name: unresolved
-- Whether there is anybody to be looked at.
SELECT EXISTS (SELECT 1 FROM ended)
    OR EXISTS (SELECT 1 FROM came)
    OR EXISTS (SELECT 1 FROM watched INDEXED BY watched_again WHERE again = 1)
    OR EXISTS (SELECT 1 FROM conditions INDEXED BY conditions_lost WHERE lost IS NOT NULL)
    OR EXISTS (
        SELECT 1 FROM conditions INDEXED BY conditions_patience WHERE patience IS NOT NULL AND patience <= :steady
    );

-- name: ended
-- A job that is over is waited for.
INSERT OR IGNORE INTO ended (job) VALUES (:job);

-- name: next_ended
-- One that is over, with some who may wait for it.
SELECT job FROM ended LIMIT 1;

-- name: looked_at
-- Nobody waits for it any more.
DELETE FROM ended WHERE job = :job;

-- name: end_of
-- How a job stands, and its name.
SELECT state, name FROM jobs WHERE id = :id;

-- name: watch
-- An array is waited for.
INSERT INTO watched (array) VALUES (:array) ON CONFLICT DO UPDATE SET again = 1;

-- name: next_watched
-- One that is to be looked at.
SELECT array, seen, worst FROM watched INDEXED BY watched_again WHERE again = 1 LIMIT 1;

-- name: elements_after
-- The next jobs of it.
SELECT id, state FROM jobs INDEXED BY jobs_array WHERE array = :array AND id > :seen ORDER BY id LIMIT :limit;

-- name: watched
-- How far it was looked at.
UPDATE watched SET seen = :seen, worst = :worst, witness = :witness, again = :again WHERE array = :array;

-- name: watch_more
-- Jobs of an array came.
UPDATE watched SET again = 1 WHERE array = :array AND witness IS NULL;

-- name: watch_comes_no_more
-- What was to come of the last array of a claimed file will not.
UPDATE watched SET again = 1 WHERE array = (SELECT array FROM claims WHERE host = :host AND claim = :claim AND coming > 0);

-- name: watch_over
-- Nobody waits for it any more.
DELETE FROM watched WHERE array = :array;

-- name: free
-- A job waits for no other any more, and is behind its line now, if it has one and is due. If it requires something, it
-- is time to look for that.
UPDATE jobs SET waits = NULL,
       parked = (line IS NOT NULL AND due IS NULL
                 AND NOT (json_valid(spec) AND json_type(spec, '$.requires') IS NOT NULL)),
       due = iif(due IS NULL AND json_valid(spec) AND json_type(spec, '$.requires') IS NOT NULL, :steady, due)
WHERE id = :id AND parked = 1 AND waits = '' AND state IN ('queued', 'held')
RETURNING {rank}, line, state, due;

-- name: cancel_waiting
-- A job cannot run any more.
UPDATE jobs SET state = :state, finished = :finished, since = :since, reason = :reason
WHERE id = :id AND state IN ('queued', 'held')
RETURNING queue, name, claim, claim_host;

-- name: waits_for
-- What a job still waits for; of an array its witness, or its first.
SELECT until, c.other, o.name, o.state, whole, w.witness IS NOT NULL, v.state, patience,
       iif(json_valid(j.spec), json_extract(j.spec, '$.after[' || place || '].job'), NULL)
FROM conditions c JOIN jobs j ON j.id = c.job LEFT JOIN jobs o ON o.id = c.other
    LEFT JOIN watched w ON w.array = c.other AND whole = 1 LEFT JOIN jobs v ON v.id = w.witness
WHERE c.job = :id ORDER BY place LIMIT :limit;

-- name: check_conditions
-- Jobs that wait for others, and have no condition.
SELECT id FROM jobs NOT INDEXED
WHERE parked = 1 AND waits = '' AND state IN ('queued', 'held')
  AND NOT EXISTS (SELECT 1 FROM conditions WHERE job = jobs.id);
