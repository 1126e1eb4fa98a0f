//! Images in a folder: `<SHA-256 of the id>.json` with the record, `<key>.img` with the original.
//!
//! Ids are anything, so they never become names of files. Every file is written under a name that ends in `.tmp`, flushed to
//! the disk and renamed, the original before its record: what a crash leaves behind is a file that no record speaks of. The settings of
//! the account are beside them, `<name>.json` each.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use bytes::Bytes;

use super::image::StoredImage;
use super::medium::sha256_hex;

/// A folder that belongs to the emulator. Files in it that are not its own are left alone.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

/// What a file in the folder is, by its name.
#[derive(Debug, PartialEq, Eq)]
enum Kind<'a> {
    Record,
    Original { key: &'a str },
    HalfWritten,
}

impl<'a> Kind<'a> {
    fn of(name: &'a str) -> Option<Self> {
        if let Some(whole) = name.strip_suffix(".tmp") {
            return Self::of(whole).filter(|kind| *kind != Self::HalfWritten).map(|_| Self::HalfWritten);
        }
        let (stem, extension) = name.split_once('.')?;
        let is_hex = stem.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match (extension, stem.len()) {
            ("json", 64) if is_hex => Some(Self::Record),
            ("img", 32) if is_hex => Some(Self::Original { key: stem }),
            _ => None,
        }
    }
}

impl Folder {
    /// Opens the folder, making it where it is missing, and reads the records in it. Leftovers of a crash are removed.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<StoredImage>)> {
        fs::create_dir_all(path)?;
        let folder = Self(path.to_owned());
        let images = folder.load()?;
        Ok((folder, images))
    }

    fn load(&self) -> io::Result<Vec<StoredImage>> {
        let mut records = Vec::new();
        let mut originals = HashSet::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            match Kind::of(name) {
                Some(Kind::Record) => records.push(name.to_owned()),
                Some(Kind::Original { key }) => drop(originals.insert(key.to_owned())),
                Some(Kind::HalfWritten) => self.remove(name)?,
                None => {}
            }
        }
        let read = in_parallel(&records, |name| self.read_record(name));
        let is_complete = read.iter().all(Option::is_some);
        let images: Vec<_> = read.into_iter().flatten().filter(|image| has_its_original(image, &originals)).collect();
        if is_complete {
            self.remove_unknown(originals, &images)?;
        }
        Ok(images)
    }

    /// A record that cannot be read is left where it is, for people to look at.
    fn read_record(&self, name: &str) -> Option<StoredImage> {
        let read = || -> io::Result<StoredImage> { Ok(serde_json::from_slice(&fs::read(self.0.join(name))?)?) };
        match read() {
            Ok(image) if record_name(&image.id) == name => Some(image),
            Ok(_) => {
                tracing::warn!(file = name, "ignored the record of an image: it is not the file's own");
                None
            }
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(file = name, error, "ignored the record of an image: it cannot be read");
                None
            }
        }
    }

    /// Removes originals whose uploads never came to an end, or whose images were being deleted.
    fn remove_unknown(&self, mut originals: HashSet<String>, images: &[StoredImage]) -> io::Result<()> {
        for original in images.iter().filter_map(StoredImage::original) {
            originals.remove(&original.key);
        }
        originals.iter().try_for_each(|key| self.remove_original(key))
    }

    pub(super) fn save_record(&self, image: &StoredImage) -> io::Result<()> {
        self.write(&record_name(&image.id), &serde_json::to_vec(image)?)
    }

    pub(super) fn remove_record(&self, id: &str) -> io::Result<()> {
        self.remove(&record_name(id))?;
        self.flush()
    }

    pub(super) fn save_original(&self, key: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(&original_name(key), bytes)
    }

    pub(super) fn read_original(&self, key: &str) -> io::Result<Bytes> {
        self.read(&original_name(key)).map(Bytes::from)
    }

    pub(super) fn remove_original(&self, key: &str) -> io::Result<()> {
        self.remove(&original_name(key))
    }

    /// Removes a file; one that somebody else removed is no error, or its image could never be deleted.
    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(name))
    }

    /// Writes a file so that it is there whole or not at all, for the owner's eyes only: it may be private, or have secrets in it.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.0.join(format!("{name}.tmp"));
        let mut file = private_options().open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, self.0.join(name))?;
        self.flush()
    }

    /// Makes new names, and the absence of old ones, durable. Only Unix opens folders for that.
    fn flush(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(&self.0)?.sync_all() } else { Ok(()) }
    }
}

/// Does the same with all names, in their order, on as many threads as there are cores: most of the time goes into opening files.
fn in_parallel<T: Send>(names: &[String], work: impl Fn(&str) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = names.len().div_ceil(threads).max(1);
    let work = |names: &[String]| names.iter().map(|name| work(name)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let threads: Vec<_> = names.chunks(share).map(|names| scope.spawn(|| work(names))).collect();
        let results = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        results.flatten().collect()
    })
}

pub(super) fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

pub(in crate::emulator) fn record_name(id: &str) -> String {
    format!("{}.json", sha256_hex(id.as_bytes()))
}

fn original_name(key: &str) -> String {
    format!("{key}.img")
}

fn has_its_original(image: &StoredImage, originals: &HashSet<String>) -> bool {
    let has = image.original().is_none_or(|original| originals.contains(&original.key));
    if !has {
        tracing::warn!(image.id, "ignored an image: its file is missing");
    }
    has
}
