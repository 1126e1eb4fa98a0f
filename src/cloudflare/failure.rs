//! What is known of a try that failed, and how it is logged.

use std::borrow::Cow;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use tracing::{error, info, warn};

use super::breaker::Sign;
use super::retry::wait_in;
use super::{Error, Operation};
use crate::domain::error_chain;

/// A try that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// Cloudflare's name of the request.
    pub(super) ray: Option<String>,
    /// How long Cloudflare wants to be left alone.
    pub(super) wait: Option<Duration>,
}

/// What the head of an answer says to those who are not interested in the rest.
#[derive(Debug)]
pub(super) struct AnswerHead {
    pub(super) status: StatusCode,
    ray: Option<String>,
    /// How long Cloudflare wants to be left alone.
    pub(super) wait: Option<Duration>,
}

impl AnswerHead {
    pub(super) fn of(response: &Response) -> Self {
        let status = response.status();
        Self { status, ray: ray_in(response.headers()), wait: wait_in(status, response.headers()) }
    }

    /// The failure that came of the answer.
    pub(super) fn failure(self, error: Error) -> Failure {
        Failure { error, ray: self.ray, wait: self.wait }
    }
}

/// `cf-ray`, where it looks like one.
fn ray_in(headers: &HeaderMap) -> Option<String> {
    let ray = headers.get("cf-ray")?.to_str().ok()?;
    let is_plain = ray.len() <= 64 && ray.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_plain.then(|| ray.to_owned())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, ray: None, wait: None }
    }
}

/// How bad a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// It has a cause outside that somebody has to look at.
    Error,
    /// It may go away by itself.
    Warning,
    /// Cloudflare's answer to a question; whoever asked is told.
    Notice,
}

impl Failure {
    /// What it tells of the other side; `is_upload`: the time was needed for bytes.
    pub(super) fn sign(&self, is_upload: bool) -> Sign {
        match &self.error {
            Error::Interrupted(_) if is_upload => Sign::Unclear,
            Error::Connect(_) | Error::Interrupted(_) => Sign::Down,
            Error::Status { status, .. } if status.is_server_error() => Sign::Down,
            _ => Sign::Up,
        }
    }

    /// The error for the caller. That too many requests were made says when it may be tried again.
    pub(super) fn into_error(self) -> Error {
        match (self.error, self.wait) {
            (Error::Status { status: StatusCode::TOO_MANY_REQUESTS, .. }, Some(wait)) => Error::RateLimited { wait },
            (error, _) => error,
        }
    }

    /// Logs that the call is made again.
    pub(super) fn log_retry(&self, operation: Operation, attempt: u32, pause: Duration) {
        let facts = self.facts();
        warn!(
            operation = operation.name(),
            http.status = facts.status,
            cloudflare.codes = facts.codes,
            cloudflare.ray = self.ray,
            attempt,
            error = facts.text,
            "{operation} at Cloudflare failed and is tried again in {} ms: {}",
            pause.as_millis(),
            facts.text
        );
    }

    /// Logs that the call failed: the one event that there is of it.
    pub(super) fn log(&self, operation: Operation, attempt: u32, is_upload: bool) {
        macro_rules! log {
            ($level:ident) => {{
                let facts = self.facts();
                let text = facts.with_advice(self.error.advice(operation));
                $level!(
                    operation = operation.name(),
                    http.status = facts.status,
                    cloudflare.codes = facts.codes,
                    cloudflare.ray = self.ray,
                    attempt,
                    error = facts.text,
                    "{operation} at Cloudflare failed: {text}"
                );
            }};
        }
        match self.severity(is_upload) {
            Severity::Error => log!(error),
            Severity::Warning => log!(warn),
            Severity::Notice => log!(info),
        }
    }

