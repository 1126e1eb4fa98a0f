//! Settings of the account that the API changes.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::blocking;
use super::folder::Folder;

/// A part of the account's settings: in memory, and, once it was changed, in a file beside the images where these are in a folder.
#[derive(Debug)]
pub(in crate::emulator) struct Document<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    value: RwLock<Arc<T>>,
    /// Held by whoever makes a new value out of the present one.
    change: Mutex<()>,
    file: Option<File>,
}

/// Where a document is kept.
#[derive(Debug)]
pub(super) struct File {
    pub(super) folder: Folder,
    pub(super) name: &'static str,
}

impl<T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Document<T> {
    /// What the file says, or `default` where there is none.
    pub(super) fn open(file: Option<File>, default: T) -> io::Result<Self> {
        let saved = file.as_ref().map(File::read).transpose()?.flatten();
        let value = RwLock::new(Arc::new(saved.unwrap_or(default)));
        Ok(Self(Arc::new(Inner { value, change: Mutex::default(), file })))
    }

    /// The present value.
    pub(in crate::emulator) fn get(&self) -> Arc<T> {
        self.0.get()
    }

    /// Changes the value, unless `change` refuses. Nobody sees the new one before it is durable.
    pub(in crate::emulator) async fn change<R, E>(
        &self,
        change: impl FnOnce(&mut T) -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<io::Error> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        blocking(move || inner.change(change)).await
    }

    /// Changes the value in memory only; the next [`change`](Self::change) makes that durable, too.
    pub(in crate::emulator) fn note(&self, change: impl FnOnce(&mut T)) {
        let _lock = self.0.lock();
        let mut value = T::clone(&self.get());
        change(&mut value);
        self.0.set(value);
    }
}

impl<T: Clone + Serialize> Inner<T> {
    fn get(&self) -> Arc<T> {
        Arc::clone(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, value: T) {
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ()> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R, E: From<io::Error>>(&self, change: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E> {
        let _lock = self.lock();
        let mut value = T::clone(&self.get());
        let result = change(&mut value)?;
        if let Some(file) = &self.file {
            file.folder.write(file.name, &serde_json::to_vec_pretty(&value).map_err(io::Error::from)?)?;
        }
        self.set(value);
        Ok(result)
    }
}

impl File {
    /// A file that cannot be read is an error: to go on without it would be to lose it at the next change.
    fn read<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let broken = |problem: &dyn std::fmt::Display| {
            let name = self.name;
            io::Error::new(io::ErrorKind::InvalidData, format!("{name} cannot be read, mend or delete it: {problem}"))
        };
        match self.folder.read(self.name) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| broken(&error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(broken(&error)),
        }
    }
}
