//! What others report about images.
//!
//! Address → proofs → what it says → what is recorded. All that comes is kept for a while, with what became of it and why.

mod deliveries;
mod proofs;
mod registration;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use tracing::{error, info, instrument, warn};

use super::retry::retry;
use super::{CloudflareService, Error};
use crate::cloudflare::ImageDetails;
use crate::domain::{
    CloudflareId, DeliveryDigest, Image, ImageId, ImageStatus, Json, Networks, UploadEvent, WebhookDelivery,
    WebhookForm, WebhookOutcome, WebhookProof,
};
use crate::store;

pub(super) use deliveries::DeliveryQueue;
pub use proofs::{WebhookProofs, WebhookRefusal};
use proofs::{check_proofs, check_time};
pub use registration::{RegisteredPart, RegistrationAction, RegistrationError, RegistrationPlan, WebhookRegistration};

/// How long a sender may be kept waiting until Cloudflare confirms what it says.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(3);

/// Which webhooks are believed.
#[derive(Debug, Clone, Default)]
pub struct WebhookSettings {
    /// The secret that proves that a webhook is genuine; without one, every well-formed webhook is accepted.
    pub secret: Option<SecretString>,
    /// How far the time that a webhook carries may be from ours, in seconds; none for any time.
    pub max_age_seconds: Option<u32>,
    /// Where webhooks may come from; none for anywhere.
    pub allowed_ips: Option<Networks>,
}

/// A webhook as it came.
pub struct IncomingWebhook<'a> {
    /// The address it came from, behind trusted proxies.
    pub client: Option<IpAddr>,
    /// What it offers to prove that it is genuine.
    pub proofs: WebhookProofs<'a>,
    /// Its body.
    pub body: &'a [u8],
}

/// What a webhook is, and what it says.
#[derive(Debug, Clone)]
pub struct WebhookMessage {
    /// What it is.
    pub form: WebhookForm,
    /// When it was sent, in seconds since 1970 began, where the body tells.
    pub sent_at: Option<i64>,
    /// What it says.
    pub event: WebhookEvent,
}

/// What a webhook says.
#[derive(Debug, Clone)]
pub enum WebhookEvent {
    /// Nothing that anything has to be done about.
    Nothing {
        /// Why not, in a sentence.
        reason: &'static str,
    },
    /// Something happened to an image: a hint, to be confirmed with the API.
    Hint {
        /// The image, where one is named.
        id: Option<CloudflareId>,
        /// The webhook, whole.
        payload: Json,
    },
    /// The state of an image.
    Report {
        /// The image.
        id: CloudflareId,
        /// Its state.
        details: Box<ImageDetails>,
    },
}

impl WebhookEvent {
    fn image(&self) -> Option<&CloudflareId> {
        match self {
            Self::Nothing { .. } => None,
            Self::Hint { id, .. } => id.as_ref(),
            Self::Report { id, .. } => Some(id),
        }
    }
}

/// What the sender of a webhook is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookAnswer {
    /// There was nothing to change, or it was changed and committed.
    Accepted,
    /// It is not accepted, and will not be either when it is sent again.
    Refused(WebhookRefusal),
    /// It could not be recorded; it should be sent again.
    Failed,
}

