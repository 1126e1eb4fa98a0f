//! A file of logs that others may move away, remove or cut off, as programs do that rotate logs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Appends lines to the file that has the name at the time. Whole lines: several processes may write to one file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    open: Mutex<File>,
}

impl LogFile {
    /// Opens the file, or makes it, to be read by its owner and group alone.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), open: Mutex::new(append_to(path)?) })
    }

    /// Opens the file anew, so that the one before can be packed or removed.
    ///
    /// # Errors
    /// If it cannot be written; lines then go where they went.
    pub(super) fn reopen(&self) -> io::Result<()> {
        *self.file() = append_to(&self.path)?;
        Ok(())
    }

    fn file(&self) -> MutexGuard<'_, File> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut file = self.file();
        // Where there can be no new file, the line is better kept in the old one than nowhere.
        if !is_at(&file, &self.path)
            && let Ok(new) = append_to(&self.path)
        {
            *file = new;
        }
        file.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

/// Whether a file still has its name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => id(open) == id(named),
        _ => false,
    }
}

/// Elsewhere files that are open cannot be moved away.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn log(file: &LogFile, line: &str) {
        let mut writer = file;
        writer.write_all(line.as_bytes()).expect("the file can be written");
    }

    #[test]
    fn lines_are_appended_for_owner_and_group_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        log(&LogFile::open(&path).unwrap(), "one\n");
        log(&LogFile::open(&path).unwrap(), "two\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_followed_by_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
        let file = LogFile::open(&path).unwrap();
        log(&file, "one\n");
        fs::rename(&path, &moved).unwrap();
        log(&file, "two\n");
        fs::remove_file(&path).unwrap();
        log(&file, "three\n");
        assert_eq!(
            (fs::read_to_string(&moved).unwrap().as_str(), fs::read_to_string(&path).unwrap().as_str()),
            ("one\n", "three\n")
        );
    }

    #[test]
    fn a_file_that_was_replaced_or_cut_off_is_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
        let file = LogFile::open(&path).unwrap();
        log(&file, "one\n");
        fs::rename(&path, moved).unwrap();
        fs::write(&path, "made by logrotate\n").unwrap();
        log(&file, "two\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "made by logrotate\ntwo\n");
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        log(&file, "three\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn where_there_can_be_no_new_file_the_old_one_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (logs, moved) = (folder.path().join("logs"), folder.path().join("moved"));
        fs::create_dir(&logs).unwrap();
        let file = LogFile::open(&logs.join("a.log")).unwrap();
        fs::rename(&logs, &moved).unwrap();
        log(&file, "one\n");
        assert!(file.reopen().is_err());
        assert_eq!(fs::read_to_string(moved.join("a.log")).unwrap(), "one\n");
        assert!(LogFile::open(&logs.join("a.log")).is_err());
    }
}
