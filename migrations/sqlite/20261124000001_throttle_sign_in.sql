-- Attempts to sign in that failed, shared by all instances. Old rows are removed with every attempt, and each costs the hash of a
-- password, so there are never more than some thousand: no index is worth its upkeep.
CREATE TABLE IF NOT EXISTS cfimages_sign_in_failures (
    id integer NOT NULL PRIMARY KEY,
    username_digest text NOT NULL,
    address text NOT NULL,
    failed_at datetime NOT NULL
);
