//! `stats/`

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_stats::figures_are_those_of_the_users_own_images", figures);
}

async fn figures(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    app.get("stats/").await.assert_is(200, &stats([0; 10], 0.0));

    for _ in 0..6 {
        app.create_upload(&json!({})).await;
    }
    let ids = sql::texts(url, "SELECT CAST(id AS text) FROM cloudflare_images ORDER BY created_at").await;
    for (id, change) in ids.iter().flatten().zip([
        "status = 'uploaded', file_size = 100",
        "status = 'uploaded', file_size = 23",
        "status = 'draft'",
        "status = 'failed'",
        "status = 'expired'",
    ]) {
        sql::execute(url, &format!("UPDATE cloudflare_images SET {change} WHERE id = '{id}'")).await;
    }
    sql::execute(
        url,
        &format!("UPDATE cloudflare_images SET require_signed_urls = true WHERE id = '{}'", ids[0].as_ref().unwrap()),
    )
    .await;
    sql::execute(
        url,
        &format!(
            "UPDATE cloudflare_images SET user_id = (SELECT id FROM auth_user WHERE username = 'bob') WHERE id = '{}'",
            ids[5].as_ref().unwrap()
        ),
    )
    .await;
    sql::execute(url, "INSERT INTO django_content_type (app_label, model) VALUES ('shop', 'product')").await;
    for object in ["1", "2"] {
        sql::execute(
            url,
            &format!(
                "INSERT INTO cloudflare_image_usages (object_id, field_name, cloudflare_id, created_at, updated_at, content_type_id, image_id, source) \
                 SELECT '{object}', 'hero', 'x', '2024-01-01 00:00:00', '2024-01-01 00:00:00', id, '{}', 'auto' FROM django_content_type",
                ids[0].as_ref().unwrap()
            ),
        )
        .await;
    }
    app.get("stats/").await.assert_is(200, &stats([5, 2, 0, 1, 1, 1, 123, 1, 2, 4], 40.0));
}

fn stats(figures: [i64; 10], success_rate: f64) -> serde_json::Value {
    let [total, uploaded, pending, draft, failed, expired, bytes, signed, usages, orphaned] = figures;
    json!({
        "total_images": total, "uploaded_images": uploaded, "pending_images": pending, "draft_images": draft, "failed_images": failed,
        "expired_images": expired, "total_file_size": bytes, "images_with_signed_urls": signed, "total_usages": usages, "orphaned_images": orphaned,
        "total_uploads": total, "successful_uploads": uploaded, "failed_uploads": failed, "pending_uploads": pending, "success_rate": success_rate,
    })
}
