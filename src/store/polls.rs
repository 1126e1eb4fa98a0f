//! Rows of `cfimages_polls`: which images Cloudflare is asked about again, and when.
//!
//! An image has a row from the first time that it was unfinished for a while until it is finished. The images that Django or
//! another client records are found like those that are recorded here. Where an image is deleted, its row goes when its turn comes.

use super::image_set::{Pair, in_set};
use super::selections::fetch_page;
use super::sql::{Argument, Dialect, Statement};
use super::{Database, Error, ImageSet, Transaction, images, on};
use crate::domain::{Image, ImageId, PageFrom, Timestamp, WaitingImage, WaitingPlace};

/// An image whose turn it is, claimed by whoever holds this.
#[derive(Debug, Clone)]
pub struct Poll {
    /// The image as it was when it was claimed.
    pub image: Image,
    /// How often its turn has come since the intervals began to grow, this time included: 1 or more.
    pub attempts: i32,
    /// How long nobody else gets it. It is unlike that of any later claim, so it tells whether the claim is still this one.
    claimed_until: Timestamp,
}

/// At most `limit` images that wait for their turn, from a place on, the next turn first.
///
/// # Errors
/// If the database fails.
pub async fn list(database: &Database, from: &PageFrom<WaitingPlace>, limit: u32) -> Result<Vec<WaitingImage>, Error> {
    const WAITING: &str = "SELECT images.id, images.cloudflare_id, images.original_filename, images.created_at, polls.next_poll_at, \
                           polls.attempts, polls.last_error \
                           FROM cfimages_polls AS polls JOIN cloudflare_images AS images ON images.id = polls.image_id WHERE TRUE";
    let mut statement = Statement::new(Dialect::of(database), WAITING);
    let place = from.map(|place| vec![Argument::Time(place.next_poll_at), Argument::Image(place.id)]);
    statement.push_page(&["polls.next_poll_at", "polls.image_id"], false, &place, limit);
    fetch_page(database, statement, from).await
}

// The order is that of the index by status and age: another one would tempt the engines to read all images of these days.
const ENROL: &str = r"
    INSERT INTO cfimages_polls (image_id, next_poll_at, attempts, claimed_until, last_error)
    SELECT id, $3, 0, NULL, ''
    FROM cloudflare_images
    WHERE status IN ('pending', 'draft') AND created_at > $1 AND created_at <= $2
        AND NOT EXISTS (SELECT 1 FROM cfimages_polls WHERE image_id = cloudflare_images.id)
    ORDER BY status, created_at
    LIMIT $4
    ON CONFLICT (image_id) DO NOTHING";

/// Gives rows to unfinished images that were created after `since` and up to `until`, and have none; how many. Their turn is now.
///
/// It reads the unfinished images of that time alone, by the toolkit's index on status and creation.
///
/// # Errors
/// If the database fails.
pub async fn enrol(
    transaction: &mut Transaction,
    since: Timestamp,
    until: Timestamp,
    now: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query(ENROL)
        .bind(since)
        .bind(until)
        .bind(now)
        .bind(i64::from(limit))
        .execute(connection)
        .await
        .map(|done| done.rows_affected()))?)
}

macro_rules! claim {
    ($lock:literal) => {
        concat!(
            r"
    WITH due AS MATERIALIZED (
        SELECT image_id AS due_id
        FROM cfimages_polls
        WHERE next_poll_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
        ORDER BY next_poll_at, image_id
        LIMIT $3",
            $lock,
            r"
    )
    UPDATE cfimages_polls
    SET claimed_until = $2, attempts = attempts + 1
    FROM due
    WHERE image_id = due_id
    RETURNING image_id, attempts"
        )
    };
}

const CLAIM: Pair = Pair { postgres: claim!(" FOR UPDATE SKIP LOCKED"), sqlite: claim!("") };

#[derive(sqlx::FromRow)]
struct ClaimRow {
    image_id: ImageId,
    attempts: i32,
}

