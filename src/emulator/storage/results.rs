//! Pictures that were made of originals, kept within a bound: in memory, or in a folder of files `<key>.result`.
//!
//! What is lost can be made again. So nothing is flushed to the disk; each file has a digest of what is in it instead, and one that
//! a crash left broken is as if it were not there. When there is too much, what was not asked for the longest goes first.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;

use super::super::transform::Format;
use super::folder::private_options;
use super::medium::{hex, sha256};

/// What a result is found by: a digest of the original and of all that was done to it.
pub(in crate::emulator) type Key = [u8; 32];

/// What files start with; to be changed with their form.
const MAGIC: &[u8] = b"cfimages result 1\n";
/// Bytes of a file besides the picture: the magic, the format and the digest.
const HEADER: usize = MAGIC.len() + 1 + 32;
/// The formats by the byte that stands for them.
const FORMATS: [Format; 4] = [Format::Jpeg, Format::Png, Format::Webp, Format::Gif];

/// A picture that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emulator) struct StoredResult {
    pub(in crate::emulator) format: Format,
    pub(in crate::emulator) bytes: Bytes,
}

/// Results within a bound.
#[derive(Debug)]
pub(in crate::emulator) struct ResultStore {
    place: Place,
    index: Mutex<Index>,
    /// Of files, with their headers.
    max_bytes: u64,
}

/// Where the files are.
#[derive(Debug)]
enum Place {
    Memory(Mutex<HashMap<Key, Bytes>>),
    Folder(PathBuf),
}

/// Which results there are, in the order in which they were asked for.
#[derive(Debug, Default)]
struct Index {
    entries: HashMap<Key, Entry>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    size: u64,
    last_use: u64,
}

impl ResultStore {
    /// No results yet, and none when the process has ended.
    pub(in crate::emulator) fn in_memory(max_bytes: u64) -> Self {
        Self { place: Place::Memory(Mutex::default()), index: Mutex::default(), max_bytes }
    }

    /// The results in a folder, which is made when there is one to keep. Where there are more than may be, the oldest are removed.
    pub(in crate::emulator) fn in_folder(folder: &Path, max_bytes: u64) -> io::Result<Self> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            entries => entries.into_iter().flatten(),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            match name.to_str().map(Name::of) {
                Some(Name::Result(key)) => {
                    let metadata = entry.metadata()?;
                    found.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), key, metadata.len()));
                }
                Some(Name::HalfWritten) => fs::remove_file(entry.path())?,
                Some(Name::Foreign) | None => {}
            }
        }
        found.sort_unstable();
        let store = Self { place: Place::Folder(folder.to_owned()), index: Mutex::default(), max_bytes };
        for (_, key, size) in found {
            let evicted = store.index().insert(key, size, max_bytes);
            store.discard(&evicted);
        }
        Ok(store)
    }

    /// The result with this key, if it is here and whole.
    pub(in crate::emulator) fn get(&self, key: &Key) -> Option<StoredResult> {
        if !self.index().touch(key) {
            return None;
        }
        let result = self.place.read(key).ok().and_then(|file| parse(&file));
        if result.is_none() {
            self.index().remove(key);
            self.discard(&[*key]);
        }
        result
    }

    /// Keeps a result, unless it alone is too large. A disk that fails is no reason to fail: the result is there.
    pub(in crate::emulator) fn put(&self, key: Key, result: &StoredResult) {
        let file = written(result);
        let size = file.len() as u64;
        if size > self.max_bytes {
            return;
        }
        if let Err(error) = self.place.write(&key, file) {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(error, "the emulator could not keep a picture that it made");
            return;
        }
        let evicted = self.index().insert(key, size, self.max_bytes);
        self.discard(&evicted);
    }

    /// Removes files that are in the index no more.
    fn discard(&self, keys: &[Key]) {
        for key in keys {
            // It is not found any more; the next start tries again.
            let _ = self.place.remove(key);
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn read(&self, key: &Key) -> io::Result<Bytes> {
        match self {
            Self::Memory(files) => lock(files).get(key).cloned().ok_or_else(|| io::ErrorKind::NotFound.into()),
            Self::Folder(folder) => {
                let path = folder.join(name(key));
                let bytes = fs::read(&path)?;
                // That is how the order survives a restart. Without it, too, the pictures are right.
                let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                Ok(bytes.into())
            }
        }
    }

    fn write(&self, key: &Key, file: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Memory(files) => {
                lock(files).insert(*key, file.into());
                Ok(())
            }
            Self::Folder(folder) => {
                let path = folder.join(name(key));
                let temporary = path.with_extension("tmp");
                fs::create_dir_all(folder)?;
                private_options().open(&temporary)?.write_all(&file)?;
                fs::rename(temporary, path)
            }
        }
    }

    fn remove(&self, key: &Key) -> io::Result<()> {
        match self {
            Self::Memory(files) => {
                lock(files).remove(key);
                Ok(())
            }
            Self::Folder(folder) => fs::remove_file(folder.join(name(key))),
        }
    }
}

