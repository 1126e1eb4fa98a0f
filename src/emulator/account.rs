//! The emulated account: everything that handlers share.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::delivery::{DeliveryShape, DeliveryUrls};
use crate::domain::{Clock, Timestamp};

use super::bodies::Bodies;
use super::delivery::{Results, Sources};
use super::envelope::ApiError;
use super::faults::Faults;
use super::fetch::Fetcher;
use super::host::Hosts;
use super::notifications::{self, Notifications, Outcome};
use super::options::AccountOptions;
use super::page::{Access, Activity};
use super::path::encode_segment;
use super::permissions::LimitedToken;
use super::rate_limit::RequestCount;
use super::signing_keys::SigningKey;
use super::storage::{self, Document, ResultStore, Storage, StorageError, StoredImage};
use super::token::Tokens;
use super::transform::Workers;
use super::upload::UploadError;
use super::variants::Variants;
use super::{EmulatorConfig, Error, StorageKind};

/// Bytes of results that are kept where there is no folder for them.
const MAX_RESULTS_IN_MEMORY: u64 = 32 * 1024 * 1024;

/// The one account there is.
pub(super) struct Account {
    pub(super) id: String,
    pub(super) hash: String,
    pub(super) api_token: String,
    pub(super) limited_tokens: Vec<LimitedToken>,
    pub(super) signing_keys: Document<Vec<SigningKey>>,
    pub(super) variants: Document<Variants>,
    pub(super) options: Document<AccountOptions>,
    pub(super) storage: Arc<Storage>,
    pub(super) workers: Workers,
    pub(super) requests: RequestCount,
    pub(super) faults: Faults,
    pub(super) fetcher: Fetcher,
    pub(super) sources: Sources,
    pub(super) results: Results,
    /// Room for files that are in memory.
    pub(super) bodies: Bodies,
    pub(super) tokens: Tokens,
    pub(super) clock: Arc<dyn Clock>,
    /// Work that goes on when its request has gone.
    pub(super) tasks: TaskTracker,
    /// Cancelled when nobody waits for that work any more.
    pub(super) stopped: CancellationToken,
    pub(super) notifications: Notifications,
    pub(super) activity: Activity,
    pub(super) hosts: Hosts,
    pub(super) page_access: Access,
    delivery_urls: DeliveryUrls,
    /// Without a slash at the end.
    pub(super) public_url: String,
}

impl Account {
    /// Checks the settings and opens the storage.
    pub(super) fn open(config: EmulatorConfig) -> Result<Self, Error> {
        config.check()?;
        let storage = open_storage(&config.storage, config.clock.now())?;
        let notifications = Notifications::open(&storage, &config)?;
        let kept = |source| Error::storage(&config.storage, source);
        let keys = config.signing_keys.into_iter().map(|(name, value)| SigningKey::new(name, value)).collect();
        let signing_keys = storage.document("keys.json", keys).map_err(kept)?;
        let variants = storage.document("variants.json", Variants::new(config.variants)?).map_err(kept)?;
        let options = AccountOptions::new(config.flexible_variants);
        let options = storage.document("config.json", options).map_err(kept)?;
        let tokens = Tokens::new(&config.api_token);
        let results = open_results(&config.storage, config.cache_bytes)?;
        Ok(Self {
            delivery_urls: DeliveryUrls::new(Some(config.account_hash.clone()), &DeliveryShape::default()),
            activity: Activity::default(),
            hosts: Hosts::new(&config.public_url),
            page_access: Access::new(config.address, &config.public_url),
            public_url: config.public_url.trim_end_matches('/').to_owned(),
            id: config.account_id,
            hash: config.account_hash,
            api_token: config.api_token,
            limited_tokens: config.limited_tokens,
            signing_keys,
            variants,
            options,
            storage: Arc::new(storage),
            workers: Workers::new(),
            requests: RequestCount::default(),
            faults: Faults::default(),
            fetcher: Fetcher::new().map_err(Error::HttpClient)?,
            sources: config.sources,
            results: Results::new(results),
            bodies: Bodies::default(),
            tokens,
            clock: config.clock,
            tasks: TaskTracker::new(),
            stopped: CancellationToken::new(),
            notifications,
        })
    }

    /// The one-time upload URL of a draft. The id is percent-encoded as one segment, which is UNCONFIRMED.
    pub(super) fn upload_url_of(&self, id: &str) -> String {
        format!("{}/upload/{}/{}", self.public_url, self.hash, encode_segment(id))
    }

    /// The delivery URLs of an image, as Cloudflare writes them: on `imagedelivery.net`, and unsigned.
    pub(super) fn delivery_urls_of(&self, id: &str) -> Vec<String> {
        self.variants.get().names().filter_map(|variant| self.delivery_urls.build(id, variant)).collect()
    }

    /// Does work on the storage on a thread that may block. The work goes on to its end even if nobody waits for it.
    pub(super) async fn on_storage<T: Send + 'static>(&self, work: impl FnOnce(&Storage) -> T + Send + 'static) -> T {
        let storage = Arc::clone(&self.storage);
        storage::blocking(move || work(&storage)).await
    }

    /// Notifies of what became of a direct creator upload, in the background.
    pub(super) fn announce(self: &Arc<Self>, id: &str, result: &Result<Arc<StoredImage>, UploadError>) {
        let outcome = match result {
            Ok(image) => Outcome::uploaded(&image.id, image.uploaded),
            Err(UploadError::File(error)) => Outcome::failed(id, error),
            Err(UploadError::Request(_)) => return,
        };
        notifications::announce(self, &outcome);
    }
}

fn open_storage(kind: &StorageKind, now: Timestamp) -> Result<Storage, Error> {
    match kind {
        StorageKind::Memory => Ok(Storage::in_memory()),
        StorageKind::Folder(path) => Storage::in_folder(path, now).map_err(|source| Error::storage(kind, source)),
    }
}

fn open_results(kind: &StorageKind, max_bytes: u64) -> Result<ResultStore, Error> {
    match kind {
        StorageKind::Memory => Ok(ResultStore::in_memory(max_bytes.min(MAX_RESULTS_IN_MEMORY))),
        StorageKind::Folder(path) => ResultStore::in_folder(&path.join("cache"), max_bytes)
            .map_err(|source| Error::Storage { path: path.join("cache"), source }),
    }
}

/// Names the account and nothing else, least of all its token and keys.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("id", &self.id).field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Missing => Self::image_not_found(),
            StorageError::Exists => Self::already_exists(),
            StorageError::Io(error) => Self::internal(&error),
        }
    }
}
