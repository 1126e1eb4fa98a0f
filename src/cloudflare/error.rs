//! Why a call to Cloudflare failed.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;

use super::{Outage, Reason};

/// An entry of `errors` in an answer of Cloudflare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiMessage {
    /// Cloudflare's code, such as 5404; absent in some answers.
    pub code: Option<i64>,
    /// What went wrong, in Cloudflare's words; absent in some answers.
    pub message: Option<String>,
}

/// Why a call to Cloudflare failed.
///
/// [`Display`](fmt::Display) says it in the words of the toolkit, without the address of the API and the account in it.
#[derive(Debug)]
pub enum Error {
    /// No connection could be made; nothing was sent.
    Connect(reqwest::Error),
    /// The connection broke or took too long; the call may have had its effect.
    Interrupted(reqwest::Error),
    /// Cloudflare answered with a status other than 2xx.
    Status {
        /// The status.
        status: StatusCode,
        /// What the answer said about it.
        errors: Vec<ApiMessage>,
    },
    /// Cloudflare answered `"success": false` with a status of 2xx.
    Unsuccessful {
        /// What the answer said about it.
        errors: Vec<ApiMessage>,
    },
    /// The answer is not what Cloudflare documents.
    Malformed(&'static str),
    /// The answer is longer than any that makes sense, and was not read to its end.
    TooLong,
    /// The id cannot be put into a URL as one segment, or names something else there: it is empty, `.`, `..`, or a word of the API
    /// such as `keys`.
    UnusableId,
    /// The requests that may be made are used up, as Cloudflare says or as is known here; this one had no effect.
    RateLimited {
        /// After this long there are requests again.
        wait: Duration,
    },
    /// Nothing was sent, because Cloudflare has not been answering.
    Unavailable(Outage),
    /// Nothing was sent, because too many other calls were in flight until the time was over.
    Busy,
    /// Nothing was sent, because it was not meant any more when its turn had come.
    CalledOff,
}

impl Error {
    /// The code of a private image with a custom id, which Cloudflare does not allow.
    pub const CUSTOM_ID_CANNOT_BE_PRIVATE: i64 = 5410;
    /// The code of a custom id that is taken.
    pub const CUSTOM_ID_TAKEN: i64 = 5409;
    /// The code of a custom id that Cloudflare does not allow.
    pub const CUSTOM_ID_INVALID: i64 = 5411;
    /// The codes of a picture that is too large: the file, an animation, the body of the request.
    pub const TOO_LARGE: [i64; 3] = [5413, 5443, 7011];
    /// The code of a picture that could not be fetched from its URL.
    pub const NOT_FETCHED: i64 = 5454;
    /// The code of a file that is no picture of a kind that Cloudflare takes.
    pub const WRONG_TYPE: i64 = 5455;
    /// The code of a picture that cannot be decoded.
    pub const UNREADABLE: i64 = 9422;

