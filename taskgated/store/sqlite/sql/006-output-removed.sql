-- When the output of a job was removed because all outputs together were too much; its record stays, and says so.
ALTER TABLE jobs ADD COLUMN output_removed INTEGER;
