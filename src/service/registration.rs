//! Images that were uploaded elsewhere, and changes of images at Cloudflare.

use tracing::{error, info, instrument, warn};

use super::staff_actions::ByStaff;
use super::{CloudflareService, EditProblem, Error};
use crate::cloudflare::{self, ImageDetails, ImageUpdate};
use crate::domain::{
    CloudflareId, Image, ImageEdit, ImageId, Json, MetadataEdit, RegisteredImage, RemoteChanges, Timestamp,
    UploadEvent, User,
};
use crate::store::{self, Transaction};

const UPDATE: &str = "Failed to update image";
/// How often a change is made anew at Cloudflare because others change the image at the same time; the last one is recorded anyhow.
const MAX_UPDATES: u32 = 5;
/// The most characters of a creator that the database keeps.
pub(super) const MAX_CREATOR_CHARS: usize = 255;

impl CloudflareService {
    /// Records an image whose picture is at Cloudflare already, or refreshes its record; also tells whether the record is new.
    ///
    /// The id comes from a client, and ids are in every delivery URL: to know one does not make an image one's own. So a user
    /// may register what is recorded as theirs already, and what bears their key or name as its `creator` at Cloudflare, if it is
    /// not recorded as somebody else's; staff may register all that nobody has. A creator that the caller expects is a condition
    /// beside these, for everybody. It goes on to its end when the client goes away.
    ///
    /// # Errors
    /// [`Error::CloudflareIdTooLong`]; [`Error::UnknownToCloudflare`]; [`Error::NotUploaded`]; [`Error::OtherCreator`];
    /// [`Error::OtherOwner`]; [`Error::BeingCleared`]; otherwise if Cloudflare refuses or cannot be reached, or the database fails.
    #[instrument(name = "service.registration.register", skip_all, fields(user.id = %owner.id))]
    pub async fn register_uploaded_image(
        &self,
        owner: &User,
        id: CloudflareId,
        expected_creator: Option<String>,
    ) -> Result<(Image, bool), Error> {
        if id.as_str().chars().count() > CloudflareId::MAX_CHARS {
            return Err(Error::CloudflareIdTooLong);
        }
        let (service, owner) = (self.clone(), owner.clone());
        self.run_to_end(async move { service.register_claimed(&owner, id, expected_creator).await }).await
    }

    /// The same, and nobody deletes the image at Cloudflare meanwhile.
    async fn register_claimed(
        &self,
        owner: &User,
        id: CloudflareId,
        expected_creator: Option<String>,
    ) -> Result<(Image, bool), Error> {
        let leftover = self.records.claim_leftover_of(&id).await?;
        let registered = self.register_unclaimed(owner, id, expected_creator).await;
        let Some(leftover) = leftover else { return registered };
        // What is registered is nobody's leftover any more.
        let given_back = if registered.is_ok() && leftover.reason.is_to_delete() {
            self.records.settle_leftover(&leftover).await
        } else {
            let (why, next) = (&leftover.last_error, leftover.next_attempt_at);
            self.records.give_back_leftover(&leftover, why, next).await
        };
        if let Err(error) = given_back {
            let id = leftover.cloudflare_id.as_str();
            warn!(image.cloudflare_id = ?id, error = %error, "What was left under the id of an image is seen to later: {error}");
        }
        registered
    }

    async fn register_unclaimed(
        &self,
        owner: &User,
        id: CloudflareId,
        expected_creator: Option<String>,
    ) -> Result<(Image, bool), Error> {
        let details = match self.client.get_image(&id).await {
            Ok(details) => details,
            Err(cause) if cause.is_not_found() => return Err(Error::UnknownToCloudflare(id)),
            Err(cause) => return Err(Error::Cloudflare { operation: "Failed to get image", cause }),
        };
        if details.is_draft {
            return Err(Error::NotUploaded(id));
        }
        if let Err(refusal) =
            self.check_creator(owner, &id, expected_creator.as_deref(), details.creator.as_deref()).await
        {
            warn!(image.cloudflare_id = ?id.as_str(), "Refusing to register an image: {refusal}");
            return Err(refusal);
        }
        self.record_registration(owner, id, &details).await
    }

