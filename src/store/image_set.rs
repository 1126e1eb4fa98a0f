//! Statements about several images at once.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo};
use sqlx::{Encode, Postgres, Sqlite, Type};
use uuid::Uuid;

use super::database::Engine;
use crate::domain::{CloudflareId, ImageId};

/// The keys of some images, as one parameter of a statement: an array on PostgreSQL, a JSON text on SQLite.
#[derive(Debug, Clone)]
pub struct ImageSet(Vec<ImageId>);

impl FromIterator<ImageId> for ImageSet {
    fn from_iter<T: IntoIterator<Item = ImageId>>(ids: T) -> Self {
        Self(ids.into_iter().collect())
    }
}

impl Type<Postgres> for ImageSet {
    fn type_info() -> PgTypeInfo {
        <Vec<Uuid> as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for ImageSet {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let ids: Vec<Uuid> = self.0.iter().map(|id| id.as_uuid()).collect();
        Encode::<Postgres>::encode(ids, buffer)
    }
}

impl Type<Sqlite> for ImageSet {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for ImageSet {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        let ids: Vec<String> = self.0.iter().map(|id| format!("\"{}\"", id.as_uuid().simple())).collect();
        Encode::<Sqlite>::encode(format!("[{}]", ids.join(",")), buffer)
    }
}

/// The ids at Cloudflare of some images, likewise; none of them may hold U+0000.
#[derive(Debug, Clone)]
pub struct CloudflareIdSet(Vec<CloudflareId>);

impl<'a> FromIterator<&'a CloudflareId> for CloudflareIdSet {
    fn from_iter<T: IntoIterator<Item = &'a CloudflareId>>(ids: T) -> Self {
        Self(ids.into_iter().cloned().collect())
    }
}

impl Type<Postgres> for CloudflareIdSet {
    fn type_info() -> PgTypeInfo {
        <Vec<String> as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for CloudflareIdSet {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let ids: Vec<&str> = self.0.iter().map(CloudflareId::as_str).collect();
        Encode::<Postgres>::encode(ids, buffer)
    }
}

impl Type<Sqlite> for CloudflareIdSet {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for CloudflareIdSet {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Sqlite>::encode(serde_json::to_string(&self.0)?, buffer)
    }
}

/// A statement in the words of either engine.
pub(super) struct Pair {
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
}

impl Pair {
    /// The words of the engine that is open.
    pub(super) fn of<P, S>(&self, engine: &Engine<P, S>) -> &'static str {
        match engine {
            Engine::Postgres(_) => self.postgres,
            Engine::Sqlite(_) => self.sqlite,
        }
    }
}

/// A statement whose first parameter is an [`ImageSet`] or a [`CloudflareIdSet`] that the column at the end of the first part is in.
macro_rules! in_set {
    ($before:expr) => {
        in_set!($before, "")
    };
    ($before:expr, $after:expr) => {
        crate::store::image_set::Pair {
            postgres: concat!($before, " = ANY($1)", $after),
            sqlite: concat!($before, " IN (SELECT value FROM json_each($1))", $after),
        }
    };
}
pub(super) use in_set;
