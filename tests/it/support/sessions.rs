//! Sessions as Django makes them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::sql;

pub(crate) const SECRET_KEY: &str = "a-secret-key-of-the-tests";
/// The password hash that the sessions of alice are made for.
pub(crate) const PASSWORD_HASH: &str = "pbkdf2_sha256$1$a$b";
/// Made by Django 5.2: user 1, [`PASSWORD_HASH`], [`SECRET_KEY`].
pub(crate) const DJANGOS_DATA: &str = ".eJxVjMsOwiAQRf-FtSE8h8Gle7-BUAakaiAp7cr479qkC93ec859sRC3tYZt5CXMxM5MstPvNsX0yG0HdI_t1nnqbV3mie8KP-jg1075eTncv4MaR_3WxmtAnRxCJBAkoYAj4UzJmEmgMckK45S2paAmC-i9UBJlKhlUco69P76vNto:1xVr0G:UF-OG8i7hOttH57h8WmCw6taR5A3tVriRjXYe1EEHc0";

fn salted_hmac(salt: &str, value: &str, key: &str) -> Vec<u8> {
    let key = Sha256::digest(format!("{salt}{key}"));
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// What Django signs for a session.
pub(crate) fn sign(key: &str, data: &Value) -> String {
    let value = format!("{}:1xVr0G", URL_SAFE_NO_PAD.encode(data.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(salted_hmac("django.contrib.sessions.SessionStoresigner", &value, key));
    format!("{value}:{signature}")
}

/// What Django's sign-in leaves in the session of a user with [`PASSWORD_HASH`].
pub(crate) fn signed_in(key: &str, user: &Value) -> Value {
    let salt = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";
    let hash = salted_hmac(salt, PASSWORD_HASH, key);
    let hash = hash.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    json!({
        "_auth_user_id": user,
        "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
        "_auth_user_hash": hash,
        "cart": ["hat", 1.5, null],
    })
}

/// Stores a session until the year 2999.
pub(crate) async fn insert(url: &str, session_key: &str, data: &str) {
    insert_until(url, session_key, data, "2999-01-01 00:00:00").await;
}

/// Stores a session.
pub(crate) async fn insert_until(url: &str, session_key: &str, data: &str, expires: &str) {
    let zone = if url.starts_with("sqlite") { "" } else { "+00" };
    let row = format!(
        "INSERT INTO django_session (session_key, session_data, expire_date) \
         VALUES ('{session_key}', '{data}', '{expires}{zone}')"
    );
    sql::execute(url, &row).await;
}
