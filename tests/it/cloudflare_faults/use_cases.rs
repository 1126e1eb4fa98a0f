//! Every use case that writes meets every fault: nothing is lost or doubled, and nothing is left at Cloudflare after recovery.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use cfimages::cloudflare::{Client, ClientLimits, ClientSettings};
use cfimages::config::settings;
use cfimages::domain::{Clock, Json, ManualClock};
use cfimages::service::{CloudflareService, ServiceSettings, WebhookSettings};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{API_TOKEN, Answer, TestApp, connect, http_client};
use crate::support::raw_server::{RawRequest, RawServer, Reply};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, picture, sql};

pub(super) fn register(suite: &mut Suite) {
    for case in UseCase::ALL {
        suite.on_both_engines(&format!("cloudflare_faults::use_cases::{}", case.name()), move |engine| {
            Box::pin(meet_all(engine, *case))
        });
    }
}

/// A use case that writes, here or at Cloudflare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UseCase {
    CreateUploadUrl,
    CreateUploadUrlWithCustomId,
    UploadFile,
    UploadFileWithCustomId,
    UploadFromUrl,
    Register,
    UpdateRemote,
    ChangePrivacy,
    Delete,
    CheckStatus,
    ConfirmNotification,
    DeleteLeftovers,
}

impl UseCase {
    const ALL: &[Self] = &[
        Self::CreateUploadUrl,
        Self::CreateUploadUrlWithCustomId,
        Self::UploadFile,
        Self::UploadFileWithCustomId,
        Self::UploadFromUrl,
        Self::Register,
        Self::UpdateRemote,
        Self::ChangePrivacy,
        Self::Delete,
        Self::CheckStatus,
        Self::ConfirmNotification,
        Self::DeleteLeftovers,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::CreateUploadUrl => "an_upload_url",
            Self::CreateUploadUrlWithCustomId => "an_upload_url_with_a_custom_id",
            Self::UploadFile => "an_uploaded_file",
            Self::UploadFileWithCustomId => "an_uploaded_file_with_a_custom_id",
            Self::UploadFromUrl => "an_upload_from_a_url",
            Self::Register => "a_registration",
            Self::UpdateRemote => "a_change_at_cloudflare",
            Self::ChangePrivacy => "a_change_of_privacy",
            Self::Delete => "a_deletion",
            Self::CheckStatus => "a_checked_status",
            Self::ConfirmNotification => "a_confirmed_notification",
            Self::DeleteLeftovers => "deleted_leftovers",
        }
    }

    /// How many images whose answer was lost Cloudflare is left with: those that it made under an id of its own, which nobody here knows.
    fn leaves(self, fault: &Fault) -> usize {
        let is_lost = matches!(fault.fate, Fate::After(_));
        usize::from(is_lost && matches!(self, Self::UploadFile | Self::UploadFromUrl))
    }
}

/// What becomes of requests to Cloudflare.
#[derive(Debug, Clone)]
enum Fate {
    /// They are answered.
    Answer,
    /// They do not get there; this comes back.
    Instead(Reply),
    /// They get there and have their effect; this comes back.
    After(Reply),
}

#[derive(Debug, Clone)]
struct Fault {
    name: &'static str,
    fate: Fate,
}

