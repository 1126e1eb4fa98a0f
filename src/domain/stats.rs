//! Figures about the images of a user.

/// How many images, bytes and usages a user has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImageStats {
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
    /// References of content to the images.
    pub usages: i64,
    /// Images that no content refers to.
    pub orphaned: i64,
}

impl ImageStats {
    /// Uploaded images in percent of all, to two decimals; 0 where there are none.
    pub fn success_rate(&self) -> f64 {
        percent(self.uploaded, self.total)
    }
}

/// How many images there are in all, whoever owns them.
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
        percent(self.uploaded, self.total)
    }
}

fn percent(part: i64, whole: i64) -> f64 {
    if whole <= 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a percentage of two decimals needs no more than 52 bits")]
    let percent = part as f64 * 100.0 / whole as f64;
    (percent * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_success_rate_has_two_decimals_and_no_division_by_zero() {
        assert_eq!(ImageStats::default().success_rate().to_string(), "0");
        let stats = ImageStats { total: 3, uploaded: 2, ..ImageStats::default() };
        assert_eq!(stats.success_rate().to_string(), "66.67");
    }
}
