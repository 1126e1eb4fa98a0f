-- Counts of images that are exact after every commit, whoever wrote: lists and statistics must not grow with the number of images.
--
-- A count is the sum of its slots. A transaction adds to a slot that no other transaction holds, so that writers of one user's
-- images never wait for one another. Triggers work on whole statements: one row a status, however many images changed.
--
-- The script may run again: it puts back what somebody removed, and counts anew.

CREATE TABLE IF NOT EXISTS cfimages_image_counts (
    user_key text NOT NULL,
    status varchar(20) NOT NULL,
    require_signed_urls boolean NOT NULL,
    slot bigint NOT NULL,
    images bigint NOT NULL,
    bytes bigint NOT NULL,
    CONSTRAINT cfimages_image_counts_pkey PRIMARY KEY (user_key, status, require_signed_urls, slot)
) WITH (fillfactor = 50);

-- The first 64 slots are shared; beyond them each is used once.
CREATE SEQUENCE IF NOT EXISTS cfimages_slots MINVALUE 64;

-- A slot of this transaction's own. It never waits: where all shared slots are held, or where the isolation level would make the
-- update of a shared one fail, it takes a new one. The first key of the lock is "cfim" in ASCII.
CREATE OR REPLACE FUNCTION cfimages_claim_slot() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') IN ('read committed', 'read uncommitted') THEN
        FOR slot IN 0..63 LOOP
            IF pg_try_advisory_xact_lock(1667656045, slot) THEN
                RETURN slot;
            END IF;
        END LOOP;
    END IF;
    RETURN nextval('cfimages_slots');
END
$$;

CREATE OR REPLACE FUNCTION cfimages_count_added_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cfimages_image_counts AS counts (user_key, status, require_signed_urls, slot, images, bytes)
    SELECT user_key, status, require_signed_urls, cfimages_claim_slot(), images, bytes
    FROM (
        SELECT coalesce(user_id::text, '') AS user_key, status, require_signed_urls,
            count(*) AS images, coalesce(sum(file_size), 0) AS bytes
        FROM added
        GROUP BY 1, 2, 3
    ) AS totals
    ON CONFLICT (user_key, status, require_signed_urls, slot)
    DO UPDATE SET images = counts.images + excluded.images, bytes = counts.bytes + excluded.bytes;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION cfimages_count_removed_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cfimages_image_counts AS counts (user_key, status, require_signed_urls, slot, images, bytes)
    SELECT user_key, status, require_signed_urls, cfimages_claim_slot(), images, bytes
    FROM (
        SELECT coalesce(user_id::text, '') AS user_key, status, require_signed_urls,
            -count(*) AS images, -coalesce(sum(file_size), 0) AS bytes
        FROM removed
        GROUP BY 1, 2, 3
    ) AS totals
    ON CONFLICT (user_key, status, require_signed_urls, slot)
    DO UPDATE SET images = counts.images + excluded.images, bytes = counts.bytes + excluded.bytes;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION cfimages_count_changed_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cfimages_image_counts AS counts (user_key, status, require_signed_urls, slot, images, bytes)
    SELECT user_key, status, require_signed_urls, cfimages_claim_slot(), images, bytes
    FROM (
        SELECT coalesce(user_id::text, '') AS user_key, status, require_signed_urls,
            sum(n) AS images, sum(n * coalesce(file_size, 0)) AS bytes
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
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION cfimages_count_no_images() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM cfimages_image_counts;
    RETURN NULL;
END
$$;

-- Whoever may write images may make us count them: with our rights, and in our schema whatever theirs is.
DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace
            AND proname IN (
                'cfimages_claim_slot', 'cfimages_count_added_images', 'cfimages_count_removed_images',
                'cfimages_count_changed_images', 'cfimages_count_no_images'
            )
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END
$$;

DROP TRIGGER IF EXISTS cfimages_count_added ON cloudflare_images;
CREATE TRIGGER cfimages_count_added AFTER INSERT ON cloudflare_images
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION cfimages_count_added_images();
DROP TRIGGER IF EXISTS cfimages_count_removed ON cloudflare_images;
CREATE TRIGGER cfimages_count_removed AFTER DELETE ON cloudflare_images
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION cfimages_count_removed_images();
DROP TRIGGER IF EXISTS cfimages_count_changed ON cloudflare_images;
CREATE TRIGGER cfimages_count_changed AFTER UPDATE ON cloudflare_images
    REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION cfimages_count_changed_images();
DROP TRIGGER IF EXISTS cfimages_count_none ON cloudflare_images;
CREATE TRIGGER cfimages_count_none AFTER TRUNCATE ON cloudflare_images
    FOR EACH STATEMENT EXECUTE FUNCTION cfimages_count_no_images();

-- What is there already. Making the triggers has locked the table against writers until this script commits.
DELETE FROM cfimages_image_counts;
INSERT INTO cfimages_image_counts (user_key, status, require_signed_urls, slot, images, bytes)
SELECT coalesce(user_id::text, ''), status, require_signed_urls, 0, count(*), coalesce(sum(file_size), 0)
FROM cloudflare_images
GROUP BY 1, 2, 3;
