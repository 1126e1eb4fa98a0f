-- What is left at Cloudflare after a failure on our side, and has to be deleted there: `cfimages cleanup-expired` does so.
CREATE TABLE IF NOT EXISTS cfimages_pending_deletions (
    cloudflare_id text NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    last_error text NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    CONSTRAINT cfimages_pending_deletions_pkey PRIMARY KEY (cloudflare_id)
);