fn lock(files: &Mutex<HashMap<Key, Bytes>>) -> MutexGuard<'_, HashMap<Key, Bytes>> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Index {
    /// Notes that a result was asked for; whether it is here.
    fn touch(&mut self, key: &Key) -> bool {
        let Some(entry) = self.remove(key) else { return false };
        self.add(*key, entry.size);
        true
    }

    /// Adds a result, and takes away others until all of them together are within the bound.
    fn insert(&mut self, key: Key, size: u64, max_bytes: u64) -> Vec<Key> {
        self.remove(&key);
        self.add(key, size);
        let mut evicted = Vec::new();
        while self.bytes > max_bytes
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            let oldest = *oldest;
            self.remove(&oldest);
            evicted.push(oldest);
        }
        evicted
    }

    fn add(&mut self, key: Key, size: u64) {
        self.uses += 1;
        self.by_use.insert(self.uses, key);
        self.entries.insert(key, Entry { size, last_use: self.uses });
        self.bytes += size;
    }

    fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.by_use.remove(&entry.last_use);
        self.bytes -= entry.size;
        Some(entry)
    }
}

/// What a file in the folder is.
enum Name {
    Result(Key),
    HalfWritten,
    Foreign,
}

impl Name {
    fn of(name: &str) -> Self {
        match name.split_once('.').map(|(stem, extension)| (key(stem), extension)) {
            Some((Some(key), "result")) => Self::Result(key),
            Some((Some(_), "tmp")) => Self::HalfWritten,
            _ => Self::Foreign,
        }
    }
}

fn name(key: &Key) -> String {
    format!("{}.result", hex(key))
}

fn key(hex: &str) -> Option<Key> {
    let is_hex = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("two hexadecimal digits");
    is_hex.then(|| std::array::from_fn(byte))
}

/// A result as a file.
fn written(result: &StoredResult) -> Vec<u8> {
    let format = FORMATS.iter().position(|format| *format == result.format).expect("all formats are there");
    let mut file = Vec::with_capacity(HEADER + result.bytes.len());
    file.extend_from_slice(MAGIC);
    file.push(u8::try_from(format).expect("there are four"));
    file.extend_from_slice(&sha256(&result.bytes));
    file.extend_from_slice(&result.bytes);
    file
}

/// The result in a file, if it is whole.
fn parse(file: &Bytes) -> Option<StoredResult> {
    let (format, rest) = file.strip_prefix(MAGIC)?.split_first()?;
    let (digest, bytes) = rest.split_at_checked(32)?;
    let format = *FORMATS.get(usize::from(*format))?;
    (sha256(bytes) == digest).then(|| StoredResult { format, bytes: file.slice(HEADER..) })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn result(fill: u8, length: usize) -> StoredResult {
        StoredResult { format: Format::Webp, bytes: vec![fill; length].into() }
    }

    /// A bound for so many results of 100 bytes.
    fn room_for(results: u64) -> u64 {
        results * (100 + HEADER as u64)
    }

    fn put(store: &ResultStore, number: u8) {
        store.put([number; 32], &result(number, 100));
    }

    fn here(store: &ResultStore) -> Vec<u8> {
        (0..9).filter(|number| store.index().entries.contains_key(&[*number; 32])).collect()
    }

    #[test]
    fn what_was_not_asked_for_the_longest_is_evicted_first() {
        let folder = TempDir::new().unwrap();
        for store in [ResultStore::in_memory(room_for(3)), ResultStore::in_folder(folder.path(), room_for(3)).unwrap()]
        {
            (1..=3).for_each(|number| put(&store, number));
            assert_eq!(store.get(&[1; 32]), Some(result(1, 100)));
            put(&store, 4);
            assert_eq!(here(&store), [1, 3, 4]);
            assert_eq!(store.get(&[2; 32]), None);
            put(&store, 4);
            assert_eq!(store.index().bytes, room_for(3));
            store.put([5; 32], &result(5, 1000));
            assert_eq!(here(&store), [1, 3, 4], "one that is larger than all may be is not kept");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn results_and_their_order_survive_a_restart_and_a_smaller_bound_is_kept_to() {
        let folder = TempDir::new().unwrap();
        let store = ResultStore::in_folder(folder.path(), room_for(3)).unwrap();
        (1..=3).for_each(|number| put(&store, number));
        for (seconds, number) in [(30, 1), (10, 2), (20, 3)] {
            let file = File::options().append(true).open(folder.path().join(name(&[number; 32]))).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
        }
        let store = ResultStore::in_folder(folder.path(), room_for(2)).unwrap();
        assert_eq!(here(&store), [1, 3]);
        assert_eq!(store.get(&[3; 32]), Some(result(3, 100)));
        put(&store, 4);
        assert_eq!(here(&store), [3, 4]);
        ResultStore::in_folder(folder.path(), 0).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_crash_left_broken_is_as_if_it_were_not_there() {
        let folder = TempDir::new().unwrap();
        let path = |number: u8| folder.path().join(name(&[number; 32]));
        let store = ResultStore::in_folder(folder.path(), room_for(9)).unwrap();
        (1..=4).for_each(|number| put(&store, number));
        let whole = fs::read(path(1)).unwrap();
        fs::write(path(1), &whole[..whole.len() - 1]).unwrap();
        fs::write(path(2), vec![0; whole.len()]).unwrap();
        fs::remove_file(path(3)).unwrap();
        fs::write(path(5).with_extension("tmp"), b"half").unwrap();
        fs::write(folder.path().join("notes.txt"), b"somebody's").unwrap();
        let store = ResultStore::in_folder(folder.path(), room_for(9)).unwrap();
        for number in 1..=3 {
            assert_eq!(store.get(&[number; 32]), None, "{number}");
            put(&store, number);
            assert_eq!(store.get(&[number; 32]), Some(result(number, 100)));
        }
        assert_eq!(store.get(&[4; 32]), Some(result(4, 100)));
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names.len(), 5, "{names:?}");
    }
}
