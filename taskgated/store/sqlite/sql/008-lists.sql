-- Of which claimed files an earlier version began to take in the parts: to it, a byte order mark was a part of the first
-- line, so that a comment or nothing behind one was a part of the file.
ALTER TABLE claims ADD COLUMN earlier INTEGER NOT NULL DEFAULT 0 CHECK (earlier IN (0, 1));
UPDATE claims SET earlier = 1;
