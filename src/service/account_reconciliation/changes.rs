//! What is done about images: all of a chunk, and how far the run has come then, in one transaction.

use std::collections::{HashMap, HashSet};

use super::differences::Differences;
use super::{AccountFinding, AccountFindingKind, AccountReconciler, AccountRunError, MissingOutcome, Run};
use crate::cloudflare::{ImageDetails, ListedImage};
use crate::domain::{
    AccountFigures, CloudflareId, Image, ImageId, ImageKeys, RegisteredImage, Timestamp, UploadEvent, UserId,
};
use crate::service::Error;
use crate::store::{self, CloudflareIdSet, ImageSet, Transaction};

/// An image that is compared with its record, and what is to be done about it.
pub(super) struct Survey<'a> {
    pub(super) image: &'a ListedImage,
    pub(super) plan: Plan,
}

/// What is to be done about an image.
pub(super) enum Plan {
    /// Nothing: the record says the same.
    Nothing,
    /// It is too new to be judged, it is gone since it was listed, or its record was changed after Cloudflare was asked.
    Wait,
    /// It is not recorded, as it is to be deleted at Cloudflare.
    LeaveToDeletion,
    /// The record says something else.
    Repair(Box<(Image, Differences)>),
    /// It is not recorded.
    Import {
        owner: Option<UserId>,
        /// What Cloudflare says of this image alone, which counts for more than its list does.
        confirmed: Option<Box<ImageDetails>>,
    },
}

