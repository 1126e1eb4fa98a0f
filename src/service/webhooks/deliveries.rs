//! What is kept of the webhooks that came.
//!
//! Those that change an image are kept in the transaction of the change. The others change nothing, and anybody can send some: they
//! wait in a short queue and are written a few times a second at most, so that they cost next to nothing however many come.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;
use tracing::{Instrument, instrument, warn};

use super::IncomingWebhook;
use crate::domain::{
    DeliveryDigest, DeliveryFilter, DeliveryPlace, Image, KeptDelivery, PageFrom, Stretch, Timestamp, WebhookDelivery,
    WebhookForm, WebhookOutcome, WebhookProof,
};
use crate::service::{CloudflareService, Error};
use crate::store::webhook_deliveries::{self, Surplus};
use crate::store::{self, Transaction};

/// The most deliveries that wait to be written. More are left out.
const MAX_WAITING: usize = 100;
/// The pause after they were written.
const WRITE_PAUSE: Duration = Duration::from_millis(250);
/// How long deliveries are kept.
const KEEP_DAYS: u32 = 7;
/// How many of those are kept that changed an image, unless they are too young to be forgotten.
const KEEP_RECORDED: u32 = 10_000;
/// How many of the others are kept.
const KEEP_OTHERS: u32 = 2_000;
/// How often old ones are removed.
const PRUNE_MINUTES: i64 = 10;
/// After so many that changed nothing, old ones are removed earlier, so that strangers cannot fill the table.
const PRUNE_AFTER: usize = 2_000;
/// How many are removed in one transaction.
const PRUNE_BATCH: u32 = 1_000;
/// The least time within which the same report is a duplicate: long enough for a sender that tries again, short enough for one that
/// goes back to what it said before.
const MIN_DUPLICATE_SECONDS: u32 = 600;

/// Deliveries that wait to be written, and when old ones were removed last.
#[derive(Debug, Default)]
pub(in crate::service) struct DeliveryQueue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    deliveries: VecDeque<WebhookDelivery>,
    left_out: u64,
    is_being_written: bool,
    pruned_at: Option<Timestamp>,
    /// How many were written since then.
    written: usize,
}

impl DeliveryQueue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a delivery, where there is room; whether somebody has to begin to write.
    fn push(&self, delivery: WebhookDelivery) -> bool {
        let mut waiting = self.lock();
        if waiting.deliveries.len() < MAX_WAITING {
            waiting.deliveries.push_back(delivery);
        } else {
            waiting.left_out += 1;
        }
        !std::mem::replace(&mut waiting.is_being_written, true)
    }

    /// Takes all that waits and how many were left out; none, and the writer may go, if nothing waits.
    fn take(&self) -> Option<(VecDeque<WebhookDelivery>, u64)> {
        let mut waiting = self.lock();
        waiting.is_being_written = !waiting.deliveries.is_empty();
        waiting.written += waiting.deliveries.len();
        waiting
            .is_being_written
            .then(|| (std::mem::take(&mut waiting.deliveries), std::mem::take(&mut waiting.left_out)))
    }

    /// Whether it is time to remove old deliveries; the next time is later then.
    fn is_prune_due(&self, now: Timestamp) -> bool {
        let mut waiting = self.lock();
        let is_due = waiting.pruned_at.is_none_or(|pruned_at| pruned_at.plus_minutes(PRUNE_MINUTES) <= now)
            || waiting.written >= PRUNE_AFTER;
        if is_due {
            waiting.pruned_at = Some(now);
            waiting.written = 0;
        }
        is_due
    }
}

