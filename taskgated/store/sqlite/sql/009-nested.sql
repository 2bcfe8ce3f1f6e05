-- Whether a job's file lay in the directory of its queue (1), or in the spool itself (0). Of those that were there before
-- nobody knows: a file in the spool may name another queue.
ALTER TABLE jobs ADD COLUMN nested INTEGER CHECK (nested IN (0, 1));
