-- Arrays that were cancelled, as long as some of their jobs are still to be. None of them starts meanwhile, and what comes
-- of them comes cancelled.
CREATE TABLE cancelled_arrays (
    array INTEGER PRIMARY KEY,                                   -- the id of its first job
    swept INTEGER NOT NULL DEFAULT 0 CHECK (swept IN (0, 1))     -- whether all that is there was dealt with
);
