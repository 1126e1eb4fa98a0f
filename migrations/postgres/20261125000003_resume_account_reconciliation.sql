-- How far `cfimages reconcile-account` has come, so that a run that was cut off goes on. One run at a time, hence one row.
CREATE TABLE IF NOT EXISTS cfimages_account_runs (
    id integer NOT NULL,
    account_id text NOT NULL,
    options text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NULL,
    continuation_token text NULL,
    is_listed boolean NOT NULL,
    checked_from uuid NOT NULL,
    figures text NOT NULL,
    claimed_by text NOT NULL,
    claimed_until timestamptz NOT NULL,
    CONSTRAINT cfimages_account_runs_pkey PRIMARY KEY (id),
    CONSTRAINT cfimages_account_runs_one_check CHECK (id = 1)
);

-- The images that the run has seen in Cloudflare's list; empty between runs.
CREATE TABLE IF NOT EXISTS cfimages_account_seen (
    cloudflare_id text NOT NULL,
    CONSTRAINT cfimages_account_seen_pkey PRIMARY KEY (cloudflare_id)
);
