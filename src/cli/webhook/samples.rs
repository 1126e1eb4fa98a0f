//! Webhooks as they should be, and what their answers mean.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::domain::Timestamp;
use crate::signature::{sign_hmac, sign_timestamped};

/// What a sample is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum SampleForm {
    /// Cloudflare's test message.
    Test,
    /// Cloudflare's notification of an upload, with the secret in `cf-webhook-auth`.
    Notification,
    /// The toolkit's report, signed in `X-Signature`.
    Signature,
    /// The event of older releases, signed in `X-Signature`.
    Event,
    /// A report with the time in its signature, `Webhook-Signature`.
    Timestamped,
}

impl SampleForm {
    pub(super) const ALL: [Self; 5] = [Self::Test, Self::Notification, Self::Signature, Self::Event, Self::Timestamped];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Notification => "notification",
            Self::Signature => "signature",
            Self::Event => "event",
            Self::Timestamped => "timestamped",
        }
    }

    /// Whether it tells of an image that has to be known, while a notification may be of somebody else's.
    fn reports_image(self) -> bool {
        matches!(self, Self::Signature | Self::Event | Self::Timestamped)
    }
}

/// A webhook that is ready to be sent.
pub(super) struct Sample {
    pub(super) body: String,
    pub(super) header: (&'static str, String),
}

impl Sample {
    /// A webhook that says that an image was uploaded now.
    pub(super) fn new(form: SampleForm, secret: &SecretString, image: &str, now: Timestamp) -> Self {
        let seconds = u32::try_from(now.as_unix_seconds()).unwrap_or_default();
        let body = match form {
            SampleForm::Test => json!({"text": "This is a test message of `cfimages webhook test`."}),
            SampleForm::Notification => json!({
                "name": "cfimages webhook test",
                "text": format!("The upload of image {image} succeeded."),
                "data": {"image_id": image, "status": "uploaded"},
                "ts": seconds,
                "alert_type": "image_notification",
                "alert_event": "ALERT_STATE_EVENT_START",
            }),
            SampleForm::Event => json!({"eventType": "image.uploaded", "imageId": image, "status": "uploaded"}),
            // Were their bodies the same, the second would be a duplicate.
            SampleForm::Signature | SampleForm::Timestamped => {
                json!({"id": image, "uploaded": now, "sample": form.as_str()})
            }
        }
        .to_string();
        let secret = secret.expose_secret();
        let header = match form {
            SampleForm::Test | SampleForm::Notification => ("cf-webhook-auth", secret.to_owned()),
            SampleForm::Signature | SampleForm::Event => ("X-Signature", sign_hmac(secret, body.as_bytes())),
            SampleForm::Timestamped => ("Webhook-Signature", sign_timestamped(secret, seconds, body.as_bytes())),
        };
        Self { body, header }
    }
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well.
    Good(&'static str),
    /// Something is wrong: what, and what to do.
    Bad(&'static str, String),
}

/// Judges an answer: its status, its text, and where it redirects to. `image_should_be_known` where the sample is about a real one.
pub(super) fn judge(
    form: SampleForm,
    image_should_be_known: bool,
    status: u16,
    text: &str,
    location: Option<&str>,
) -> Verdict {
    let bad = |what, advice: &str| Verdict::Bad(what, advice.to_owned());
    match (status, text) {
        (200, "OK") => Verdict::Good("accepted"),
        (404, "Image not found") if !form.reports_image() || !image_should_be_known => {
            Verdict::Good("proof accepted; there is no such image, as was to be expected")
        }
        (404, "Image not found") => bad("unknown image", "The server has no image with this id: is it one of its own?"),
        (401, "Invalid signature") => bad(
            "other secret",
            "The server has another CLOUDFLARE_IMAGES_WEBHOOK_SECRET, or something on the way changes bodies or headers.",
        ),
        (401, "Missing signature") => bad(
            "proof lost",
            "Something on the way removes headers: let your proxy pass cf-webhook-auth, X-Signature and Webhook-Signature.",
        ),
        (401, "Invalid timestamp") => bad(
            "clocks differ",
            "Set the clocks of this machine and of the server, or CLOUDFLARE_IMAGES_WEBHOOK_MAX_AGE_SECONDS.",
        ),
        (401, "Address not allowed") => bad(
            "address refused",
            "This machine is not in CLOUDFLARE_IMAGES_WEBHOOK_ALLOWED_IPS of the server. If the addresses of all clients are refused, \
             CFIMAGES_TRUSTED_PROXIES lacks your proxy.",
        ),
        (500, "Internal server error") if form == SampleForm::Notification => bad(
            "not confirmed",
            "The server could not ask Cloudflare for the image in time: its log tells why. Is its CLOUDFLARE_IMAGES_API_TOKEN good?",
        ),
        (500, "Internal server error") => bad("not recorded", "The server could not record it: its log tells why."),
        (300..=399, _) => Verdict::Bad(
            "redirected",
            format!("Cloudflare follows no redirects. Use {}.", location.unwrap_or("the URL that it redirects to")),
        ),
        (400, text) if text.contains("Bad Request") || text.is_empty() => {
            bad("host refused", "The server does not answer for this host: see CFIMAGES_ALLOWED_HOSTS.")
        }
        (400, _) => {
            bad("not understood", "The server does not know this form: is it another version, or another program?")
        }
        (502..=504, _) => bad("no server", "The proxy does not reach the server: is it running?"),
        (200..=299 | 404 | 405, _) => bad(
            "not the webhook",
            "Something else answers there. The path is CFIMAGES_URL_PREFIX and /api/webhook/, as in \
             https://images.example.com/cloudflare-images/api/webhook/",
        ),
        _ => bad("refused on the way", "Something before the server refuses it: a firewall, a password, a limit."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::read_event;

    #[test]
    fn every_sample_is_understood_as_what_it_is() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        for form in SampleForm::ALL {
            let sample = Sample::new(form, &"key".to_owned().into(), "img-1", now);
            let message = read_event(sample.body.as_bytes()).unwrap();
            let want = match form {
                SampleForm::Test => "test",
                SampleForm::Notification => "notification",
                SampleForm::Event => "event",
                SampleForm::Signature | SampleForm::Timestamped => "report",
            };
            assert_eq!(message.form.as_str(), want);
        }
    }

    #[test]
    fn answers_are_told_apart_from_those_of_others() {
        let judge = |status, text| judge(SampleForm::Signature, false, status, text, None);
        assert_eq!(judge(200, "OK"), Verdict::Good("accepted"));
        assert!(matches!(judge(404, "Image not found"), Verdict::Good(_)));
        for (status, text, what) in [
            (200, "<html>Welcome</html>", "not the webhook"),
            (404, "<html>Not Found</html>", "not the webhook"),
            (401, "Invalid signature", "other secret"),
            (401, "Unauthorized", "refused on the way"),
            (403, "blocked", "refused on the way"),
            (400, "Invalid payload", "not understood"),
            (400, "<h1>Bad Request (400)</h1>", "host refused"),
            (502, "", "no server"),
            (308, "", "redirected"),
        ] {
            assert!(matches!(judge(status, text), Verdict::Bad(found, _) if found == what), "{status} {text}");
        }
        let known = super::judge(SampleForm::Event, true, 404, "Image not found", None);
        assert!(matches!(known, Verdict::Bad("unknown image", _)));
    }
}
