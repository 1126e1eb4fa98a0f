//! A look-alike of Cloudflare Images for development and tests: it takes uploads, keeps, scales and serves real pictures, and
//! answers in the shapes of the real API.
//!
//! What it does today is the way of an image from a direct creator upload to its delivery:
//!
//! - below `/client/v4/accounts/{account_id}/images/`: `POST v2/direct_upload` and `v1/direct_upload`, `POST v1` with a file or the URL of
//!   one, `GET`, `PATCH` and `DELETE v1/{image_id}`, `GET v1/{image_id}/blob`; lists: `GET v1`, `GET v2` and `GET v2/metadata/keys`;
//!   `GET v1/stats`, signing keys at `v1/keys`, variants at `v1/variants`, `PATCH v1/config`, `GET v1/batch_token`;
//! - below `/images/`: what a batch token is for, at Cloudflare on a host of its own;
//! - `POST /upload/{account_hash}/{image_id}`, the one-time upload URL, from browsers of any origin;
//! - `GET /{account_hash}/{image_id}/{variant}`, with or without `/cdn-cgi/imagedelivery` before it, signed where the image is
//!   private; in place of a named variant also the options of a flexible one, `w=400,fit=cover`, unless the account forbids it;
//! - `GET /cdn-cgi/image/{options}/{source}`, pictures of other hosts;
//! - below `/client/v4/accounts/{account_id}/alerting/v3/`: webhook destinations and notification policies, to which direct creator
//!   uploads are announced, and one [`Destination`] that is there from the start.
//! - `/_cfimages/faults`: what is to go wrong with the next calls, also as [`Emulator::faults`];
//! - `/`: a page for people, with the pictures, what was asked and announced of late, and the settings for clients.
//!
//! # Pictures
//!
//! JPEG, PNG, WebP and GIF come in, and the same go out. Named and flexible variants are made alike: turned upright, trimmed,
//! mirrored, turned, scaled and cut, laid on the background, adjusted, encoded. What needs no change is delivered as it came, but
//! for the metadata: of a JPEG the copyright notice stays, of a PNG or WebP nothing, unless the variant says otherwise.
//!
//! `format=auto`, which is the default, is WebP for browsers that say they take it, and the format of the original for others. WebP
//! is written with loss where the original came with loss, and without where it did not or where the quality is 100.
//!
//! SVG is taken, too, and delivered as it is, but for what could run or fetch something; no option changes it.
//!
//! `/cdn-cgi/image/{options}/{source}` does the same to pictures of other hosts, of those in [`Sources`] alone. Sources are fetched
//! for each request; their format stays unless another is asked for.
//!
//! Transformed pictures are kept, by the bytes of the original and all that was done to them, and what several ask for at once is
//! made once. `cf-resized` tells them: `internal=ok/m` was made now, `internal=ok/h` before.
//!
//! An option with a wrong value, and one that is unknown, is ignored and named in a header `warning`, as at Cloudflare. An unknown
//! output format, and options of which none is right, get 400 with code 9401.
//!
//! What differs from Cloudflare:
//!
//! - AVIF is not written: `format=avif` is taken as `auto`, and warned of.
//! - JPEG is baseline, not progressive. `format=jpeg` gives PNG where parts are transparent, `baseline-jpeg` makes them white.
//! - Of animations only GIF is transformed, frame by frame; `format=webp` leaves it GIF. Animated WebP, and animations that
//!   have or would get more than 50 megapixels, are delivered as they came, unless a still is asked for by `anim=false` or
//!   `format=jpeg`.
//! - Gravity `auto` and `face` are the centre of what changes in the picture, flat parts left out; nothing looks for faces, and
//!   `zoom` does nothing. `segment` and `upscale=generate` do nothing either, and are warned of.
//! - Results have 8 bits a channel, at most 12,000 pixels a side and 100 megapixels: larger ones are made smaller.
//! - The strength of `blur` and `sharpen`, the direction of `gamma`, the named qualities and the default tolerance of
//!   `trim=border` are UNCONFIRMED.
//!
//! Files may have 10 MB, sources elsewhere 100 MB, pictures 12,000 pixels a side, 100 megapixels in all, and 400 MB when they are
//! decoded: those of 16 bits a channel may have fewer pixels. All work on pixels waits until it fits into 2 GiB together, files that
//! are on their way until they fit into 256 MiB. A WebP whose codes alone would take the decoder more than 64 MiB is refused. The
//! colour profile of a PNG is left out of its variants when it is above 32 kB.
//!
//! Where nothing is known of Cloudflare's behaviour, what was chosen is marked UNCONFIRMED at its place.

