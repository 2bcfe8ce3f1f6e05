-- What the policies of the gate remember of starts and ends. A few rows for each queue that has such a policy.
CREATE TABLE memory (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL        -- JSON
) WITHOUT ROWID;
