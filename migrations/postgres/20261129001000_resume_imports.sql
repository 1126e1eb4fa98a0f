-- Whose turn an import is. One at a time, hence one row.
CREATE TABLE IF NOT EXISTS cfimages_import_runs (
    id integer NOT NULL,
    claimed_by text NOT NULL,
    claimed_until timestamptz NOT NULL,
    CONSTRAINT cfimages_import_runs_pkey PRIMARY KEY (id),
    CONSTRAINT cfimages_import_runs_one_check CHECK (id = 1)
);

-- The pictures that `cfimages import` has seen to, by the SHA-256 of where each comes from, so that none is uploaded twice. Without an
-- image, its upload was begun, and nothing is known of it: it is certain from `certain_at` on, and the image is known by `mark`, in its
-- metadata, and by `marks`, as those of `cfimages_pending_deletions`. There is no foreign key: that an image was deleted does not mean that
-- it is to be imported again.
CREATE TABLE IF NOT EXISTS cfimages_import_items (
    item text NOT NULL,
    mark text NOT NULL,
    marks text NOT NULL,
    begun_at timestamptz NOT NULL,
    certain_at timestamptz NOT NULL,
    image_id uuid NULL,
    CONSTRAINT cfimages_import_items_pkey PRIMARY KEY (item)
);
