-- Jobs that wait for a look, by their users: each of these has its turn, however many jobs another has.
CREATE INDEX jobs_looks ON jobs (owner, due) WHERE state = 'queued' AND due_clock IS NULL AND due IS NOT NULL;
