//! Rows as Django would have written them, from beside the service.

use cfimages::domain::{CloudflareId, ImageId, Timestamp};
use uuid::Uuid;

use super::sql;

/// A row of `cloudflare_images`.
pub(crate) struct ImageRow<'a> {
    pub(crate) number: u32,
    pub(crate) status: &'a str,
    pub(crate) expires_at: &'a str,
    pub(crate) created_at: &'a str,
}

impl Default for ImageRow<'_> {
    fn default() -> Self {
        Self { number: 1, status: "uploaded", expires_at: "2099-01-01", created_at: "2020-01-01" }
    }
}

impl ImageRow<'_> {
    /// Writes the row; its key and its id at Cloudflare, `img-NUMBER`.
    pub(crate) async fn insert(&self, url: &str) -> (ImageId, CloudflareId) {
        let Self { number, status, .. } = *self;
        let (expires_at, created_at) = (time(url, self.expires_at), time(url, self.created_at));
        let values = format!("'{}', 'img-{number}', {}", key(number), rest(status, &expires_at, &created_at));
        sql::execute(url, &format!("INSERT INTO cloudflare_images ({COLUMNS}) VALUES ({values})")).await;
        (Uuid::from_u128(number.into()).into(), CloudflareId::new(format!("img-{number}")))
    }
}

const COLUMNS: &str = "id, cloudflare_id, filename, original_filename, content_type, upload_url, require_signed_urls, metadata, \
    format, variants, cloudflare_metadata, creator, user_id, status, expires_at, created_at, updated_at";

fn rest(status: &str, expires_at: &str, created_at: &str) -> String {
    format!(
        "'', '', '', '', true, '{{}}', '', '[]', '{{}}', '', 1, '{status}', '{expires_at}', '{created_at}', '{created_at}'"
    )
}

/// Writes images numbered from 1 on, all of a status and with an upload URL that ended in the year 2000.
pub(crate) async fn insert_images(url: &str, count: u32, status: &str) {
    let key = if is_sqlite(url) { "printf('%032x', n)" } else { "CAST(lpad(to_hex(n), 32, '0') AS uuid)" };
    let (expires_at, created_at) = (time(url, "2000-01-01"), time(url, "1999-01-01"));
    let types = if is_sqlite(url) { ["", "", ""] } else { ["::jsonb", "::timestamptz", "::timestamptz"] };
    let values = rest(status, &expires_at, &created_at)
        .replace("'{}'", &format!("'{{}}'{}", types[0]))
        .replace("'[]'", &format!("'[]'{}", types[0]))
        .replace(&format!("'{expires_at}'"), &format!("'{expires_at}'{}", types[1]))
        .replace(&format!("'{created_at}'"), &format!("'{created_at}'{}", types[2]));
    sql::execute(
        url,
        &format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) \
             INSERT INTO cloudflare_images ({COLUMNS}) SELECT {key}, 'img-' || n, {values} FROM numbers"
        ),
    )
    .await;
}

/// A reference to the image `img-NUMBER`; `number` is the row's own and that of its image.
pub(crate) async fn insert_usage(url: &str, image: u32, content_type: &str, object: &str, field: &str, source: &str) {
    let (app, model) = content_type.split_once('.').unwrap();
    sql::execute(
        url,
        &format!(
            "INSERT INTO django_content_type (app_label, model) VALUES ('{app}', '{model}') ON CONFLICT DO NOTHING"
        ),
    )
    .await;
    sql::execute(
        url,
        &format!(
            "INSERT INTO cloudflare_image_usages \
             (object_id, field_name, cloudflare_id, created_at, updated_at, image_id, source, content_type_id) \
             SELECT '{object}', '{field}', 'img-{image}', '2020-01-01 00:00:00', '2020-01-01 00:00:00', '{}', '{source}', id \
             FROM django_content_type WHERE app_label = '{app}' AND model = '{model}'",
            key(image)
        ),
    )
    .await;
}

/// The key of the image `img-NUMBER`, in a form that both engines take.
pub(crate) fn key(number: u32) -> String {
    format!("{number:032x}")
}

/// A time as the engine stores it.
pub(crate) fn time(url: &str, time: &str) -> String {
    let time: Timestamp = time.parse().unwrap();
    if is_sqlite(url) { time.to_sqlite() } else { time.to_isoformat() }
}

pub(crate) fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite")
}
