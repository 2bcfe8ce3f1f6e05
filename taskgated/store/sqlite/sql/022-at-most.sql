-- How many jobs of an array may run at once is said by its line (018); nothing writes this any more.
ALTER TABLE jobs DROP COLUMN at_most;