/// Takes the images that have waited longest for their turn; nobody else gets them before `claimed_until`.
///
/// # Errors
/// If the database fails.
pub async fn claim(
    transaction: &mut Transaction,
    now: Timestamp,
    claimed_until: Timestamp,
    limit: u32,
) -> Result<Vec<Poll>, Error> {
    loop {
        let connection = transaction.connection();
        let statement = CLAIM.of(&connection);
        let rows = on!(connection, connection => sqlx::query_as::<_, ClaimRow>(statement)
            .bind(now)
            .bind(claimed_until)
            .bind(i64::from(limit))
            .fetch_all(connection)
            .await)?;
        let ids = rows.iter().map(|row| row.image_id).collect::<ImageSet>();
        let images = images::list(transaction, &ids).await?;
        if images.len() < rows.len() {
            delete_gone(transaction, &ids).await?;
        }
        // Where all of them are gone, others wait behind them.
        if rows.is_empty() || !images.is_empty() {
            let poll = |image: Image| {
                let row = rows.iter().find(|row| row.image_id == image.id)?;
                Some(Poll { image, attempts: row.attempts, claimed_until })
            };
            return Ok(images.into_iter().filter_map(poll).collect());
        }
    }
}

const DELETE_GONE: Pair = in_set!(
    "DELETE FROM cfimages_polls \
     WHERE NOT EXISTS (SELECT 1 FROM cloudflare_images WHERE id = image_id) AND image_id"
);

/// Ends the turns of those of the images that were deleted.
async fn delete_gone(transaction: &mut Transaction, images: &ImageSet) -> Result<(), Error> {
    let connection = transaction.connection();
    let statement = DELETE_GONE.of(&connection);
    on!(connection, connection => sqlx::query(statement).bind(images).execute(connection).await.map(drop))?;
    Ok(())
}

const POSTPONE: &str = r"
    UPDATE cfimages_polls
    SET claimed_until = NULL, last_error = $4, next_poll_at = CASE attempts WHEN 0 THEN next_poll_at ELSE $3 END
    WHERE image_id = $1 AND claimed_until = $2";

/// Gives an image back until its next turn, or until now where [`hasten`] was called meanwhile. False, and nothing is changed, where
/// the claim was lost: its time was over, and somebody else has had the image since.
///
/// # Errors
/// If the database fails.
pub async fn postpone(
    transaction: &mut Transaction,
    poll: &Poll,
    next_poll_at: Timestamp,
    last_error: &str,
) -> Result<bool, Error> {
    let postponed = on!(transaction.connection(), connection => sqlx::query(POSTPONE)
        .bind(poll.image.id)
        .bind(poll.claimed_until)
        .bind(next_poll_at)
        .bind(last_error)
        .execute(connection)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(postponed > 0)
}

const FINISH: &str = "DELETE FROM cfimages_polls WHERE image_id = $1 AND claimed_until = $2 AND attempts > 0";

/// Ends the turns of an image, unless [`hasten`] was called meanwhile: then it is its turn once more. False, and nothing is changed,
/// where the claim was lost, see [`postpone`].
///
/// # Errors
/// If the database fails.
pub async fn finish(transaction: &mut Transaction, poll: &Poll, now: Timestamp) -> Result<bool, Error> {
    let finished = on!(transaction.connection(), connection => {
        sqlx::query(FINISH).bind(poll.image.id).bind(poll.claimed_until).execute(connection).await
            .map(|done| done.rows_affected())
    })?;
    Ok(finished > 0 || postpone(transaction, poll, now, "").await?)
}

const HASTEN: &str = r"
    INSERT INTO cfimages_polls (image_id, next_poll_at, attempts, claimed_until, last_error)
    VALUES ($1, $2, 0, NULL, '')
    ON CONFLICT (image_id) DO UPDATE SET next_poll_at = excluded.next_poll_at, attempts = 0";

/// Makes it an image's turn, and lets the intervals grow anew from there.
///
/// # Errors
/// If the database fails.
pub async fn hasten(transaction: &mut Transaction, image: ImageId, now: Timestamp) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(HASTEN).bind(image).bind(now).execute(connection).await.map(drop)
    })?;
    Ok(())
}
