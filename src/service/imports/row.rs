//! What is written of a picture, and what it means.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::ImportProblem;
use crate::domain::{CloudflareId, Json, User};
use crate::service::incoming_file::base_name;
use crate::service::registration::MAX_CREATOR_CHARS;
use crate::service::staff_actions::check_metadata;
use crate::service::{SourceUrl, UploadRequest};
use crate::store::host_columns::FileRow;

/// The key of the mark in the metadata.
pub(super) const MARK: &str = "cfimages_import";
/// The longest URL that is fetched.
const MAX_URL_CHARS: usize = 2048;

/// A picture to be imported, as it is written somewhere; nothing of it is checked. What is empty is not said.
#[derive(Debug, Clone, Default)]
pub struct ImportRow {
    /// Where it is written.
    pub place: ImportPlace,
    /// The URL that it is fetched from; may hold a password.
    pub url: String,
    /// The path of its file.
    pub file: String,
    /// The custom id of its image.
    pub id: String,
    /// What is kept with its image: a JSON object.
    pub metadata: String,
    /// Cloudflare's `creator`.
    pub creator: String,
    /// The user who gets it: a key or a name.
    pub user: String,
    /// Whether it is delivered with signed URLs only: `true` or `false`.
    pub private: String,
    /// Why it could not be read to its end.
    pub problem: Option<String>,
}

/// Where a picture is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ImportPlace {
    /// In a line of a list; the first is 1.
    Line(u64),
    /// In a folder, under its own name.
    #[default]
    Folder,
    /// In a row of the application.
    Row(FileRow),
}

/// A picture to be imported that may be.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) row: ImportRow,
    /// The key under which it is kept what became of it.
    pub(super) key: String,
    pub(super) owner: User,
    pub(super) source: Source,
    pub(super) request: UploadRequest,
    /// How often its outcome was not certain.
    pub(super) tries: u32,
}

/// Where a picture is.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Url(SourceUrl),
    File(PathBuf),
}

impl Item {
    /// Reads a row whose user is known; `column` is what its rows of the application are in.
    ///
    /// # Errors
    /// What cannot be used.
    pub(super) fn read(row: &ImportRow, owner: Option<User>, column: Option<&str>) -> Result<Self, ImportProblem> {
        if let Some(problem) = &row.problem {
            return Err(ImportProblem::Unreadable(problem.clone()));
        }
        let source = read_source(row)?;
        let request = read_request(row)?;
        let owner = match owner {
            Some(owner) => owner,
            None if row.user.is_empty() => return Err(ImportProblem::NoUser),
            None => return Err(ImportProblem::UnknownUser(row.user.clone())),
        };
        let key = key_of(row, &source, column);
        Ok(Self { row: row.clone(), key, owner, source, request, tries: 0 })
    }

    /// The name of its file, for reference.
    pub(super) fn file_name(&self) -> String {
        match &self.source {
            Source::Url(url) => url.file_name(),
            Source::File(path) => base_name(&path.to_string_lossy()),
        }
    }
}

fn read_source(row: &ImportRow) -> Result<Source, ImportProblem> {
    match (row.url.is_empty(), row.file.is_empty()) {
        (true, true) => Err(ImportProblem::NoSource),
        (false, false) => Err(ImportProblem::TwoSources),
        (false, true) if row.url.chars().count() > MAX_URL_CHARS => {
            Err(value("url", format!("it has more than {MAX_URL_CHARS} characters")))
        }
        (false, true) => SourceUrl::parse(&row.url).map(Source::Url).map_err(ImportProblem::Url),
        (true, false) if row.file.contains('\0') => Err(value("file", "no path holds U+0000")),
        (true, false) => std::path::absolute(&row.file).map(Source::File).map_err(ImportProblem::File),
    }
}

fn read_request(row: &ImportRow) -> Result<UploadRequest, ImportProblem> {
    Ok(UploadRequest {
        custom_id: read_id(&row.id)?,
        metadata: read_metadata(&row.metadata)?,
        require_signed_urls: read_private(&row.private)?,
        creator: read_creator(&row.creator)?,
        ..UploadRequest::default()
    })
}

fn read_id(text: &str) -> Result<Option<CloudflareId>, ImportProblem> {
    let id = CloudflareId::new(text);
    if text.is_empty() {
        Ok(None)
    } else if !id.is_storable() {
        Err(value("id", format!("it has at most {} characters, none of which is U+0000", CloudflareId::MAX_CHARS)))
    } else if !id.is_addressable() {
        Err(value("id", "it cannot be used in a URL"))
    } else {
        Ok(Some(id))
    }
}

fn read_metadata(text: &str) -> Result<Option<Json>, ImportProblem> {
    if text.is_empty() {
        return Ok(None);
    }
    let metadata = Json::parse(text).map_err(|error| value("metadata", error.to_string()))?;
    check_metadata(&metadata).map_err(|problem| value("metadata", problem.to_string()))?;
    Ok(Some(metadata))
}

fn read_creator(text: &str) -> Result<Option<String>, ImportProblem> {
    if text.chars().count() > MAX_CREATOR_CHARS || text.contains('\0') {
        let problem = format!("it has at most {MAX_CREATOR_CHARS} characters, none of which is U+0000");
        return Err(value("creator", problem));
    }
    Ok(Some(text.to_owned()).filter(|creator| !creator.is_empty()))
}

fn read_private(text: &str) -> Result<Option<bool>, ImportProblem> {
    match text.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" | "yes" | "1" => Ok(Some(true)),
        "false" | "no" | "0" => Ok(Some(false)),
        _ => Err(value("private", "it is true or false")),
    }
}

fn value(field: &'static str, problem: impl Into<String>) -> ImportProblem {
    ImportProblem::Value { field, problem: problem.into() }
}

/// What tells a picture from all others, whatever else is said of it. URLs may hold passwords, and paths have any length, so it is a digest.
fn key_of(row: &ImportRow, source: &Source, column: Option<&str>) -> String {
    let identity = match (&row.place, source) {
        (ImportPlace::Row(host), _) => json!(["row", column, host.key, host.path]),
        (_, Source::Url(url)) => json!(["url", url.as_str(), row.id]),
        (_, Source::File(path)) => json!(["file", path.to_string_lossy(), row.id]),
    };
    let digest = Sha256::digest(identity.to_string().as_bytes());
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // a String takes everything
        hex
    })
}

/// The metadata of an image with the mark of its upload.
///
/// # Errors
/// If it is more than Cloudflare keeps then.
pub(super) fn marked(metadata: &Json, mark: &str) -> Result<Json, ImportProblem> {
    let marked = metadata.merged_with(&Json::of(&json!({ MARK: mark })));
    match check_metadata(&marked) {
        Ok(()) => Ok(marked),
        Err(problem) => Err(value("metadata", format!("with the mark of the import: {problem}"))),
    }
}