impl CloudflareService {
    /// At most `size` of the webhooks that came, the latest first. They are kept for a week, and fewer where there are many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_webhook_deliveries(
        &self,
        filter: DeliveryFilter,
        from: PageFrom<DeliveryPlace>,
        size: u32,
    ) -> Result<Stretch<KeptDelivery, DeliveryPlace>, Error> {
        let found = webhook_deliveries::list(&self.database, filter, from, size.saturating_add(1)).await?;
        Ok(Stretch::cut(found, size, &from, KeptDelivery::place))
    }

    /// A webhook that came, and the image that it names, where that is recorded.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not kept any more.
    pub async fn get_webhook_delivery(
        &self,
        digest: &DeliveryDigest,
    ) -> Result<(WebhookDelivery, Option<Image>), Error> {
        let kept = webhook_deliveries::find(&self.database, digest).await?.ok_or(Error::NotFound)?;
        let image = match &kept.delivery.cloudflare_id {
            Some(id) => store::images::find_by_cloudflare_id(&self.database, id).await?,
            None => None,
        };
        Ok((kept.delivery, image))
    }

    /// Removes what is kept of webhooks beyond its time and number; how many. It goes on by itself while webhooks come.
    ///
    /// # Errors
    /// If the database fails; what was removed before stays so.
    #[instrument(name = "service.webhooks.prune", skip_all)]
    pub async fn prune_webhook_deliveries(&self) -> Result<u64, Error> {
        let now = self.clock.now();
        let mut removed = 0;
        for surplus in [
            Surplus::Old(now.minus_days(KEEP_DAYS)),
            Surplus::Beyond { recorded: true, keep: KEEP_RECORDED, before: self.duplicates_since(now) },
            Surplus::Beyond { recorded: false, keep: KEEP_OTHERS, before: now },
        ] {
            removed += self.remove_deliveries(surplus).await?;
        }
        Ok(removed)
    }

    async fn remove_deliveries(&self, surplus: Surplus) -> Result<u64, Error> {
        let mut removed = 0;
        loop {
            let mut transaction = self.database.begin().await?;
            let batch = webhook_deliveries::delete(&mut transaction, surplus, PRUNE_BATCH).await?;
            transaction.commit().await?;
            removed += batch;
            if batch < PRUNE_BATCH.into() {
                return Ok(removed);
            }
        }
    }

    pub(super) fn prune_deliveries_now_and_then(&self) {
        if !self.webhook_deliveries.is_prune_due(self.clock.now()) {
            return;
        }
        let service = self.clone();
        let prune = async move {
            if let Err(error) = service.prune_webhook_deliveries().await {
                warn!(error = %error, "Could not remove old deliveries of webhooks: {error}");
            }
        };
        self.tasks.spawn(prune.in_current_span());
    }

    /// Since when the same report is a duplicate: as long as a captured one could be sent again.
    pub(super) fn duplicates_since(&self, now: Timestamp) -> Timestamp {
        let max_age = self.settings.webhook.max_age_seconds.unwrap_or(0);
        now.plus_seconds(-i64::from(MIN_DUPLICATE_SECONDS.max(2 * max_age)))
    }

    /// What is known of a webhook before it is looked at.
    pub(super) fn begin_delivery(&self, webhook: &IncomingWebhook<'_>) -> WebhookDelivery {
        let secret = self.settings.webhook.secret.as_ref().map(ExposeSecret::expose_secret);
        WebhookDelivery {
            received_at: self.clock.now(),
            form: WebhookForm::Unknown,
            proof: WebhookProof::None,
            outcome: WebhookOutcome::Recorded,
            status: 200,
            reason: "The image was changed.".to_owned(),
            cloudflare_id: None,
            client: webhook.client.map(|client| client.to_string()),
            body: beginning(webhook.body, secret),
        }
    }

    /// Keeps a delivery with the change it brings; false if it was recorded before.
    pub(super) async fn claim_delivery(
        &self,
        transaction: &mut Transaction,
        delivery: &WebhookDelivery,
        digest: &DeliveryDigest,
    ) -> Result<bool, Error> {
        if webhook_deliveries::insert(transaction, delivery, digest).await? {
            return Ok(true);
        }
        let since = self.duplicates_since(delivery.received_at);
        Ok(webhook_deliveries::release(transaction, digest, since).await?
            && webhook_deliveries::insert(transaction, delivery, digest).await?)
    }

    /// Keeps a delivery that changes nothing, soon.
    pub(super) fn keep_delivery(&self, delivery: WebhookDelivery) {
        if self.webhook_deliveries.push(delivery) {
            let service = self.clone();
            self.tasks.spawn(async move { service.write_deliveries().await }.in_current_span());
        }
    }

    async fn write_deliveries(&self) {
        while let Some((deliveries, left_out)) = self.webhook_deliveries.take() {
            if left_out > 0 {
                warn!(webhook.left_out = left_out, "{left_out} webhooks that changed nothing came too fast to be kept");
            }
            if let Err(error) = self.write_batch(&deliveries).await {
                warn!(error = %error, "Could not keep the deliveries of webhooks: {error}");
            }
            tokio::time::sleep(WRITE_PAUSE).await;
        }
    }

    async fn write_batch(&self, deliveries: &VecDeque<WebhookDelivery>) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        for delivery in deliveries {
            webhook_deliveries::insert(&mut transaction, delivery, &DeliveryDigest::random()).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// How a body begins, as a text that every database takes and without the secret, should somebody have put it there.
fn beginning(body: &[u8], secret: Option<&str>) -> String {
    let bytes = &body[..body.len().min(4 * WebhookDelivery::MAX_BODY_CHARS)];
    let mut text = String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
    if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    match text.char_indices().nth(WebhookDelivery::MAX_BODY_CHARS) {
        Some((end, _)) => {
            text.truncate(end);
            text
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_kept_as_far_as_every_database_takes_them() {
        assert_eq!(beginning(b"{\"a\": \"b\"}", None), "{\"a\": \"b\"}");
        assert_eq!(beginning(b"a\0b\xffc", None), "a\u{fffd}b\u{fffd}c");
        assert_eq!(beginning("é".repeat(5000).as_bytes(), None).chars().count(), WebhookDelivery::MAX_BODY_CHARS);
        assert_eq!(beginning(b"my whsec-1!", Some("whsec-1")), "my ***!");
    }

    #[test]
    fn a_flood_is_left_out_and_counted() {
        let queue = DeliveryQueue::default();
        let delivery = || WebhookDelivery {
            received_at: Timestamp::from_micros(0),
            form: WebhookForm::Unknown,
            proof: WebhookProof::None,
            outcome: WebhookOutcome::Refused,
            status: 401,
            reason: String::new(),
            cloudflare_id: None,
            client: None,
            body: String::new(),
        };
        assert!(queue.push(delivery()));
        for _ in 0..MAX_WAITING + 9 {
            assert!(!queue.push(delivery()), "one writes");
        }
        let (batch, left_out) = queue.take().unwrap();
        assert_eq!((batch.len(), left_out), (MAX_WAITING, 10));
        assert!(queue.take().is_none());
        assert!(queue.push(delivery()), "nobody writes any more");
    }

    #[test]
    fn old_ones_are_removed_earlier_after_many() {
        let queue = DeliveryQueue::default();
        let now = Timestamp::from_micros(0);
        assert!(queue.is_prune_due(now));
        queue.lock().written = PRUNE_AFTER - 1;
        assert!(!queue.is_prune_due(now));
        queue.lock().written = PRUNE_AFTER;
        assert!(queue.is_prune_due(now) && !queue.is_prune_due(now));
    }

    #[test]
    fn old_ones_are_removed_every_ten_minutes() {
        let queue = DeliveryQueue::default();
        let at = |minutes| Timestamp::from_micros(0).plus_minutes(minutes);
        assert!(queue.is_prune_due(at(0)) && !queue.is_prune_due(at(9)) && queue.is_prune_due(at(10)));
    }
}
