-- How many jobs are queued, in all and of one owner, is asked for in each transaction: whatever the number of queues and
-- owners that there were, only those are looked at that have any.
CREATE INDEX counts_queued ON counts (owner, jobs) WHERE state = 'queued' AND jobs > 0;
