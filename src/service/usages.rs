//! Where images are used.

use tracing::instrument;

use super::retry::retry;
use super::{CloudflareService, Error, SearchError};
use crate::domain::{
    CloudflareId, ContentType, ImageId, ImageUsage, Page, PageFrom, PageRequest, Stretch, Timestamp, UsageEntry,
    UsageOrder, UsageQuery, UsageSelection, UsageSlot, User, UserId,
};
use crate::store::usages::{HeldImage, Reference, UsageRow};
use crate::store::{self, Database, ImageSet, Transaction};

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

    /// At most `size` of all usages, the newest rows first. Without conditions, what it costs does not depend on how many there are.
    ///
    /// # Errors
    /// [`SearchError`]
    pub async fn browse_usages(
        &self,
        query: &UsageQuery,
        from: PageFrom<i64>,
        size: u32,
    ) -> Result<Stretch<UsageEntry, i64>, SearchError> {
        let browse = async |database: Database| {
            store::usages::browse(&database, query, from, size.saturating_add(1)).await.map_err(Error::from)
        };
        let found =
            if query.is_everything() { browse(self.database.clone()).await? } else { self.search(browse).await? };
        Ok(Stretch::cut(found, size, &from, |entry| entry.usage.id))
    }

    /// The models whose content refers to images.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_content_types(&self) -> Result<Vec<ContentType>, Error> {
        Ok(store::usages::list_content_types(&self.database).await?)
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
        retry(Error::is_conflict, async || {
            loop {
                let mut transaction = self.database.begin().await?;
                if let Some((number, is_new)) = try_to_record(&mut transaction, owner, slot, id, now).await? {
                    let usage = store::usages::find(&mut transaction, number).await?;
                    transaction.commit().await?;
                    return Ok((usage, is_new));
                }
                transaction.rollback().await?;
            }
        })
        .await
    }

    /// Forgets that some content refers to an image; it is no error if it was not known.
    ///
    /// # Errors
    /// [`Error::UsageOfOtherOwner`] if the image is somebody else's and the user is no staff; [`Error::AutomaticUsage`] if the
    /// reference follows a field of a Django model.
    #[instrument(name = "service.usages.remove", skip_all, fields(user.id = %owner.id))]
    pub async fn remove_usage(&self, owner: &User, slot: &UsageSlot) -> Result<(), Error> {
        let now = self.clock.now();
        retry(Error::is_conflict, async || {
            loop {
                let mut transaction = self.database.begin().await?;
                if let Some(held) = HeldSlot::find(&mut transaction, slot, None).await? {
                    if let Some(row) = &held.row {
                        held.require_manual(owner, row)?;
                        store::usages::delete(&mut transaction, row.id).await?;
                        mark_referenced(&mut transaction, [row.image_id, None], now).await?;
                    }
                    return Ok(transaction.commit().await?);
                }
                transaction.rollback().await?;
            }
        })
        .await
    }
}

/// Fills a slot; the number of its row, and whether that is new. None if somebody else has filled it meanwhile, and it must be tried
/// anew in another transaction.
async fn try_to_record(
    transaction: &mut Transaction,
    owner: &User,
    slot: &UsageSlot,
    id: &CloudflareId,
    now: Timestamp,
) -> Result<Option<(i64, bool)>, Error> {
    let content_type = store::content_types::find_or_insert(transaction, &slot.content_type).await?;
    let Some(held) = HeldSlot::find(transaction, slot, Some(id)).await? else { return Ok(None) };
    let target = held.images.iter().find(|image| image.cloudflare_id == *id);
    if let Some(target) = target {
        require_access(owner, target.user_id)?;
    }
    let reference = Reference { cloudflare_id: id, image: target.map(|target| target.id) };
    if let Some(row) = &held.row {
        held.require_manual(owner, row)?;
        store::usages::update(transaction, row.id, &reference, now).await?;
        if row.image_id != reference.image {
            mark_referenced(transaction, [row.image_id, reference.image], now).await?;
        }
        return Ok(Some((row.id, false)));
    }
    let number = store::usages::insert(transaction, content_type, slot, &reference, now).await?;
    if number.is_some() {
        mark_referenced(transaction, [None, reference.image], now).await?;
    }
    Ok(number.map(|number| (number, true)))
}

/// The row of a slot, its image and the one that is to be there, as they are until the transaction ends.
struct HeldSlot {
    row: Option<UsageRow>,
    images: Vec<HeldImage>,
}

impl HeldSlot {
    /// None if the slot got another image while it was waited for: that one would have to be held before the row.
    async fn find(
        transaction: &mut Transaction,
        slot: &UsageSlot,
        id: Option<&CloudflareId>,
    ) -> Result<Option<Self>, Error> {
        let old = store::usages::find_slot(transaction, slot).await?.and_then(|row| row.image_id);
        let images = store::usages::hold_images(transaction, id, old).await?;
        let row = store::usages::lock_slot(transaction, slot).await?;
        let image = row.as_ref().and_then(|row| row.image_id);
        Ok((image.is_none() || image == old).then_some(Self { row, images }))
    }

    /// A row may be changed by whoever could have made it.
    fn require_manual(&self, user: &User, row: &UsageRow) -> Result<(), Error> {
        if let Some(id) = row.image_id {
            // An image that is gone is nobody's.
            let image = self.images.iter().find(|image| image.id == id);
            require_access(user, image.and_then(|image| image.user_id))?;
        }
        if row.is_manual { Ok(()) } else { Err(Error::AutomaticUsage) }
    }
}

fn require_access(user: &User, owner: Option<UserId>) -> Result<(), Error> {
    if user.is_staff || owner == Some(user.id) { Ok(()) } else { Err(Error::UsageOfOtherOwner) }
}

async fn mark_referenced(
    transaction: &mut Transaction,
    images: [Option<ImageId>; 2],
    now: Timestamp,
) -> Result<(), Error> {
    let images: ImageSet = images.into_iter().flatten().collect();
    Ok(store::usages::mark_referenced(transaction, &images, now).await?)
}
