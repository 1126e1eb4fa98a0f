-- Whose name it was. Failures count by names that are folded, which users may share, and one user's success must not make up for what
-- failed with the name of another.
--
-- SQLite adds a column once only, so the table is made anew, which can be done again. Its rows count for 15 minutes: they are not kept.
DROP TABLE cfimages_sign_in_failures;
CREATE TABLE cfimages_sign_in_failures (
    id integer NOT NULL PRIMARY KEY,
    username_digest text NOT NULL,
    address text NOT NULL,
    failed_at datetime NOT NULL,
    user_key text NULL
);
