//! The files of a folder.

use std::ffi::OsStr;
use std::fs::{self, ReadDir};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::service::{ImportPlace, ImportRow};

/// Looks through a folder and all within it, and hands each file to `take` until that says false. What is hidden is passed over, and so are
/// links: what they lead to inside of the folder is there under its own name. No more is in memory than the folders that are open.
///
/// # Errors
/// If the folder is not there. What cannot be read within it is no error: it says so.
pub(super) fn read_folder(root: &Path, mut take: impl FnMut(ImportRow) -> bool) -> anyhow::Result<()> {
    let open = || root.canonicalize().and_then(|root| Ok((fs::read_dir(&root)?, root)));
    let (entries, root) = open().with_context(|| format!("the folder {} cannot be read", root.display()))?;
    let mut folders = vec![(entries, root)];
    while let Some((entries, folder)) = folders.last_mut() {
        match next_in(entries, folder) {
            None => drop(folders.pop()),
            Some(Found::Nothing) => {}
            Some(Found::Folder(path)) => match fs::read_dir(&path) {
                Ok(entries) => folders.push((entries, path)),
                Err(error) => {
                    if !take(unreadable(&path, &error.to_string())) {
                        return Ok(());
                    }
                }
            },
            Some(Found::File(row)) => {
                if !take(*row) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

enum Found {
    Folder(PathBuf),
    File(Box<ImportRow>),
    Nothing,
}

fn next_in(entries: &mut ReadDir, folder: &Path) -> Option<Found> {
    let found = entries.next()?.and_then(|entry| Ok((entry.file_type()?, entry.path())));
    Some(match found {
        Err(error) => Found::File(Box::new(unreadable(folder, &error.to_string()))),
        Ok((_, path)) if is_hidden(&path) => Found::Nothing,
        Ok((kind, path)) if kind.is_dir() => Found::Folder(path),
        Ok((kind, path)) if kind.is_file() => Found::File(Box::new(match path.to_str() {
            Some(text) => ImportRow { file: text.to_owned(), ..ImportRow::default() },
            None => unreadable(&path, "its name is not UTF-8"),
        })),
        Ok(_) => Found::Nothing,
    })
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name: &OsStr| name.as_encoded_bytes().starts_with(b"."))
}

fn unreadable(path: &Path, problem: &str) -> ImportRow {
    ImportRow {
        place: ImportPlace::Folder,
        file: path.to_string_lossy().into_owned(),
        problem: Some(format!("it cannot be read: {problem}")),
        ..ImportRow::default()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn all_files_are_found_but_hidden_ones_and_what_links_lead_to() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.png"), "").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for path in ["a.png", "b/c/d", "b/.hidden", ".git/x", "b/..c"] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "").unwrap();
        }
        std::os::unix::fs::symlink(outside.path(), root.join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.png"), root.join("s.png")).unwrap();
        std::os::unix::fs::symlink(&root, root.join("b/circle")).unwrap();
        fs::write(root.join(OsStr::from_bytes(b"\xff.png")), "").unwrap();

        let mut found = Vec::new();
        read_folder(&root, |row| {
            let path = Path::new(&row.file).strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            found.push((path, row.problem));
            true
        })
        .unwrap();
        found.sort();
        let bad = Some("it cannot be read: its name is not UTF-8".to_owned());
        let expected = [("a.png", None), ("b/c/d", None), ("\u{fffd}.png", bad)];
        assert_eq!(found, expected.map(|(path, problem)| (path.to_owned(), problem)));

        let mut count = 0;
        read_folder(&root, |_| {
            count += 1;
            false
        })
        .unwrap();
        assert_eq!(count, 1);
        assert!(read_folder(&root.join("gone"), |_| true).is_err());
    }
}
