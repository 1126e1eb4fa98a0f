//! How the site is doing, at a glance.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{CloudflareService, DatabaseStatus, Error};
use crate::cloudflare::Health;
use crate::domain::{BrowseFrom, BrowseOrder, Image, ImageFilter, ImageQuery, ImageStatus, RecentEvent, Timestamp};
use crate::store;

/// How many days of uploads are told, today included.
const DAYS: i64 = 30;
const SECONDS_OF_DAY: i64 = 24 * 60 * 60;
/// Uploads that end within so long are about to expire: no upload URL lasts longer.
const EXPIRING_MINUTES: i64 = 6 * 60;
/// How many images are listed, and how many events.
const LISTED: u32 = 8;

/// How the site is doing.
#[derive(Debug)]
pub struct Overview {
    /// What the database tells of itself, of images and of what waits.
    pub database: DatabaseStatus,
    /// The uploads of the last days, the oldest first.
    pub days: Vec<DayOfUploads>,
    /// Uploads whose URL ends soon, the first to end first.
    pub expiring: Vec<Image>,
    /// The pictures that came last.
    pub recent: Vec<Image>,
    /// What happened last to any image.
    pub events: Vec<RecentEvent>,
    /// How Cloudflare is, as far as this server knows.
    pub cloudflare: Health,
    /// The engine of the database.
    pub engine: &'static str,
}

/// The pictures of a day that were uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayOfUploads {
    /// When the day began, in UTC.
    pub day: Timestamp,
    /// The images that were made on that day and uploaded.
    pub uploads: u64,
}

/// Days that are over, and their uploads: they are counted once, so that it does not matter how many images there are.
#[derive(Debug, Default)]
pub(super) struct FinishedDays(Mutex<BTreeMap<i64, u64>>);

impl FinishedDays {
    fn get(&self, day: i64) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&day).copied()
    }

    /// Keeps the uploads of a day, and forgets those that nobody asks for any more.
    fn keep(&self, day: i64, uploads: u64) {
        let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        days.insert(day, uploads);
        *days = days.split_off(&(day - 2 * DAYS));
    }
}

impl CloudflareService {
    /// How the site is doing. Counts are those that triggers keep, lists are short: the cost does not grow with the number of images, but
    /// for the uploads of the last two days, and of the others the first time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn overview(&self) -> Result<Overview, Error> {
        let now = self.clock.now();
        let until = now.plus_minutes(EXPIRING_MINUTES);
        Ok(Overview {
            database: self.database_status().await?,
            days: self.daily_uploads(now).await?,
            expiring: store::images::list_expiring(&self.database, now, until, LISTED).await?,
            recent: self.recent_uploads().await?,
            events: store::upload_logs::list_latest(&self.database, LISTED).await?,
            cloudflare: self.client.health(),
            engine: self.database.engine_name(),
        })
    }

    async fn recent_uploads(&self) -> Result<Vec<Image>, Error> {
        let filter = ImageFilter { status: Some(ImageStatus::Uploaded), ..ImageFilter::default() };
        let query = ImageQuery { filter, ..ImageQuery::default() };
        Ok(store::browsing::list(&self.database, &query, BrowseOrder::NEWEST_FIRST, BrowseFrom::Start, LISTED).await?)
    }

    async fn daily_uploads(&self, now: Timestamp) -> Result<Vec<DayOfUploads>, Error> {
        let today = now.as_unix_seconds().div_euclid(SECONDS_OF_DAY);
        let mut days = Vec::new();
        for day in today - DAYS + 1..=today {
            let begin = |day: i64| Timestamp::from_micros(day.saturating_mul(SECONDS_OF_DAY * 1_000_000));
            let uploads = match self.finished_days.get(day) {
                Some(uploads) => uploads,
                None => store::stats::count_uploaded(&self.database, begin(day), begin(day + 1)).await?,
            };
            // What was begun late yesterday may still be uploaded.
            if day < today - 1 {
                self.finished_days.keep(day, uploads);
            }
            days.push(DayOfUploads { day: begin(day), uploads });
        }
        Ok(days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_kept_as_long_as_they_are_shown() {
        let days = FinishedDays::default();
        days.keep(100, 7);
        days.keep(129, 1);
        assert_eq!((days.get(100), days.get(101)), (Some(7), None));
        days.keep(200, 2);
        assert_eq!((days.get(100), days.get(200)), (None, Some(2)));
    }
}
