-- What all parts of a claimed file are, as whoever added the first of them put it: read again after a crash, by another
-- configuration, the file may be another. Earlier versions added such files as a whole, and need no plan.
ALTER TABLE claims ADD COLUMN plan TEXT NOT NULL DEFAULT '';
