//! What errors of Cloudflare mean, and what can be done about them.

use reqwest::StatusCode;

use super::{Error, Operation};

/// What an error means to those who have to decide what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// What was asked for does not exist.
    NotFound,
    /// The account does not exist, or the address of the API is wrong.
    NoAccount,
    /// The API token is not valid.
    InvalidToken,
    /// The API token may not do this.
    MissingPermission,
    /// The account has no plan for Cloudflare Images.
    NoPlan,
    /// The account has no room for more images.
    AccountFull,
    /// There is something with this id already.
    Taken,
    /// There were too many requests.
    RateLimited,
    /// Cloudflare does not want what it was asked for; asking again is of no use.
    Refused,
    /// Cloudflare cannot be reached, or is broken; later it may work.
    Unavailable,
    /// The answer makes no sense.
    Unusable,
}

impl Reason {
    /// What codes say, whatever the status is.
    fn of_code(code: i64) -> Option<Self> {
        match code {
            5403 => Some(Self::NoPlan),
            5453 => Some(Self::AccountFull),
            7000 | 7003 => Some(Self::NoAccount),
            971 => Some(Self::RateLimited),
            Error::CUSTOM_ID_TAKEN => Some(Self::Taken),
            _ => None,
        }
    }

    fn of_status(status: StatusCode, is_explained: bool) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::InvalidToken,
            StatusCode::FORBIDDEN => Self::MissingPermission,
            // Whoever else answers in Cloudflare's place knows nothing of its images.
            StatusCode::NOT_FOUND if is_explained => Self::NotFound,
            StatusCode::CONFLICT => Self::Taken,
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited,
            status if status.is_server_error() => Self::Unavailable,
            status if status.is_client_error() => Self::Refused,
            _ => Self::Unusable,
        }
    }
}

impl Error {
    /// What the error means.
    pub fn reason(&self) -> Reason {
        let of_codes = self.errors().iter().filter_map(|error| error.code).find_map(Reason::of_code);
        match self {
            Self::Status { status, errors } => {
                of_codes.unwrap_or_else(|| Reason::of_status(*status, !errors.is_empty()))
            }
            Self::Unsuccessful { .. } => of_codes.unwrap_or(Reason::Refused),
            Self::UnusableId | Self::CalledOff => Reason::Refused,
            Self::RateLimited { .. } => Reason::RateLimited,
            Self::Connect(_) | Self::Interrupted(_) | Self::Unavailable(_) | Self::Busy => Reason::Unavailable,
            Self::Malformed(_) | Self::TooLong => Reason::Unusable,
        }
    }

    /// Whether it is about what was asked for alone, so that the same call for another image may well work. All others mean that
    /// there is no use in calling at the moment: Cloudflare cannot be reached, is out of order, or does not let us in.
    pub fn concerns_one_image(&self) -> bool {
        match self.reason() {
            Reason::NotFound | Reason::Taken | Reason::Refused => true,
            // A redirect is what the address of the API leads to.
            Reason::Unusable => !matches!(self, Self::Status { .. }),
            _ => false,
        }
    }

    /// Whether it will not be over by itself: whoever runs the server has to change the token, the account or its plan.
    pub fn needs_somebody(&self) -> bool {
        matches!(
            self.reason(),
            Reason::InvalidToken | Reason::MissingPermission | Reason::NoAccount | Reason::NoPlan | Reason::AccountFull
        )
    }

    /// What whoever asked should know beside the status, where there is something and the toolkit's words leave room for it.
    pub(super) fn note(&self) -> Option<&str> {
        if let Some(text) = self.message_of(Self::CUSTOM_ID_INVALID) {
            return Some(text);
        }
        match self.reason() {
            Reason::NoAccount => Some("Cloudflare does not know the account."),
            Reason::AccountFull => Some("The account has no room for more images."),
            _ => None,
        }
    }

