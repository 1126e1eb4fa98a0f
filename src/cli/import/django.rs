//! The files of an `ImageField` of Django.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::mpsc;

use crate::domain::TableName;
use crate::service::{ImportPlace, ImportRow, SourceUrl};
use crate::store::Database;
use crate::store::host_columns::{self, FileColumn, FileRow, ResolvedFileColumn};

/// Rows that are read in one go.
const BATCH: u32 = 500;
/// What Django leaves in a path that becomes part of a URL.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'~')
    .remove(b'!')
    .remove(b'*')
    .remove(b'(')
    .remove(b')')
    .remove(b'\'')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');

#[derive(Debug, Args)]
pub(super) struct HostColumn {
    /// The table of the model, on the database of cfimages: `shop_product`.
    #[arg(long)]
    table: TableName,
    /// The column of the `ImageField`.
    #[arg(long)]
    column: String,
    /// The column with the key of the rows.
    #[arg(long, value_name = "COLUMN", default_value = "id")]
    key: String,
    /// The column that is to name the images: a text for ids at Cloudflare, or a foreign key to `cloudflare_images`. May be that of the
    /// `ImageField` itself.
    #[arg(long, value_name = "COLUMN", required_unless_present = "mapping")]
    pub(super) write_to: Option<String>,
    #[command(flatten)]
    media: Media,
}

/// Where the files are.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Media {
    /// The folder of the files: Django's `MEDIA_ROOT`.
    #[arg(long, value_name = "FOLDER")]
    media_root: Option<PathBuf>,
    /// The URL of the files: Django's `MEDIA_URL`, with its host.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
}

impl HostColumn {
    pub(super) fn table(&self) -> &TableName {
        &self.table
    }

    /// Finds the column in the database.
    pub(super) async fn resolve(&self, database: &Database) -> anyhow::Result<ResolvedFileColumn> {
        let column = FileColumn {
            table: self.table.clone(),
            key_column: self.key.clone(),
            file_column: self.column.clone(),
            image_column: self.write_to.clone(),
        };
        Ok(host_columns::resolve(database, &column).await??)
    }

    /// Finds out where the files are.
    pub(super) fn files(&self) -> anyhow::Result<Files> {
        if let Some(root) = &self.media.media_root {
            let found = root.canonicalize().and_then(|root| root.read_dir().map(|_| root));
            return Ok(Files::Folder(found.with_context(|| format!("the folder {} cannot be read", root.display()))?));
        }
        let url = self.media.base_url.clone().unwrap_or_default();
        SourceUrl::parse(&url).with_context(|| format!("--base-url {url:?}"))?;
        ensure!(!url.contains(['?', '#']), "--base-url {url:?}: it must end with a path");
        Ok(Files::Url(format!("{}/", url.trim_end_matches('/'))))
    }
}

/// Where the files are.
pub(super) enum Files {
    /// In a folder.
    Folder(PathBuf),
    /// Below a URL, which ends with a slash.
    Url(String),
}

impl Files {
    fn row(&self, row: FileRow) -> ImportRow {
        let (mut url, mut file, mut problem) = (String::new(), String::new(), None);
        match self {
            Self::Folder(root) => match inside(root, &row.path) {
                Some(path) => file = path,
                None => problem = Some("the path leads out of the folder of the files".to_owned()),
            },
            Self::Url(base) => url = format!("{base}{}", utf8_percent_encode(&row.path.replace('\\', "/"), PATH)),
        }
        ImportRow { place: ImportPlace::Row(row), url, file, problem, ..ImportRow::default() }
    }
}

/// The file with a path below a folder, if it is inside of it, links included.
fn inside(root: &Path, path: &str) -> Option<String> {
    let path = root.join(path);
    // What is not there is inside if it would be.
    let real = path.canonicalize().or_else(|_| std::path::absolute(&path)).ok()?;
    let is_inside = real.starts_with(root) && !path.components().any(|part| part == std::path::Component::ParentDir);
    is_inside.then(|| real.to_string_lossy().into_owned())
}

/// Hands all rows over whose path has no image yet.
///
/// # Errors
/// If the database fails.
pub(super) async fn send_rows(
    database: &Database,
    column: &ResolvedFileColumn,
    files: &Files,
    rows: &mpsc::Sender<ImportRow>,
    fill: impl Fn(ImportRow) -> ImportRow,
) -> anyhow::Result<()> {
    let mut after: Option<String> = None;
    loop {
        let batch = host_columns::next_rows(database, column, after.as_deref(), BATCH).await?;
        let Some(last) = batch.last() else { return Ok(()) };
        after = Some(last.key.clone());
        for row in batch {
            if rows.send(fill(files.row(row))).await.is_err() {
                return Ok(());
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn row(path: &str) -> FileRow {
        FileRow { key: "7".to_owned(), path: path.to_owned() }
    }

    #[test]
    fn paths_become_urls_as_in_django() {
        let files = Files::Url("https://shop.example/media/".to_owned());
        let url = |path| files.row(row(path)).url;
        assert_eq!(url("products/é #1.jpg"), "https://shop.example/media/products/%C3%A9%20%231.jpg");
        assert_eq!(url("a\\b(1)?%.png"), "https://shop.example/media/a/b(1)%3F%25.png");
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let media = root.join("media");
        std::fs::create_dir_all(media.join("p")).unwrap();
        std::fs::write(media.join("p/a.png"), "").unwrap();
        std::fs::write(root.join("secret"), "").unwrap();
        std::os::unix::fs::symlink("p/a.png", media.join("link.png")).unwrap();
        std::os::unix::fs::symlink("../secret", media.join("out.png")).unwrap();
        let files = Files::Folder(media.clone());
        let inner = media.join("p/a.png").to_string_lossy().into_owned();
        for path in ["p/a.png", "link.png"] {
            assert_eq!((files.row(row(path)).file, files.row(row(path)).problem), (inner.clone(), None), "{path}");
        }
        assert!(files.row(row("p/gone.png")).file.ends_with("p/gone.png"));
        for path in ["../secret", "p/../../secret", "/etc/passwd", "out.png", "gone/../../secret"] {
            let row = files.row(row(path));
            assert!(row.file.is_empty() && row.problem.is_some(), "{path}");
        }
    }
}
