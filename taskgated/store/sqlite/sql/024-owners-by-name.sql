-- The owner of a job is a name; one that has none, and one whose name is not known yet, is the decimal form of the uid.
-- What was the owner until now is the uid that the file had. Whose names are to be found out is noted.

DROP TRIGGER jobs_added;
DROP TRIGGER jobs_moved;
DROP TRIGGER jobs_removed;
DROP TRIGGER jobs_went_over;
DROP INDEX jobs_ready;
DROP INDEX jobs_name;
DROP INDEX jobs_looks;
DROP TABLE counts;

ALTER TABLE jobs RENAME COLUMN owner TO uid;
ALTER TABLE jobs ADD COLUMN owner TEXT NOT NULL DEFAULT '';
UPDATE jobs SET owner = CAST(uid AS TEXT);
CREATE INDEX jobs_ready ON jobs (queue, owner, turn, id) WHERE state = 'queued' AND due IS NULL AND parked = 0;
CREATE INDEX jobs_name ON jobs (owner, name);
CREATE INDEX jobs_looks ON jobs (owner, due) WHERE state = 'queued' AND due_clock IS NULL AND due IS NOT NULL;
INSERT OR REPLACE INTO meta SELECT 'unnamed', json_group_array(uid) FROM (SELECT DISTINCT uid FROM jobs);

CREATE TABLE counts (
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    jobs  INTEGER NOT NULL CHECK (jobs >= 0),
    PRIMARY KEY (queue, state, owner)
) WITHOUT ROWID;
INSERT INTO counts SELECT queue, state, owner, count(*) FROM jobs GROUP BY queue, state, owner;
CREATE INDEX counts_queued ON counts (owner, jobs) WHERE state = 'queued' AND jobs > 0;

CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
    INSERT INTO counts VALUES (new.queue, new.state, new.owner, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER jobs_moved AFTER UPDATE OF state ON jobs WHEN old.state != new.state BEGIN
    UPDATE counts SET jobs = jobs - 1 WHERE queue = old.queue AND state = old.state AND owner = old.owner;
    INSERT INTO counts VALUES (new.queue, new.state, new.owner, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER jobs_went_over AFTER UPDATE OF queue, owner ON jobs
WHEN old.queue != new.queue OR old.owner != new.owner BEGIN
    UPDATE counts SET jobs = jobs - 1 WHERE queue = old.queue AND state = old.state AND owner = old.owner;
    INSERT INTO counts VALUES (new.queue, new.state, new.owner, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN
    UPDATE counts SET jobs = jobs - 1 WHERE queue = old.queue AND state = old.state AND owner = old.owner;
END;

-- So is that of a condition which waits for a name.
DROP INDEX conditions_name;
ALTER TABLE conditions RENAME COLUMN owner TO uid;
ALTER TABLE conditions ADD COLUMN owner TEXT;
UPDATE conditions SET owner = CAST(uid AS TEXT) WHERE uid IS NOT NULL;
ALTER TABLE conditions DROP COLUMN uid;
CREATE INDEX conditions_name ON conditions (owner, name) WHERE name IS NOT NULL;