    async fn check_creator(
        &self,
        owner: &User,
        id: &CloudflareId,
        expected: Option<&str>,
        creator: Option<&str>,
    ) -> Result<(), Error> {
        if expected.is_some() && creator != expected {
            return Err(Error::OtherCreator(id.clone()));
        }
        if owner.is_staff || creator.is_some_and(|creator| self.names(owner, creator)) {
            return Ok(());
        }
        match store::images::find_by_cloudflare_id(&self.database, id).await?.and_then(|image| image.user_id) {
            Some(user_id) if user_id == owner.id => Ok(()),
            Some(_) => Err(Error::OtherOwner(id.clone())),
            None => Err(Error::OtherCreator(id.clone())),
        }
    }

    /// Whether a creator is this user. Names that read as keys do not count, as they may be those of others.
    fn names(&self, user: &User, creator: &str) -> bool {
        match self.database.user_key().read(creator) {
            Some(key) => key == user.id,
            None => creator == user.username,
        }
    }

    /// The user that a creator is, by the rules of [`names`](Self::names); nobody where several users have the name.
    pub(super) async fn find_creator(&self, creator: &str) -> Result<Option<User>, store::Error> {
        match self.database.user_key().read(creator) {
            Some(key) => store::users::find(&self.database, key).await,
            None => match store::users::find_by_username(&self.database, creator).await {
                Err(store::Error::AmbiguousUser(_)) => Ok(None),
                found => found,
            },
        }
    }

    async fn record_registration(
        &self,
        owner: &User,
        id: CloudflareId,
        details: &ImageDetails,
    ) -> Result<(Image, bool), Error> {
        let now = self.clock.now();
        let registered = RegisteredImage {
            cloudflare_id: id,
            user_id: Some(owner.id),
            require_signed_urls: details.require_signed_urls,
            metadata: details.upload_metadata(),
        };
        let mut transaction = self.database.begin().await?;
        let event = |is_new| UploadEvent::ImageRegistered { is_new, response: &details.raw };
        let (image, is_new) = match self.register_new(&mut transaction, &registered, details, &event(true), now).await?
        {
            Some(image) => (image, true),
            None => match store::images::claim(&mut transaction, &registered).await? {
                Some(image) => {
                    (record_registered(&mut transaction, image.id, details, &event(false), now).await?, false)
                }
                None => return Err(Error::OtherOwner(registered.cloudflare_id)),
            },
        };
        transaction.commit().await?;
        info!(image.id = %image.id, image.cloudflare_id = ?image.cloudflare_id.as_str(), "Registered image {:?}", image.cloudflare_id.as_str());
        Ok((image, is_new))
    }

    /// Records an image whose picture is at Cloudflare, with all that Cloudflare says of it and with `event` in its log; none if it is
    /// recorded already.
    pub(super) async fn register_new(
        &self,
        transaction: &mut Transaction,
        registered: &RegisteredImage,
        details: &ImageDetails,
        event: &UploadEvent<'_>,
        now: Timestamp,
    ) -> Result<Option<Image>, Error> {
        let default = self.settings.require_signed_urls;
        match store::images::register(transaction, registered, default, now).await? {
            Some(image) => record_registered(transaction, image.id, details, event, now).await.map(Some),
            None => Ok(None),
        }
    }

    /// Changes metadata, privacy or creator of an image, at Cloudflare and then here. What is `None` stays as it is.
    ///
    /// The metadata is laid over what is recorded, and Cloudflare gets the whole, so that both hold the same; where somebody changes
    /// the image in between, once more, over what is recorded then. The image goes on under the id of Cloudflare's answer, which may
    /// be new where the privacy changed. All of it goes on to its end when the client goes away.
    ///
    /// Where Cloudflare's answer to a change of privacy is lost, the image is looked at. What cannot be found out now, the job that sees
    /// to leftovers, or the next change of privacy, finds out later, and records it.
    ///
    /// # Errors
    /// [`Error::CustomIdCannotBecomePrivate`]; [`Error::NotFound`] if the image was deleted meanwhile; [`Error::BeingCleared`] while
    /// its privacy is changed by somebody else; [`Error::NotCertainYet`] where it was just before, and nobody knows what came of that;
    /// [`Error::NewIdUnknown`]; otherwise if Cloudflare refuses or cannot be reached, or the database fails.
    #[instrument(name = "service.registration.update", skip_all, fields(image.id = %image.id))]
    pub async fn update_image(
        &self,
        image: &Image,
        metadata: Option<Json>,
        require_signed_urls: Option<bool>,
        creator: Option<String>,
    ) -> Result<Image, Error> {
        let metadata = metadata.map(|over| MetadataEdit::Merge { over, without: Vec::new() });
        let asked = Update { metadata, require_signed_urls, creator, ..Update::default() };
        let (service, image) = (self.clone(), image.clone());
        self.run_to_end(async move { service.update(image, &asked).await }).await
    }

