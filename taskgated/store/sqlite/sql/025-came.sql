-- Names of which a job came that others wait for, until it is given to these: with many names and long chains behind
-- what came that is done in pieces.
CREATE TABLE came (
    owner TEXT NOT NULL,
    name  BLOB NOT NULL,
    PRIMARY KEY (owner, name)
) WITHOUT ROWID;
