-- Counts that are exact after every commit, whoever wrote: lists and statistics must not grow with the number of images.
--
-- A count is the sum of its slots. A transaction adds to a slot that no other transaction holds, so that writers of one user's
-- images neither queue on a row nor deadlock. Triggers work on whole statements: one row a slot, however many images changed.

CREATE TABLE cfimages_image_counts (
    user_key text NOT NULL,
    status varchar(20) NOT NULL,
    require_signed_urls boolean NOT NULL,
    slot smallint NOT NULL,
    images bigint NOT NULL,
    bytes bigint NOT NULL,
    CONSTRAINT cfimages_image_counts_pkey PRIMARY KEY (user_key, status, require_signed_urls, slot)
) WITH (fillfactor = 50);

CREATE TABLE cfimages_used_images (
    image_id uuid NOT NULL,
    user_key text NOT NULL,
    usages bigint NOT NULL,
    CONSTRAINT cfimages_used_images_pkey PRIMARY KEY (image_id),
    CONSTRAINT cfimages_used_images_image_id_fkey
        FOREIGN KEY (image_id) REFERENCES cloudflare_images (id) ON DELETE CASCADE
);

CREATE TABLE cfimages_usage_counts (
    user_key text NOT NULL,
    slot smallint NOT NULL,
    usages bigint NOT NULL,
    used_images bigint NOT NULL,
    CONSTRAINT cfimages_usage_counts_pkey PRIMARY KEY (user_key, slot)
) WITH (fillfactor = 50);

-- A slot of this transaction's own, held until it ends. The first key of the lock is "cfim" in ASCII.
CREATE FUNCTION cfimages_claim_slot() RETURNS smallint LANGUAGE plpgsql AS $$
BEGIN
    FOR slot IN 0..63 LOOP
        IF pg_try_advisory_xact_lock(1667656045, slot) THEN
            RETURN slot;
        END IF;
    END LOOP;
    PERFORM pg_advisory_xact_lock(1667656045, pg_backend_pid() % 64);
    RETURN pg_backend_pid() % 64;
END
$$;

CREATE FUNCTION cfimages_count_added_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cfimages_image_counts AS counts (user_key, status, require_signed_urls, slot, images, bytes)
    SELECT coalesce(user_id::text, ''), status, require_signed_urls, cfimages_claim_slot(), count(*), coalesce(sum(file_size), 0)
    FROM added
    GROUP BY 1, 2, 3
    ON CONFLICT (user_key, status, require_signed_urls, slot)
    DO UPDATE SET images = counts.images + excluded.images, bytes = counts.bytes + excluded.bytes;
    RETURN NULL;
END
$$;

CREATE FUNCTION cfimages_count_removed_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cfimages_image_counts AS counts (user_key, status, require_signed_urls, slot, images, bytes)
    SELECT coalesce(user_id::text, ''), status, require_signed_urls, cfimages_claim_slot(), -count(*), -coalesce(sum(file_size), 0)
    FROM removed
    GROUP BY 1, 2, 3
    ON CONFLICT (user_key, status, require_signed_urls, slot)
    DO UPDATE SET images = counts.images + excluded.images, bytes = counts.bytes + excluded.bytes;
    RETURN NULL;
END
$$;

CREATE FUNCTION cfimages_count_changed_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cfimages_image_counts AS counts (user_key, status, require_signed_urls, slot, images, bytes)
    SELECT user_key, status, require_signed_urls, cfimages_claim_slot(), images, bytes
    FROM (
        SELECT coalesce(user_id::text, '') AS user_key, status, require_signed_urls, sum(n) AS images, sum(n * coalesce(file_size, 0)) AS bytes
        FROM (
            SELECT user_id, status, require_signed_urls, file_size::bigint, 1 AS n FROM added
            UNION ALL
            SELECT user_id, status, require_signed_urls, file_size::bigint, -1 FROM removed
        ) AS changes
        GROUP BY 1, 2, 3
        HAVING sum(n) <> 0 OR sum(n * coalesce(file_size, 0)) <> 0
    ) AS totals
    ON CONFLICT (user_key, status, require_signed_urls, slot)
    DO UPDATE SET images = counts.images + excluded.images, bytes = counts.bytes + excluded.bytes;

    UPDATE cfimages_used_images AS used
    SET user_key = coalesce(added.user_id::text, '')
    FROM added JOIN removed ON removed.id = added.id
    WHERE added.user_id IS DISTINCT FROM removed.user_id AND used.image_id = added.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER cfimages_count_added AFTER INSERT ON cloudflare_images
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION cfimages_count_added_images();
CREATE TRIGGER cfimages_count_removed AFTER DELETE ON cloudflare_images
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION cfimages_count_removed_images();
CREATE TRIGGER cfimages_count_changed AFTER UPDATE ON cloudflare_images
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION cfimages_count_changed_images();

