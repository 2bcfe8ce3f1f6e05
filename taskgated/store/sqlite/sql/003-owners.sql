-- Counts know whose jobs they are: what one user has queued can be asked for at any size of the backlog.

DROP TRIGGER jobs_added;
DROP TRIGGER jobs_moved;
DROP TRIGGER jobs_removed;
DROP TABLE counts;

CREATE TABLE counts (
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    owner INTEGER NOT NULL,
    jobs  INTEGER NOT NULL CHECK (jobs >= 0),
    PRIMARY KEY (queue, state, owner)
) WITHOUT ROWID;

INSERT INTO counts SELECT queue, state, owner, count(*) FROM jobs GROUP BY queue, state, owner;

CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
    INSERT INTO counts VALUES (new.queue, new.state, new.owner, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER jobs_moved AFTER UPDATE OF state ON jobs WHEN old.state != new.state BEGIN
    UPDATE counts SET jobs = jobs - 1 WHERE queue = old.queue AND state = old.state AND owner = old.owner;
    INSERT INTO counts VALUES (new.queue, new.state, new.owner, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN
    UPDATE counts SET jobs = jobs - 1 WHERE queue = old.queue AND state = old.state AND owner = old.owner;
END;
