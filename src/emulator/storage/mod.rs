//! Where images are kept: an index of all of them in memory, and behind it, in memory or in a folder, the originals and the
//! records that outlive a restart.
//!
//! All of it blocks, and is meant for threads that may.

mod document;
mod folder;
mod image;
mod index;
mod medium;
mod results;

pub(super) use document::Document;
pub(super) use image::{ImageState, Original, StoredImage, Upload};
pub(super) use index::{Order, Position};
pub(super) use medium::hex;
pub(super) use results::{Key, ResultStore, StoredResult};

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use crate::domain::Timestamp;

use serde::Serialize;
use serde::de::DeserializeOwned;

use folder::Folder;
#[cfg(test)]
pub(super) use folder::record_name;
use index::Index;
use medium::Medium;

/// Does work on a thread that may block. The work goes on to its end even if nobody waits for it.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Locks for changes of images; images that share one wait for each other, the others do not.
const LOCKS: usize = 32;
/// Images that are looked at while changes wait.
const BATCH: usize = 1000;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum StorageError {
    /// There is no such image, or no longer.
    #[error("there is no such image")]
    Missing,
    /// There is an image already.
    #[error("there is an image already")]
    Exists,
    /// The disk failed.
    #[error("the storage failed")]
    Io(#[from] io::Error),
}

/// The images of the account.
///
/// Records and the index change together below the lock of the image; a record is durable before anybody can see it.
#[derive(Debug)]
pub(super) struct Storage {
    index: RwLock<Index>,
    /// Drafts by their end, so that those that have ended are found without looking at all.
    drafts: Mutex<BinaryHeap<Reverse<(Timestamp, String)>>>,
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
    medium: Medium,
}

impl Storage {
    /// An empty storage that ends with the process.
    pub(super) fn in_memory() -> Self {
        Self::new(Medium::memory(), Vec::new())
    }

    /// The storage in a folder, with everything in it that is whole; drafts that ended before `now` are cleared away.
    pub(super) fn in_folder(folder: &Path, now: Timestamp) -> io::Result<Self> {
        let (folder, images) = Folder::open(folder)?;
        let storage = Self::new(Medium::Folder(folder), images);
        storage.remove_ended_drafts(now)?;
        Ok(storage)
    }

    fn new(medium: Medium, images: Vec<StoredImage>) -> Self {
        let ends = images.iter().filter_map(|image| Some(Reverse((image.draft_end()?, image.id.clone()))));
        let drafts = Mutex::new(ends.collect());
        let mut index = Index::default();
        for image in images {
            index.insert(Arc::new(image));
        }
        Self {
            drafts,
            index: RwLock::new(index),
            locks: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::new(),
            medium,
        }
    }

    /// The part of the account's settings with this name, or `default` where it was never changed.
    pub(super) fn document<T>(&self, name: &'static str, default: T) -> io::Result<Document<T>>
    where
        T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let file = self.medium.folder().cloned().map(|folder| document::File { folder, name });
        Document::open(file, default)
    }

    /// The image or draft with this id; drafts that have ended are no longer there.
    pub(super) fn find(&self, id: &str, now: Timestamp) -> Option<Arc<StoredImage>> {
        self.index().get(id).filter(|image| !image.has_ended(now)).cloned()
    }

    /// How many images there are, drafts left out.
    pub(super) fn count(&self) -> usize {
        self.index().count()
    }

    /// The drafts there are, the newest first.
    pub(super) fn drafts(&self, now: Timestamp) -> Vec<Arc<StoredImage>> {
        // An id may stand there more than once, and may be that of an image by now.
        let ids: BTreeSet<String> = self.ends().iter().map(|Reverse((_, id))| id.clone()).collect();
        let mut drafts: Vec<_> =
            ids.iter().filter_map(|id| self.find(id, now)).filter(|image| image.is_draft()).collect();
        drafts.sort_by_key(|draft| Reverse(draft.uploaded));
        drafts
    }

    /// The images behind a place in an order, drafts left out. Nobody waits for whoever goes through all of them.
    pub(super) fn images(&self, place: Option<Position>, order: Order) -> impl Iterator<Item = Arc<StoredImage>> {
        let mut place = place;
        let next = move || {
            let batch = self.index().behind(place, order, BATCH);
            place = batch.last().map(|image| Position::of(image)).or(place);
            Some(batch).filter(|batch| !batch.is_empty())
        };
        std::iter::from_fn(next).flatten()
    }

    /// Keeps a new draft.
    pub(super) fn insert_draft(&self, draft: StoredImage, now: Timestamp) -> Result<(), StorageError> {
        self.remove_ended_drafts(now)?;
        let end = draft.draft_end();
        let id = draft.id.clone();
        let _lock = self.lock(&id);
        if self.find(&id, now).is_some() {
            return Err(StorageError::Exists);
        }
        self.replace(draft)?;
        self.ends().extend(end.map(|end| Reverse((end, id))));
        Ok(())
    }

    /// Keeps a new image: a draft that nobody saw, with its picture.
    pub(super) fn insert_image(
        &self,
        draft: StoredImage,
        upload: Upload,
        now: Timestamp,
    ) -> Result<Arc<StoredImage>, StorageError> {
        let original = self.medium.save_original(upload)?;
        let result = self.put(draft, &original, now);
        if result.is_err() {
            self.medium.remove_original(&original)?;
        }
        result
    }

    fn put(&self, draft: StoredImage, original: &Original, now: Timestamp) -> Result<Arc<StoredImage>, StorageError> {
        let _lock = self.lock(&draft.id);
        if self.find(&draft.id, now).is_some() {
            return Err(StorageError::Exists);
        }
        Ok(self.replace(StoredImage { uploaded: now, state: ImageState::Uploaded(original.clone()), ..draft })?)
    }

    /// Turns the draft with this id, which must not have ended at `started`, into an image.
    pub(super) fn complete(
        &self,
        id: &str,
        upload: Upload,
        started: Timestamp,
        uploaded: Timestamp,
    ) -> Result<Arc<StoredImage>, StorageError> {
        let original = self.medium.save_original(upload)?;
        let result = self.attach(id, &original, started, uploaded);
        if result.is_err() {
            self.medium.remove_original(&original)?;
        }
        result
    }

    fn attach(
        &self,
        id: &str,
        original: &Original,
        started: Timestamp,
        uploaded: Timestamp,
    ) -> Result<Arc<StoredImage>, StorageError> {
        let _lock = self.lock(id);
        let draft = self.find(id, started).ok_or(StorageError::Missing)?;
        if !draft.is_draft() {
            return Err(StorageError::Exists);
        }
        let (id, state) = (draft.final_id(), ImageState::Uploaded(original.clone()));
        let image = self.replace(StoredImage { id, uploaded, state, ..StoredImage::clone(&draft) })?;
        if image.id != draft.id {
            self.forget(&draft)?;
        }
        Ok(image)
    }

    /// Changes the image or draft with this id, perhaps the id too, if nobody has the new one.
    pub(super) fn update(
        &self,
        id: &str,
        now: Timestamp,
        change: impl FnOnce(&mut StoredImage),
    ) -> Result<Arc<StoredImage>, StorageError> {
        let _lock = self.lock(id);
        let before = self.find(id, now).ok_or(StorageError::Missing)?;
        let mut image = StoredImage::clone(&before);
        change(&mut image);
        let image = self.replace(image)?;
        if image.id != before.id {
            self.forget(&before)?;
        }
        Ok(image)
    }

    /// Deletes the image or draft with this id; whether there was one.
    pub(super) fn delete(&self, id: &str, now: Timestamp) -> io::Result<bool> {
        let _lock = self.lock(id);
        match self.find(id, now) {
            Some(image) => self.remove(&image).map(|()| true),
            None => Ok(false),
        }
    }

    /// The bytes of an original.
    pub(super) fn read(&self, original: &Original) -> io::Result<Bytes> {
        self.medium.read_original(original)
    }

    fn remove_ended_drafts(&self, now: Timestamp) -> io::Result<()> {
        while let Some(id) = self.pop_ended(now) {
            let _lock = self.lock(&id);
            let ended = self.index().get(&id).cloned();
            if let Some(draft) = ended.filter(|image| image.has_ended(now)) {
                self.remove(&draft)?;
            }
        }
        Ok(())
    }

    /// The id of a draft whose end has passed; by now it may have become an image, or another draft.
    fn pop_ended(&self, now: Timestamp) -> Option<String> {
        let mut ends = self.ends();
        let Reverse((end, _)) = ends.peek()?;
        if *end >= now {
            return None;
        }
        ends.pop().map(|Reverse((_, id))| id)
    }

    /// Writes the record, then shows the image. The lock of the image must be held.
    fn replace(&self, image: StoredImage) -> io::Result<Arc<StoredImage>> {
        self.medium.save_record(&image)?;
        let image = Arc::new(image);
        self.index.write().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(&image));
        Ok(image)
    }

    /// Removes the record, then hides the image, then removes the original. The lock of the image must be held.
    fn remove(&self, image: &StoredImage) -> io::Result<()> {
        self.forget(image)?;
        if let Some(original) = image.original() {
            self.medium.remove_original(original)?;
        }
        Ok(())
    }

    /// Removes the record, then hides the image. The lock of the image must be held.
    fn forget(&self, image: &StoredImage) -> io::Result<()> {
        self.medium.remove_record(image)?;
        self.index.write().unwrap_or_else(PoisonError::into_inner).remove(&image.id);
        Ok(())
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self, id: &str) -> MutexGuard<'_, ()> {
        let at = self.hasher.hash_one(id) % LOCKS as u64;
        let at = usize::try_from(at).expect("less than the number of locks");
        self.locks[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> MutexGuard<'_, BinaryHeap<Reverse<(Timestamp, String)>>> {
        self.drafts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
