//! Rows of `django_session`, which Django writes.

use super::{Database, Error, MissingTableExt, on};
use crate::domain::Timestamp;

const FIND: &str = "SELECT session_data FROM django_session WHERE session_key = $1 AND expire_date > $2";

/// The signed data of a session that has not expired. A site without sessions has none.
///
/// # Errors
/// If the database fails.
pub async fn find(database: &Database, key: &str, now: Timestamp) -> Result<Option<String>, Error> {
    on!(database.reader(), pool => {
        sqlx::query_scalar(FIND).bind(key).bind(now).fetch_optional(pool).await.none_without_table("django_session")
    })
}