/// Why nothing was recorded.
enum NotRecorded {
    /// It is no news.
    Duplicate,
    /// There is nothing to do.
    Ignored(&'static str),
    Refused(WebhookRefusal),
    Failed(Error),
}

impl From<WebhookRefusal> for NotRecorded {
    fn from(refusal: WebhookRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for NotRecorded {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<store::Error> for NotRecorded {
    fn from(error: store::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl CloudflareService {
    /// Takes a webhook, of which `read` tells what it says once it has proved itself. What is answered for as accepted is committed.
    ///
    /// A notification of Cloudflare is confirmed with the API before anything is changed; where Cloudflare does not answer within a
    /// few seconds, or says that the image is still a draft, it is kept that it has to be asked again. The row of the image, its log
    /// row and the delivery are written in one transaction, so that the same delivery changes nothing twice.
    #[instrument(name = "service.webhooks.receive", skip_all)]
    pub async fn receive_webhook(
        &self,
        webhook: &IncomingWebhook<'_>,
        read: impl FnOnce(&[u8]) -> Result<WebhookMessage, WebhookRefusal>,
    ) -> WebhookAnswer {
        let begun = Instant::now();
        let mut delivery = self.begin_delivery(webhook);
        let result = self.process(webhook, read, &mut delivery).await;
        let answer = match result {
            Ok(()) => {
                self.count(&delivery, "", begun);
                WebhookAnswer::Accepted
            }
            Err(reason) => self.conclude(delivery, reason, begun),
        };
        self.prune_deliveries_now_and_then();
        answer
    }

    /// Notes a webhook whose body could not be read, or is too long to be.
    pub fn refuse_unread_webhook(&self, client: Option<IpAddr>) {
        let webhook = IncomingWebhook { client, proofs: WebhookProofs::default(), body: &[] };
        self.conclude(self.begin_delivery(&webhook), NotRecorded::Refused(WebhookRefusal::Unread), Instant::now());
    }

    fn count(&self, delivery: &WebhookDelivery, refusal: &'static str, begun: Instant) {
        let WebhookDelivery { form, outcome, .. } = delivery;
        self.metrics().count_webhook(form.as_str(), outcome.as_str(), refusal, begun.elapsed());
    }

    async fn process(
        &self,
        webhook: &IncomingWebhook<'_>,
        read: impl FnOnce(&[u8]) -> Result<WebhookMessage, WebhookRefusal>,
        delivery: &mut WebhookDelivery,
    ) -> Result<(), NotRecorded> {
        let settings = &self.settings.webhook;
        if let Some(allowed) = &settings.allowed_ips
            && !webhook.client.is_some_and(|client| allowed.contains(client))
        {
            return Err(WebhookRefusal::ForeignAddress(webhook.client).into());
        }
        delivery.proof = check_proofs(settings, webhook, delivery.received_at)?;
        let message = read(webhook.body)?;
        delivery.form = message.form;
        delivery.cloudflare_id = message.event.image().filter(|id| is_keepable(id)).cloned();
        // A time that nobody vouches for says nothing.
        if let Some(sent_at) = message.sent_at
            && delivery.proof != WebhookProof::None
        {
            check_time(settings, sent_at, delivery.received_at)?;
        }
        match message.event {
            WebhookEvent::Nothing { reason } => Err(NotRecorded::Ignored(reason)),
            WebhookEvent::Report { id, details } => {
                self.record_report(&id, None, &details, &details.raw, webhook.body, delivery).await
            }
            WebhookEvent::Hint { id: None, .. } => Err(NotRecorded::Ignored("It names no image.")),
            WebhookEvent::Hint { id: Some(id), payload } => {
                self.follow_hint(&id, &payload, webhook.body, delivery).await
            }
        }
    }

    /// Notifications come for every image of the account, also for those that others uploaded: these are no errors.
    async fn follow_hint(
        &self,
        id: &CloudflareId,
        payload: &Json,
        body: &[u8],
        delivery: &mut WebhookDelivery,
    ) -> Result<(), NotRecorded> {
        let Some(image) = self.find_reported(id).await? else {
            return Err(NotRecorded::Ignored("The image is not recorded here: somebody else may have uploaded it."));
        };
        let digest = digest_of(image.id, body);
        let since = self.duplicates_since(delivery.received_at);
        if store::webhook_deliveries::exists(&self.database, &digest, since).await? {
            return Err(NotRecorded::Duplicate);
        }
        match tokio::time::timeout(CONFIRM_TIMEOUT, self.client.get_image(id)).await {
            // Notifications are of uploads that have ended: the API may know of it a little later.
            Ok(Ok(details)) if details.changes(delivery.received_at).status == Some(ImageStatus::Draft) => {
                self.postpone_hint(&image, "the image is still a draft", &digest, delivery).await
            }
            Ok(Ok(details)) => self.record_report(id, Some(&image.status), &details, payload, body, delivery).await,
            Ok(Err(cause)) if cause.is_not_found() => {
                warn!(image.cloudflare_id = ?id.as_str(), "Cloudflare notified of an image that it does not know");
                Err(NotRecorded::Ignored("Cloudflare does not know the image."))
            }
            Ok(Err(cause)) => self.postpone_hint(&image, &cause.to_string(), &digest, delivery).await,
            Err(_) => self.postpone_hint(&image, "Cloudflare took too long to answer", &digest, delivery).await,
        }
    }

    /// Leaves it to the job that asks about unfinished images to follow a hint.
    async fn postpone_hint(
        &self,
        image: &Image,
        cause: &str,
        digest: &DeliveryDigest,
        delivery: &mut WebhookDelivery,
    ) -> Result<(), NotRecorded> {
        delivery.outcome = WebhookOutcome::Postponed;
        delivery.reason = format!("Cloudflare is asked again soon, as it did not confirm it: {cause}.");
        let mut transaction = self.database.begin().await?;
        if !self.claim_delivery(&mut transaction, delivery, digest).await? {
            transaction.rollback().await?;
            return Err(NotRecorded::Duplicate);
        }
        store::polls::hasten(&mut transaction, image.id, delivery.received_at).await?;
        transaction.commit().await?;
        let id = image.cloudflare_id.as_str();
        warn!(image.cloudflare_id = ?id, "Could not confirm a notification about image {id:?}, and will ask again: {cause}");
        Ok(())
    }

    async fn find_reported(&self, id: &CloudflareId) -> Result<Option<Image>, Error> {
        let image =
            if is_keepable(id) { store::images::find_by_cloudflare_id(&self.database, id).await? } else { None };
        if image.is_none() {
            warn_of_unknown(id);
        }
        Ok(image)
    }

    /// Changes the image, and keeps that it was told so. The row of the image is held from here on, so of several that tell the same
    /// the first is done when the second looks whether it is. `before` is the status that it had, where that is known.
    async fn record_report(
        &self,
        id: &CloudflareId,
        before: Option<&ImageStatus>,
        details: &ImageDetails,
        payload: &Json,
        body: &[u8],
        delivery: &mut WebhookDelivery,
    ) -> Result<(), NotRecorded> {
        if !is_keepable(id) {
            warn_of_unknown(id);
            return Err(WebhookRefusal::UnknownImage.into());
        }
        let delivery = &*delivery;
        let image =
            retry(Error::is_conflict, async || self.apply_report(id, details, payload, body, delivery).await).await??;
        self.count_end(before, &image.status);
        info!(image.cloudflare_id = ?id.as_str(), image.status = %image.status, "Processed a webhook for image {:?}", id.as_str());
        Ok(())
    }

    /// Does it in one transaction; the image, or why nothing is recorded.
    async fn apply_report(
        &self,
        id: &CloudflareId,
        details: &ImageDetails,
        payload: &Json,
        body: &[u8],
        delivery: &WebhookDelivery,
    ) -> Result<Result<Image, NotRecorded>, Error> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let changes = details.changes(now);
        let Some(image) = store::images::apply_by_cloudflare_id(&mut transaction, id, &changes, now).await? else {
            transaction.rollback().await?;
            warn_of_unknown(id);
            return Ok(Err(WebhookRefusal::UnknownImage.into()));
        };
        if !self.claim_delivery(&mut transaction, delivery, &digest_of(image.id, body)).await? {
            transaction.rollback().await?;
            return Ok(Err(NotRecorded::Duplicate));
        }
        store::upload_logs::insert(&mut transaction, image.id, &UploadEvent::WebhookReceived { payload }, now).await?;
        transaction.commit().await?;
        Ok(Ok(image))
    }

    /// Says in the logs and keeps what became of a delivery that was not recorded; the answer.
    fn conclude(&self, mut delivery: WebhookDelivery, reason: NotRecorded, begun: Instant) -> WebhookAnswer {
        let refusal = if let NotRecorded::Refused(refusal) = &reason { refusal.kind() } else { "" };
        let (outcome, status, reason, answer) = match reason {
            NotRecorded::Duplicate => {
                (WebhookOutcome::Duplicate, 200, "It was recorded before.".to_owned(), WebhookAnswer::Accepted)
            }
            NotRecorded::Ignored(reason) => (WebhookOutcome::Ignored, 200, reason.to_owned(), WebhookAnswer::Accepted),
            NotRecorded::Refused(refusal) => {
                let reason = refusal.reason();
                warn!(reason, "Refused a webhook: {refusal}");
                (WebhookOutcome::Refused, refusal.status(), reason, WebhookAnswer::Refused(refusal))
            }
            NotRecorded::Failed(cause) => {
                error!(error = %cause, "Could not record a webhook: {cause}");
                (WebhookOutcome::Failed, 500, format!("It could not be recorded: {cause}."), WebhookAnswer::Failed)
            }
        };
        (delivery.outcome, delivery.status, delivery.reason) = (outcome, status.into(), reason);
        self.count(&delivery, refusal, begun);
        self.keep_delivery(delivery);
        answer
    }
}

/// Stands for what a webhook says of an image, as long as this has its row: one that is recorded anew under the same id is another.
fn digest_of(image: ImageId, body: &[u8]) -> DeliveryDigest {
    let sha256: [u8; 32] = Sha256::new().chain_update(image.as_uuid().as_bytes()).chain_update(body).finalize().into();
    sha256.into()
}

fn is_keepable(id: &CloudflareId) -> bool {
    id.as_str().chars().count() <= CloudflareId::MAX_CHARS
}

fn warn_of_unknown(id: &CloudflareId) {
    let shown: String = id.as_str().chars().take(CloudflareId::MAX_CHARS).collect();
    warn!(image.cloudflare_id = ?shown, "Received a webhook for an unknown image");
}
