-- Jobs that run after others: what each of them still waits for. A condition that is met is gone from here, so a job that
-- has none is free; a job that is over has none.

CREATE TABLE conditions (
    job      INTEGER NOT NULL,             -- the one that waits
    place    INTEGER NOT NULL,             -- which of the conditions of its spec
    until    TEXT NOT NULL CHECK (until IN ('succeeded', 'failed', 'over')),
    other    INTEGER,                      -- the one that it waits for; null: that is not known yet
    whole    INTEGER NOT NULL DEFAULT 0 CHECK (whole IN (0, 1)),  -- all of the array of which `other` is the first
    owner    INTEGER,                      -- it is the next that this user drops
    name     BLOB,                         -- by that name,
    patience INTEGER,                      -- if it comes until then (steady)
    lost     TEXT CHECK (lost IN ('never given', 'forgotten')),  -- it will not come at all
    PRIMARY KEY (job, place)
) WITHOUT ROWID;
CREATE INDEX conditions_other ON conditions (other) WHERE other IS NOT NULL;
CREATE INDEX conditions_name ON conditions (owner, name) WHERE name IS NOT NULL;
CREATE INDEX conditions_patience ON conditions (patience) WHERE patience IS NOT NULL;
CREATE INDEX conditions_lost ON conditions (lost) WHERE lost IS NOT NULL;

-- The newest job of a name and an owner.
CREATE INDEX jobs_name ON jobs (owner, name);

-- Which jobs of a claimed file later ones of the same file wait for; of files that are taken in piece by piece.
CREATE TABLE awaited (
    claim TEXT NOT NULL,
    part  INTEGER NOT NULL,
    job   INTEGER NOT NULL,
    PRIMARY KEY (claim, part)
) WITHOUT ROWID;

-- Jobs that are over, and whose dependants have not been looked at since.
CREATE TABLE ended (job INTEGER PRIMARY KEY);

-- Arrays that are waited for as a whole. All jobs up to `seen` are over, and `worst` is how they ended. One that is not
-- over is the witness: until that has ended nothing more need be looked at. Null: the next one that is taken in.
CREATE TABLE watched (
    array   INTEGER PRIMARY KEY,
    seen    INTEGER NOT NULL DEFAULT 0,
    worst   TEXT NOT NULL DEFAULT 'succeeded',
    witness INTEGER,
    again   INTEGER NOT NULL DEFAULT 1 CHECK (again IN (0, 1))    -- whether it is to be looked at
);
CREATE INDEX watched_witness ON watched (witness);
CREATE INDEX watched_again ON watched (again) WHERE again = 1;

-- Whatever ends a job: those that wait for it are due to be looked at, and it waits for nothing any more.
CREATE TRIGGER jobs_ended AFTER UPDATE OF state ON jobs
WHEN old.state != new.state AND new.state IN ('succeeded', 'failed', 'cancelled') BEGIN
    INSERT OR IGNORE INTO ended
        SELECT new.id WHERE EXISTS (SELECT 1 FROM conditions WHERE other = new.id AND other IS NOT NULL);
    UPDATE watched SET again = 1 WHERE witness = new.id;
END;
CREATE TRIGGER jobs_never_started AFTER UPDATE OF state ON jobs
WHEN old.state IN ('queued', 'held') AND new.state IN ('succeeded', 'failed', 'cancelled') BEGIN
    DELETE FROM conditions WHERE job = new.id;
END;
-- One that was over and is not any more: its array is looked at from its beginning.
CREATE TRIGGER jobs_again AFTER UPDATE OF state ON jobs
WHEN old.state IN ('succeeded', 'failed', 'cancelled') AND new.state NOT IN ('succeeded', 'failed', 'cancelled') BEGIN
    UPDATE watched SET seen = 0, worst = 'succeeded', again = 1 WHERE array = new.array;
END;
