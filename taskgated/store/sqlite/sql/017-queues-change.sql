-- A job may go over to another queue: the counts go with it.
CREATE TRIGGER jobs_went_over AFTER UPDATE OF queue ON jobs WHEN old.queue != new.queue BEGIN
    UPDATE counts SET jobs = jobs - 1 WHERE queue = old.queue AND state = old.state AND owner = old.owner;
    INSERT INTO counts VALUES (new.queue, new.state, new.owner, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;
