-- Whose turn a deletion is, apart from when it is tried next, and what the image is known by where its id does not tell enough.
ALTER TABLE cfimages_pending_deletions
    ADD COLUMN IF NOT EXISTS claimed_until timestamptz NULL,
    ADD COLUMN IF NOT EXISTS marks text NOT NULL DEFAULT '{}';
