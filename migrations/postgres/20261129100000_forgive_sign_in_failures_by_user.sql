-- Whose name it was. Failures count by names that are folded, which users may share, and one user's success must not make up for what
-- failed with the name of another.
ALTER TABLE cfimages_sign_in_failures ADD COLUMN IF NOT EXISTS user_key text NULL;
