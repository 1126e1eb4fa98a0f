-- What came to the webhook and what became of it. A digest of an image and of what was recorded of it stands for one delivery: who
-- delivers the same again finds it taken, also at the same moment on another connection. Old rows are removed from time to time;
-- those of deliveries that changed nothing are few and have no digest.
CREATE TABLE IF NOT EXISTS cfimages_webhook_deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL,
    form text NOT NULL,
    proof text NOT NULL,
    outcome text NOT NULL,
    status integer NOT NULL,
    reason text NOT NULL,
    cloudflare_id text,
    client text,
    body text NOT NULL,
    digest bytea,
    CONSTRAINT cfimages_webhook_deliveries_digest_key UNIQUE (digest)
);
