-- Who is signed in to the admin site. Of the token in the browser's cookie only the SHA-256 is kept, so that whoever reads the table
-- cannot sign in with it; that of the password's hash ends the session with the password. The key of the user is text, as user models
-- have keys of several types. Rows that have ended are removed whenever somebody signs in.
CREATE TABLE IF NOT EXISTS cfimages_admin_sessions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    token_digest bytea NOT NULL,
    user_key text NOT NULL,
    password_digest bytea NOT NULL,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    client text,
    user_agent text NOT NULL,
    CONSTRAINT cfimages_admin_sessions_pkey PRIMARY KEY (id),
    CONSTRAINT cfimages_admin_sessions_token_digest_key UNIQUE (token_digest)
);
