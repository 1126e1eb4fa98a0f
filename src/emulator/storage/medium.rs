//! The two places behind the index.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::folder::Folder;
use super::image::{Original, StoredImage, Upload};

/// Where originals are, and records that outlive the process.
#[derive(Debug)]
pub(super) enum Medium {
    /// The originals by their keys. Records need no place of their own: the index has them.
    Memory(RwLock<HashMap<String, Bytes>>),
    /// Everything is in files.
    Folder(Folder),
}

impl Medium {
    pub(super) fn memory() -> Self {
        Self::Memory(RwLock::default())
    }

    /// The folder, where there is one.
    pub(super) fn folder(&self) -> Option<&Folder> {
        match self {
            Self::Memory(_) => None,
            Self::Folder(folder) => Some(folder),
        }
    }

    /// Makes the record of an image durable, in place of the one before.
    pub(super) fn save_record(&self, image: &StoredImage) -> io::Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Folder(folder) => folder.save_record(image),
        }
    }

    pub(super) fn remove_record(&self, image: &StoredImage) -> io::Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Folder(folder) => folder.remove_record(&image.id),
        }
    }

    /// Makes an uploaded file durable, under a key of its own.
    pub(super) fn save_original(&self, upload: Upload) -> io::Result<Original> {
        let key = Uuid::new_v4().simple().to_string();
        let sha256 = sha256_hex(&upload.bytes);
        match self {
            Self::Memory(originals) => {
                originals.write().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), upload.bytes);
            }
            Self::Folder(folder) => folder.save_original(&key, &upload.bytes)?,
        }
        Ok(Original { filename: upload.filename, sha256, content: upload.content, key })
    }

    pub(super) fn read_original(&self, original: &Original) -> io::Result<Bytes> {
        match self {
            Self::Memory(originals) => {
                let originals = originals.read().unwrap_or_else(PoisonError::into_inner);
                originals.get(&original.key).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
            }
            Self::Folder(folder) => folder.read_original(&original.key),
        }
    }

    pub(super) fn remove_original(&self, original: &Original) -> io::Result<()> {
        match self {
            Self::Memory(originals) => {
                originals.write().unwrap_or_else(PoisonError::into_inner).remove(&original.key);
                Ok(())
            }
            Self::Folder(folder) => folder.remove_original(&original.key),
        }
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha256(bytes))
}

/// Bytes in hexadecimal digits.
pub(in crate::emulator) fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
