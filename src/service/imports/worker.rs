//! One picture at a time: uploaded, recorded, and named by its row of the application.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{info, warn};
use uuid::Uuid;

use super::row::{Item, MARK, marked};
use super::source::{Opened, SourceReader};
use super::{ImportOptions, ImportOutcome, ImportPlace, ImportProblem, ImportRow, ImportedImage};
use crate::cloudflare::{self, ImageDetails, ImageListFilter, MetadataFilter, MetadataTest, NewImageFields};
use crate::domain::{CloudflareId, ImageMarks, RegisteredImage, Timestamp, User};
use crate::service::file_uploads::{SendError, Uploaded, malformed, refusal};
use crate::service::leftovers::{CLOCKS_APART_MINUTES, LOST_UPLOAD_MINUTES, fits};
use crate::service::retry::retry;
use crate::service::{CloudflareService, Error, PictureProblem};
use crate::store::host_columns;
use crate::store::imports::ImportItem;
use crate::store::{self, Transaction};

/// How long the upload of a picture may take.
pub(super) const ITEM_MINUTES: u64 = 5;
/// How often Cloudflare is waited for where it is down, or the requests of these minutes are used up.
const MAX_WAITS: u32 = 12;
/// How long to wait where nobody says.
const USUAL_WAIT: Duration = Duration::from_secs(5);
/// The longest wait in one go.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
const FIND: &str = "Failed to find image";

/// Does what is to be done with single pictures. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    service: CloudflareService,
    options: Arc<ImportOptions>,
    reader: SourceReader,
}

/// What has come of an item.
pub(super) struct Finished {
    pub(super) item: Item,
    pub(super) progress: Progress,
}

/// How far an item has come.
pub(super) enum Progress {
    /// To its end; how many bytes were uploaded, or would be.
    Done { outcome: ImportOutcome, bytes: u64 },
    /// It is certain then what became of its upload.
    Later(Timestamp),
    /// Nothing can be done for other items either.
    End(Error),
}

/// Why an item is not done.
enum Obstacle {
    /// It cannot be.
    Problem(ImportProblem),
    /// It is not certain before then what became of its upload.
    Unclear(Timestamp),
    /// It is one of the files that are passed over.
    NoPicture,
    /// Another row says the same.
    Repeated,
}

impl<T: Into<ImportProblem>> From<T> for Obstacle {
    fn from(problem: T) -> Self {
        Self::Problem(problem.into())
    }
}

/// What was sent to Cloudflare.
struct Sent {
    details: ImageDetails,
    content_type: Option<&'static str>,
    bytes: Option<u64>,
}

impl Sent {
    /// An image that was found there.
    fn found(details: ImageDetails) -> Self {
        Self { details, content_type: None, bytes: None }
    }
}

impl Worker {
    pub(super) fn new(service: CloudflareService, options: Arc<ImportOptions>, reader: SourceReader) -> Self {
        Self { service, options, reader }
    }

    /// Reads a row whose user is known.
    ///
    /// # Errors
    /// What cannot be used.
    pub(super) fn read(&self, row: &ImportRow, owner: Option<User>) -> Result<Item, ImportProblem> {
        Item::read(row, owner, self.options.column.as_ref().map(|column| column.name.as_str()))
    }

    /// Does what is to be done with an item, and waits where Cloudflare wants that.
    pub(super) async fn import(self, item: Item) -> Finished {
        let mut waits = 0;
        let progress = loop {
            let obstacle = match self.try_to_import(&item).await {
                Ok((outcome, bytes)) => break Progress::Done { outcome, bytes },
                Err(obstacle) => obstacle,
            };
            let outcome = match obstacle {
                Obstacle::Unclear(until) => break Progress::Later(until),
                Obstacle::Repeated => ImportOutcome::Repeated,
                Obstacle::NoPicture => ImportOutcome::Skipped,
                Obstacle::Problem(ImportProblem::Upload(error)) if is_about_all(&error) => {
                    match wait_after(&error).filter(|_| waits < MAX_WAITS && !self.options.stop.is_cancelled()) {
                        None => break Progress::End(error),
                        Some(wait) => {
                            waits += 1;
                            info!(error = %error, "An import waits for {} s: {error}", wait.as_secs());
                            let _ = timeout(wait, self.options.stop.cancelled()).await;
                            continue;
                        }
                    }
                }
                Obstacle::Problem(problem) => ImportOutcome::Failed(problem),
            };
            break Progress::Done { outcome, bytes: 0 };
        };
        Finished { item, progress }
    }