    fn severity(&self, is_upload: bool) -> Severity {
        match &self.error {
            // Somebody's slow or broken connection to us may be the reason.
            Error::Interrupted(_) if is_upload => Severity::Warning,
            Error::Connect(_) | Error::Interrupted(_) => Severity::Error,
            // That it is down was logged as an error when it began.
            Error::RateLimited { .. } | Error::Unavailable(_) | Error::Busy => Severity::Warning,
            // Whoever needs the answer logs that it cannot be used, be that found out here or later.
            error if error.is_malformed() => Severity::Warning,
            error if error.is_misrouted() => Severity::Error,
            Error::Status { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Severity::Error,
                StatusCode::TOO_MANY_REQUESTS => Severity::Warning,
                status if status.is_client_error() => Severity::Notice,
                _ => Severity::Error,
            },
            Error::Unsuccessful { .. } | Error::Malformed(_) | Error::TooLong => Severity::Warning,
            Error::UnusableId | Error::CalledOff => Severity::Notice,
        }
    }

    fn facts(&self) -> Facts {
        let status = match &self.error {
            Error::Status { status, .. } => Some(status.as_u16()),
            _ => None,
        };
        let codes: Vec<String> =
            self.error.errors().iter().filter_map(|error| error.code).map(|code| code.to_string()).collect();
        let codes = (!codes.is_empty()).then(|| codes.join(" "));
        Facts { status, codes, text: error_chain(&self.error) }
    }
}

/// What is logged of a failure.
struct Facts {
    status: Option<u16>,
    codes: Option<String>,
    text: String,
}

impl Facts {
    /// What is wrong, and what can be done about it.
    fn with_advice(&self, advice: Option<String>) -> Cow<'_, str> {
        match advice {
            Some(advice) => format!("{}. {advice}", self.text.trim_end_matches('.')).into(),
            None => self.text.as_str().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudflare::ApiMessage;

    fn status(status: u16, codes: &[i64]) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        let errors = codes.iter().map(|code| ApiMessage { code: Some(*code), message: None }).collect();
        Error::Status { status, errors }.into()
    }

    #[test]
    fn what_somebody_has_to_look_at_is_an_error_and_what_was_asked_is_none() {
        for (failure, severity) in [
            (status(401, &[10000]), Severity::Error),
            (status(403, &[5403]), Severity::Error),
            (status(404, &[7003]), Severity::Error),
            (status(404, &[5404]), Severity::Notice),
            (status(409, &[5409]), Severity::Notice),
            (status(429, &[971]), Severity::Warning),
            (status(503, &[]), Severity::Error),
            (status(302, &[]), Severity::Warning),
            (Error::Malformed("").into(), Severity::Warning),
            (Error::Busy.into(), Severity::Warning),
        ] {
            assert_eq!(failure.severity(false), severity, "{failure:?}");
        }
    }

    #[test]
    fn the_log_says_what_can_be_done() {
        let text = |failure: Failure| {
            let advice = failure.error.advice(Operation::CreateDirectUpload);
            failure.facts().with_advice(advice).into_owned()
        };
        let full = text(status(403, &[5453]));
        let start = "403 Client Error: Forbidden. The account has no room for more images. The plan ";
        assert!(full.starts_with(start), "{full}");
        assert!(text(status(403, &[5403])).starts_with("403 Client Error: Forbidden. The account has no plan "));
        assert_eq!(text(status(404, &[5404])), "404 Client Error: Not Found");
    }

    #[test]
    fn an_answer_that_refuses_is_a_sign_of_life() {
        for (failure, sign) in [
            (status(404, &[]), Sign::Up),
            (status(429, &[]), Sign::Up),
            (status(500, &[]), Sign::Down),
            (Error::Malformed("").into(), Sign::Up),
        ] {
            assert_eq!(failure.sign(false), sign, "{failure:?}");
        }
    }

    #[test]
    fn only_what_looks_like_a_ray_is_kept() {
        for (value, is_ray) in [("8b1c2d3e4f5a6b7c-FRA", true), ("", true), ("a b", false), (&"a".repeat(65), false)] {
            let headers =
                HeaderMap::from_iter([(reqwest::header::HeaderName::from_static("cf-ray"), value.parse().unwrap())]);
            assert_eq!(ray_in(&headers).is_some(), is_ray, "{value}");
        }
    }
}
