//! What is true of all images of an account: counts, settings, signing keys and variants.

use cfimages::cloudflare::{
    Error, ImageSettingsUpdate, ImageStats, Variant, VariantFit, VariantOptions, VariantUpdate,
};
use secrecy::ExposeSecret;
use serde_json::json;
use wiremock::ResponseTemplate;

use super::{Cloudflare, on, with_body};
use crate::support::suite::Suite;

pub(crate) fn register(suite: &mut Suite) {
    suite.test("cloudflare_client::the_images_of_the_account_are_counted", stats);
    suite.test("cloudflare_client::only_settings_that_are_named_are_changed", settings);
    suite.test("cloudflare_client::signing_keys_are_made_and_deleted", signing_keys);
    suite.test("cloudflare_client::variants_are_made_changed_and_deleted", variants);
}

async fn stats() {
    let cloudflare = Cloudflare::start().await;
    let at = "/accounts/acct/images/v1/stats";
    cloudflare.on(on("GET", at), json!({"count": {"allowed": 100_000, "current": 1000}})).await;
    let stats = cloudflare.client.image_stats().await.unwrap();
    assert_eq!(stats, ImageStats { current: 1000, allowed: 100_000 });
}

async fn settings() {
    let cloudflare = Cloudflare::start().await;
    let asked = json!({"flexible_variants": true});
    cloudflare.on(with_body("PATCH", "/accounts/acct/images/v1/config", &asked), json!(null)).await;
    let update = ImageSettingsUpdate { flexible_variants: Some(true), ..ImageSettingsUpdate::default() };
    cloudflare.client.update_image_settings(&update).await.unwrap();
}

async fn signing_keys() {
    let cloudflare = Cloudflare::start().await;
    let client = &cloudflare.client;
    let (one, other) = ("/accounts/acct/images/v1/keys/second", "/accounts/acct/images/v1/keys/third");
    let keys = json!({"keys": [{"name": "default", "value": "k1="}, {"name": "second", "value": "k2="}]});
    cloudflare.on(on("PUT", one), keys.clone()).await;
    cloudflare.on(on("PUT", other), keys).await;
    cloudflare.on(on("DELETE", one), json!({"keys": [{"name": "default", "value": "k1="}]})).await;
    let gone =
        json!({"result": null, "success": false, "errors": [{"code": 5404, "message": "not found"}], "messages": []});
    cloudflare.answer(on("DELETE", other), ResponseTemplate::new(404).set_body_json(gone)).await;

    let key = client.create_signing_key("second").await.unwrap();
    assert_eq!((key.name.as_str(), key.value.expose_secret()), ("second", "k2="));
    assert!(matches!(client.create_signing_key("third").await, Err(Error::Malformed(_))));
    client.delete_signing_key("second").await.unwrap();
    client.delete_signing_key("third").await.unwrap();
}

async fn variants() {
    let cloudflare = Cloudflare::start().await;
    let client = &cloudflare.client;
    let (all, one) = ("/accounts/acct/images/v1/variants", "/accounts/acct/images/v1/variants/hero");
    let made = json!({"id": "hero", "neverRequireSignedURLs": true,
        "options": {"fit": "cover", "height": 768, "metadata": "none", "width": 1366}});
    let kept = json!({"id": "hero", "neverRequireSignedURLs": true,
        "options": {"fit": "cover", "height": 768, "metadata": "none", "width": 1366, "browser_ttl": 3600}});
    cloudflare.on(with_body("POST", all, &made), json!({"variant": made})).await;
    cloudflare.on(on("GET", all), json!({"variants": {"public": {"id": "public"}, "hero": made}})).await;
    cloudflare.on(on("GET", one), json!({"variant": made})).await;
    let changed = json!({"options": kept["options"]});
    cloudflare.on(with_body("PATCH", one, &changed), json!({"variant": kept})).await;
    cloudflare.on(on("DELETE", one), json!({})).await;

    let size = |width, height| VariantOptions { width: Some(width), height: Some(height), ..VariantOptions::default() };
    let hero = Variant {
        id: "hero".to_owned(),
        options: VariantOptions { fit: VariantFit::Cover, ..size(1366, 768) },
        never_require_signed_urls: true,
    };
    assert_eq!(client.create_variant(&hero).await.unwrap(), hero);
    let ids: Vec<_> = client.list_variants().await.unwrap().into_iter().map(|variant| variant.id).collect();
    assert_eq!(ids, ["hero", "public"]);
    let mut options = client.get_variant("hero").await.unwrap().options;
    options.browser_ttl = Some(3600);
    let update = VariantUpdate { options, never_require_signed_urls: None };
    assert_eq!(client.update_variant("hero", &update).await.unwrap().options, update.options);
    client.delete_variant("hero").await.unwrap();
}