    async fn try_to_import(&self, item: &Item) -> Result<(ImportOutcome, u64), Obstacle> {
        let (outcome, bytes) =
            match store::imports::find(&self.service.database, &item.key).await.map_err(Error::from)? {
                None => self.upload(item, None).await?,
                Some(known) => match (known.image_id, known.cloudflare_id.clone()) {
                    (None, _) => self.resolve(item, known).await?,
                    (Some(id), Some(cloudflare_id)) => {
                        (ImportOutcome::Already(Some(ImportedImage { id, cloudflare_id })), 0)
                    }
                    (Some(_), None) if self.options.again => {
                        if !self.options.is_dry_run {
                            self.forget(item, &known).await?;
                        }
                        self.upload(item, None).await?
                    }
                    (Some(_), None) => (ImportOutcome::Already(None), 0),
                },
            };
        if let ImportOutcome::Imported(image) | ImportOutcome::Found(image) | ImportOutcome::Already(Some(image)) =
            &outcome
        {
            self.name_in_row(item, image).await?;
        }
        Ok((outcome, bytes))
    }

    /// Finds out what became of an upload that was begun before, and begins another one where it is certain that nothing did.
    async fn resolve(&self, item: &Item, begun: ImportItem) -> Result<(ImportOutcome, u64), Obstacle> {
        if self.options.is_dry_run {
            return self.upload(item, None).await;
        }
        if let Some(details) = self.find(item, &begun).await? {
            let image = self.record(item, &begun, Sent::found(details)).await?;
            return Ok((ImportOutcome::Found(image), 0));
        }
        if self.service.clock.now() < begun.certain_at {
            return Err(Obstacle::Unclear(begun.certain_at));
        }
        self.upload(item, Some(&begun)).await
    }

    /// Uploads a picture; `before` is an upload of it of which nothing came.
    async fn upload(&self, item: &Item, before: Option<&ImportItem>) -> Result<(ImportOutcome, u64), Obstacle> {
        let opened = match self.reader.open(&self.service, &item.source).await {
            Ok(opened) => opened,
            Err(ImportProblem::Upload(Error::Picture(PictureProblem::WrongType)))
                if self.options.sources.skip_others =>
            {
                return Err(Obstacle::NoPicture);
            }
            Err(problem) => return Err(problem.into()),
        };
        let mut asked = self.service.image_with_defaults(&item.request);
        if asked.custom_id.is_some() && asked.require_signed_urls {
            return Err(Error::CustomIdCannotBePrivate.into());
        }
        let mark = before.map_or_else(|| Uuid::new_v4().simple().to_string(), |before| before.mark.clone());
        asked.metadata = marked(&asked.metadata, &mark)?;
        if self.options.is_dry_run {
            self.service.require_unknown(item.request.custom_id.as_ref()).await?;
            let Opened::File(_, bytes) = opened else { return Ok((ImportOutcome::Importable, 0)) };
            return Ok((ImportOutcome::Importable, bytes.unwrap_or(0)));
        }
        self.service.require_free(item.request.custom_id.as_ref()).await?;
        let begun = self.begin(item, mark, &asked, before).await?;
        let sent = match self.send(&asked, opened).await {
            Ok(sent) => sent,
            Err(SendError::NotSent(problem)) => {
                self.forget(item, &begun).await?;
                return Err(Error::from(problem).into());
            }
            Err(SendError::Cloudflare(cause)) if cause.may_have_taken_effect() => {
                warn!(error = %cause, "Cloudflare's answer to the upload of a picture was lost: {cause}");
                // Where Cloudflare does not tell, it is asked again when that is certain.
                match self.find(item, &begun).await {
                    Ok(Some(details)) => Sent::found(details),
                    Ok(None) | Err(_) => return Err(Obstacle::Unclear(begun.certain_at)),
                }
            }
            Err(SendError::Cloudflare(cause)) => {
                self.forget(item, &begun).await?;
                return Err(refusal(cause, &asked).into());
            }
        };
        let bytes = sent.bytes.unwrap_or(0);
        Ok((ImportOutcome::Imported(self.record(item, &begun, sent).await?), bytes))
    }