    /// The same; it must go on to its end.
    pub(super) async fn update(&self, image: Image, asked: &Update) -> Result<Image, Error> {
        if asked.require_signed_urls.is_none() {
            return self.update_until_recorded(image, asked).await;
        }
        let (image, change) = self.begin_access_change(image, asked).await?;
        let outcome = self.update_until_recorded(image, asked).await;
        self.end_access_change(&change, &outcome).await;
        outcome
    }

    /// Of several changes at once, the last to be recorded is laid over all others, and is then the last at Cloudflare, too.
    async fn update_until_recorded(&self, mut image: Image, asked: &Update) -> Result<Image, Error> {
        let mut tries_left = MAX_UPDATES;
        loop {
            tries_left -= 1;
            match self.update_and_record(&image, asked, tries_left == 0 && !asked.unless_changed).await? {
                Recording::Done(image) => return Ok(image),
                Recording::ChangedMeanwhile(changed) if asked.unless_changed => {
                    self.put_back(&changed).await?;
                    return Err(EditProblem::ChangedMeanwhile.into());
                }
                Recording::ChangedMeanwhile(changed) => image = changed,
            }
        }
    }

    /// Has Cloudflare know again what is recorded, after a change that came too late.
    async fn put_back(&self, image: &Image) -> Result<(), Error> {
        let recorded = ImageUpdate {
            metadata: Some(image.metadata.clone()),
            creator: Some(image.creator.clone()),
            ..ImageUpdate::default()
        };
        self.change_at_cloudflare(&image.cloudflare_id, &recorded).await.map(drop)
    }

    async fn update_and_record(&self, image: &Image, asked: &Update, is_last: bool) -> Result<Recording, Error> {
        let details = self.change_at_cloudflare(&image.cloudflare_id, &asked.of(image)).await?;
        let new_id = id_after(image, &details);
        let recorded = self.record_update(image, asked, &details, is_last).await;
        if let Err(error) = &recorded {
            error!(image.id = %image.id, image.cloudflare_id = ?new_id.as_str(), error = %error,
                "Changed an image at Cloudflare, which has the id {:?} there, but could not record it: {error}", new_id.as_str());
        }
        if matches!(recorded, Err(Error::NotFound)) && new_id != image.cloudflare_id {
            // It was deleted meanwhile, under the id that it had.
            self.delete_unrecorded(&new_id, false).await;
        }
        recorded
    }

    async fn change_at_cloudflare(&self, id: &CloudflareId, update: &ImageUpdate) -> Result<ImageDetails, Error> {
        let cause = match self.client.update_image(id, update).await {
            Ok(details) => return Ok(details),
            Err(cause) => cause,
        };
        if cause.has_code(cloudflare::Error::CUSTOM_ID_CANNOT_BE_PRIVATE) {
            return Err(Error::CustomIdCannotBecomePrivate);
        }
        let found = if update.require_signed_urls.is_some() && cause.may_have_taken_effect() {
            self.find_changed(id, update).await
        } else {
            None
        };
        found.ok_or(Error::Cloudflare { operation: UPDATE, cause })
    }