mod account;
mod api_upload;
mod auth;
mod batch;
mod bodies;
mod browser;
mod config;
mod custom_id;
mod delivery;
mod direct_upload;
mod envelope;
mod faults;
mod fetch;
mod host;
mod images;
mod lists;
mod metadata;
mod notifications;
mod options;
mod page;
mod path;
mod permissions;
mod query;
mod rate_limit;
mod router;
mod signing_keys;
mod storage;
#[cfg(test)]
mod tests;
mod token;
mod transform;
mod upload;
mod variants;

pub use config::{EmulatorConfig, StorageKind};
pub use delivery::Sources;
pub use faults::{ErrorBody, Fault, FaultPlan, Faults, InvalidFault, Operation, RateLimit};
pub use notifications::Destination;
pub use permissions::{InvalidPermission, LimitedToken, Permission};
pub use variants::Variant;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::time::timeout;

use account::Account;

/// How long [`Emulator::finish`] waits.
const GRACE: Duration = Duration::from_secs(10);

/// Why an emulator could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot be used.
    #[error("{setting}: {problem}")]
    Setting {
        /// The field of [`EmulatorConfig`].
        setting: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The folder of the images cannot be opened or read.
    #[error("the folder {} could not be opened", .path.display())]
    Storage {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The client for notifications and for pictures elsewhere cannot be made.
    #[error("the HTTP client could not be made")]
    HttpClient(#[source] reqwest::Error),
}

impl Error {
    /// What is kept at `kind` could not be opened.
    fn storage(kind: &StorageKind, source: io::Error) -> Self {
        let path = match kind {
            StorageKind::Memory => PathBuf::new(),
            StorageKind::Folder(path) => path.clone(),
        };
        Self::Storage { path, source }
    }
}

/// An emulated account of Cloudflare Images.
///
/// # Examples
/// ```no_run
/// # async fn run(clock: std::sync::Arc<dyn cfimages::domain::Clock>) -> Result<(), Box<dyn std::error::Error>> {
/// use cfimages::emulator::{Emulator, EmulatorConfig, Sources, StorageKind, Variant};
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let emulator = Emulator::open(EmulatorConfig {
///     account_id: "9035f53656c247e895c5a6939ae8a0e0".to_owned(),
///     account_hash: "Vi7wi5KSItxGFsWRG2Us6Q".to_owned(),
///     api_token: "secret".to_owned(),
///     limited_tokens: vec![],
///     signing_keys: vec![("default".to_owned(), "also secret".to_owned())],
///     public_url: format!("http://{}", listener.local_addr()?),
///     address: listener.local_addr()?,
///     storage: StorageKind::Memory,
///     variants: vec![Variant::public()],
///     flexible_variants: true,
///     sources: Sources::default(),
///     cache_bytes: 0,
///     notify: None,
///     clock,
/// })?;
/// axum::serve(listener, emulator.router()).await?;
/// emulator.finish().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Emulator {
    account: Arc<Account>,
}

impl Emulator {
    /// Opens the emulator with the images it has from before.
    ///
    /// Reads the folder of the images, where there is one: that blocks, for some ten milliseconds with a thousand images.
    ///
    /// # Errors
    /// If a setting cannot be used, or the folder cannot be read.
    pub fn open(config: EmulatorConfig) -> Result<Self, Error> {
        Ok(Self { account: Arc::new(Account::open(config)?) })
    }

    /// Everything the emulator answers, to be served at the root of a host.
    pub fn router(&self) -> Router {
        router::build(Arc::clone(&self.account))
    }

    /// What goes wrong on request, for tests of clients. It may be changed while the router is served.
    pub fn faults(&self) -> Faults {
        self.account.faults.clone()
    }

    /// Waits for uploads that are being stored and for notifications that are on their way, but for ten seconds at most; what
    /// is not done by then is given up. To be called when the router is no longer served.
    pub async fn finish(&self) {
        self.account.tasks.close();
        if timeout(GRACE, self.account.tasks.wait()).await.is_err() {
            tracing::warn!("gave up notifications that could not be delivered");
            self.account.stopped.cancel();
        }
    }
}