    /// Records that an upload begins.
    async fn begin(
        &self,
        item: &Item,
        mark: String,
        asked: &NewImageFields,
        before: Option<&ImportItem>,
    ) -> Result<ImportItem, Obstacle> {
        let now = self.service.clock.now();
        let item_minutes = i64::try_from(ITEM_MINUTES).unwrap_or(i64::MAX);
        let uploaded_from = before.map_or(now, |before| before.begun_at).plus_minutes(-CLOCKS_APART_MINUTES);
        let begun = ImportItem {
            mark,
            marks: ImageMarks {
                metadata: Some(asked.metadata.clone()),
                creator: Some(asked.creator.clone()),
                uploaded_from: Some(uploaded_from),
                ..ImageMarks::default()
            },
            begun_at: now,
            certain_at: now.plus_minutes(item_minutes + LOST_UPLOAD_MINUTES + CLOCKS_APART_MINUTES),
            image_id: None,
            cloudflare_id: None,
        };
        let is_ours = retry(Error::is_transient, async || {
            let mut transaction = self.service.database.begin().await?;
            let is_ours = match before {
                None => store::imports::begin(&mut transaction, &item.key, &begun).await?,
                Some(before) => {
                    store::imports::begin_anew(&mut transaction, &item.key, &begun, before.begun_at).await?
                }
            };
            transaction.commit().await?;
            Ok::<_, Error>(is_ours)
        })
        .await?;
        if is_ours { Ok(begun) } else { Err(Obstacle::Repeated) }
    }

    async fn send(&self, asked: &NewImageFields, opened: Opened) -> Result<Sent, SendError> {
        let answer = Instant::now() + Duration::from_mins(ITEM_MINUTES);
        match opened {
            Opened::File(file, _) => {
                let (content_type, progress) = (file.format.content_type(), Arc::clone(&file.progress));
                let details = self.service.send_once(asked, file, answer).await?;
                Ok(Sent { details, content_type: Some(content_type), bytes: Some(progress.bytes()) })
            }
            Opened::Url(url) => {
                let uploading = self.service.client.upload_from_url(asked, url.as_str(), answer);
                uploading.await.map(Sent::found).map_err(SendError::Cloudflare)
            }
        }
    }

    /// The image that an upload has come to at Cloudflare; none if there is none, at least not yet.
    async fn find(&self, item: &Item, begun: &ImportItem) -> Result<Option<ImageDetails>, Error> {
        let id = match &item.request.custom_id {
            Some(id) => Some(id.clone()),
            None => self.find_marked(begun).await?,
        };
        let Some(id) = id else { return Ok(None) };
        match self.service.client.get_image(&id).await {
            Ok(details) => Ok(Some(details).filter(|details| !details.is_draft && fits(&begun.marks, details))),
            Err(cause) if cause.is_not_found() => Ok(None),
            Err(cause) => Err(Error::Cloudflare { operation: FIND, cause }),
        }
    }

    /// The image in Cloudflare's list that has the mark of an upload.
    async fn find_marked(&self, begun: &ImportItem) -> Result<Option<CloudflareId>, Error> {
        let mark = MetadataFilter::new(MARK, MetadataTest::IsText(begun.mark.clone()));
        let metadata = vec![mark.expect("the mark is a word")];
        let filter = ImageListFilter { metadata, ..ImageListFilter::default() };
        let page = self.service.client.list_images(filter, None).next_page().await.map_err(Error::cloudflare(FIND))?;
        let images = page.into_iter().flat_map(|page| page.images);
        Ok(images
            .into_iter()
            .find(|image| image.id.is_storable() && fits(&begun.marks, &image.details))
            .map(|image| image.id))
    }

    /// Records an image that is at Cloudflare, and that its item is done.
    async fn record(&self, item: &Item, begun: &ImportItem, sent: Sent) -> Result<ImportedImage, Error> {
        let id = sent.details.id.clone().ok_or_else(|| malformed("it has no id"))?;
        match retry(Error::is_transient, async || self.try_to_record(item, begun, &id, &sent).await).await {
            // Somebody has found it in the account, or the answer to our own commit was lost.
            Err(Error::CustomIdTaken) => retry(Error::is_transient, async || self.adopt(item, begun, &id).await).await,
            recorded => recorded,
        }
    }

