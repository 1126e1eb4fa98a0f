-- How far `cfimages reconcile-account` has come, so that a run that was cut off goes on. One run at a time, hence one row.
CREATE TABLE IF NOT EXISTS cfimages_account_runs (
    id integer NOT NULL PRIMARY KEY CHECK (id = 1),
    account_id text NOT NULL,
    options text NOT NULL,
    started_at datetime NOT NULL,
    finished_at datetime NULL,
    continuation_token text NULL,
    is_listed bool NOT NULL,
    checked_from char(32) NOT NULL,
    figures text NOT NULL,
    claimed_by text NOT NULL,
    claimed_until datetime NOT NULL
);

-- The images that the run has seen in Cloudflare's list; empty between runs.
CREATE TABLE IF NOT EXISTS cfimages_account_seen (
    cloudflare_id text NOT NULL PRIMARY KEY
) WITHOUT ROWID;