    /// Whether the same call may work a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Interrupted(_) | Self::RateLimited { .. } | Self::Unavailable(_) | Self::Busy => {
                true
            }
            Self::Status { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Unsuccessful { .. } | Self::Malformed(_) | Self::TooLong | Self::UnusableId | Self::CalledOff => {
                false
            }
        }
    }

    /// Whether the call may have had its effect all the same: the answer was lost, cannot be used, or says that something broke
    /// inside of Cloudflare. What it was to make or change has to be looked at then.
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::Interrupted(_) | Self::Malformed(_) | Self::TooLong => true,
            Self::Status { status, .. } => status.is_server_error(),
            Self::Connect(_)
            | Self::Unsuccessful { .. }
            | Self::UnusableId
            | Self::RateLimited { .. }
            | Self::Unavailable(_)
            | Self::Busy
            | Self::CalledOff => false,
        }
    }

    /// How long to wait before calls are worth a try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { wait } => Some(*wait),
            Self::Unavailable(outage) => Some(outage.next_try),
            _ => None,
        }
    }

    /// Whether Cloudflare gave `code` as a reason.
    pub fn has_code(&self, code: i64) -> bool {
        self.errors().iter().any(|error| error.code == Some(code))
    }

    /// What Cloudflare says about the reason with this code.
    pub fn message_of(&self, code: i64) -> Option<&str> {
        self.errors().iter().find(|error| error.code == Some(code))?.message.as_deref()
    }

    /// What the answer said about the error; nothing where there was none, or it said nothing.
    pub fn errors(&self) -> &[ApiMessage] {
        match self {
            Self::Status { errors, .. } | Self::Unsuccessful { errors } => errors,
            _ => &[],
        }
    }

    /// Whether Cloudflare does not know what was asked for. An account that does not exist says nothing about it, nor does somebody
    /// who answers in Cloudflare's place.
    pub fn is_not_found(&self) -> bool {
        self.reason() == Reason::NotFound
    }

    /// Whether Cloudflare does not know the account, or the address of the API is wrong.
    pub fn is_misrouted(&self) -> bool {
        self.reason() == Reason::NoAccount
    }

    /// Its kind in one word, for those who count and watch.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "unreachable",
            Self::Interrupted(error) if error.is_timeout() => "timeout",
            Self::Interrupted(_) => "interrupted",
            Self::Status { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "forbidden",
                StatusCode::TOO_MANY_REQUESTS => "rate_limited",
                status if status.is_client_error() => "client_error",
                status if status.is_server_error() => "server_error",
                _ => "unusable_answer",
            },
            Self::Unsuccessful { .. } => "client_error",
            Self::Malformed(_) | Self::TooLong => "unusable_answer",
            Self::UnusableId => "unusable_id",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable(_) => "breaker_open",
            Self::Busy => "busy",
            Self::CalledOff => "called_off",
        }
    }

    /// Whether the answer makes no sense, so that neither the client nor a retry can help.
    pub fn is_malformed(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::TooLong => true,
            Self::Status { status, .. } => status.is_redirection() || status.is_informational(),
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(_) => f.write_str("no connection to Cloudflare"),
            Self::Interrupted(error) if error.is_timeout() => f.write_str("Cloudflare took too long to answer"),
            Self::Interrupted(_) => f.write_str("the connection to Cloudflare broke"),
            Self::Status { status, .. } => {
                let kind = if status.is_server_error() { "Server" } else { "Client" };
                write!(f, "{} {kind} Error: {}", status.as_u16(), status.canonical_reason().unwrap_or_default())?;
                self.note().map_or(Ok(()), |note| write!(f, ". {note}"))
            }
            Self::Unsuccessful { errors } => {
                let messages: Vec<&str> =
                    errors.iter().map(|error| error.message.as_deref().unwrap_or("Unknown error")).collect();
                f.write_str(&messages.join(", "))
            }
            Self::Malformed(what) => write!(f, "Cloudflare's answer cannot be used: {what}"),
            Self::TooLong => f.write_str("Cloudflare's answer cannot be used: it is too long"),
            Self::UnusableId => f.write_str("the image ID cannot be used in a URL"),
            Self::RateLimited { wait } => {
                write!(f, "429 Client Error: Too Many Requests. Try again in {} s.", whole_seconds(*wait))
            }
            Self::Unavailable(outage) => write!(
                f,
                "Cloudflare has not answered for {} s. Try again in {} s.",
                outage.since.as_secs(),
                whole_seconds(outage.next_try)
            ),
            Self::Busy => f.write_str("too many calls to Cloudflare are in flight. Try again later."),
            Self::CalledOff => f.write_str("it was not meant any more when its turn had come"),
        }
    }
}

/// So many seconds that the time is over then; at least one.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0 || time.is_zero())
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) | Self::Interrupted(error) => Some(error),
            _ => None,
        }
    }
}

impl From<reqwest::Error> for Error {
    /// Tells calls that had no effect from those that may have had one. The URL, which names the account, is left out.
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() { Self::Connect(error) } else { Self::Interrupted(error) }
    }
}

/// Finds the errors in the body of an answer, whether it is an envelope or plain text of the form `ERROR 5404: Image not found`.
pub(super) fn errors_in(body: &[u8]) -> Vec<ApiMessage> {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(envelope) => errors_in_envelope(&envelope),
        Err(_) => std::str::from_utf8(body).ok().and_then(error_in_text).into_iter().collect(),
    }
}

fn errors_in_envelope(envelope: &serde_json::Value) -> Vec<ApiMessage> {
    let entries = envelope.get("errors").and_then(|errors| errors.as_array()).map_or(&[][..], Vec::as_slice);
    let to_message = |entry: &serde_json::Value| match entry {
        serde_json::Value::String(text) => ApiMessage { code: None, message: Some(text.clone()) },
        _ => ApiMessage {
            code: entry.get("code").and_then(serde_json::Value::as_i64),
            message: entry.get("message").and_then(|message| message.as_str()).map(str::to_owned),
        },
    };
    entries.iter().map(to_message).collect()
}

fn error_in_text(body: &str) -> Option<ApiMessage> {
    let (code, message) = body.trim().strip_prefix("ERROR ")?.split_once(':')?;
    Some(ApiMessage { code: Some(code.trim().parse().ok()?), message: Some(message.trim().to_owned()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_are_found_in_every_form() {
        let message = |code, text: &str| ApiMessage { code, message: Some(text.to_owned()) };
        assert_eq!(
            errors_in(br#"{"errors":[{"code":5404,"message":"Image not found"}]}"#),
            [message(Some(5404), "Image not found")]
        );
        assert_eq!(errors_in(br#"{"errors":["plain"]}"#), [message(None, "plain")]);
        assert_eq!(errors_in(br#"{"errors":[{}]}"#), [ApiMessage { code: None, message: None }]);
        assert_eq!(errors_in(b"ERROR 5404: Image not found\n"), [message(Some(5404), "Image not found")]);
        for body in [&b"<html>"[..], b"", b"{}", b"[]", b"\xff\xfe", b"ERROR x: y"] {
            assert_eq!(errors_in(body), [], "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            errors_in(&body);
        }
    }
}
