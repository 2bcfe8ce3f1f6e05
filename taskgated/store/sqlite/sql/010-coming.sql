-- How many jobs of the last array of a claimed file are still to be taken in, so that who waits for an array, or ends it,
-- knows of them. No version before this one had arrays.
ALTER TABLE claims ADD COLUMN coming INTEGER NOT NULL DEFAULT 0 CHECK (coming >= 0);
CREATE INDEX claims_coming ON claims (array) WHERE coming > 0;
