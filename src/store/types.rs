//! How the types of [`domain`](crate::domain) are stored: in the form of Django, which is not that of sqlx.
//!
//! | type | PostgreSQL | SQLite |
//! | --- | --- | --- |
//! | [`ImageId`] | `uuid` | 32 hexadecimal digits |
//! | [`Timestamp`] | `timestamptz` | `2024-03-24 16:01:20.123456`, six digits of fraction or none |
//! | [`Json`], [`Variants`] | `jsonb` | text |
//! | [`UserId`] | `integer`, `bigint` or `uuid` | `integer`, or 32 hexadecimal digits |
//! | [`ImageStatus`] | `varchar` | text |

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Postgres, Sqlite, Type, ValueRef};
use uuid::Uuid;

use crate::domain::{ImageId, ImageStatus, Json, Timestamp, UserId, Variants};

/// Stores a type on PostgreSQL as another that sqlx knows.
macro_rules! postgres_as {
    ($type:ty as $stored:ty, encode: $encode:expr, decode: $decode:expr) => {
        impl Type<Postgres> for $type {
            fn type_info() -> PgTypeInfo {
                <$stored as Type<Postgres>>::type_info()
            }

            fn compatible(info: &PgTypeInfo) -> bool {
                <$stored as Type<Postgres>>::compatible(info)
            }
        }

        impl Encode<'_, Postgres> for $type {
            fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                let encode: fn(&$type) -> _ = $encode;
                Encode::<Postgres>::encode(encode(self), buffer)
            }
        }

        impl Decode<'_, Postgres> for $type {
            fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
                let decode: fn($stored) -> Result<$type, BoxDynError> = $decode;
                decode(Decode::<Postgres>::decode(value)?)
            }
        }
    };
}

/// Stores a type on SQLite as text, whatever the declared type of the column.
macro_rules! sqlite_as_text {
    ($type:ty, encode: $encode:expr, decode: $decode:expr) => {
        impl Type<Sqlite> for $type {
            fn type_info() -> SqliteTypeInfo {
                <str as Type<Sqlite>>::type_info()
            }

            fn compatible(_: &SqliteTypeInfo) -> bool {
                true
            }
        }

        impl Encode<'_, Sqlite> for $type {
            fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
                let encode: fn(&$type) -> String = $encode;
                Encode::<Sqlite>::encode(encode(self), buffer)
            }
        }

        impl Decode<'_, Sqlite> for $type {
            fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
                let decode: fn(String) -> Result<$type, BoxDynError> = $decode;
                decode(Decode::<Sqlite>::decode(value)?)
            }
        }
    };
}

postgres_as!(ImageId as Uuid, encode: |id| id.as_uuid(), decode: |id| Ok(id.into()));
sqlite_as_text!(ImageId, encode: |id| id.as_uuid().simple().to_string(), decode: |text| Ok(Uuid::try_parse(&text)?.into()));

postgres_as!(Timestamp as DateTime<Utc>, encode: |time| time.as_datetime(), decode: |time| Ok(Timestamp::new(time)));
sqlite_as_text!(Timestamp, encode: |time| time.to_sqlite(), decode: |text| Ok(text.parse()?));

postgres_as!(ImageStatus as String, encode: |status| status.as_str().to_owned(), decode: |word| Ok(word.into()));
sqlite_as_text!(ImageStatus, encode: |status| status.as_str().to_owned(), decode: |word| Ok(word.into()));

postgres_as!(Json as sqlx::types::Json<Box<RawValue>>,
    encode: |json| sqlx::types::Json(json.as_raw().to_owned()),
    decode: |json| Ok(Json::from_stored(json.0.get().to_owned())?));
sqlite_as_text!(Json, encode: |json| json.as_str().to_owned(), decode: |text| Ok(Json::from_stored(text)?));

postgres_as!(Variants as Json,
    encode: |variants| variants.as_json().clone(),
    decode: |json| Ok(Variants::from_stored(json)));
sqlite_as_text!(Variants,
    encode: |variants| variants.as_json().as_str().to_owned(),
    decode: |text| Ok(Variants::from_stored(Json::from_stored(text)?)));

impl Type<Postgres> for UserId {
    fn type_info() -> PgTypeInfo {
        <i64 as Type<Postgres>>::type_info()
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        <i64 as Type<Postgres>>::compatible(info)
            || <i32 as Type<Postgres>>::compatible(info)
            || <Uuid as Type<Postgres>>::compatible(info)
    }
}

impl Encode<'_, Postgres> for UserId {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match self {
            Self::Number(number) => Encode::<Postgres>::encode(number, buffer),
            Self::Uuid(uuid) => Encode::<Postgres>::encode(uuid, buffer),
        }
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(match self {
            Self::Number(_) => <i64 as Type<Postgres>>::type_info(),
            Self::Uuid(_) => <Uuid as Type<Postgres>>::type_info(),
        })
    }
}

impl Decode<'_, Postgres> for UserId {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let stored = value.type_info().into_owned();
        Ok(if stored == <Uuid as Type<Postgres>>::type_info() {
            Self::Uuid(Decode::<Postgres>::decode(value)?)
        } else if stored == <i64 as Type<Postgres>>::type_info() {
            Self::Number(Decode::<Postgres>::decode(value)?)
        } else {
            Self::Number(<i32 as Decode<Postgres>>::decode(value)?.into())
        })
    }
}

impl Type<Sqlite> for UserId {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }

    fn compatible(info: &SqliteTypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(info) || <str as Type<Sqlite>>::compatible(info)
    }
}

impl Encode<'_, Sqlite> for UserId {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        match self {
            Self::Number(number) => Encode::<Sqlite>::encode(*number, buffer),
            Self::Uuid(uuid) => Encode::<Sqlite>::encode(uuid.simple().to_string(), buffer),
        }
    }
}

impl Decode<'_, Sqlite> for UserId {
    fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(if <str as Type<Sqlite>>::compatible(&value.type_info()) {
            Self::Uuid(Uuid::try_parse(Decode::<Sqlite>::decode(value)?)?)
        } else {
            Self::Number(Decode::<Sqlite>::decode(value)?)
        })
    }
}
