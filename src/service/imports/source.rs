//! Pictures as they come: out of files, or fetched from here.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::{self, Policy};
use reqwest::{Client, Url};
use tokio::runtime::Handle;

use super::ImportProblem;
use super::row::Source;
use super::worker::ITEM_MINUTES;
use crate::domain::error_chain;
use crate::service::incoming_file::IdentifiedFile;
use crate::service::{CloudflareService, FileSender, IncomingFile, PictureProblem, SourceUrl, SourceUrlError};

/// How much of a file is read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// How long to try to reach a host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: usize = 5;

/// Opens pictures.
#[derive(Debug, Clone)]
pub(super) struct SourceReader {
    /// What URLs are fetched with, where Cloudflare does not.
    http: Option<Client>,
}

/// A picture that may be uploaded, as far as can be told before.
pub(super) enum Opened {
    /// A file on its way, and how many bytes it has, where that is known.
    File(IdentifiedFile, Option<u64>),
    /// A URL that Cloudflare fetches.
    Url(SourceUrl),
}

impl SourceReader {
    /// `fetch`: URLs are fetched from here. No proxy is asked, as the hosts are near; a redirect is followed on the same host only.
    pub(super) fn new(fetch: bool) -> reqwest::Result<Self> {
        let build = || {
            Client::builder()
                .user_agent(concat!("cfimages/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(Duration::from_mins(ITEM_MINUTES))
                .redirect(Policy::custom(follow))
                .no_proxy()
                .build()
        };
        Ok(Self { http: fetch.then(build).transpose()? })
    }

    /// Opens a picture; no more of it than its first bytes is looked at.
    ///
    /// # Errors
    /// Why it cannot be uploaded.
    pub(super) async fn open(&self, service: &CloudflareService, source: &Source) -> Result<Opened, ImportProblem> {
        let max_bytes = service.max_file_bytes();
        let (file, bytes) = match (source, &self.http) {
            (Source::File(path), _) => open_file(path.clone(), max_bytes).await?,
            (Source::Url(url), Some(http)) => fetch(http, url, max_bytes).await?,
            (Source::Url(url), None) => {
                return match service.require_fetchable(url).await {
                    Ok(()) => Ok(Opened::Url(url.clone())),
                    Err(SourceUrlError::Private) => Err(ImportProblem::PrivateUrl),
                    Err(error) => Err(ImportProblem::Url(error)),
                };
            }
        };
        Ok(Opened::File(file.identify(max_bytes).await?, bytes))
    }
}

fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let origin = |url: &Url| url.origin();
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("there are too many redirects")
    } else if attempt.previous().first().map(origin) == Some(origin(attempt.url())) {
        attempt.follow()
    } else {
        attempt.error("it is redirected to another host")
    }
}

/// A file as its bytes are read, and how many there are.
async fn open_file(path: PathBuf, max_bytes: u64) -> Result<(IncomingFile, Option<u64>), ImportProblem> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let opening = tokio::task::spawn_blocking(move || open_regular(&path));
    let (file, bytes) = opening.await.map_err(|_| PictureProblem::CutOff)??;
    if bytes > max_bytes {
        return Err(PictureProblem::TooLarge { max_bytes }.into());
    }
    let (sender, incoming) = IncomingFile::channel(&name);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || feed(file, sender, &runtime));
    Ok((incoming, Some(bytes)))
}

/// Opens nothing that would be waited for, such as a pipe.
fn open_regular(path: &Path) -> Result<(File, u64), ImportProblem> {
    if !fs::metadata(path).map_err(ImportProblem::File)?.is_file() {
        return Err(ImportProblem::NoFile);
    }
    let file = File::open(path).map_err(ImportProblem::File)?;
    let bytes = file.metadata().map_err(ImportProblem::File)?.len();
    Ok((file, bytes))
}

/// Hands a file over. Where it cannot be read to its end, it counts as cut off.
fn feed(mut file: File, sender: FileSender, runtime: &Handle) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return runtime.block_on(sender.finish()),
            Ok(bytes) if runtime.block_on(sender.send(piece[..bytes].to_vec().into())).is_ok() => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

/// A picture as it comes from elsewhere, and how many bytes it has, where its host says so.
async fn fetch(http: &Client, url: &SourceUrl, max_bytes: u64) -> Result<(IncomingFile, Option<u64>), ImportProblem> {
    // The URL is left out, as it may hold a password.
    let failed = |error: reqwest::Error| ImportProblem::NotFetched(error_chain(&error.without_url()));
    let mut response = http.get(url.as_str()).send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(ImportProblem::NotFetched(format!("the answer is {}", response.status())));
    }
    let bytes = response.content_length();
    if bytes.is_some_and(|bytes| bytes > max_bytes) {
        return Err(PictureProblem::TooLarge { max_bytes }.into());
    }
    let (sender, incoming) = IncomingFile::channel(&url.file_name());
    tokio::spawn(async move {
        while let Ok(chunk) = response.chunk().await {
            let Some(chunk) = chunk else { return sender.finish().await };
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    Ok((incoming, bytes))
}