fn faults() -> Vec<Fault> {
    let before = |name, reply| Fault { name, fate: Fate::Instead(reply) };
    let after = |name, reply| Fault { name, fate: Fate::After(reply) };
    let status = |status| Reply::answer(status, &[], "");
    let garbage = || Reply::answer(200, &[], "{\"success\": tru");
    vec![
        before("a wrong token", status(401)),
        before("a missing permission", status(403)),
        before("an unknown account", Reply::answer(404, &[], r#"{"errors": [{"code": 7003, "message": "no route"}]}"#)),
        before("a conflict", status(409)),
        before("too many requests", status(429)),
        before("too many requests for a while", Reply::answer(429, &["Retry-After: 1"], "ERROR 971: Please wait")),
        before("an internal error", Reply::answer(500, &[], "ERROR 5500: Internal server error")),
        before("an unavailable server", status(503)),
        before("a closed connection", Reply::Close),
        before("a reset connection", Reply::Reset),
        before("silence", Reply::Silence),
        before("a redirect", Reply::answer(302, &["Location: https://elsewhere.example/"], "")),
        before("a captive portal", Reply::answer(200, &[], "<html>welcome</html>")),
        after("a lost answer", Reply::Close),
        after("an answer that never comes", Reply::Silence),
        after("an error after the effect", status(500)),
        after("a cut answer", garbage().cut(-3)),
        after("a garbled answer", garbage()),
    ]
}

/// An emulator behind a proxy that may fail, and a service in front of it.
struct World {
    app: TestApp,
    way: Way,
    pictures: RawServer,
}

/// The way to the emulator.
struct Way {
    server: RawServer,
    fate: Arc<Mutex<Fate>>,
    /// The ids of what was made there.
    made: Arc<Mutex<Vec<String>>>,
}

impl Way {
    async fn start(emulator: Arc<OnceLock<String>>) -> Self {
        let (fate, made) = (Arc::new(Mutex::new(Fate::Answer)), Arc::default());
        let server = RawServer::start({
            let (fate, made, http) = (Arc::clone(&fate), Arc::clone(&made), http_client());
            move |_, request: RawRequest| {
                let (fate, made, http) = (fate.lock().unwrap().clone(), Arc::clone(&made), http.clone());
                let emulator = emulator.get().unwrap().clone();
                async move {
                    match fate {
                        Fate::Answer => pass_on(&http, &emulator, request, &made).await,
                        Fate::Instead(reply) => reply,
                        Fate::After(reply) => {
                            pass_on(&http, &emulator, request, &made).await;
                            reply
                        }
                    }
                }
            }
        })
        .await;
        Self { server, fate, made }
    }

    fn fate(&self, fate: Fate) {
        *self.fate.lock().unwrap() = fate;
    }
}

async fn pass_on(http: &reqwest::Client, emulator: &str, request: RawRequest, made: &Mutex<Vec<String>>) -> Reply {
    // A change of privacy may make an image another.
    let makes = matches!(request.method.as_str(), "POST" | "PATCH");
    let method = Method::from_bytes(request.method.as_bytes()).unwrap();
    let mut passed = http.request(method, format!("{emulator}{}", request.path)).body(request.body);
    for (name, value) in request.headers.iter().filter(|(name, _)| name == "content-type" || name == "authorization") {
        passed = passed.header(name, value);
    }
    // At its end a test does not wait for those who still try.
    let Ok(answer) = passed.send().await else { return Reply::Close };
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    if makes && status.is_success() {
        let answer: Value = serde_json::from_str(&text).unwrap();
        made.lock().unwrap().push(answer["result"]["id"].as_str().unwrap().to_owned());
    }
    Reply::answer(status.as_u16(), &[], text)
}

/// What a case is about: an image that is there before, if it needs one.
#[derive(Default)]
struct Subject {
    /// The key here.
    id: String,
    cloudflare_id: String,
    upload_url: String,
}

impl World {
    async fn start(engine: &Engine) -> Self {
        let emulator = Arc::new(OnceLock::new());
        let way = Way::start(Arc::clone(&emulator)).await;
        let app = TestApp::builder()
            .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
            .set(&settings::CLOUDFLARE_IMAGES_TIMEOUT_SECONDS, "1")
            .set(&settings::CFIMAGES_REQUEST_TIMEOUT_SECONDS, "4")
            .cloudflare(format!("{}/client/v4", way.server.url))
            .start(engine)
            .await;
        emulator.set(app.emulator.clone()).unwrap();
        let faults = app.http.put(format!("{}/_cfimages/faults", app.emulator)).bearer_auth(API_TOKEN);
        let answer = Answer::of(faults.body(r#"{"new_id_on_access_change": true}"#)).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        let photo = Reply::answer(200, &["Content-Type: image/jpeg"], picture("photo.jpg"));
        let pictures = RawServer::scripted(vec![photo]).await;
        Self { app, way, pictures }
    }

    /// What the case needs before.
    async fn prepare(&self, case: UseCase, number: usize) -> Subject {
        match case {
            UseCase::CreateUploadUrl | UseCase::UploadFile | UseCase::UploadFromUrl => Subject::default(),
            UseCase::CreateUploadUrlWithCustomId | UseCase::UploadFileWithCustomId => {
                Subject { cloudflare_id: format!("custom/{number}"), ..Subject::default() }
            }
            UseCase::Register | UseCase::DeleteLeftovers => {
                let cloudflare_id = self.upload_elsewhere().await;
                if case == UseCase::DeleteLeftovers {
                    self.leave(&cloudflare_id).await;
                }
                Subject { cloudflare_id, ..Subject::default() }
            }
            UseCase::UpdateRemote | UseCase::ChangePrivacy | UseCase::Delete | UseCase::CheckStatus => {
                let answer = self.upload_file(None).await;
                assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
                subject(&answer.json())
            }
            UseCase::ConfirmNotification => subject(&self.app.create_upload(&json!({})).await),
        }
    }

    /// Does it; whether it worked.
    async fn act(&self, case: UseCase, subject: &Subject, number: usize) -> bool {
        let Subject { id, cloudflare_id, upload_url } = subject;
        let app = &self.app;
        let answer = match case {
            UseCase::CreateUploadUrl => app.post("upload-url/", &json!({})).await,
            UseCase::CreateUploadUrlWithCustomId => app.post("upload-url/", &json!({"custom_id": cloudflare_id})).await,
            UseCase::UploadFile => self.upload_file(None).await,
            UseCase::UploadFileWithCustomId => self.upload_file(Some(cloudflare_id)).await,
            UseCase::UploadFromUrl => app.post("images/upload/", &json!({"url": self.pictures.url})).await,
            UseCase::Register => app.post("images/register/", &json!({"cloudflare_id": cloudflare_id})).await,
            UseCase::UpdateRemote => self.change(id, &json!({"metadata": {"number": number}})).await,
            UseCase::ChangePrivacy => {
                self.change(id, &json!({"metadata": {"number": number}, "require_signed_urls": true})).await
            }
            UseCase::Delete => Answer::of(app.api(Method::DELETE, &format!("images/{id}/"))).await,
            UseCase::CheckStatus => app.post(&format!("images/{id}/check_status/"), &json!({})).await,
            UseCase::ConfirmNotification => {
                let before = self.way.server.requests();
                app.upload(upload_url, "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
                eventually("the notification is being confirmed", async || {
                    (self.way.server.requests() > before).then_some(())
                })
                .await;
                return false;
            }
            UseCase::DeleteLeftovers => {
                self.delete_leftovers().await;
                return self.leftovers().await == 0;
            }
        };
        assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", answer.text);
        answer.status.is_success()
    }

    /// Does it again until it works, which it must when all is well and what Cloudflare was asked for before is long over.
    async fn recover(&self, case: UseCase, subject: &Subject, number: usize, context: &str) {
        eventually(context, async || {
            self.delete_leftovers().await;
            let worked = match case {
                // Cloudflare notifies once; whoever looks finds out.
                UseCase::ConfirmNotification => self.act(UseCase::CheckStatus, subject, number).await,
                // Where the answer is lost and the time of the request is over, the image is found and recorded all the same.
                UseCase::UploadFileWithCustomId if self.is_recorded(&subject.cloudflare_id).await => true,
                case => self.act(case, subject, number).await,
            };
            worked.then_some(())
        })
        .await;
    }

    async fn check(&self, case: UseCase, subject: &Subject, number: usize) {
        let Subject { id, cloudflare_id, .. } = subject;
        let image = async || self.app.get(&format!("images/{id}/")).await;
        match case {
            UseCase::CreateUploadUrl
            | UseCase::CreateUploadUrlWithCustomId
            | UseCase::UploadFile
            | UseCase::UploadFileWithCustomId
            | UseCase::UploadFromUrl
            | UseCase::Register => {}
            UseCase::UpdateRemote => {
                assert_eq!(image().await.json()["metadata"]["number"], number);
                assert_eq!(self.details(cloudflare_id).await.unwrap()["meta"]["number"], number);
            }
            UseCase::ChangePrivacy => {
                let image = image().await.json();
                let details = self.details(image["cloudflare_id"].as_str().unwrap()).await.unwrap();
                assert_ne!(image["cloudflare_id"], *cloudflare_id);
                assert_eq!(
                    (&image["metadata"]["number"], &details["meta"]["number"]),
                    (&json!(number), &json!(number))
                );
                assert_eq!(
                    (&image["require_signed_urls"], &details["requireSignedURLs"]),
                    (&json!(true), &json!(true))
                );
            }
            UseCase::Delete => {
                assert_eq!(image().await.status, StatusCode::NOT_FOUND);
                assert_eq!(self.details(cloudflare_id).await, None);
            }
            UseCase::CheckStatus | UseCase::ConfirmNotification => {
                assert_eq!(image().await.json()["status"], "uploaded");
            }
            UseCase::DeleteLeftovers => {
                assert_eq!((self.leftovers().await, self.details(cloudflare_id).await), (0, None));
            }
        }
    }

    /// Every image here is at Cloudflare, every image at Cloudflare but `unknown` is here, and nothing is left to be done.
    async fn assert_agreement(&self, unknown: usize, context: &str) {
        let query = "SELECT cloudflare_id FROM cloudflare_images";
        let here: Vec<String> = sql::texts(self.app.database_url.as_str(), query).await.into_iter().flatten().collect();
        for id in &here {
            assert!(self.details(id).await.is_some(), "{context}: {id} is lost");
        }
        let made = self.way.made.lock().unwrap().clone();
        let mut left = 0;
        for id in made.iter().collect::<BTreeSet<_>>().into_iter().filter(|id| !here.contains(id)) {
            // A draft expires by itself.
            left += usize::from(self.details(id).await.is_some_and(|details| details["draft"] != true));
        }
        assert_eq!(left, unknown, "{context}: images are left at Cloudflare");
        assert_eq!(self.leftovers().await, 0, "{context}: leftovers are recorded");
    }

    async fn images(&self) -> i64 {
        sql::count(self.app.database_url.as_str(), "SELECT count(*) FROM cloudflare_images").await
    }

    async fn leftovers(&self) -> i64 {
        sql::count(self.app.database_url.as_str(), "SELECT count(*) FROM cfimages_pending_deletions").await
    }

    async fn upload_file(&self, custom_id: Option<&String>) -> Answer {
        let form = custom_id.into_iter().fold(Form::new(), |form, id| form.text("custom_id", id.clone()));
        let form = form.part("file", Part::bytes(picture("photo.jpg")).file_name("photo.jpg"));
        Answer::of(self.app.api(Method::POST, "images/upload/").multipart(form)).await
    }

    async fn change(&self, id: &str, changes: &Value) -> Answer {
        let request = self.app.api(Method::PATCH, &format!("images/{id}/remote/"));
        Answer::of(request.header("Content-Type", "application/json").body(changes.to_string())).await
    }

    /// Makes an image at Cloudflare of which nothing is known here.
    async fn upload_elsewhere(&self) -> String {
        let file = Part::bytes(picture("photo.jpg")).file_name("photo.jpg").mime_str("image/jpeg").unwrap();
        let form = Form::new().part("file", file).text("creator", "alice");
        let url = format!("{}/client/v4/accounts/acct-0001/images/v1", self.app.emulator);
        let answer = Answer::of(self.app.http.post(url).bearer_auth(API_TOKEN).multipart(form)).await;
        answer.json()["result"]["id"].as_str().unwrap().to_owned()
    }

    async fn details(&self, id: &str) -> Option<Value> {
        let id = id.replace('/', "%2F");
        let url = format!("{}/client/v4/accounts/acct-0001/images/v1/{id}", self.app.emulator);
        let answer = Answer::of(self.app.http.get(url).bearer_auth(API_TOKEN)).await;
        answer.status.is_success().then(|| answer.json()["result"].clone())
    }

    async fn is_recorded(&self, id: &str) -> bool {
        let query = format!("SELECT count(*) FROM cloudflare_images WHERE cloudflare_id = '{id}'");
        sql::count(self.app.database_url.as_str(), &query).await == 1
    }

    /// Records that an image is to be deleted.
    async fn leave(&self, cloudflare_id: &str) {
        let past = "2020-01-01T00:00:00Z".parse::<cfimages::domain::Timestamp>().unwrap().to_isoformat();
        let row = format!(
            "INSERT INTO cfimages_pending_deletions (cloudflare_id, reason, created_at, attempts, last_error, next_attempt_at) \
             VALUES ('{cloudflare_id}', 'it could not be recorded', '{past}', 0, '', '{past}')"
        );
        sql::execute(self.app.database_url.as_str(), &row).await;
    }

    /// Deletes leftovers, as if each time were long after the last.
    async fn delete_leftovers(&self) {
        static DAYS: Mutex<i64> = Mutex::new(0);
        let clock = ManualClock::new("2099-01-01T00:00:00Z".parse().unwrap());
        let days = {
            let mut days = DAYS.lock().unwrap();
            *days += 2;
            *days
        };
        clock.advance(days * 24 * 60 * 60);
        let service = self.service(Arc::new(clock)).await;
        service.delete_leftovers(&mut |_| {}).await.unwrap();
    }

    async fn service(&self, clock: Arc<dyn Clock>) -> CloudflareService {
        let account = ClientSettings {
            base_url: format!("{}/client/v4", self.way.server.url),
            account_id: "acct-0001".to_owned(),
            api_token: API_TOKEN.to_owned().into(),
        };
        let limits = ClientLimits { timeout: Duration::from_millis(300), ..ClientLimits::default() };
        let settings = ServiceSettings {
            default_expiry_minutes: 30,
            require_signed_urls: false,
            default_metadata: Json::default(),
            default_creator: String::new(),
            max_file_bytes: 10_000_000,
            webhook: WebhookSettings::default(),
            signing_key: None,
            host_delete_tables: Vec::new(),
        };
        let client = Client::with_limits(&account, &limits).unwrap();
        CloudflareService::new(client, connect(self.app.database_url.as_str()).await, clock, settings)
    }
}

fn subject(image: &Value) -> Subject {
    let text = |name: &str| image[name].as_str().unwrap_or_default().to_owned();
    Subject { id: text("id"), cloudflare_id: text("cloudflare_id"), upload_url: text("upload_url") }
}

async fn meet_all(engine: Engine, case: UseCase) {
    let world = World::start(&engine).await;
    let mut unknown = 0;
    for (number, fault) in faults().iter().enumerate() {
        let context = format!("{} and {}", case.name(), fault.name);
        let subject = world.prepare(case, number).await;
        let before = world.images().await;

        world.way.fate(fault.fate.clone());
        let worked = world.act(case, &subject, number).await;
        world.way.fate(Fate::Answer);
        if !worked {
            world.recover(case, &subject, number, &context).await;
        }

        unknown += case.leaves(fault);
        world.delete_leftovers().await;
        world.check(case, &subject, number).await;
        world.assert_agreement(unknown, &context).await;
        let change = world.images().await - before;
        let expected = match case {
            UseCase::CreateUploadUrl
            | UseCase::CreateUploadUrlWithCustomId
            | UseCase::UploadFile
            | UseCase::UploadFileWithCustomId
            | UseCase::UploadFromUrl
            | UseCase::Register => 1,
            UseCase::Delete => -1,
            UseCase::UpdateRemote
            | UseCase::ChangePrivacy
            | UseCase::CheckStatus
            | UseCase::ConfirmNotification
            | UseCase::DeleteLeftovers => 0,
        };
        assert_eq!(change, expected, "{context}");
    }
}
