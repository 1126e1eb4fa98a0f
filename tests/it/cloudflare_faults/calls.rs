//! Every call to Cloudflare meets every fault: the matrix of both.

use std::time::Duration;

use cfimages::cloudflare::{
    Client, ClientLimits, ClientSettings, DirectUploadRequest, Error, ImageListFilter, ImageSettingsUpdate,
    ImageUpdate, Mechanisms, NewImageFields, NewNotificationPolicy, NotificationPolicyUpdate, Operation, Repeat,
    UploadFile, Variant, VariantFit, VariantOptions, VariantUpdate, WebhookDestinationFields,
};
use cfimages::domain::{CloudflareId, Json, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::eventually;
use crate::support::raw_server::{RawServer, Reply};
use crate::support::suite::Suite;

pub(super) fn register(suite: &mut Suite) {
    for fault in faults() {
        suite.test(&format!("cloudflare_faults::{}", fault.name), move || meet(fault));
    }
    suite.test("cloudflare_faults::nothing_is_sent_where_nobody_listens", nobody);
    suite.test("cloudflare_faults::a_draft_that_nobody_can_find_is_made_again", unfindable_draft);
    suite.test("cloudflare_faults::a_change_that_keeps_the_id_is_made_again", repeatable_change);
    suite.test("cloudflare_faults::jobs_try_once_more_than_people", patient);
    suite.test("cloudflare_faults::calls_fail_at_once_during_an_outage_and_work_again_after_it", outage);
    suite.test("cloudflare_faults::one_slow_upload_is_no_outage", slow_upload);
    suite.test("cloudflare_faults::requests_beyond_the_limit_are_not_sent", limit);
    suite.test("cloudflare_faults::nothing_is_sent_while_cloudflare_wants_to_be_left_alone", pause);
}

/// What `result` of an answer is to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing that anybody looks at.
    Nothing,
    /// A list, which is empty where it is not there.
    List,
    /// Something that must be there.
    Value,
    /// There is none: the answer is bytes, whatever they are.
    Bytes,
}

