-- The order of every list: the images of a user, newest first, with the id to break ties.
CREATE INDEX IF NOT EXISTS cfimages_images_owner_idx ON cloudflare_images (user_id, created_at DESC, id DESC);