    /// What whoever runs the server can do about the error of an operation, where there is something.
    pub fn advice(&self, operation: Operation) -> Option<String> {
        let advice = match self.reason() {
            Reason::InvalidToken => {
                "The API token is not valid. Set CLOUDFLARE_IMAGES_API_TOKEN to one that is, and has not expired."
            }
            Reason::MissingPermission => {
                return Some(format!(
                    "The API token lacks the permission {}, or is for another account. Add it, or set CLOUDFLARE_IMAGES_API_TOKEN \
                     to a token that has it for the account of CLOUDFLARE_IMAGES_ACCOUNT_ID.",
                    operation.permission()
                ));
            }
            Reason::NoAccount => {
                "Cloudflare does not know the account. Set CLOUDFLARE_IMAGES_ACCOUNT_ID to its ID, which is not the account hash \
                 of delivery URLs."
            }
            Reason::NoPlan => {
                "The account has no plan for Cloudflare Images, or CLOUDFLARE_IMAGES_ACCOUNT_ID names another account. Plans are \
                 bought in the dashboard of Cloudflare."
            }
            Reason::AccountFull => {
                "The plan of the account allows no more images. Delete some, or enlarge it in the dashboard of Cloudflare."
            }
            Reason::RateLimited => "All who use the account share 1,200 requests in five minutes.",
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ApiMessage;
    use super::*;

    fn status(status: u16, codes: &[i64]) -> Error {
        let errors = codes.iter().map(|code| ApiMessage { code: Some(*code), message: Some("words".to_owned()) });
        Error::Status { status: StatusCode::from_u16(status).unwrap(), errors: errors.collect() }
    }

    #[test]
    fn errors_have_one_meaning() {
        for (error, reason) in [
            (status(404, &[5404]), Reason::NotFound),
            (status(404, &[]), Reason::Refused),
            (status(404, &[7003]), Reason::NoAccount),
            (status(400, &[7003]), Reason::NoAccount),
            (status(401, &[10_000]), Reason::InvalidToken),
            (status(401, &[]), Reason::InvalidToken),
            (status(403, &[10_000]), Reason::MissingPermission),
            (status(403, &[9109]), Reason::MissingPermission),
            (status(403, &[5403]), Reason::NoPlan),
            (status(400, &[5403]), Reason::NoPlan),
            (status(403, &[5453]), Reason::AccountFull),
            (status(409, &[]), Reason::Taken),
            (status(400, &[5409]), Reason::Taken),
            (status(429, &[]), Reason::RateLimited),
            (status(400, &[971]), Reason::RateLimited),
            (status(400, &[5400]), Reason::Refused),
            (status(503, &[]), Reason::Unavailable),
            (status(302, &[]), Reason::Unusable),
            (Error::Unsuccessful { errors: vec![] }, Reason::Refused),
            (Error::Malformed("x"), Reason::Unusable),
            (Error::TooLong, Reason::Unusable),
            (Error::Busy, Reason::Unavailable),
        ] {
            assert_eq!(error.reason(), reason, "{error:?}");
        }
    }

    #[test]
    fn what_stops_every_call_is_told_from_what_concerns_one_image() {
        for error in
            [status(404, &[5404]), status(404, &[]), status(409, &[5409]), Error::Malformed("x"), Error::UnusableId]
        {
            assert!(error.concerns_one_image() && !error.needs_somebody(), "{error:?}");
        }
        for error in [status(401, &[]), status(403, &[10_000]), status(404, &[7003]), status(403, &[5403])] {
            assert!(!error.concerns_one_image() && error.needs_somebody(), "{error:?}");
        }
        for error in [status(429, &[971]), status(503, &[]), status(302, &[]), Error::Busy] {
            assert!(!error.concerns_one_image() && !error.needs_somebody(), "{error:?}");
        }
    }

    #[test]
    fn a_missing_permission_is_named() {
        for (operation, permission) in [
            (Operation::GetImage, "Images Read"),
            (Operation::CreateDirectUpload, "Images Write"),
            (Operation::ListNotificationPolicies, "Notifications Read"),
            (Operation::CreateWebhookDestination, "Notifications Write"),
        ] {
            let advice = status(403, &[10_000]).advice(operation).unwrap();
            assert!(advice.contains(permission), "{advice}");
        }
    }

    #[test]
    fn what_can_be_done_about_it_is_said_where_something_can() {
        for (error, setting) in [
            (status(401, &[10_000]), "CLOUDFLARE_IMAGES_API_TOKEN"),
            (status(404, &[7003]), "CLOUDFLARE_IMAGES_ACCOUNT_ID"),
            (status(403, &[5403]), "plan"),
            (status(403, &[5453]), "plan"),
        ] {
            assert!(error.advice(Operation::GetImage).unwrap().contains(setting), "{error:?}");
        }
        assert_eq!(status(404, &[5404]).advice(Operation::GetImage), None);
    }

    #[test]
    fn the_caller_is_told_what_the_status_does_not_say() {
        for (error, text) in [
            (status(404, &[5404]), "404 Client Error: Not Found"),
            (status(401, &[10_000]), "401 Client Error: Unauthorized"),
            (status(403, &[5403]), "403 Client Error: Forbidden"),
            (status(403, &[5453]), "403 Client Error: Forbidden. The account has no room for more images."),
            (status(409, &[5409]), "409 Client Error: Conflict"),
            (status(400, &[5411]), "400 Client Error: Bad Request. words"),
            (status(404, &[7003]), "404 Client Error: Not Found. Cloudflare does not know the account."),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
