//! The counts that triggers keep are what counting gives, whoever wrote.

use cfimages::store;

use crate::support::app::{connect, migrated_database};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("counts::any_mix_of_writes_leaves_exact_counts", any_mix);
    suite.on_both_engines("counts::writers_at_the_same_time_leave_exact_counts", concurrent);
    suite.on_both_engines("counts::counting_anew_repairs_what_was_lost", repair);
}

const IMAGES: &str = "SELECT user_key || ' ' || status || ' ' || CAST(require_signed_urls AS text) || ' ' || CAST(sum(images) AS text) || ' ' || CAST(sum(bytes) AS text) \
    FROM cfimages_image_counts GROUP BY user_key, status, require_signed_urls HAVING sum(images) <> 0 OR sum(bytes) <> 0 ORDER BY 1";
const COUNTED_IMAGES: &str = "SELECT coalesce(CAST(user_id AS text), '') || ' ' || status || ' ' || CAST(require_signed_urls AS text) || ' ' || CAST(count(*) AS text) || ' ' \
    || CAST(coalesce(sum(file_size), 0) AS text) FROM cloudflare_images GROUP BY user_id, status, require_signed_urls ORDER BY 1";
const USAGES: &str = "SELECT user_key || ' ' || CAST(sum(usages) AS text) || ' ' || CAST(sum(used_images) AS text) FROM cfimages_usage_counts \
    GROUP BY user_key HAVING sum(usages) <> 0 OR sum(used_images) <> 0 ORDER BY 1";
const COUNTED_USAGES: &str = "SELECT coalesce(CAST(user_id AS text), '') || ' ' || CAST(count(*) AS text) || ' ' || CAST(count(DISTINCT i.id) AS text) \
    FROM cloudflare_image_usages u JOIN cloudflare_images i ON i.id = u.image_id GROUP BY user_id ORDER BY 1";

async fn assert_exact(url: &str) {
    assert_eq!(sql::texts(url, IMAGES).await, sql::texts(url, COUNTED_IMAGES).await);
    assert_eq!(sql::texts(url, USAGES).await, sql::texts(url, COUNTED_USAGES).await);
}

fn insert_image(number: u32, user: &str, size: &str) -> String {
    format!(
        "INSERT INTO cloudflare_images (id, cloudflare_id, filename, original_filename, content_type, file_size, upload_url, status, require_signed_urls, metadata, \
         created_at, updated_at, expires_at, format, variants, cloudflare_metadata, creator, user_id) \
         VALUES ('{}', 'cf-{number}', '', '', '', {size}, '', 'pending', true, '{{}}', '2024-01-01 00:00:00', '2024-01-01 00:00:00', '2024-01-01 00:00:00', '', '[]', '{{}}', '', {user})",
        key(number)
    )
}

fn insert_usage(object: u32, image: &str) -> String {
    format!(
        "INSERT INTO cloudflare_image_usages (object_id, field_name, cloudflare_id, created_at, updated_at, content_type_id, image_id, source) \
         SELECT '{object}', 'hero', 'x', '2024-01-01 00:00:00', '2024-01-01 00:00:00', id, {image}, 'auto' FROM django_content_type"
    )
}

fn key(number: u32) -> String {
    format!("{number:032x}")
}

async fn any_mix(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    sql::execute(url, "INSERT INTO django_content_type (app_label, model) VALUES ('shop', 'product')").await;
    for number in 0..8 {
        let user = ["1", "2", "NULL"][number as usize % 3];
        sql::execute(url, &insert_image(number, user, if number == 3 { "NULL" } else { "10" })).await;
    }
    assert_exact(url).await;
    let (first, second, third) = (key(0), key(1), key(2));
    for statement in [
        "UPDATE cloudflare_images SET status = 'uploaded' WHERE user_id = 1".to_owned(),
        "UPDATE cloudflare_images SET filename = 'unchanged otherwise'".to_owned(),
        "UPDATE cloudflare_images SET file_size = coalesce(file_size, 0) + 7, require_signed_urls = false WHERE user_id = 2 OR user_id IS NULL".to_owned(),
        insert_usage(1, &format!("'{first}'")),
        insert_usage(2, &format!("'{first}'")),
        insert_usage(3, &format!("'{second}'")),
        insert_usage(4, "NULL"),
        "UPDATE cloudflare_images SET user_id = 2 WHERE user_id = 1".to_owned(),
        format!("UPDATE cloudflare_image_usages SET image_id = '{third}' WHERE object_id = '2'"),
        format!("UPDATE cloudflare_image_usages SET image_id = '{third}' WHERE object_id = '4'"),
        "UPDATE cloudflare_image_usages SET image_id = NULL WHERE object_id = '3'".to_owned(),
        "UPDATE cloudflare_image_usages SET field_name = 'other'".to_owned(),
        "DELETE FROM cloudflare_image_usages WHERE object_id = '1'".to_owned(),
        format!("DELETE FROM cloudflare_images WHERE id = '{first}'"),
        "DELETE FROM cloudflare_images WHERE user_id IS NULL AND id NOT IN (SELECT image_id FROM cloudflare_image_usages WHERE image_id IS NOT NULL)".to_owned(),
        "DELETE FROM cloudflare_image_usages".to_owned(),
        "DELETE FROM cloudflare_images".to_owned(),
    ] {
        sql::execute(url, &statement).await;
        assert_exact(url).await;
    }
}

async fn concurrent(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    let writer = async |start: u32| {
        for number in start..start + 10 {
            sql::execute(url, &insert_image(number, "1", "10")).await;
            sql::execute(
                url,
                &format!("UPDATE cloudflare_images SET status = 'uploaded' WHERE id = '{}'", key(number)),
            )
            .await;
        }
    };
    tokio::join!(writer(0), writer(100), writer(200), writer(300));
    assert_exact(url).await;
    let stats = store::stats::find(&connect(url).await, cfimages::domain::UserId(1)).await.unwrap();
    assert_eq!((stats.total, stats.uploaded, stats.total_file_size), (40, 40, 400));
}

async fn repair(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    sql::execute(url, &insert_image(1, "1", "10")).await;
    sql::execute(url, "UPDATE cfimages_image_counts SET images = 99").await;
    sql::execute(url, "INSERT INTO cfimages_usage_counts (user_key, slot, usages, used_images) VALUES ('1', 5, 3, 2)")
        .await;
    let database = connect(url).await;
    let mut transaction = database.begin().await.unwrap();
    store::stats::recount(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_exact(url).await;
}
