//! Files that tell what became of an import: the rows that failed, and the images of the others.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::list::{COLUMNS, ROW};
use crate::service::{ImportPlace, ImportRow, ImportedImage};

/// A file of CSV, in which each row is as soon as it is written.
struct Report {
    writer: csv::Writer<File>,
}

impl Report {
    /// Begins a file anew, which must not be the one that is read.
    fn create(path: &Path, input: Option<&Path>, header: &[&str]) -> anyhow::Result<Self> {
        let same = |path: &Path| fs::canonicalize(path).ok();
        let is_input = input.is_some_and(|input| same(input).is_some_and(|input| same(path) == Some(input)));
        ensure!(!is_input, "{} is the list that is read: name another file to write to", path.display());
        let open = || {
            let mut report = Self { writer: csv::Writer::from_path(path)? };
            report.write(header).map(|()| report)
        };
        open().with_context(|| format!("{} cannot be written", path.display()))
    }

    fn write(&mut self, values: &[&str]) -> Result<(), csv::Error> {
        self.writer.write_record(values)?;
        Ok(self.writer.flush()?)
    }
}

/// The rows that failed, in the form in which they can be imported.
pub(super) struct Failures {
    report: Report,
    has_rows: bool,
}

impl Failures {
    /// `has_rows`: the pictures are those of rows of the application, which are named.
    pub(super) fn create(path: &Path, input: Option<&Path>, has_rows: bool) -> anyhow::Result<Self> {
        let header: Vec<&str> = has_rows.then_some(ROW).into_iter().chain(COLUMNS).collect();
        Ok(Self { report: Report::create(path, input, &header)?, has_rows })
    }

    pub(super) fn write(&mut self, row: &ImportRow, reason: &str) -> anyhow::Result<()> {
        let ImportRow { url, file, id, metadata, creator, user, private, .. } = row;
        let key = self.has_rows.then(|| key_of(row));
        let values = [url, file, id, metadata, creator, user, private].map(String::as_str);
        let values: Vec<&str> = key.into_iter().chain(values).chain([reason]).collect();
        self.report.write(&values).context("the list of failures cannot be written")
    }
}

/// Which image each picture has become.
pub(super) struct Mapping(Report);

impl Mapping {
    pub(super) fn create(path: &Path, input: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self(Report::create(path, input, &[ROW, "url", "file", "cloudflare_id", "image_id"])?))
    }

    pub(super) fn write(&mut self, row: &ImportRow, image: &ImportedImage) -> anyhow::Result<()> {
        let id = image.id.to_string();
        let values = [key_of(row), row.url.as_str(), row.file.as_str(), image.cloudflare_id.as_str(), &id];
        self.0.write(&values).context("the mapping cannot be written")
    }
}

/// The key of the row of the application; nothing elsewhere.
fn key_of(row: &ImportRow) -> &str {
    match &row.place {
        ImportPlace::Row(row) => &row.key,
        _ => "",
    }
}
