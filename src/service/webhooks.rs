//! What others report about images.

use secrecy::{ExposeSecret, SecretString};
use tracing::{info, instrument, warn};

use super::{CloudflareService, Error};
use crate::cloudflare::ImageDetails;
use crate::domain::{CloudflareId, Image, ImageChanges, Json, UploadEvent};
use crate::signature::{secrets_match, verify_hmac};
use crate::store;

/// What a request offers to prove that it is genuine.
#[derive(Clone, Copy, Default)]
pub struct WebhookProofs<'a> {
    /// The HMAC of the body, hexadecimal: the toolkit's `X-Signature`.
    pub signature: Option<&'a [u8]>,
    /// The secret itself: Cloudflare's `cf-webhook-auth`.
    pub auth: Option<&'a [u8]>,
}

/// Why a webhook is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// There is a secret, and the request offers no proof.
    #[error("Missing signature")]
    Missing,
    /// The proof does not fit.
    #[error("Invalid signature")]
    Invalid,
}

/// What a webhook says.
#[derive(Debug, Clone)]
pub enum WebhookEvent {
    /// Cloudflare tries whether the address works.
    Test,
    /// Cloudflare notifies of a direct upload: a hint, to be confirmed with the API.
    Notification {
        /// The image, where the notification names one.
        id: Option<CloudflareId>,
        /// The notification, whole.
        payload: Json,
    },
    /// The toolkit's form: the state of an image, as the API would tell it.
    ImageReport {
        /// The image.
        id: CloudflareId,
        /// Its state.
        details: Box<ImageDetails>,
    },
}

/// What became of a webhook that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// There was nothing to change, or it was changed and committed.
    Done,
    /// It is about an image that is not known here.
    UnknownImage,
}

impl CloudflareService {
    /// Whether a webhook is genuine: with a secret set, one of its proofs has to be right.
    ///
    /// # Errors
    /// If there is no proof, or none is right.
    pub fn validate_webhook_signature(&self, body: &[u8], proofs: WebhookProofs<'_>) -> Result<(), WebhookRefusal> {
        match &self.settings.webhook_secret {
            Some(secret) => check_proofs(secret, body, proofs),
            None => Ok(()),
        }
    }

    /// Records what a genuine webhook says; what is answered for as done is committed.
    ///
    /// A notification of Cloudflare is confirmed with the API before anything is changed. The row of the image and its log row are
    /// changed in one transaction.
    ///
    /// # Errors
    /// If a notification cannot be confirmed, or the database fails.
    #[instrument(name = "service.webhooks.handle", skip_all)]
    pub async fn handle_webhook(&self, event: WebhookEvent) -> Result<WebhookOutcome, Error> {
        match event {
            WebhookEvent::Test => Ok(WebhookOutcome::Done),
            WebhookEvent::ImageReport { id, details } => {
                let Some(image) = self.find_reported(&id).await? else { return Ok(WebhookOutcome::UnknownImage) };
                self.record_report(&image, &details, &details.raw).await
            }
            WebhookEvent::Notification { id: None, .. } => {
                warn!("A notification of Cloudflare names no image");
                Ok(WebhookOutcome::Done)
            }
            WebhookEvent::Notification { id: Some(id), payload } => self.confirm_notification(&id, &payload).await,
        }
    }

    /// Notifications come for every image of the account, also for those that others uploaded: these are no errors.
    async fn confirm_notification(&self, id: &CloudflareId, payload: &Json) -> Result<WebhookOutcome, Error> {
        let Some(image) = self.find_reported(id).await? else { return Ok(WebhookOutcome::Done) };
        match self.client.get_image(id).await {
            Ok(details) => {
                self.record_report(&image, &details, payload).await?;
            }
            Err(cause) if cause.is_not_found() => {
                warn!(image.cloudflare_id = ?id.as_str(), "Cloudflare notified of an image that it does not know");
            }
            Err(cause) => return Err(Error::Cloudflare { operation: "Failed to confirm a notification", cause }),
        }
        Ok(WebhookOutcome::Done)
    }

    async fn find_reported(&self, id: &CloudflareId) -> Result<Option<Image>, Error> {
        if id.as_str().chars().count() > CloudflareId::MAX_CHARS {
            warn!("Received a webhook for an image whose id is too long to be known");
            return Ok(None);
        }
        let image = store::images::find_by_cloudflare_id(&self.database, id).await?;
        if image.is_none() {
            warn!(image.cloudflare_id = ?id.as_str(), "Received a webhook for an unknown image");
        }
        Ok(image)
    }

    /// An image that was deleted since it was looked up is as unknown as one that never was.
    async fn record_report(
        &self,
        image: &Image,
        details: &ImageDetails,
        payload: &Json,
    ) -> Result<WebhookOutcome, Error> {
        let now = self.clock.now();
        let changes: ImageChanges = details.changes(now);
        let mut transaction = self.database.begin().await?;
        let Some(image) = store::images::apply(&mut transaction, image.id, &changes, now).await? else {
            warn!(image.cloudflare_id = ?image.cloudflare_id.as_str(), "An image was deleted while a webhook told of it");
            return Ok(WebhookOutcome::UnknownImage);
        };
        store::upload_logs::insert(&mut transaction, image.id, &UploadEvent::WebhookReceived { payload }, now).await?;
        transaction.commit().await?;
        info!(image.cloudflare_id = ?image.cloudflare_id.as_str(), image.status = %image.status, "Processed a webhook for image {:?}", image.cloudflare_id.as_str());
        Ok(WebhookOutcome::Done)
    }
}

fn check_proofs(secret: &SecretString, body: &[u8], proofs: WebhookProofs<'_>) -> Result<(), WebhookRefusal> {
    let secret = secret.expose_secret();
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    match proofs {
        WebhookProofs { signature: None, auth: None } => Err(WebhookRefusal::Missing),
        WebhookProofs { signature: Some(signature), .. } if verify_hmac(secret, body, text(signature)) => Ok(()),
        WebhookProofs { auth: Some(auth), .. } if secrets_match(secret, auth) => Ok(()),
        _ => Err(WebhookRefusal::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &[u8] = b"sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
    const BODY: &[u8] = b"The quick brown fox jumps over the lazy dog";

    fn check(signature: Option<&[u8]>, auth: Option<&[u8]>) -> Result<(), WebhookRefusal> {
        check_proofs(&"key".to_owned().into(), BODY, WebhookProofs { signature, auth })
    }

    #[test]
    fn one_right_proof_is_enough() {
        assert_eq!(check(Some(SIGNATURE), None), Ok(()));
        assert_eq!(check(None, Some(b"key")), Ok(()));
        assert_eq!(check(Some(SIGNATURE), Some(b"wrong")), Ok(()));
        assert_eq!(check(Some(b"wrong"), Some(b"key")), Ok(()));
    }

    #[test]
    fn missing_and_wrong_proofs_are_told_apart() {
        assert_eq!(check(None, None), Err(WebhookRefusal::Missing));
        assert_eq!(check(Some(b"sha256=00"), None), Err(WebhookRefusal::Invalid));
        assert_eq!(check(Some(b"\xff\xfe"), None), Err(WebhookRefusal::Invalid));
        assert_eq!(check(None, Some(b"ke")), Err(WebhookRefusal::Invalid));
    }
}
