//! Folders in which commands keep what they need again: for the owner alone, and for one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};

/// Makes the folder where it is missing, and keeps others away from it for as long as the file is held. `command` is who uses it.
pub(super) fn lock(folder: &Path, command: &str) -> anyhow::Result<File> {
    make_private_folder(folder)
        .with_context(|| format!("the folder {} cannot be made; choose another with --data", folder.display()))?;
    let path = folder.join("lock");
    let file = private_options()
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("{} cannot be written; choose another folder with --data", path.display()))?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        bail!(
            "another `{command}` uses the folder {}; stop it, or choose another folder with --data",
            folder.display()
        );
    }
    Ok(file)
}

/// Files that only the owner can read.
pub(super) fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// What is kept there is for the owner alone.
fn make_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
