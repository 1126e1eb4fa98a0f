//! Figures about images.

/// How many images, bytes and usages a user has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImageStats {
    /// The images.
    pub counts: StatusCounts,
    /// References of content to the images.
    pub usages: i64,
    /// Images that no content refers to.
    pub orphaned: i64,
}

/// How many images there are, by status and privacy, and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct StatusCounts {
    /// All images.
    pub total: i64,
    /// Images whose picture is at Cloudflare.
    pub uploaded: i64,
    /// Images whose upload URL was handed out.
    pub pending: i64,
    /// Images that Cloudflare reported as drafts.
    pub draft: i64,
    /// Images whose upload failed.
    pub failed: i64,
    /// Images whose upload URL expired unused.
    pub expired: i64,
    /// Images that are delivered with signed URLs only.
    pub signed: i64,
    /// The sum of the known file sizes, in bytes.
    pub total_file_size: i64,
}

impl StatusCounts {
    /// Uploaded images in percent of all, to two decimals; 0 where there are none.
    pub fn success_rate(&self) -> f64 {
        if self.total <= 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a percentage of two decimals needs no more than 52 bits")]
        let percent = self.uploaded as f64 * 100.0 / self.total as f64;
        (percent * 100.0).round() / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_success_rate_has_two_decimals_and_no_division_by_zero() {
        assert_eq!(StatusCounts::default().success_rate().to_string(), "0");
        let counts = StatusCounts { total: 3, uploaded: 2, ..StatusCounts::default() };
        assert_eq!(counts.success_rate().to_string(), "66.67");
    }
}