impl AccountReconciler {
    /// Those of some images that the run has not seen yet, each once.
    pub(super) async fn unseen<'a>(&self, images: &[&'a ListedImage]) -> Result<Vec<&'a ListedImage>, AccountRunError> {
        let ids = images.iter().map(|image| &image.id).collect::<CloudflareIdSet>();
        let mut seen: HashSet<CloudflareId> =
            store::account_runs::seen_among(&self.service.database, &ids).await?.into_iter().collect();
        Ok(images.iter().copied().filter(|image| seen.insert(image.id.clone())).collect())
    }

    /// Does what is planned for some images, and commits it together with how far the run has come then.
    pub(super) async fn record(
        &self,
        run: &Run,
        surveys: &[Survey<'_>],
    ) -> Result<(AccountFigures, Vec<AccountFinding>), AccountRunError> {
        let now = self.now();
        let mut run = run.clone();
        let mut findings = Vec::new();
        let mut transaction = self.service.database.begin().await?;
        let locked = self.lock(&mut transaction, surveys).await?;
        for Survey { image, plan } in surveys {
            let figures = &mut run.figures;
            figures.at_cloudflare += 1;
            let kind = match plan {
                Plan::Nothing => {
                    figures.equal += 1;
                    continue;
                }
                Plan::Wait => {
                    figures.unsettled += 1;
                    continue;
                }
                Plan::LeaveToDeletion => {
                    figures.being_deleted += 1;
                    AccountFindingKind::BeingDeleted
                }
                Plan::Repair(repair) => {
                    let (surveyed, differences) = &**repair;
                    let is_repaired = self.options.apply;
                    if is_repaired {
                        if locked.get(&surveyed.id) != Some(&surveyed.updated_at) {
                            figures.unsettled += 1;
                            continue;
                        }
                        self.repair(&mut transaction, surveyed.id, differences, &image.details, now).await?;
                        figures.repaired += 1;
                    }
                    figures.different += 1;
                    AccountFindingKind::Different { fields: differences.fields.clone(), is_repaired }
                }
                Plan::Import { owner, confirmed } => {
                    let details = confirmed.as_deref().unwrap_or(&image.details);
                    let is_imported = self.options.apply;
                    if is_imported {
                        if !self.import(&mut transaction, &image.id, *owner, details, now).await? {
                            figures.unsettled += 1;
                            continue;
                        }
                        figures.imported += 1;
                    }
                    figures.unrecorded += 1;
                    let creator = details.creator.clone();
                    AccountFindingKind::Unrecorded { creator, owner: *owner, is_imported }
                }
            };
            findings.push(AccountFinding { cloudflare_id: image.id.clone(), kind });
        }
        let ids = surveys.iter().map(|survey| &survey.image.id).collect::<CloudflareIdSet>();
        store::account_runs::mark_seen(&mut transaction, &ids).await?;
        self.save_with(&mut transaction, &run).await?;
        // Some constraints are looked at only now.
        transaction.commit().await.map_err(Error::from)?;
        Ok((run.figures, findings))
    }

    /// Keeps others from changing the records that are to be repaired; when each was changed last.
    async fn lock(
        &self,
        transaction: &mut Transaction,
        surveys: &[Survey<'_>],
    ) -> Result<HashMap<ImageId, Timestamp>, AccountRunError> {
        let to_repair = surveys.iter().filter(|survey| matches!(survey.plan, Plan::Repair(_)));
        let ids: Vec<&CloudflareId> = to_repair.map(|survey| &survey.image.id).collect();
        if !self.options.apply || ids.is_empty() {
            return Ok(HashMap::new());
        }
        let locked = store::images::lock_by_cloudflare_ids(transaction, &ids.into_iter().collect()).await?;
        Ok(locked.into_iter().map(|image| (image.id, image.updated_at)).collect())
    }

    async fn repair(
        &self,
        transaction: &mut Transaction,
        id: ImageId,
        differences: &Differences,
        details: &ImageDetails,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(remote) = &differences.remote {
            store::images::change(transaction, id, remote).await?;
        }
        let image = store::images::apply(transaction, id, &differences.changes, now).await?.ok_or(Error::NotFound)?;
        let event = UploadEvent::StatusChecked { status: &image.status, response: &details.raw };
        Ok(store::upload_logs::insert(transaction, id, &event, now).await?)
    }

    /// Records an image as registering does; false if somebody has recorded it meanwhile.
    async fn import(
        &self,
        transaction: &mut Transaction,
        id: &CloudflareId,
        owner: Option<UserId>,
        details: &ImageDetails,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let registered = RegisteredImage {
            cloudflare_id: id.clone(),
            user_id: owner,
            require_signed_urls: details.require_signed_urls,
            metadata: details.upload_metadata(),
        };
        let event = UploadEvent::ImageImported { response: &details.raw };
        Ok(self.service.register_new(transaction, &registered, details, &event, now).await?.is_some())
    }

    /// Records that something failed for an image, which counts as seen: the run goes on with the next.
    pub(super) async fn record_failure(&self, run: &Run, id: &CloudflareId) -> Result<AccountFigures, AccountRunError> {
        let mut run = run.clone();
        run.figures.failed += 1;
        let mut transaction = self.service.database.begin().await?;
        store::account_runs::mark_seen(&mut transaction, &CloudflareIdSet::from_iter([id])).await?;
        self.save_with(&mut transaction, &run).await?;
        transaction.commit().await?;
        Ok(run.figures)
    }

    /// Deletes the record of an image that is gone, and commits that together with how far the run has come then; none if the
    /// record was changed meanwhile.
    pub(super) async fn delete_missing(
        &self,
        run: &Run,
        keys: &ImageKeys,
        asked_at: Timestamp,
    ) -> Result<Option<MissingOutcome>, AccountRunError> {
        let mut transaction = self.service.database.begin().await?;
        let ids = CloudflareIdSet::from_iter([&keys.cloudflare_id]);
        let locked = store::images::lock_by_cloudflare_ids(&mut transaction, &ids).await?.pop();
        let Some(image) = locked.filter(|image| image.id == keys.id && is_settled(image, asked_at)) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let usages = store::usages::count_of_image(&mut transaction, &image).await?;
        if usages > 0 {
            transaction.rollback().await?;
            return Ok(Some(MissingOutcome::InUse(usages)));
        }
        match self.service.records().remove(&mut transaction, &ImageSet::from_iter([image.id])).await {
            Ok(_) => {}
            Err(Error::Store(error)) if error.is_transient() => return Err(error.into()),
            Err(reason) => {
                transaction.rollback().await?;
                return Ok(Some(MissingOutcome::Refused(reason)));
            }
        }
        self.save_with(&mut transaction, run).await?;
        transaction.commit().await?;
        Ok(Some(MissingOutcome::Deleted))
    }
}

/// Whether a record is that of an uploaded image still, and as old as what Cloudflare says.
pub(super) fn is_settled(image: &Image, asked_at: Timestamp) -> bool {
    image.is_uploaded() && image.updated_at <= asked_at
}
