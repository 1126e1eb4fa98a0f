//! Requests on behalf of an account, and the envelopes that the answers come in.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::model::errors_in;
use super::{ClientSettings, ClientSetupError, Error, Operation};

/// How long to try to reach Cloudflare.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take in all; the toolkit's limit. Uploads get the time for their bytes beside it.
pub(super) const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// What may stand in a path segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What every call goes through. Cheap to clone; all clones share the connections.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    account: Account,
}

/// Makes requests below the address of the account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    http: reqwest::Client,
    /// Without a slash at the end.
    url: String,
}

impl Account {
    /// A request for `path`, which begins without a slash and whose segments are encoded, see [`segment`].
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/{path}", self.url))
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }
}

impl Transport {
    pub(super) fn new(settings: &ClientSettings) -> Result<Self, ClientSetupError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", settings.api_token.expose_secret()))
            .map_err(|_| ClientSetupError::Token)?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let mut builder = reqwest::Client::builder();
        if is_loopback(&settings.base_url) {
            // A proxy of the environment would look for its own loopback.
            builder = builder.no_proxy();
        }
        let http = builder
            .user_agent(concat!("cfimages/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            // A redirect would carry the token elsewhere, and turn a DELETE into a GET.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let url = format!("{}/accounts/{}", settings.base_url.trim_end_matches('/'), segment(&settings.account_id));
        Ok(Self { account: Account { http, url } })
    }

    /// Whether the API is on this machine: an emulator.
    pub(super) fn is_local(&self) -> bool {
        is_loopback(&self.account.url)
    }

    /// Does a call whose request can be made again, and takes `result`, which must be there, out of the answer.
    pub(super) async fn call(
        &self,
        operation: Operation,
        request: impl Fn(&Account) -> RequestBuilder,
    ) -> Result<Box<RawValue>, Error> {
        self.send(operation, request).await?.ok_or(NO_RESULT)
    }

    /// Does a call whose request can be made again, and takes `result`, where there is one, out of the answer.
    pub(super) async fn send(
        &self,
        operation: Operation,
        request: impl Fn(&Account) -> RequestBuilder,
    ) -> Result<Option<Box<RawValue>>, Error> {
        send(request(&self.account), operation).await
    }

    /// Does a call whose request can be made once only, as its body is gone then; `arrival` is how long that body may take.
    pub(super) async fn call_once(
        &self,
        operation: Operation,
        arrival: Duration,
        request: impl FnOnce(&Account) -> RequestBuilder,
    ) -> Result<Box<RawValue>, Error> {
        send(request(&self.account).timeout(arrival + TOTAL_TIMEOUT), operation).await?.ok_or(NO_RESULT)
    }
}

const NO_RESULT: Error = Error::Malformed("it has no result");

/// A text as one segment of a path, whatever it holds.
pub(super) fn segment(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, SEGMENT)
}

/// An id as one segment of a path, whatever it holds.
///
/// # Errors
/// If it cannot be one, see [`Error::UnusableId`].
pub(super) fn segment_of(id: &str) -> Result<impl std::fmt::Display, Error> {
    // URL parsers resolve these two even when they are percent-encoded.
    if matches!(id, "" | "." | "..") { Err(Error::UnusableId) } else { Ok(segment(id)) }
}

/// Whether the API is on this machine.
fn is_loopback(base_url: &str) -> bool {
    let host = reqwest::Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Sends a request and takes `result`, where there is one, out of the envelope of the answer.
async fn send(request: RequestBuilder, operation: Operation) -> Result<Option<Box<RawValue>>, Error> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(default)]
        success: bool,
        #[serde(borrow)]
        result: Option<&'a RawValue>,
    }

    let response = request.send().await?;
    let status = response.status();
    let body = read_body(response, operation.max_answer_bytes()).await?;
    if !status.is_success() {
        return Err(Error::Status { status, errors: errors_in(&body) });
    }
    let envelope: Envelope<'_> =
        serde_json::from_slice(&body).map_err(|_| Error::Malformed("it is no JSON envelope"))?;
    if !envelope.success {
        return Err(Error::Unsuccessful { errors: errors_in(&body) });
    }
    Ok(envelope.result.map(ToOwned::to_owned))
}

/// Reads an answer to its end, within a bound.
async fn read_body(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max_bytes {
            return Err(Error::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_one_segment_of_the_path() {
        let settings = ClientSettings {
            base_url: "https://api.example/client/v4/".to_owned(),
            account_id: "acct/../1".to_owned(),
            api_token: "token".to_owned().into(),
        };
        let request = Transport::new(&settings).unwrap().account.get("images/v1/keys").build().unwrap();
        assert_eq!(request.url().as_str(), "https://api.example/client/v4/accounts/acct%2F..%2F1/images/v1/keys");
    }

    #[test]
    fn loopback_is_known_in_every_form() {
        for url in ["http://127.0.0.1:8001/client/v4", "http://[::1]:8001", "http://localhost/x"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["https://api.cloudflare.com/client/v4", "http://10.0.0.1", "nonsense"] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
