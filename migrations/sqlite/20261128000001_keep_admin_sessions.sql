-- Who is signed in to the admin site. Of the token in the browser's cookie only the SHA-256 is kept, so that whoever reads the table
-- cannot sign in with it; that of the password's hash ends the session with the password. The key of the user is text, as user models
-- have keys of several types. Rows that have ended are removed whenever somebody signs in.
CREATE TABLE IF NOT EXISTS cfimages_admin_sessions (
    id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    token_digest blob NOT NULL UNIQUE,
    user_key text NOT NULL,
    password_digest blob NOT NULL,
    created_at datetime NOT NULL,
    last_seen_at datetime NOT NULL,
    expires_at datetime NOT NULL,
    client text,
    user_agent text NOT NULL
);