    async fn record_update(
        &self,
        image: &Image,
        asked: &Update,
        details: &ImageDetails,
        is_last: bool,
    ) -> Result<Recording, Error> {
        let (update, new_id) = (asked.of(image), id_after(image, details));
        if new_id.as_str().is_empty() || new_id.as_str().chars().count() > CloudflareId::MAX_CHARS {
            return Err(malformed("its id is empty or too long"));
        }
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let current = store::images::hold(&mut transaction, image.id).await?.ok_or(Error::NotFound)?;
        if !is_last && is_changed(image, &current) {
            let has_old_id = current.cloudflare_id == image.cloudflare_id;
            let cloudflare_id = if has_old_id { new_id.clone() } else { current.cloudflare_id.clone() };
            let require_signed_urls = update.require_signed_urls.unwrap_or(current.require_signed_urls);
            let by_now = Image { cloudflare_id: cloudflare_id.clone(), require_signed_urls, ..current.clone() };
            if cloudflare_id != current.cloudflare_id || require_signed_urls != current.require_signed_urls {
                // What comes next may fail, and nobody would know the id and the privacy any more.
                let changes = RemoteChanges {
                    cloudflare_id,
                    metadata: None,
                    require_signed_urls: Some(require_signed_urls),
                    creator: None,
                };
                store::images::change(&mut transaction, image.id, &changes).await.map_err(to_taken)?;
                if let Some(by) = &asked.by {
                    by.log(&mut transaction, &current, &by_now, now).await?;
                }
                transaction.commit().await?;
            }
            return Ok(Recording::ChangedMeanwhile(by_now));
        }
        let changes = RemoteChanges {
            cloudflare_id: new_id,
            metadata: update.metadata,
            require_signed_urls: update.require_signed_urls,
            creator: update.creator.map(|creator| creator.chars().take(MAX_CREATOR_CHARS).collect()),
        };
        store::images::change(&mut transaction, image.id, &changes).await.map_err(to_taken)?;
        let mut image = store::images::apply(&mut transaction, image.id, &details.changes(now), now)
            .await?
            .ok_or(Error::NotFound)?;
        if asked.original_filename.is_some() {
            let edit = ImageEdit { original_filename: asked.original_filename.clone(), ..ImageEdit::default() };
            image = store::images::edit(&mut transaction, &image, &edit, now).await?.ok_or(Error::NotFound)?;
        }
        if let Some(by) = &asked.by {
            by.log(&mut transaction, &current, &image, now).await?;
        }
        transaction.commit().await?;
        info!(image.cloudflare_id = ?image.cloudflare_id.as_str(), "Updated image {:?}", image.cloudflare_id.as_str());
        Ok(Recording::Done(image))
    }
}

/// What is to be changed in an image, at Cloudflare and here; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Update {
    pub(super) metadata: Option<MetadataEdit>,
    pub(super) require_signed_urls: Option<bool>,
    pub(super) creator: Option<String>,
    /// The name the client gave, of which Cloudflare is not told.
    pub(super) original_filename: Option<String>,
    /// Who is recorded as having changed it.
    pub(super) by: Option<ByStaff>,
    /// Whether it is given up where somebody else changes the image meanwhile.
    pub(super) unless_changed: bool,
}

impl Update {
    /// What Cloudflare is told about an image that is like this.
    pub(super) fn of(&self, image: &Image) -> ImageUpdate {
        ImageUpdate {
            metadata: self.metadata.as_ref().map(|metadata| metadata.applied_to(&image.metadata)),
            require_signed_urls: self.require_signed_urls,
            creator: self.creator.clone(),
        }
    }
}

/// The id that an image has at Cloudflare after a change, by the answer.
fn id_after(image: &Image, details: &ImageDetails) -> CloudflareId {
    details.id.clone().unwrap_or_else(|| image.cloudflare_id.clone())
}

/// What became of a change that is made at Cloudflare.
enum Recording {
    /// It is recorded.
    Done(Image),
    /// It is not, as the image was changed since it was looked up: this is what it is like now.
    ChangedMeanwhile(Image),
}

/// Whether somebody has changed an image between two looks.
fn is_changed(before: &Image, now: &Image) -> bool {
    let what = |image: &Image| (image.updated_at, image.cloudflare_id.clone(), image.metadata.clone());
    what(before) != what(now)
}

/// Records what Cloudflare says of an image that was just registered.
async fn record_registered(
    transaction: &mut Transaction,
    id: ImageId,
    details: &ImageDetails,
    event: &UploadEvent<'_>,
    now: Timestamp,
) -> Result<Image, Error> {
    let image = store::images::apply(transaction, id, &details.changes(now), now).await?.ok_or(Error::NotFound)?;
    store::upload_logs::insert(transaction, image.id, event, now).await?;
    Ok(image)
}

fn to_taken(error: store::Error) -> Error {
    match error {
        store::Error::Duplicate(_) => malformed("its id is that of another image"),
        error => error.into(),
    }
}

fn malformed(why: &'static str) -> Error {
    Error::Cloudflare { operation: UPDATE, cause: cloudflare::Error::Malformed(why) }
}
