-- Jobs that need something by name: of a line only so many are out, the others are parked behind it; and who is out and
-- short of something waits for that. ``parked`` and no ``waits``: behind its line. Of arrays, the places are such a thing.

ALTER TABLE jobs ADD COLUMN key TEXT;      -- of jobs of which one runs at a time: their user, and the key
ALTER TABLE jobs ADD COLUMN line INTEGER;  -- a number that jobs have in common which need the same
ALTER TABLE jobs ADD COLUMN waits TEXT;    -- the name of what it is parked for
ALTER TABLE jobs ADD COLUMN needs INTEGER; -- how much of that; it stays when it came back

CREATE TABLE lines (
    line INTEGER PRIMARY KEY,
    most INTEGER NOT NULL                  -- how many of it may be out
);

-- An array that is there already goes on as a line by its own number; no other line is below zero.
UPDATE jobs SET line = -array WHERE at_most IS NOT NULL AND array IS NOT NULL AND state IN ('queued', 'held', 'running');
INSERT INTO lines SELECT DISTINCT line, at_most FROM jobs WHERE line IS NOT NULL AND parked = 1;

DROP INDEX jobs_places;
CREATE INDEX jobs_line ON jobs (line, parked, waits, turn, id)
    WHERE line IS NOT NULL AND due IS NULL AND state IN ('queued', 'running');
CREATE INDEX jobs_waiting ON jobs (waits, turn, id) WHERE waits IS NOT NULL AND state = 'queued';
CREATE INDEX jobs_key ON jobs (key, state, id) WHERE key IS NOT NULL AND state IN ('queued', 'running');
