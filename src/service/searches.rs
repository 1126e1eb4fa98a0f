//! Searches that no index may help with, so that all rows may have to be looked at.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::{CloudflareService, Error};
use crate::store::Database;

/// How many of them go on at once.
const AT_ONCE: usize = 2;
/// How long a search waits for its turn.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the database may look.
const TIME: Duration = Duration::from_secs(8);
/// The same for a part of a file, for which nobody sits before a page.
const FILE_TIME: Duration = Duration::from_secs(25);

/// Why a search found nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Others are searching.
    #[error("Too many searches are going on at the moment. Try again in a moment.")]
    Busy,
    /// It was given up.
    #[error("The search was given up, as it took too long.")]
    TookTooLong,
    /// Something else failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Turns for searches.
#[derive(Debug)]
pub(super) struct Searches {
    all: Semaphore,
    /// One at most is for a file, so that the others are for people before a page.
    files: Semaphore,
}

impl Searches {
    pub(super) fn new() -> Self {
        Self { all: Semaphore::new(AT_ONCE), files: Semaphore::new(1) }
    }
}

impl CloudflareService {
    /// Does a search for a person who waits for it. It waits for its turn, so that people at work cannot take all connections away from
    /// the API, and is given up after some seconds.
    pub(super) async fn search<T, F: Future<Output = Result<T, Error>>>(
        &self,
        looking: impl FnOnce(Database) -> F,
    ) -> Result<T, SearchError> {
        let turn = tokio::time::timeout(PATIENCE, self.searches.all.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(SearchError::Busy) };
        given_up(looking(self.database.within(TIME)).await)
    }

    /// The same for a part of a file, which may wait for its turn as long as it takes.
    pub(super) async fn search_for_file<T, F: Future<Output = Result<T, Error>>>(
        &self,
        looking: impl FnOnce(Database) -> F,
    ) -> Result<T, SearchError> {
        let (Ok(_file), Ok(_turn)) = (self.searches.files.acquire().await, self.searches.all.acquire().await) else {
            return Err(SearchError::Busy);
        };
        given_up(looking(self.database.within(FILE_TIME)).await)
    }
}

fn given_up<T>(found: Result<T, Error>) -> Result<T, SearchError> {
    found.map_err(|error| match error {
        Error::Store(error) if error.is_statement_timeout() => SearchError::TookTooLong,
        error => SearchError::Failed(error),
    })
}