/// What the answers to an operation are like when all is well: `result`, and what it is needed for.
fn right_result(operation: Operation) -> (Need, &'static str) {
    match operation {
        Operation::CreateDirectUpload => (Need::Value, r#"{"id": "i", "uploadURL": "https://upload.example/i"}"#),
        Operation::UploadFile | Operation::UploadFromUrl | Operation::GetImage | Operation::UpdateImage => (
            Need::Value,
            r#"{"id": "i", "uploaded": "2025-12-31T00:00:00Z", "variants": ["https://imagedelivery.net/h/i/public"]}"#,
        ),
        Operation::ListImages | Operation::ListImagesByNumber => (Need::Value, r#"{"images": [{"id": "i"}]}"#),
        Operation::DownloadImage => (Need::Bytes, "{}"),
        Operation::GetImageStats => (Need::Value, r#"{"count": {"allowed": 2, "current": 1}}"#),
        Operation::ListSigningKeys | Operation::CreateSigningKey => {
            (Need::Value, r#"{"keys": [{"name": "default", "value": "key"}]}"#)
        }
        Operation::ListVariants => {
            (Need::Value, r#"{"variants": {"hero": {"id": "hero", "options": {"fit": "cover"}}}}"#)
        }
        Operation::GetVariant | Operation::CreateVariant | Operation::UpdateVariant => {
            (Need::Value, r#"{"variant": {"id": "hero", "options": {"fit": "cover"}}}"#)
        }
        Operation::GetWebhookDestination
        | Operation::CreateWebhookDestination
        | Operation::GetNotificationPolicy
        | Operation::CreateNotificationPolicy => (Need::Value, r#"{"id": "i"}"#),
        Operation::ListWebhookDestinations | Operation::ListNotificationPolicies => (Need::List, r#"[{"id": "i"}]"#),
        Operation::DeleteImage
        | Operation::UpdateImageSettings
        | Operation::DeleteSigningKey
        | Operation::DeleteVariant
        | Operation::UpdateWebhookDestination
        | Operation::DeleteWebhookDestination
        | Operation::UpdateNotificationPolicy
        | Operation::DeleteNotificationPolicy
        | Operation::TestNotificationPolicy => (Need::Nothing, "{}"),
    }
}

/// Whether what is not there is what was wanted.
fn deletes(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::DeleteImage
            | Operation::DeleteSigningKey
            | Operation::DeleteVariant
            | Operation::DeleteWebhookDestination
            | Operation::DeleteNotificationPolicy
    )
}

async fn perform(client: &Client, operation: Operation) -> Result<(), Error> {
    perform_within(client, operation, Duration::from_secs(20)).await
}

/// Does an operation, which has to be over after `time` where it has bytes that may take as long.
async fn perform_within(client: &Client, operation: Operation, time: Duration) -> Result<(), Error> {
    let deadline = Instant::now() + time;
    let id = CloudflareId::new("i");
    match operation {
        Operation::CreateDirectUpload => client.create_direct_upload(&draft(Some(id))).await.map(drop),
        Operation::UploadFile => {
            let bytes = reqwest::Body::from("bytes");
            let file = UploadFile { name: "f.jpg".to_owned(), content_type: "image/jpeg", bytes };
            client.upload_file(&image(Some(id)), file, deadline).await.map(drop)
        }
        Operation::UploadFromUrl => {
            client.upload_from_url(&image(Some(id)), "https://example.com/f.jpg", deadline).await.map(drop)
        }
        Operation::GetImage => client.get_image(&id).await.map(drop),
        Operation::UpdateImage => client.update_image(&id, &privacy()).await.map(drop),
        Operation::DeleteImage => client.delete_image(&id).await,
        Operation::ListImages => client.list_images(ImageListFilter::default(), None).next_page().await.map(drop),
        Operation::ListImagesByNumber => client.list_images_by_number(None, 1).next_page().await.map(drop),
        Operation::DownloadImage => {
            let mut original = client.download_image(&id, Duration::ZERO).await?;
            while original.chunk().await?.is_some() {}
            Ok(())
        }
        Operation::GetImageStats => client.image_stats().await.map(drop),
        Operation::UpdateImageSettings => client.update_image_settings(&ImageSettingsUpdate::default()).await,
        Operation::ListSigningKeys => client.list_signing_keys().await.map(drop),
        Operation::CreateSigningKey => client.create_signing_key("default").await.map(drop),
        Operation::DeleteSigningKey => client.delete_signing_key("default").await,
        Operation::ListVariants => client.list_variants().await.map(drop),
        Operation::GetVariant => client.get_variant("hero").await.map(drop),
        Operation::CreateVariant => client.create_variant(&variant()).await.map(drop),
        Operation::UpdateVariant => {
            let Variant { options, .. } = variant();
            let update = VariantUpdate { options, never_require_signed_urls: None };
            client.update_variant("hero", &update).await.map(drop)
        }
        Operation::DeleteVariant => client.delete_variant("hero").await,
        Operation::GetWebhookDestination => client.get_webhook_destination("i").await.map(drop),
        Operation::ListWebhookDestinations => client.list_webhook_destinations().await.map(drop),
        Operation::CreateWebhookDestination => client.create_webhook_destination(&destination()).await.map(drop),
        Operation::UpdateWebhookDestination => client.update_webhook_destination("i", &destination()).await,
        Operation::DeleteWebhookDestination => client.delete_webhook_destination("i").await,
        Operation::ListNotificationPolicies => client.list_notification_policies().await.map(drop),
        Operation::GetNotificationPolicy => client.get_notification_policy("i").await.map(drop),
        Operation::CreateNotificationPolicy => client.create_notification_policy(&policy()).await.map(drop),
        Operation::UpdateNotificationPolicy => {
            client.update_notification_policy("i", &NotificationPolicyUpdate::default()).await
        }
        Operation::DeleteNotificationPolicy => client.delete_notification_policy("i").await,
        Operation::TestNotificationPolicy => client.test_notification_policy("i").await,
    }
}

fn destination() -> WebhookDestinationFields {
    WebhookDestinationFields { name: "n".to_owned(), url: "https://example.com/hook".to_owned(), secret: None }
}

fn variant() -> Variant {
    let options = VariantOptions { fit: VariantFit::Cover, ..VariantOptions::default() };
    Variant { id: "hero".to_owned(), options, never_require_signed_urls: false }
}

fn privacy() -> ImageUpdate {
    ImageUpdate { require_signed_urls: Some(true), ..ImageUpdate::default() }
}

fn policy() -> NewNotificationPolicy {
    NewNotificationPolicy {
        name: "n".to_owned(),
        description: String::new(),
        alert_type: "image_notification".to_owned(),
        enabled: true,
        mechanisms: Mechanisms::default(),
    }
}

fn image(custom_id: Option<CloudflareId>) -> NewImageFields {
    let metadata = Json::parse("{}").unwrap();
    NewImageFields { custom_id, metadata, require_signed_urls: false, creator: String::new() }
}

fn draft(custom_id: Option<CloudflareId>) -> DirectUploadRequest {
    DirectUploadRequest { image: image(custom_id), expiry: Timestamp::from_micros(0) }
}

/// How an operation may be repeated, as the matrix sees it.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Whatever has become of it.
    Repeatable,
    /// Where it had no effect.
    Creating,
    /// Never, as its bytes are gone.
    Streaming,
}

impl Kind {
    fn of(operation: Operation) -> Self {
        match (operation, operation.repeat()) {
            (Operation::UploadFile, _) => Self::Streaming,
            (_, Repeat::WithoutEffect) => Self::Creating,
            (_, Repeat::Always) => Self::Repeatable,
        }
    }
}

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Works,
    Connect,
    Interrupted,
    /// Interrupted within the body, which those who only hand on bytes find out too late for another try.
    CutBody,
    Status(u16),
    /// A 404 that is not about what was asked for.
    Misrouted,
    Unsuccessful,
    Malformed,
    /// Malformed, where a result is needed.
    NoResult,
    /// Malformed, where anybody looks at the result.
    WrongResult,
    TooLong,
    RateLimited,
}

impl Outcome {
    fn of(result: &Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::Works,
            Err(Error::Connect(_)) => Self::Connect,
            Err(Error::Interrupted(_)) => Self::Interrupted,
            Err(error @ Error::Status { .. }) if error.has_code(7003) => Self::Misrouted,
            Err(Error::Status { status, .. }) => Self::Status(status.as_u16()),
            Err(Error::Unsuccessful { .. }) => Self::Unsuccessful,
            Err(Error::Malformed(_)) => Self::Malformed,
            Err(Error::TooLong) => Self::TooLong,
            Err(Error::RateLimited { .. }) => Self::RateLimited,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A column of the matrix: what the server does, and what calls of each kind come to, after how many requests.
#[derive(Clone)]
struct Fault {
    name: &'static str,
    /// What becomes of the first requests; `None` is a right answer. The last goes on for ever.
    replies: Vec<Option<Reply>>,
    repeatable: (Outcome, usize),
    creating: (Outcome, usize),
    streaming: (Outcome, usize),
}

impl Fault {
    /// One that goes on for ever, and is the same for all.
    fn lasting(name: &'static str, reply: Reply, outcome: Outcome, requests: [usize; 3]) -> Self {
        Self {
            name,
            replies: vec![Some(reply)],
            repeatable: (outcome, requests[0]),
            creating: (outcome, requests[1]),
            streaming: (outcome, requests[2]),
        }
    }

    /// One that is over with the first request, which those who may repeat do not see.
    fn passing(name: &'static str, reply: Reply, outcome: Outcome) -> Self {
        Self {
            name,
            replies: vec![Some(reply), None],
            repeatable: (Outcome::Works, 2),
            creating: (outcome, 1),
            streaming: (outcome, 1),
        }
    }

    fn expected(&self, operation: Operation) -> (Outcome, usize) {
        let (outcome, requests) = match Kind::of(operation) {
            Kind::Repeatable => self.repeatable,
            Kind::Creating => self.creating,
            Kind::Streaming => self.streaming,
        };
        let (need, _) = right_result(operation);
        match outcome {
            Outcome::CutBody if need == Need::Bytes => (Outcome::Interrupted, 1),
            Outcome::CutBody => (Outcome::Interrupted, requests),
            Outcome::Malformed
            | Outcome::NoResult
            | Outcome::WrongResult
            | Outcome::TooLong
            | Outcome::Unsuccessful
                if need == Need::Bytes =>
            {
                (Outcome::Works, requests)
            }
            // What is to be deleted and is not there is as good as deleted.
            Outcome::Status(404) if deletes(operation) => (Outcome::Works, requests),
            Outcome::NoResult if matches!(need, Need::Nothing | Need::List) => (Outcome::Works, requests),
            Outcome::WrongResult if need == Need::Nothing => (Outcome::Works, requests),
            Outcome::NoResult | Outcome::WrongResult => (Outcome::Malformed, requests),
            // Lists may be longer than anything else.
            Outcome::TooLong if matches!(operation, Operation::ListImages | Operation::ListImagesByNumber) => {
                (Outcome::Malformed, requests)
            }
            outcome => (outcome, requests),
        }
    }

    /// Silence has to end; everything else gets the time that a busy machine may need.
    fn timeout(&self) -> Duration {
        let is_silent = self.replies.iter().any(|reply| matches!(reply, Some(Reply::Silence)));
        if is_silent { Duration::from_secs(8) } else { Duration::from_secs(20) }
    }
}

fn right_answer(operation: Operation) -> Reply {
    let body = format!(r#"{{"success": true, "errors": [], "messages": [], "result": {}}}"#, right_result(operation).1);
    Reply::answer(200, &[], &body)
}

fn faults() -> Vec<Fault> {
    use Outcome::{
        CutBody, Interrupted, Malformed, Misrouted, NoResult, RateLimited, Status, TooLong, Unsuccessful, Works,
        WrongResult,
    };

    /// Once; what cannot be mended.
    const ONCE: [usize; 3] = [1, 1, 1];
    /// What may help those who may repeat.
    const THRICE: [usize; 3] = [3, 1, 1];

    let json = |status: u16, code: u16| {
        let body = format!(r#"{{"success": false, "errors": [{{"code": {code}, "message": "no"}}], "result": null}}"#);
        Reply::answer(status, &["cf-ray: 8b1c2d3e4f5a6b7c-FRA"], &body)
    };
    let told = |status: u16, header: &str| Reply::answer(status, &[header], "");
    let ok = |body: &str| Reply::answer(200, &[], body);
    let whole = r#"{"success": true, "errors": [], "messages": [], "result": {"id": "i"}}"#;

    let refusals = [
        ("a_bad_request", json(400, 5400), 400),
        ("a_wrong_token", json(401, 10000), 401),
        ("a_missing_permission", json(403, 10000), 403),
        ("something_unknown", json(404, 5404), 404),
        ("something_unknown_in_plain_text", Reply::answer(404, &[], "ERROR 5404: Image not found"), 404),
        ("a_taken_id", json(409, 5409), 409),
        ("a_large_request", Reply::answer(413, &[], ""), 413),
        ("a_redirect", told(302, "Location: https://elsewhere.example/"), 302),
    ];
    let breakdowns = [
        ("an_internal_error", json(500, 5500), 500),
        ("an_internal_error_in_plain_text", Reply::answer(500, &[], "ERROR 5500: Internal server error"), 500),
        ("a_gateway_error", Reply::answer(502, &[], "<html>bad gateway</html>"), 502),
        ("an_unavailable_server", json(503, 5503), 503),
        ("an_unknown_server_error", Reply::answer(520, &[], "error code: 520"), 520),
    ];
    let breaks = [
        ("a_closed_connection", Reply::Close, Interrupted),
        ("a_reset_connection", Reply::Reset, Interrupted),
        ("a_cut_head", ok(whole).cut(30), Interrupted),
        ("a_cut_body", ok(whole).cut(-5), CutBody),
        ("a_body_that_never_begins", ok(whole).cut(-(whole.len().cast_signed())), CutBody),
        ("no_http", Reply::Bytes(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()), Interrupted),
    ];
    let no_text = Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe".to_vec());
    let nonsense = [
        ("an_empty_body", ok(""), Malformed),
        ("a_body_that_is_no_json", ok("<html>welcome</html>"), Malformed),
        ("json_that_ends_early", ok(&whole[..whole.len() - 1]), Malformed),
        ("an_array", ok("[]"), Malformed),
        ("a_body_that_is_no_text", no_text, Malformed),
        ("a_body_that_is_too_long", ok(&" ".repeat(5 * 1024 * 1024)), TooLong),
        ("no_result", ok(r#"{"success": true}"#), NoResult),
        ("a_null_result", ok(r#"{"success": true, "result": null}"#), NoResult),
        ("a_result_of_another_kind", ok(r#"{"success": true, "result": 5}"#), WrongResult),
    ];

    let mut faults = Vec::new();
    let lasting = Fault::lasting;
    faults.extend(refusals.map(|(name, reply, status)| lasting(name, reply, Status(status), ONCE)));
    faults.extend(breakdowns.map(|(name, reply, status)| lasting(name, reply, Status(status), THRICE)));
    faults.extend(breaks.map(|(name, reply, outcome)| lasting(name, reply, outcome, THRICE)));
    faults.extend(nonsense.map(|(name, reply, outcome)| lasting(name, reply, outcome, ONCE)));
    faults.extend([
        // Nothing is known of what was to be deleted, and so it is not.
        lasting("an_unknown_account", json(404, 7003), Misrouted, ONCE),
        lasting("silence", Reply::Silence, Interrupted, [2, 1, 1]),
        lasting("success_that_is_none", json(200, 1000), Unsuccessful, ONCE),
        lasting("too_many_requests", json(429, 971), Status(429), [3, 3, 1]),
        lasting("too_many_requests_for_minutes", told(429, "Retry-After: 300"), RateLimited, ONCE),
        lasting("requests_used_up_for_minutes", told(429, "Ratelimit: \"default\";r=0;t=300"), RateLimited, ONCE),
        lasting("maintenance_for_minutes", told(503, "Retry-After: 300"), Status(503), ONCE),
        Fault::passing("a_lost_answer", Reply::Close, Interrupted),
        Fault::passing("a_moment_of_silence", Reply::Silence, Interrupted),
        Fault::passing("a_moment_of_trouble", json(503, 5503), Status(503)),
        Fault {
            creating: (Works, 2),
            ..Fault::passing("a_moment_of_too_many_requests", told(429, "Retry-After: 0"), RateLimited)
        },
    ]);
    faults
}

/// Lets every operation meet a fault. All clients are there before the first call: making one keeps a thread busy for so long that
/// the time of others would pass.
async fn meet(fault: Fault) {
    let timeout = fault.timeout();
    let mut prepared = Vec::new();
    for operation in Operation::ALL {
        let right = right_answer(*operation);
        let replies = fault.replies.iter().map(|reply| reply.clone().unwrap_or_else(|| right.clone()));
        let server = RawServer::scripted(replies.collect()).await;
        prepared.push((*operation, client(&server.url, timeout), server));
    }
    let mut cells = JoinSet::new();
    for (operation, client, server) in prepared {
        let fault = fault.clone();
        cells.spawn(async move {
            let result = perform_within(&client, operation, timeout).await;
            let found = (Outcome::of(&result), server.requests());
            assert_eq!(found, fault.expected(operation), "{operation} meets {}", fault.name);
            if let Err(error) = result {
                assert_tells_nothing(&error);
            }
        });
    }
    while let Some(cell) = cells.join_next().await {
        cell.unwrap();
    }
}

/// Neither the account nor the token nor the address is in an error, whatever it is shown by.
#[track_caller]
fn assert_tells_nothing(error: &Error) {
    let text = format!("{error} {error:?} {:?}", std::error::Error::source(error));
    for secret in ["the-account", "the-token", "http://"] {
        assert!(!text.contains(secret), "{text}");
    }
}

fn client(url: &str, timeout: Duration) -> Client {
    limited_client(url, &ClientLimits { timeout, ..ClientLimits::default() })
}

fn limited_client(url: &str, limits: &ClientLimits) -> Client {
    let settings = ClientSettings {
        base_url: url.to_owned(),
        account_id: "the-account".to_owned(),
        api_token: "the-token".to_owned().into(),
    };
    Client::with_limits(&settings, limits).unwrap()
}

async fn nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for operation in Operation::ALL {
        let result = perform(&client(&url, Duration::from_secs(8)), *operation).await;
        assert_eq!(Outcome::of(&result), Outcome::Connect, "{operation}");
        assert!(!result.unwrap_err().may_have_taken_effect(), "{operation}");
    }
}

async fn unfindable_draft() {
    let server = RawServer::scripted(vec![Reply::Close, right_answer(Operation::CreateDirectUpload)]).await;
    let client = client(&server.url, Duration::from_secs(8));
    assert_eq!(client.create_direct_upload(&draft(None)).await.unwrap().id.as_str(), "i");
    assert_eq!(server.requests(), 2);
}

async fn repeatable_change() {
    let server = RawServer::scripted(vec![Reply::Close, right_answer(Operation::UpdateImage)]).await;
    let client = client(&server.url, Duration::from_secs(8));
    let changes = ImageUpdate { creator: Some("c".to_owned()), ..ImageUpdate::default() };
    client.update_image(&CloudflareId::new("i"), &changes).await.unwrap();
    assert_eq!(server.requests(), 2);
}

async fn patient() {
    let server = RawServer::scripted(vec![Reply::Close]).await;
    let client = client(&server.url, Duration::from_secs(2)).patient();
    assert!(matches!(perform(&client, Operation::GetImage).await, Err(Error::Interrupted(_))));
    assert_eq!(server.requests(), 4);
}

async fn outage() {
    let mut replies = vec![Reply::answer(503, &[], ""); 5];
    replies.push(right_answer(Operation::GetImage));
    let server = RawServer::scripted(replies).await;
    let client = client(&server.url, Duration::from_mins(1));
    // Three tries of one call, two of the next.
    for _ in 0..2 {
        let result = perform(&client, Operation::GetImage).await;
        assert_eq!(Outcome::of(&result), Outcome::Status(503));
    }
    assert_eq!(server.requests(), 5);
    for operation in Operation::ALL {
        let error = perform(&client, *operation).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{operation}: {error}");
        assert!(!error.may_have_taken_effect() && error.is_retryable());
        assert!(error.retry_after().unwrap() <= Duration::from_secs(3), "{error}");
    }
    assert_eq!(server.requests(), 5);
    assert!(client.health().outage.is_some());
    eventually("calls work again", async || perform(&client.clone(), Operation::GetImage).await.ok()).await;
    assert_eq!((server.requests(), client.health().outage), (6, None));
}

async fn slow_upload() {
    let server = RawServer::scripted(vec![Reply::Silence]).await;
    let client = client(&server.url, Duration::from_mins(1));
    for _ in 0..8 {
        let result = perform_within(&client, Operation::UploadFile, Duration::from_millis(100)).await;
        assert_eq!(Outcome::of(&result), Outcome::Interrupted);
    }
    assert_eq!(client.health().outage, None);
}

async fn limit() {
    let server = RawServer::scripted(vec![right_answer(Operation::GetImage)]).await;
    let limits = ClientLimits { max_requests: Some(40), instances: 2, ..ClientLimits::default() };
    let client = limited_client(&server.url, &limits);
    let jobs = client.patient();
    for _ in 0..5 {
        perform(&jobs, Operation::GetImage).await.unwrap();
    }
    for _ in 0..5 {
        perform(&client, Operation::GetImage).await.unwrap();
    }
    let error = perform(&client, Operation::GetImage).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { wait } if wait > Duration::from_secs(20)), "{error}");
    assert_eq!(server.requests(), 10);
}

async fn pause() {
    let busy = Reply::answer(429, &["Retry-After: 120"], "ERROR 971: Please wait");
    let server = RawServer::scripted(vec![busy]).await;
    let client = client(&server.url, Duration::from_secs(8));
    for operation in Operation::ALL {
        let error = perform(&client, *operation).await.unwrap_err();
        assert!(error.retry_after().is_some_and(|wait| wait > Duration::from_secs(100)), "{operation}: {error:?}");
    }
    assert_eq!(server.requests(), 1);
    assert!(client.health().paused_for > Duration::from_secs(100));
}
