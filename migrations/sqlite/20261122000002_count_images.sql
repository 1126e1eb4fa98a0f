-- Counts of images that are exact after every commit, whoever wrote: lists and statistics must not grow with the number of images.
--
-- SQLite has one writer at a time, so one slot is enough; the column is there because the statements are the same on PostgreSQL.
-- Triggers are on cloudflare_images alone: Django rebuilds tables by dropping and renaming them, which fails while a trigger of
-- another table names them.
--
-- The script may run again: it puts back what somebody removed, and counts anew.

CREATE TABLE IF NOT EXISTS cfimages_image_counts (
    user_key text NOT NULL,
    status varchar(20) NOT NULL,
    require_signed_urls bool NOT NULL,
    slot integer NOT NULL,
    images integer NOT NULL,
    bytes integer NOT NULL,
    PRIMARY KEY (user_key, status, require_signed_urls, slot)
) WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS cfimages_count_added AFTER INSERT ON cloudflare_images
BEGIN
    INSERT INTO cfimages_image_counts (user_key, status, require_signed_urls, slot, images, bytes)
    VALUES (coalesce(CAST(NEW.user_id AS text), ''), NEW.status, NEW.require_signed_urls, 0, 1, coalesce(NEW.file_size, 0))
    ON CONFLICT (user_key, status, require_signed_urls, slot)
    DO UPDATE SET images = images + excluded.images, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER IF NOT EXISTS cfimages_count_removed AFTER DELETE ON cloudflare_images
BEGIN
    INSERT INTO cfimages_image_counts (user_key, status, require_signed_urls, slot, images, bytes)
    VALUES (coalesce(CAST(OLD.user_id AS text), ''), OLD.status, OLD.require_signed_urls, 0, -1, -coalesce(OLD.file_size, 0))
    ON CONFLICT (user_key, status, require_signed_urls, slot)
    DO UPDATE SET images = images + excluded.images, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER IF NOT EXISTS cfimages_count_changed
AFTER UPDATE OF user_id, status, require_signed_urls, file_size ON cloudflare_images
WHEN OLD.user_id IS NOT NEW.user_id OR OLD.status <> NEW.status OR OLD.require_signed_urls <> NEW.require_signed_urls
    OR OLD.file_size IS NOT NEW.file_size
BEGIN
    INSERT INTO cfimages_image_counts (user_key, status, require_signed_urls, slot, images, bytes)
    VALUES (coalesce(CAST(OLD.user_id AS text), ''), OLD.status, OLD.require_signed_urls, 0, -1, -coalesce(OLD.file_size, 0))
    ON CONFLICT (user_key, status, require_signed_urls, slot)
    DO UPDATE SET images = images + excluded.images, bytes = bytes + excluded.bytes;

    INSERT INTO cfimages_image_counts (user_key, status, require_signed_urls, slot, images, bytes)
    VALUES (coalesce(CAST(NEW.user_id AS text), ''), NEW.status, NEW.require_signed_urls, 0, 1, coalesce(NEW.file_size, 0))
    ON CONFLICT (user_key, status, require_signed_urls, slot)
    DO UPDATE SET images = images + excluded.images, bytes = bytes + excluded.bytes;
END;

-- What is there already.
DELETE FROM cfimages_image_counts;
INSERT INTO cfimages_image_counts (user_key, status, require_signed_urls, slot, images, bytes)
SELECT coalesce(CAST(user_id AS text), ''), status, require_signed_urls, 0, count(*), coalesce(sum(file_size), 0)
FROM cloudflare_images
GROUP BY 1, 2, 3;
