-- Claimed files are known by the host on which they are, and by their name there. '' is the only host that there was.
ALTER TABLE jobs ADD COLUMN claim_host TEXT NOT NULL DEFAULT '';
DROP INDEX jobs_claim;
CREATE UNIQUE INDEX jobs_claim ON jobs (claim, claim_host) WHERE claim IS NOT NULL;

CREATE TABLE claims_by_host (
    host    TEXT NOT NULL DEFAULT '',
    claim   TEXT NOT NULL,
    parts   INTEGER NOT NULL,
    array   INTEGER,
    earlier INTEGER NOT NULL DEFAULT 0 CHECK (earlier IN (0, 1)),
    coming  INTEGER NOT NULL DEFAULT 0 CHECK (coming >= 0),
    plan    TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (host, claim)
) WITHOUT ROWID;
INSERT INTO claims_by_host SELECT '', claim, parts, array, earlier, coming, plan FROM claims;
DROP TABLE claims;
ALTER TABLE claims_by_host RENAME TO claims;
CREATE INDEX claims_coming ON claims (array) WHERE coming > 0;

CREATE TABLE awaited_by_host (
    host  TEXT NOT NULL,
    claim TEXT NOT NULL,
    part  INTEGER NOT NULL,
    job   INTEGER NOT NULL,
    PRIMARY KEY (host, claim, part)
) WITHOUT ROWID;
INSERT INTO awaited_by_host SELECT '', claim, part, job FROM awaited;
DROP TABLE awaited;
ALTER TABLE awaited_by_host RENAME TO awaited;
