//! All images in memory, by id and by time.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::domain::Timestamp;

use super::image::StoredImage;
use super::medium::sha256;

/// The place of an image among all others: the time it came, and, of those that came at once, part of the hash of its id. It stays
/// right while images come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::emulator) struct Position {
    pub(in crate::emulator) uploaded: Timestamp,
    pub(in crate::emulator) hash: [u8; 16],
}

impl Position {
    /// The place of an image.
    pub(in crate::emulator) fn of(image: &StoredImage) -> Self {
        let [hash @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = sha256(image.id.as_bytes());
        Self { uploaded: image.uploaded, hash }
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::emulator) enum Order {
    OldestFirst,
    #[default]
    NewestFirst,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    images: HashMap<String, Arc<StoredImage>>,
    /// Those that are no drafts.
    uploaded: BTreeMap<Position, Arc<StoredImage>>,
}

impl Index {
    pub(super) fn get(&self, id: &str) -> Option<&Arc<StoredImage>> {
        self.images.get(id)
    }

    /// Adds an image, or puts it in the place of the one with its id.
    pub(super) fn insert(&mut self, image: Arc<StoredImage>) {
        self.remove(&image.id);
        if !image.is_draft() {
            self.uploaded.insert(Position::of(&image), Arc::clone(&image));
        }
        self.images.insert(image.id.clone(), image);
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Some(image) = self.images.remove(id) {
            self.uploaded.remove(&Position::of(&image));
        }
    }

    /// How many images there are, drafts left out.
    pub(super) fn count(&self) -> usize {
        self.uploaded.len()
    }

    /// The first images behind a place, drafts left out.
    pub(super) fn behind(&self, place: Option<Position>, order: Order, limit: usize) -> Vec<Arc<StoredImage>> {
        let place = place.map_or(Bound::Unbounded, Bound::Excluded);
        match order {
            Order::OldestFirst => {
                self.uploaded.range((place, Bound::Unbounded)).map(|(_, image)| image).take(limit).cloned().collect()
            }
            Order::NewestFirst => {
                let range = self.uploaded.range((Bound::Unbounded, place)).rev();
                range.map(|(_, image)| image).take(limit).cloned().collect()
            }
        }
    }
}
