-- When a job has to be over, its attempts with it, by the steady clock. What waits then is found by ``expires``.
ALTER TABLE jobs ADD COLUMN deadline INTEGER;
