-- The first schema. Times are microseconds since the epoch; names are bytes, for not all of them are UTF-8.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

CREATE TABLE jobs (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of arrival; never given twice
    state     TEXT NOT NULL CHECK (state IN ('queued', 'held', 'running', 'succeeded', 'failed', 'cancelled')),
    queue     TEXT NOT NULL,
    priority  INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 100),
    name      BLOB NOT NULL,
    source    BLOB NOT NULL,
    owner     INTEGER NOT NULL,
    attempt   INTEGER NOT NULL DEFAULT 0,
    failures  INTEGER NOT NULL DEFAULT 0,
    crashes   INTEGER NOT NULL DEFAULT 0,
    ending    TEXT CHECK (ending = 'cancel'),     -- what was asked of it while it ran
    submitted INTEGER NOT NULL,
    started   INTEGER,
    finished  INTEGER,
    due       INTEGER,                            -- not before; null: at once
    due_clock TEXT CHECK (due_clock IN ('wall', 'steady')),
    expires   INTEGER,                            -- steady
    exit_code INTEGER,
    signal    INTEGER,
    result    TEXT,
    reason    TEXT NOT NULL DEFAULT '',
    claim     TEXT,                               -- the file it works on
    spec      TEXT NOT NULL                       -- JSON
);

-- Each index costs two writes for every job: there is one only for what must be fast at a million jobs.
-- The next job of a queue: the first entry, at any size of the backlog.
CREATE INDEX jobs_ready ON jobs (queue, priority DESC, id) WHERE state = 'queued' AND due IS NULL;
CREATE INDEX jobs_due ON jobs (due_clock, due) WHERE state = 'queued' AND due IS NOT NULL;
CREATE INDEX jobs_expiring ON jobs (expires) WHERE state IN ('queued', 'held') AND expires IS NOT NULL;
CREATE INDEX jobs_over ON jobs (finished, id) WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE UNIQUE INDEX jobs_claim ON jobs (claim) WHERE claim IS NOT NULL;

CREATE TABLE attempts (
    job       INTEGER NOT NULL,
    number    INTEGER NOT NULL CHECK (number > 0),
    worker    TEXT NOT NULL,
    started   INTEGER NOT NULL,
    finished  INTEGER,
    result    TEXT,
    exit_code INTEGER,
    signal    INTEGER,
    user      REAL NOT NULL DEFAULT 0,
    system    REAL NOT NULL DEFAULT 0,
    max_rss   INTEGER NOT NULL DEFAULT 0,
    output    INTEGER NOT NULL DEFAULT 0,
    omitted   INTEGER NOT NULL DEFAULT 0,
    message   TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job, number)
) WITHOUT ROWID;

-- No job runs twice at the same time, and that is physical.
CREATE UNIQUE INDEX attempts_running ON attempts (job) WHERE finished IS NULL;

-- Files that were claimed and are not gone yet, and how many of their parts were added.
CREATE TABLE claims (
    claim TEXT PRIMARY KEY,
    parts INTEGER NOT NULL
) WITHOUT ROWID;

-- Counting a million rows takes too long to be done for a status line.
CREATE TABLE counts (
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    jobs  INTEGER NOT NULL CHECK (jobs >= 0),
    PRIMARY KEY (queue, state)
) WITHOUT ROWID;

CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
    INSERT INTO counts VALUES (new.queue, new.state, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER jobs_moved AFTER UPDATE OF state ON jobs WHEN old.state != new.state BEGIN
    UPDATE counts SET jobs = jobs - 1 WHERE queue = old.queue AND state = old.state;
    INSERT INTO counts VALUES (new.queue, new.state, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN
    UPDATE counts SET jobs = jobs - 1 WHERE queue = old.queue AND state = old.state;
END;
