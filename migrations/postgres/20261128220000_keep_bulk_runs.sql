-- What staff have done with many images in the background, so that it goes on after a restart. A run goes through the images of its
-- selection in the order of their age: `after_*` tells how far it has come, `in_hand` which images were taken from there and are not done
-- yet. Whoever works on it holds it until `claimed_until`, under the word in `claimed_by`. Action, selection and images are JSON; the key of
-- the user is text, as user models have keys of several types. Runs that ended a month ago are removed when another begins.
CREATE TABLE IF NOT EXISTS cfimages_bulk_runs (
    id bigint GENERATED ALWAYS AS IDENTITY,
    action text NOT NULL,
    selection text NOT NULL,
    user_key text NOT NULL,
    username text NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz NULL,
    state text NOT NULL,
    total bigint NULL,
    done bigint NOT NULL,
    unchanged bigint NOT NULL,
    failed bigint NOT NULL,
    after_created_at timestamptz NULL,
    after_id uuid NULL,
    in_hand text NOT NULL,
    attempts integer NOT NULL,
    last_error text NOT NULL,
    claimed_by text NOT NULL,
    claimed_until timestamptz NULL,
    CONSTRAINT cfimages_bulk_runs_pkey PRIMARY KEY (id)
);

-- The images of a run that could not be done, and why; of the first thousand of a run. There is no foreign key: either table can be put
-- back alone.
CREATE TABLE IF NOT EXISTS cfimages_bulk_failures (
    run_id bigint NOT NULL,
    image_id uuid NOT NULL,
    name text NOT NULL,
    message text NOT NULL,
    CONSTRAINT cfimages_bulk_failures_pkey PRIMARY KEY (run_id, image_id)
);
