-- Which images Cloudflare is asked about again, and when: those of whose upload no webhook has told for a while. A row goes once its
-- image is uploaded, failed or expired, or is gone.
CREATE TABLE IF NOT EXISTS cfimages_polls (
    image_id char(32) NOT NULL PRIMARY KEY,
    next_poll_at datetime NOT NULL,
    attempts integer NOT NULL,
    claimed_until datetime,
    last_error text NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cfimages_polls_next_poll_at_idx ON cfimages_polls (next_poll_at);
