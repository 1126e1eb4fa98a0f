-- What is left at Cloudflare after a failure on our side, and has to be deleted there: `cfimages cleanup-expired` does so.
CREATE TABLE IF NOT EXISTS cfimages_pending_deletions (
    cloudflare_id text NOT NULL PRIMARY KEY,
    reason text NOT NULL,
    created_at datetime NOT NULL,
    attempts integer NOT NULL,
    last_error text NOT NULL,
    next_attempt_at datetime NOT NULL
) WITHOUT ROWID;