-- Adds `delta` usages of images, given as two arrays of the same length, and forgets images that are used no more.
CREATE FUNCTION cfimages_add_usages(image_ids uuid[], deltas bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cfimages_used_images AS used (image_id, user_key, usages)
    SELECT images.id, coalesce(images.user_id::text, ''), changes.delta
    FROM unnest(image_ids, deltas) AS changes (image_id, delta)
    JOIN cloudflare_images AS images ON images.id = changes.image_id
    WHERE changes.delta <> 0
    ORDER BY images.id
    ON CONFLICT (image_id) DO UPDATE SET usages = used.usages + excluded.usages;

    DELETE FROM cfimages_used_images WHERE image_id = ANY (image_ids) AND usages <= 0;
END
$$;

CREATE FUNCTION cfimages_count_added_usages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cfimages_add_usages(array_agg(image_id), array_agg(delta))
    FROM (SELECT image_id, count(*) AS delta FROM added WHERE image_id IS NOT NULL GROUP BY image_id) AS changes
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE FUNCTION cfimages_count_removed_usages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cfimages_add_usages(array_agg(image_id), array_agg(delta))
    FROM (SELECT image_id, -count(*) AS delta FROM removed WHERE image_id IS NOT NULL GROUP BY image_id) AS changes
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE FUNCTION cfimages_count_changed_usages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cfimages_add_usages(array_agg(image_id), array_agg(delta))
    FROM (
        SELECT image_id, sum(n)::bigint AS delta
        FROM (SELECT image_id, 1 AS n FROM added UNION ALL SELECT image_id, -1 FROM removed) AS both_sides
        WHERE image_id IS NOT NULL
        GROUP BY image_id
        HAVING sum(n) <> 0
    ) AS changes
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE TRIGGER cfimages_count_added AFTER INSERT ON cloudflare_image_usages
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION cfimages_count_added_usages();
CREATE TRIGGER cfimages_count_removed AFTER DELETE ON cloudflare_image_usages
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION cfimages_count_removed_usages();
CREATE TRIGGER cfimages_count_changed AFTER UPDATE ON cloudflare_image_usages
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION cfimages_count_changed_usages();

CREATE FUNCTION cfimages_total_added_usages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cfimages_usage_counts AS counts (user_key, slot, usages, used_images)
    SELECT user_key, cfimages_claim_slot(), sum(usages), count(*) FROM added GROUP BY user_key
    ON CONFLICT (user_key, slot)
    DO UPDATE SET usages = counts.usages + excluded.usages, used_images = counts.used_images + excluded.used_images;
    RETURN NULL;
END
$$;

CREATE FUNCTION cfimages_total_removed_usages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cfimages_usage_counts AS counts (user_key, slot, usages, used_images)
    SELECT user_key, cfimages_claim_slot(), -sum(usages), -count(*) FROM removed GROUP BY user_key
    ON CONFLICT (user_key, slot)
    DO UPDATE SET usages = counts.usages + excluded.usages, used_images = counts.used_images + excluded.used_images;
    RETURN NULL;
END
$$;

CREATE FUNCTION cfimages_total_changed_usages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cfimages_usage_counts AS counts (user_key, slot, usages, used_images)
    SELECT user_key, cfimages_claim_slot(), usages, used_images
    FROM (
        SELECT user_key, sum(n * usages) AS usages, sum(n) AS used_images
        FROM (SELECT user_key, usages, 1 AS n FROM added UNION ALL SELECT user_key, usages, -1 FROM removed) AS both_sides
        GROUP BY user_key
        HAVING sum(n * usages) <> 0 OR sum(n) <> 0
    ) AS totals
    ON CONFLICT (user_key, slot)
    DO UPDATE SET usages = counts.usages + excluded.usages, used_images = counts.used_images + excluded.used_images;
    RETURN NULL;
END
$$;

CREATE TRIGGER cfimages_total_added AFTER INSERT ON cfimages_used_images
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION cfimages_total_added_usages();
CREATE TRIGGER cfimages_total_removed AFTER DELETE ON cfimages_used_images
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION cfimages_total_removed_usages();
CREATE TRIGGER cfimages_total_changed AFTER UPDATE ON cfimages_used_images
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION cfimages_total_changed_usages();

-- What is there already. Creating the triggers has locked the tables against writers until this migration commits.
INSERT INTO cfimages_image_counts (user_key, status, require_signed_urls, slot, images, bytes)
SELECT coalesce(user_id::text, ''), status, require_signed_urls, 0, count(*), coalesce(sum(file_size), 0)
FROM cloudflare_images
GROUP BY 1, 2, 3;

INSERT INTO cfimages_used_images (image_id, user_key, usages)
SELECT images.id, coalesce(images.user_id::text, ''), count(*)
FROM cloudflare_image_usages AS usages
JOIN cloudflare_images AS images ON images.id = usages.image_id
GROUP BY images.id;
