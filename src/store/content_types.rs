//! Rows of `django_content_type`.

use super::{Error, Transaction, on};
use crate::domain::ContentType;

const FIND: &str = "SELECT CAST(id AS bigint) FROM django_content_type WHERE app_label = $1 AND model = $2";

/// The key of a model.
///
/// # Errors
/// If the database fails.
pub async fn find(transaction: &mut Transaction, content_type: &ContentType) -> Result<Option<i64>, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query_scalar(FIND)
        .bind(&content_type.app_label)
        .bind(&content_type.model)
        .fetch_optional(connection)
        .await)?)
}

const INSERT: &str = r"
    INSERT INTO django_content_type (app_label, model)
    VALUES ($1, $2)
    ON CONFLICT (app_label, model) DO NOTHING
    RETURNING CAST(id AS bigint)";

/// The key of a model, which is made where there is none. Others may make the same at the same time.
///
/// # Errors
/// If the database fails.
pub async fn find_or_insert(transaction: &mut Transaction, content_type: &ContentType) -> Result<i64, Error> {
    loop {
        if let Some(id) = find(transaction, content_type).await? {
            return Ok(id);
        }
        let inserted: Option<i64> = on!(transaction.connection(), connection => sqlx::query_scalar(INSERT)
            .bind(&content_type.app_label)
            .bind(&content_type.model)
            .fetch_optional(connection)
            .await)?;
        if let Some(id) = inserted {
            return Ok(id);
        }
    }
}
