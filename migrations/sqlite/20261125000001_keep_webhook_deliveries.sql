-- What came to the webhook and what became of it. The key of a delivery that changed an image is a digest of both: who delivers the
-- same again finds it taken, also at the same moment on another connection. Others have random keys. Old rows are removed from time
-- to time, so there are never so many that listing them needs an index, whose upkeep every webhook would pay for.
CREATE TABLE IF NOT EXISTS cfimages_webhook_deliveries (
    digest blob NOT NULL PRIMARY KEY,
    received_at datetime NOT NULL,
    form text NOT NULL,
    proof text NOT NULL,
    outcome text NOT NULL,
    status integer NOT NULL,
    reason text NOT NULL,
    cloudflare_id text,
    client text,
    body text NOT NULL
);
