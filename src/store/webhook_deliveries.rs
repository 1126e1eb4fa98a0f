//! Rows of `cfimages_webhook_deliveries`: what came to the webhook.

use super::selections::fetch_page;
use super::sql::{Argument, Dialect, Statement};
use super::{Database, Error, Transaction, on};
use crate::domain::{
    DeliveryDigest, DeliveryFilter, DeliveryPlace, KeptDelivery, PageFrom, Timestamp, WebhookDelivery, WebhookOutcome,
};

const INSERT: &str = r"
    INSERT INTO cfimages_webhook_deliveries (
        digest, received_at, form, proof, outcome, status, reason, cloudflare_id, client, body
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (digest) DO NOTHING";

/// Keeps a delivery; false where one with the same digest is kept already. Another transaction that is just keeping one is waited
/// for.
///
/// # Errors
/// If the database fails.
pub async fn insert(
    transaction: &mut Transaction,
    delivery: &WebhookDelivery,
    digest: &DeliveryDigest,
) -> Result<bool, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query(INSERT)
        .bind(digest.as_bytes())
        .bind(delivery.received_at)
        .bind(delivery.form)
        .bind(delivery.proof)
        .bind(delivery.outcome)
        .bind(delivery.status)
        .bind(&delivery.reason)
        .bind(&delivery.cloudflare_id)
        .bind(&delivery.client)
        .bind(&delivery.body)
        .execute(connection)
        .await
        .map(|done| done.rows_affected() > 0))?)
}

const RELEASE: &str = "UPDATE cfimages_webhook_deliveries SET digest = $3 WHERE digest = $1 AND received_at < $2";

/// Lets a digest be taken again that was taken before a time; whether it was.
///
/// # Errors
/// If the database fails.
pub async fn release(transaction: &mut Transaction, digest: &DeliveryDigest, before: Timestamp) -> Result<bool, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query(RELEASE)
        .bind(digest.as_bytes())
        .bind(before)
        .bind(DeliveryDigest::random().as_bytes())
        .execute(connection)
        .await
        .map(|done| done.rows_affected() > 0))?)
}

const EXISTS: &str =
    "SELECT EXISTS (SELECT 1 FROM cfimages_webhook_deliveries WHERE digest = $1 AND received_at >= $2)";

/// Whether a digest was taken since a time.
///
/// # Errors
/// If the database fails.
pub async fn exists(database: &Database, digest: &DeliveryDigest, since: Timestamp) -> Result<bool, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_scalar(EXISTS).bind(digest.as_bytes()).bind(since).fetch_one(pool).await
    })?)
}

macro_rules! select {
    () => {
        r"
    SELECT digest, received_at, form, proof, outcome, status, reason, cloudflare_id, client, body
    FROM cfimages_webhook_deliveries
    WHERE "
    };
}

/// A part of the deliveries, the latest first. There are never so many that it would need an index.
///
/// # Errors
/// If the database fails.
pub async fn list(
    database: &Database,
    filter: DeliveryFilter,
    from: PageFrom<DeliveryPlace>,
    limit: u32,
) -> Result<Vec<KeptDelivery>, Error> {
    let mut statement = Statement::new(Dialect::of(database), concat!(select!(), "TRUE"));
    if let Some(outcome) = filter.outcome {
        statement.push(" AND outcome = ").bind(Argument::Text(outcome.as_str().to_owned()));
    }
    if let Some(form) = filter.form {
        statement.push(" AND form = ").bind(Argument::Text(form.as_str().to_owned()));
    }
    let place =
        from.map(|place| vec![Argument::Time(place.received_at), Argument::Bytes(place.digest.as_bytes().to_vec())]);
    statement.push_page(&["received_at", "digest"], true, &place, limit);
    fetch_page(database, statement, &from).await
}

const FIND: &str = concat!(select!(), "digest = $1");

/// The delivery with a digest.
///
/// # Errors
/// If the database fails.
pub async fn find(database: &Database, digest: &DeliveryDigest) -> Result<Option<KeptDelivery>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, KeptDelivery>(FIND).bind(digest.as_bytes()).fetch_optional(pool).await
    })?)
}

const COUNT: &str = "SELECT count(*) FROM cfimages_webhook_deliveries WHERE CAST($1 AS text) IS NULL OR outcome = $1";

/// How many deliveries are kept; those with one outcome, or all.
///
/// # Errors
/// If the database fails.
pub async fn count(database: &Database, outcome: Option<WebhookOutcome>) -> Result<u64, Error> {
    let count: i64 = on!(database.reader(), pool => sqlx::query_scalar(COUNT).bind(outcome).fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Which deliveries are not kept any longer.
#[derive(Debug, Clone, Copy)]
pub enum Surplus {
    /// Those from before a time.
    Old(Timestamp),
    /// Those beyond a number of the latest, from before a time. The ones that were recorded are counted apart from the others, so that
    /// these cannot push them out.
    Beyond {
        /// Whether it is about those that were recorded.
        recorded: bool,
        /// How many of the latest stay.
        keep: u32,
        /// Younger ones stay in any case.
        before: Timestamp,
    },
}

const DELETE_OLD: &str = r"
    DELETE FROM cfimages_webhook_deliveries
    WHERE digest IN (
        SELECT digest FROM cfimages_webhook_deliveries WHERE received_at < $1 ORDER BY received_at, digest LIMIT $2
    )";

const DELETE_BEYOND: &str = r"
    DELETE FROM cfimages_webhook_deliveries
    WHERE digest IN (
        SELECT digest
        FROM cfimages_webhook_deliveries
        WHERE (outcome = 'recorded') = $1 AND received_at < $2
            AND (received_at, digest) <= (
                SELECT received_at, digest
                FROM cfimages_webhook_deliveries
                WHERE (outcome = 'recorded') = $1
                ORDER BY received_at DESC, digest DESC
                LIMIT 1 OFFSET $3
            )
        ORDER BY received_at, digest
        LIMIT $4
    )";

/// Removes deliveries, at most `limit` of them; how many.
///
/// # Errors
/// If the database fails.
pub async fn delete(transaction: &mut Transaction, surplus: Surplus, limit: u32) -> Result<u64, Error> {
    let connection = transaction.connection();
    Ok(match surplus {
        Surplus::Old(before) => on!(connection, connection => sqlx::query(DELETE_OLD)
            .bind(before)
            .bind(i64::from(limit))
            .execute(connection)
            .await
            .map(|done| done.rows_affected())),
        Surplus::Beyond { recorded, keep, before } => on!(connection, connection => sqlx::query(DELETE_BEYOND)
            .bind(recorded)
            .bind(before)
            .bind(i64::from(keep))
            .bind(i64::from(limit))
            .execute(connection)
            .await
            .map(|done| done.rows_affected())),
    }?)
}
