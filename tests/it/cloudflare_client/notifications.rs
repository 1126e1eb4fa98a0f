//! Destinations and policies of notifications.

use cfimages::cloudflare::{
    Error, Mechanisms, NewNotificationPolicy, NotificationPolicy, NotificationPolicyUpdate, WebhookDestinationFields,
};
use serde_json::{Map, Value, json};
use wiremock::ResponseTemplate;

use super::{Cloudflare, envelope, on, with_body};
use crate::support::suite::Suite;

pub(crate) fn register(suite: &mut Suite) {
    suite.test("cloudflare_client::webhook_destinations_are_made_changed_and_deleted", destinations);
    suite.test("cloudflare_client::notification_policies_are_made_changed_and_deleted", policies);
    suite.test("cloudflare_client::an_account_without_notifications_has_empty_lists", empty_lists);
    suite.test("cloudflare_client::errors_of_notifications_need_no_code", errors_without_code);
}

const DESTINATIONS: &str = "/accounts/acct/alerting/v3/destinations/webhooks";
const POLICIES: &str = "/accounts/acct/alerting/v3/policies";

/// The answer where nothing is left to be told.
fn done() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"success": true, "errors": [], "messages": []}))
}

async fn destinations() {
    let cloudflare = Cloudflare::start().await;
    let client = &cloudflare.client;
    let id = "b115d5ec15c641ee8b7692c449b5227b";
    let one = format!("{DESTINATIONS}/{id}");
    let shown = json!({"id": id, "name": "my app", "type": "generic", "url": "https://hooks.example/cf",
        "created_at": "2020-10-26T18:25:04.532316Z", "last_success": "2020-10-26T18:25:04.532316Z", "last_failure": null});
    let asked = json!({"name": "my app", "url": "https://hooks.example/cf", "secret": "whsec"});
    let created = ResponseTemplate::new(201).set_body_json(envelope(&json!({"id": id})));
    cloudflare.answer(with_body("POST", DESTINATIONS, &asked), created).await;
    cloudflare.on(on("GET", DESTINATIONS), json!([shown, {"name": "nameless"}, 7])).await;
    cloudflare.on(on("GET", &one), shown).await;
    let renamed = json!({"name": "renamed", "url": "https://hooks.example/cf"});
    cloudflare.answer(with_body("PUT", &one, &renamed), done()).await;
    cloudflare.answer(on("DELETE", &one), done()).await;

    let mut fields = WebhookDestinationFields {
        name: "my app".to_owned(),
        url: "https://hooks.example/cf".to_owned(),
        secret: Some("whsec".to_owned().into()),
    };
    assert!(!format!("{fields:?}").contains("whsec"));
    assert_eq!(client.create_webhook_destination(&fields).await.unwrap(), id);

    let all = client.list_webhook_destinations().await.unwrap();
    assert_eq!(all.len(), 1, "what has no id is left out");
    let destination = client.get_webhook_destination(id).await.unwrap();
    assert_eq!(destination.name, "my app");
    assert_eq!(destination.url.as_deref(), Some("https://hooks.example/cf"));
    assert_eq!(destination.kind.as_deref(), Some("generic"));
    assert_eq!(destination.last_success.unwrap().to_string(), "2020-10-26T18:25:04.532316Z");
    assert_eq!(destination.last_failure, None);

    (fields.name, fields.secret) = ("renamed".to_owned(), None);
    client.update_webhook_destination(id, &fields).await.unwrap();
    client.delete_webhook_destination(id).await.unwrap();
    assert!(matches!(client.get_webhook_destination("..").await, Err(Error::UnusableId)));
}

async fn policies() {
    let cloudflare = Cloudflare::start().await;
    let client = &cloudflare.client;
    let one = format!("{POLICIES}/p%2F1");
    let to = |webhook: &str| Mechanisms { webhooks: vec![webhook.to_owned()], others: Map::new() };
    let asked = json!({"name": "Images uploads", "description": "", "alert_type": "image_notification",
        "enabled": true, "mechanisms": {"webhooks": [{"id": "w1"}]}});
    let shown = json!({"id": "p/1", "name": "Images uploads", "alert_type": "image_notification", "enabled": false,
        "mechanisms": {"email": [{"id": "me@example.com"}], "webhooks": [{"id": "w1"}]}, "created": "2014-01-01T05:20:00.12345Z"});
    cloudflare.on(with_body("POST", POLICIES, &asked), json!({"id": "p/1"})).await;
    cloudflare.on(on("GET", POLICIES), json!([shown])).await;
    cloudflare.on(on("GET", &one), shown).await;
    let changed =
        json!({"mechanisms": {"email": [{"id": "me@example.com"}], "webhooks": [{"id": "w1"}, {"id": "w2"}]}});
    cloudflare.on(with_body("PUT", &one, &changed), json!({"id": "p/1"})).await;
    cloudflare.answer(on("POST", &format!("{one}/test")), done()).await;
    cloudflare.answer(on("DELETE", &one), done()).await;

    let new = NewNotificationPolicy {
        name: "Images uploads".to_owned(),
        description: String::new(),
        alert_type: NotificationPolicy::IMAGES.to_owned(),
        enabled: true,
        mechanisms: to("w1"),
    };
    assert_eq!(client.create_notification_policy(&new).await.unwrap(), "p/1");
    assert_eq!(client.list_notification_policies().await.unwrap().len(), 1);
    let policy = client.get_notification_policy("p/1").await.unwrap();
    assert_eq!((policy.alert_type.as_str(), policy.enabled), (NotificationPolicy::IMAGES, false));

    let mut mechanisms = policy.mechanisms;
    mechanisms.webhooks.push("w2".to_owned());
    let update = NotificationPolicyUpdate { mechanisms: Some(mechanisms), ..NotificationPolicyUpdate::default() };
    client.update_notification_policy("p/1", &update).await.unwrap();
    client.test_notification_policy("p/1").await.unwrap();
    client.delete_notification_policy("p/1").await.unwrap();
}

async fn empty_lists() {
    let cloudflare = Cloudflare::start().await;
    cloudflare.on(on("GET", DESTINATIONS), json!([])).await;
    cloudflare.on(on("GET", POLICIES), Value::Null).await;
    assert_eq!(cloudflare.client.list_webhook_destinations().await.unwrap().len(), 0);
    assert_eq!(cloudflare.client.list_notification_policies().await.unwrap().len(), 0);
}

async fn errors_without_code() {
    let cloudflare = Cloudflare::start().await;
    let error = |status, text: &str| {
        let body = json!({"result": null, "success": false, "errors": [{"message": text}], "messages": []});
        ResponseTemplate::new(status).set_body_json(body)
    };
    cloudflare.answer(on("POST", &format!("{POLICIES}/p1/test")), error(400, "state_event is wrong")).await;
    cloudflare.answer(on("GET", &format!("{POLICIES}/p1")), error(404, "policy not found")).await;
    cloudflare.answer(on("DELETE", &format!("{POLICIES}/p1")), error(404, "policy not found")).await;

    match cloudflare.client.test_notification_policy("p1").await {
        Err(Error::Status { status, errors }) => {
            assert_eq!((status.as_u16(), errors[0].code), (400, None));
            assert_eq!(errors[0].message.as_deref(), Some("state_event is wrong"));
        }
        answer => panic!("{answer:?}"),
    }
    assert!(cloudflare.client.get_notification_policy("p1").await.unwrap_err().is_not_found());
    cloudflare.client.delete_notification_policy("p1").await.unwrap();
}
