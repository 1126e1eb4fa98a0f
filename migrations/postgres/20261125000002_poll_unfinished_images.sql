-- Which images Cloudflare is asked about again, and when: those of whose upload no webhook has told for a while. A row goes once its
-- image is uploaded, failed or expired, or is gone.
--
-- There is no foreign key: Django empties its tables by TRUNCATE (`manage.py flush`), which PostgreSQL refuses where a table that is not
-- named refers to them.
CREATE TABLE IF NOT EXISTS cfimages_polls (
    image_id uuid NOT NULL,
    next_poll_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    claimed_until timestamptz,
    last_error text NOT NULL,
    CONSTRAINT cfimages_polls_pkey PRIMARY KEY (image_id)
);
CREATE INDEX IF NOT EXISTS cfimages_polls_next_poll_at_idx ON cfimages_polls (next_poll_at);
