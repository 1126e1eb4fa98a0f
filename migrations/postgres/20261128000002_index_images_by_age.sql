-- The order of the admin's list of all images, newest first or oldest first, with the id to break ties.
CREATE INDEX IF NOT EXISTS cfimages_images_created_idx ON cloudflare_images (created_at DESC, id DESC);
