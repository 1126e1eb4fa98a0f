//! The keys that delivery URLs of private images are signed with.

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::from_result;
use super::transport::{Account, segment_of};
use super::{Client, Error, Operation};

const KEYS: &str = "images/v1/keys";

/// A key that delivery URLs are signed with.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// What the account calls it.
    pub name: String,
    /// The key itself: its text counts, not what it may be the Base64 form of.
    pub value: SecretString,
}

impl Client {
    /// The keys of the account that delivery URLs of private images are signed with; each is as good as the others.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_signing_keys(&self) -> Result<Vec<SigningKey>, Error> {
        keys_in(&self.transport.call(Operation::ListSigningKeys, |account| account.get(KEYS)).await?)
    }

    /// Makes a key. Its name is 1 to 20 ASCII letters and digits. Cloudflare does not say what becomes of a key that has the name.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_signing_key(&self, name: &str) -> Result<SigningKey, Error> {
        let path = path(name)?;
        let request = |account: &Account| account.request(Method::PUT, &path);
        let keys = keys_in(&self.transport.call(Operation::CreateSigningKey, request).await?)?;
        keys.into_iter().find(|key| key.name == name).ok_or(Error::Malformed("it lacks the new signing key"))
    }

    /// Deletes a key, and with it every URL that was signed with it. One that is not there counts as deleted. After the last key
    /// Cloudflare makes a new one, `default`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_signing_key(&self, name: &str) -> Result<(), Error> {
        self.delete(Operation::DeleteSigningKey, &path(name)?).await
    }
}

fn path(name: &str) -> Result<String, Error> {
    Ok(format!("{KEYS}/{}", segment_of(name)?))
}

fn keys_in(result: &RawValue) -> Result<Vec<SigningKey>, Error> {
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<Key>,
    }
    #[derive(Deserialize)]
    struct Key {
        name: String,
        value: String,
    }
    let answer: Keys = from_result(result, "it has no list of signing keys")?;
    // What an empty key signs anybody can sign.
    let keys = answer.keys.into_iter().filter(|key| !key.value.is_empty());
    Ok(keys.map(|key| SigningKey { name: key.name, value: key.value.into() }).collect())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn signing_keys_are_read_and_not_shown() {
        let list = |json: &str| keys_in(serde_json::from_str(json).unwrap());
        let json = r#"{"keys":[{"name":"a","value":""},{"name":"default","value":"b25l=","id":1},{"name":"b","value":"two"}]}"#;
        let keys = list(json).unwrap();
        let values: Vec<_> = keys.iter().map(|key| (key.name.as_str(), key.value.expose_secret())).collect();
        assert_eq!(values, [("default", "b25l="), ("b", "two")]);
        assert!(!format!("{keys:?}").contains("b25l"));
        for json in ["{}", "[]", r#"{"keys":[{"name":"default"}]}"#, r#"{"keys":{"default":"x"}}"#] {
            assert!(matches!(list(json), Err(Error::Malformed(_))), "{json}");
        }
    }
}
