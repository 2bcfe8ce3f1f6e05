-- What operators have set by hand, until it is taken back. They are few.
CREATE TABLE overrides (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL        -- JSON
) WITHOUT ROWID;
