-- Which tokens queued jobs take, so that those which take more than there are in all are found whatever else waits.
CREATE TABLE demands (
    token  TEXT NOT NULL,
    amount INTEGER NOT NULL,
    job    INTEGER NOT NULL,
    PRIMARY KEY (token, amount, job)
) WITHOUT ROWID;

INSERT INTO demands
    SELECT j.key, j.value, jobs.id FROM jobs, json_each(iif(json_valid(spec), spec, '{}'), '$.tokens') j
    WHERE state = 'queued' AND line IS NOT NULL AND j.type = 'integer';

CREATE TRIGGER jobs_demand AFTER INSERT ON jobs WHEN new.state = 'queued' AND new.line IS NOT NULL BEGIN
    INSERT OR IGNORE INTO demands
        SELECT key, value, new.id FROM json_each(iif(json_valid(new.spec), new.spec, '{}'), '$.tokens')
        WHERE type = 'integer';
END;
CREATE TRIGGER jobs_demand_again AFTER UPDATE OF state ON jobs
WHEN new.state = 'queued' AND old.state != 'queued' AND new.line IS NOT NULL BEGIN
    INSERT OR IGNORE INTO demands
        SELECT key, value, new.id FROM json_each(iif(json_valid(new.spec), new.spec, '{}'), '$.tokens')
        WHERE type = 'integer';
END;
CREATE TRIGGER jobs_demand_no_more AFTER UPDATE OF state ON jobs
WHEN old.state = 'queued' AND new.state != 'queued' AND old.line IS NOT NULL BEGIN
    DELETE FROM demands WHERE (token, amount, job) IN (
        SELECT key, value, old.id FROM json_each(iif(json_valid(old.spec), old.spec, '{}'), '$.tokens')
    );
END;
