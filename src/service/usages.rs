//! Where images are used.

use tracing::instrument;

use super::{CloudflareService, Error};
use crate::domain::{
    CloudflareId, ImageId, ImageUsage, Page, PageRequest, Timestamp, UsageOrder, UsageSelection, UsageSlot, User,
    UserId,
};
use crate::store::usages::{Reference, UsageRow};
use crate::store::{self, Transaction};

impl CloudflareService {
    /// A page of the usages that a user may see: all for staff, those of their own images for others. `choose` says which page,
    /// given how many usages are selected.
    ///
    /// # Errors
    /// What `choose` refuses, or if the database fails.
    pub async fn list_usages<E: From<Error>>(
        &self,
        reader: &User,
        selection: &UsageSelection,
        order: &[UsageOrder],
        choose: impl FnOnce(u64) -> Result<PageRequest, E>,
    ) -> Result<Page<ImageUsage>, E> {
        let count = store::usages::count(&self.database, reader, selection).await.map_err(Error::from)?;
        let request = choose(count)?;
        let items =
            store::usages::list(&self.database, reader, selection, order, request).await.map_err(Error::from)?;
        Ok(Page { count, items })
    }

    /// A usage by its number.
    ///
    /// # Errors
    /// [`Error::UsageNotFound`] if there is none that the user may see and that is selected.
    pub async fn get_usage(&self, reader: &User, selection: &UsageSelection, id: i64) -> Result<ImageUsage, Error> {
        store::usages::find_selected(&self.database, reader, selection, id).await?.ok_or(Error::UsageNotFound)
    }

    /// Records that some content refers to an image, for applications that are not Django; also tells whether that is new.
    ///
    /// To say the same again changes nothing but `updated_at`. The image starts a new time as an orphan where it gains or loses
    /// a reference, as with the toolkit. What Django keeps itself is not taken over.
    ///
    /// # Errors
    /// [`Error::UsageOfOtherOwner`] if the image, or the one that was there before, is somebody else's and the user is no staff;
    /// [`Error::AutomaticUsage`] if the reference follows a field of a Django model.
    #[instrument(name = "service.usages.record", skip_all, fields(user.id = %owner.id))]
    pub async fn record_usage(
        &self,
        owner: &User,
        slot: &UsageSlot,
        id: &CloudflareId,
    ) -> Result<(ImageUsage, bool), Error> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let content_type = store::content_types::find_or_insert(&mut transaction, &slot.content_type).await?;
        let target = store::usages::lock_target(&mut transaction, id).await?;
        if let Some(target) = target {
            require_access(owner, target.user_id)?;
        }
        let reference = Reference { cloudflare_id: id, image: target.map(|target| target.id) };
        let (number, is_new) = loop {
            if let Some(row) = store::usages::lock_slot(&mut transaction, slot).await? {
                require_manual(&mut transaction, owner, &row).await?;
                store::usages::update(&mut transaction, row.id, &reference, now).await?;
                if row.image_id != reference.image {
                    mark_referenced(&mut transaction, [row.image_id, reference.image], now).await?;
                }
                break (row.id, false);
            }
            // None if somebody has filled it meanwhile; it is looked at again then.
            if let Some(number) = store::usages::insert(&mut transaction, content_type, slot, &reference, now).await? {
                mark_referenced(&mut transaction, [None, reference.image], now).await?;
                break (number, true);
            }
        };
        let usage = store::usages::find(&mut transaction, number).await?;
        transaction.commit().await?;
        Ok((usage, is_new))
    }

    /// Forgets that some content refers to an image; it is no error if it was not known.
    ///
    /// # Errors
    /// [`Error::UsageOfOtherOwner`] if the image is somebody else's and the user is no staff; [`Error::AutomaticUsage`] if the
    /// reference follows a field of a Django model.
    #[instrument(name = "service.usages.remove", skip_all, fields(user.id = %owner.id))]
    pub async fn remove_usage(&self, owner: &User, slot: &UsageSlot) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        if let Some(row) = store::usages::lock_slot(&mut transaction, slot).await? {
            require_manual(&mut transaction, owner, &row).await?;
            store::usages::delete(&mut transaction, row.id).await?;
            mark_referenced(&mut transaction, [row.image_id, None], self.clock.now()).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// A row may be changed by whoever could have made it.
async fn require_manual(transaction: &mut Transaction, user: &User, row: &UsageRow) -> Result<(), Error> {
    if let Some(image) = row.image_id {
        require_access(user, store::usages::find_owner(transaction, image).await?)?;
    }
    if row.is_manual { Ok(()) } else { Err(Error::AutomaticUsage) }
}

fn require_access(user: &User, owner: Option<UserId>) -> Result<(), Error> {
    if user.is_staff || owner == Some(user.id) { Ok(()) } else { Err(Error::UsageOfOtherOwner) }
}

/// Marks both images in the order of their keys, so that two who swap them do not wait for each other.
async fn mark_referenced(
    transaction: &mut Transaction,
    images: [Option<ImageId>; 2],
    now: Timestamp,
) -> Result<(), Error> {
    let mut images: Vec<ImageId> = images.into_iter().flatten().collect();
    images.sort_unstable();
    for image in images {
        store::usages::mark_referenced(transaction, image, now).await?;
    }
    Ok(())
}