    async fn try_to_record(
        &self,
        item: &Item,
        begun: &ImportItem,
        id: &CloudflareId,
        sent: &Sent,
    ) -> Result<ImportedImage, Error> {
        let ImageMarks { metadata, creator, .. } = begun.marks.clone();
        let asked = NewImageFields {
            metadata: metadata.unwrap_or_default(),
            creator: creator.unwrap_or_default(),
            ..self.service.image_with_defaults(&item.request)
        };
        let uploaded = Uploaded {
            asked,
            original_filename: item.file_name(),
            details: sent.details.clone(),
            content_type: sent.content_type,
            file_size: sent.bytes,
            by_staff: false,
        };
        let mut transaction = self.service.database.begin().await?;
        let image = self.service.insert_uploaded(&mut transaction, &item.owner, id, uploaded).await?;
        let image = ImportedImage { id: image.id, cloudflare_id: image.cloudflare_id };
        finish(transaction, item, begun, image).await
    }

    /// Takes an image that is recorded already for that of an item, if it is nobody else's.
    async fn adopt(&self, item: &Item, begun: &ImportItem, id: &CloudflareId) -> Result<ImportedImage, Error> {
        let registered = RegisteredImage {
            cloudflare_id: id.clone(),
            user_id: Some(item.owner.id),
            require_signed_urls: None,
            metadata: None,
        };
        let mut transaction = self.service.database.begin().await?;
        let Some(image) = store::images::claim(&mut transaction, &registered).await? else {
            return Err(Error::OtherOwner(id.clone()));
        };
        let image = ImportedImage { id: image.id, cloudflare_id: image.cloudflare_id };
        finish(transaction, item, begun, image).await
    }

    /// Forgets an upload of which nothing came.
    async fn forget(&self, item: &Item, begun: &ImportItem) -> Result<(), Error> {
        retry(Error::is_transient, async || {
            let mut transaction = self.service.database.begin().await?;
            store::imports::forget(&mut transaction, &item.key, begun.begun_at).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// Makes the row of the application name the image, where it comes from one.
    async fn name_in_row(&self, item: &Item, image: &ImportedImage) -> Result<(), ImportProblem> {
        let (ImportPlace::Row(row), Some(column)) = (&item.row.place, &self.options.column) else { return Ok(()) };
        if self.options.is_dry_run {
            return Ok(());
        }
        let named = retry(store::Error::is_transient, async || {
            let mut transaction = self.service.database.begin().await?;
            let is_named =
                host_columns::name_image(&mut transaction, column, row, image.id, &image.cloudflare_id).await?;
            transaction.commit().await?;
            Ok::<_, store::Error>(is_named)
        })
        .await;
        let id = image.cloudflare_id.clone();
        match named {
            Ok(true) => Ok(()),
            Ok(false) => Err(ImportProblem::RowChanged(id)),
            Err(cause) if cause.is_transient() => Err(Error::Store(cause).into()),
            Err(cause) => Err(ImportProblem::RowRefused { id, cause: Box::new(cause) }),
        }
    }
}

/// Records that an item is done, and commits that with all else.
async fn finish(
    mut transaction: Transaction,
    item: &Item,
    begun: &ImportItem,
    image: ImportedImage,
) -> Result<ImportedImage, Error> {
    let is_ours = store::imports::finish(&mut transaction, &item.key, image.id, begun.begun_at).await?;
    let is_done = is_ours || store::imports::is_image_of(&mut transaction, &item.key, image.id).await?;
    if is_done {
        transaction.commit().await?;
        return Ok(image);
    }
    transaction.rollback().await?;
    Err(Error::BeingCleared(image.cloudflare_id))
}

/// Whether an error says that nothing can be done for other items either.
fn is_about_all(error: &Error) -> bool {
    match error {
        Error::Store(error) => error.is_transient(),
        error => !error.concerns_one_image(),
    }
}

/// How long to wait where the same may work later.
fn wait_after(error: &Error) -> Option<Duration> {
    let Error::Cloudflare { cause, .. } = error else { return None };
    let wait = |cause: &cloudflare::Error| cause.retry_after().unwrap_or(USUAL_WAIT).min(LONGEST_WAIT);
    (cause.is_retryable() && !error.needs_somebody()).then(|| wait(cause))
}
