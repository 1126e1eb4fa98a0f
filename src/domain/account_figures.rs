//! What a reconciliation with the account at Cloudflare found and did.

use serde::{Deserialize, Serialize};

/// How many images a reconciliation with the account at Cloudflare found, and what was done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountFigures {
    /// Images that are at Cloudflare, each once.
    pub at_cloudflare: u64,
    /// Of these, those whose record says the same.
    pub equal: u64,
    /// Of these, those whose record differs.
    pub different: u64,
    /// Of those whose record differs, those that were repaired.
    pub repaired: u64,
    /// Of these, those that are not recorded.
    pub unrecorded: u64,
    /// Of those that are not recorded, those that are recorded by now.
    pub imported: u64,
    /// Of these, those that are to be deleted at Cloudflare and therefore are not recorded.
    pub being_deleted: u64,
    /// Of these, those that are too new to be judged, or were changed or deleted meanwhile.
    pub unsettled: u64,
    /// Of these, those that cannot be recorded: the id is too long, or the entry of the list cannot be read.
    pub unusable: u64,
    /// Records that Cloudflare was asked about one by one, as they were not in its list.
    pub asked: u64,
    /// Records whose image is gone.
    pub missing: u64,
    /// Of those whose image is gone, the records that were deleted.
    pub deleted: u64,
    /// Of those whose image is gone, the records that were to be deleted, and are still used.
    pub kept: u64,
    /// Images that something failed for.
    pub failed: u64,
}

impl AccountFigures {
    /// How many images differ still.
    pub fn remaining(&self) -> u64 {
        let differing = self.different + self.unrecorded + self.missing;
        differing.saturating_sub(self.repaired + self.imported + self.deleted)
    }
}
