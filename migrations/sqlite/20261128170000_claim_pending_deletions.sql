-- Whose turn a deletion is, apart from when it is tried next, and what the image is known by where its id does not tell enough.
--
-- SQLite adds a column once only, so the table is made anew, which can be done again: in the subselects, `claimed_until` and `marks` are
-- the columns of the table where it has them, and else those of `known`.
CREATE TABLE cfimages_pending_deletions_anew (
    cloudflare_id text NOT NULL PRIMARY KEY,
    reason text NOT NULL,
    created_at datetime NOT NULL,
    attempts integer NOT NULL,
    last_error text NOT NULL,
    next_attempt_at datetime NOT NULL,
    claimed_until datetime,
    marks text NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
INSERT INTO cfimages_pending_deletions_anew
SELECT cloudflare_id, reason, created_at, attempts, last_error, next_attempt_at,
    (SELECT claimed_until FROM cfimages_pending_deletions AS kept WHERE kept.cloudflare_id = known.cloudflare_id),
    (SELECT marks FROM cfimages_pending_deletions AS kept WHERE kept.cloudflare_id = known.cloudflare_id)
FROM (
    SELECT cloudflare_id, reason, created_at, attempts, last_error, next_attempt_at, NULL AS claimed_until, '{}' AS marks
    FROM cfimages_pending_deletions
) AS known;
DROP TABLE cfimages_pending_deletions;
ALTER TABLE cfimages_pending_deletions_anew RENAME TO cfimages_pending_deletions;
