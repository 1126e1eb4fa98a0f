//! The key that URLs of private pictures are signed with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use secrecy::SecretString;
use tokio::sync::Mutex;
use tracing::info;

use crate::cloudflare::{Client, Error};

/// The configured key, else one of the account's, which Cloudflare is asked for once.
#[derive(Debug)]
pub(super) struct SigningKeys {
    key: OnceLock<SecretString>,
    /// How often asking failed.
    failures: AtomicU64,
    /// Why asking failed the last time. Locked while Cloudflare is asked.
    last_failure: Mutex<Option<Arc<Error>>>,
}

impl SigningKeys {
    pub(super) fn new(configured: Option<SecretString>) -> Self {
        let key = configured.map_or_else(OnceLock::new, OnceLock::from);
        Self { key, failures: AtomicU64::new(0), last_failure: Mutex::new(None) }
    }

    /// The key. Whoever needs it while Cloudflare is being asked waits for the same answer, be it a failure; whoever comes later
    /// asks again after a failure.
    pub(super) async fn get(&self, client: &Client) -> Result<&SecretString, Arc<Error>> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let failures = self.failures.load(Ordering::Acquire);
        let mut last_failure = self.last_failure.lock().await;
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let has_failed_meanwhile = self.failures.load(Ordering::Acquire) != failures;
        if let Some(error) = last_failure.as_ref().filter(|_| has_failed_meanwhile) {
            return Err(Arc::clone(error));
        }
        match fetch(client).await {
            Ok(key) => Ok(self.key.get_or_init(|| key)),
            Err(error) => {
                let error = Arc::new(error);
                *last_failure = Some(Arc::clone(&error));
                self.failures.fetch_add(1, Ordering::Release);
                Err(error)
            }
        }
    }
}

async fn fetch(client: &Client) -> Result<SecretString, Error> {
    let keys = client.list_signing_keys().await?;
    let key = keys.into_iter().next().ok_or(Error::Malformed("it has no signing key"))?;
    info!(key.name = ?key.name, "Got the signing key {:?} from Cloudflare", key.name);
    Ok(key.value)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;
    use wiremock::matchers::{header, method, path};
    use wiremock::{Mock, MockGuard, MockServer, ResponseTemplate};

    use super::*;
    use crate::cloudflare::ClientSettings;

    fn client(base_url: String) -> Client {
        let api_token = "the-token".to_owned().into();
        Client::new(&ClientSettings { base_url, account_id: "acct".to_owned(), api_token }).unwrap()
    }

    async fn answer_once_with(server: &MockServer, answer: ResponseTemplate) -> MockGuard {
        Mock::given(method("GET"))
            .and(path("/accounts/acct/images/v1/keys"))
            .and(header("Authorization", "Bearer the-token"))
            .respond_with(answer)
            .expect(1)
            .mount_as_scoped(server)
            .await
    }

    fn keys() -> ResponseTemplate {
        let keys = json!([{"name": "empty", "value": ""}, {"name": "default", "value": "the-key"}]);
        ResponseTemplate::new(200).set_body_json(json!({"success": true, "result": {"keys": keys}}))
    }

    fn exposed(key: Result<&SecretString, Arc<Error>>) -> Result<&str, String> {
        key.map(ExposeSecret::expose_secret).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn those_who_wait_share_an_answer_and_a_failure_is_not_kept() {
        let server = MockServer::start().await;
        let (client, signing_keys) = (client(server.uri()), SigningKeys::new(None));
        let get = async || exposed(signing_keys.get(&client).await);

        let failing = answer_once_with(&server, ResponseTemplate::new(403)).await;
        let refused = Err("403 Client Error: Forbidden".to_owned());
        assert_eq!(tokio::join!(get(), get(), get()), (refused.clone(), refused.clone(), refused));
        drop(failing);

        let _working = answer_once_with(&server, keys()).await;
        assert_eq!(tokio::join!(get(), get(), get()), (Ok("the-key"), Ok("the-key"), Ok("the-key")));
        assert_eq!(get().await, Ok("the-key"));
        assert!(!format!("{signing_keys:?}").contains("the-key"));
    }

    #[tokio::test]
    async fn cloudflare_is_not_asked_where_a_key_is_configured() {
        let nobody = client("http://127.0.0.1:1".to_owned());
        let signing_keys = SigningKeys::new(Some("own".to_owned().into()));
        assert_eq!(exposed(signing_keys.get(&nobody).await), Ok("own"));
    }
}
