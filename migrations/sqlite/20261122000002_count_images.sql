-- Counts that are exact after every commit, whoever wrote: lists and statistics must not grow with the number of images.
--
-- SQLite has one writer at a time, so one slot is enough; the column is there because the statements are the same on PostgreSQL.

CREATE TABLE cfimages_image_counts (
    user_key text NOT NULL,
    status varchar(20) NOT NULL,
    require_signed_urls bool NOT NULL,
    slot integer NOT NULL,
    images integer NOT NULL,
    bytes integer NOT NULL,
    PRIMARY KEY (user_key, status, require_signed_urls, slot)
) WITHOUT ROWID;

CREATE TABLE cfimages_used_images (
    image_id char(32) NOT NULL PRIMARY KEY REFERENCES cloudflare_images (id) ON DELETE CASCADE,
    user_key text NOT NULL,
    usages integer NOT NULL
) WITHOUT ROWID;

CREATE TABLE cfimages_usage_counts (
    user_key text NOT NULL,
    slot integer NOT NULL,
    usages integer NOT NULL,
    used_images integer NOT NULL,
    PRIMARY KEY (user_key, slot)
) WITHOUT ROWID;

CREATE TRIGGER cfimages_count_added_images AFTER INSERT ON cloudflare_images
BEGIN
    INSERT INTO cfimages_image_counts (user_key, status, require_signed_urls, slot, images, bytes)
    VALUES (coalesce(CAST(NEW.user_id AS text), ''), NEW.status, NEW.require_signed_urls, 0, 1, coalesce(NEW.file_size, 0))
    ON CONFLICT (user_key, status, require_signed_urls, slot)
    DO UPDATE SET images = images + excluded.images, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER cfimages_count_removed_images AFTER DELETE ON cloudflare_images
BEGIN
    INSERT INTO cfimages_image_counts (user_key, status, require_signed_urls, slot, images, bytes)
    VALUES (coalesce(CAST(OLD.user_id AS text), ''), OLD.status, OLD.require_signed_urls, 0, -1, -coalesce(OLD.file_size, 0))
    ON CONFLICT (user_key, status, require_signed_urls, slot)
    DO UPDATE SET images = images + excluded.images, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER cfimages_count_changed_images AFTER UPDATE OF user_id, status, require_signed_urls, file_size ON cloudflare_images
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

    UPDATE cfimages_used_images SET user_key = coalesce(CAST(NEW.user_id AS text), '')
    WHERE image_id = NEW.id AND OLD.user_id IS NOT NEW.user_id;
END;

CREATE TRIGGER cfimages_count_added_usages AFTER INSERT ON cloudflare_image_usages
WHEN NEW.image_id IS NOT NULL
BEGIN
    INSERT INTO cfimages_used_images (image_id, user_key, usages)
    SELECT id, coalesce(CAST(user_id AS text), ''), 1 FROM cloudflare_images WHERE id = NEW.image_id
    ON CONFLICT (image_id) DO UPDATE SET usages = usages + 1;
END;

CREATE TRIGGER cfimages_count_removed_usages AFTER DELETE ON cloudflare_image_usages
WHEN OLD.image_id IS NOT NULL
BEGIN
    UPDATE cfimages_used_images SET usages = usages - 1 WHERE image_id = OLD.image_id;
    DELETE FROM cfimages_used_images WHERE image_id = OLD.image_id AND usages <= 0;
END;

CREATE TRIGGER cfimages_count_changed_usages AFTER UPDATE OF image_id ON cloudflare_image_usages
WHEN OLD.image_id IS NOT NEW.image_id
BEGIN
    UPDATE cfimages_used_images SET usages = usages - 1 WHERE image_id = OLD.image_id;
    DELETE FROM cfimages_used_images WHERE image_id = OLD.image_id AND usages <= 0;
    INSERT INTO cfimages_used_images (image_id, user_key, usages)
    SELECT id, coalesce(CAST(user_id AS text), ''), 1 FROM cloudflare_images WHERE id = NEW.image_id
    ON CONFLICT (image_id) DO UPDATE SET usages = usages + 1;
END;

CREATE TRIGGER cfimages_total_added_usages AFTER INSERT ON cfimages_used_images
BEGIN
    INSERT INTO cfimages_usage_counts (user_key, slot, usages, used_images) VALUES (NEW.user_key, 0, NEW.usages, 1)
    ON CONFLICT (user_key, slot) DO UPDATE SET usages = usages + excluded.usages, used_images = used_images + 1;
END;

CREATE TRIGGER cfimages_total_removed_usages AFTER DELETE ON cfimages_used_images
BEGIN
    UPDATE cfimages_usage_counts SET usages = usages - OLD.usages, used_images = used_images - 1
    WHERE user_key = OLD.user_key AND slot = 0;
END;

CREATE TRIGGER cfimages_total_changed_usages AFTER UPDATE ON cfimages_used_images
BEGIN
    UPDATE cfimages_usage_counts SET usages = usages - OLD.usages, used_images = used_images - 1
    WHERE user_key = OLD.user_key AND slot = 0;
    INSERT INTO cfimages_usage_counts (user_key, slot, usages, used_images) VALUES (NEW.user_key, 0, NEW.usages, 1)
    ON CONFLICT (user_key, slot) DO UPDATE SET usages = usages + excluded.usages, used_images = used_images + 1;
END;

-- What is there already.
INSERT INTO cfimages_image_counts (user_key, status, require_signed_urls, slot, images, bytes)
SELECT coalesce(CAST(user_id AS text), ''), status, require_signed_urls, 0, count(*), coalesce(sum(file_size), 0)
FROM cloudflare_images
GROUP BY 1, 2, 3;

INSERT INTO cfimages_used_images (image_id, user_key, usages)
SELECT images.id, coalesce(CAST(images.user_id AS text), ''), count(*)
FROM cloudflare_image_usages AS usages
JOIN cloudflare_images AS images ON images.id = usages.image_id
GROUP BY images.id;
