//! Uploading: from the browser straight to Cloudflare, or through this server where there are no scripts, and from URLs.

use askama::Template;
use axum::Json as JsonBody;
use axum::extract::{Extension, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::error::{ErrorJson, PageError};
use super::forms::{FormFiles, ReadForm, StaffUpload};
use super::page::{Frame, Section, render};
use super::picture::{Badge, Thumbnail, name, status_badge};
use super::text::{shortened, visible};
use super::{Admin, Staff, StaffForm};
use crate::domain::{CloudflareId, Image, ImageStatus, Json, StaffEdit, Timestamp, error_chain};
use crate::http::multipart::{Part, PartsError};
use crate::http::query::Query;
use crate::http::timeout::WorkDeadline;
use crate::service::{self, IncomingFile, SourceUrl, UploadDeadlines, UploadRequest};

/// The most images whose outcome is shown, and the most URLs that are fetched by one form.
const MAX_IMAGES: usize = 100;
/// The most characters of an address that browsers are led to: proxies take heads of four kilobytes.
const MAX_ADDRESS: usize = 2000;
/// What of an id cannot stand in an address as it is.
const ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// The most characters of names and URLs on the page.
const MAX_SHOWN: usize = 120;
const MAX_CREATOR_CHARS: usize = 255;
const MAX_URL_CHARS: usize = 2048;
const TOO_SLOW: &str = "There was no time left for it. Try it again.";

#[derive(Template)]
#[template(path = "admin/upload.html")]
struct UploadPage {
    frame: Frame,
    csrf: String,
    script: String,
    max_megabytes: u64,
    wishes: Wishes,
    problems: Vec<String>,
    /// What became of the uploads before; none on a fresh page.
    outcome: Option<Outcome>,
}

struct Outcome {
    title: String,
    images: Vec<UploadedImage>,
    failures: Vec<Failure>,
    /// The page that tells it again, where pictures are still on their way.
    again: Option<String>,
}

struct UploadedImage {
    id: String,
    name: String,
    thumbnail: Thumbnail,
    status: Badge,
}

/// A picture that was not uploaded.
struct Failure {
    name: String,
    reason: String,
}

/// What the form says of the pictures.
struct Wishes {
    is_private: bool,
    creator: String,
    metadata: String,
    urls: String,
}

impl Wishes {
    /// What the form says at first.
    fn usual(admin: &Admin) -> Self {
        let creator = admin.service.default_creator().to_owned();
        let is_private = admin.service.is_private_by_default();
        Self { is_private, creator, metadata: String::new(), urls: String::new() }
    }

    fn read(form: &ReadForm) -> Self {
        let text = |name: &str| form.get(name).trim().to_owned();
        Self {
            is_private: form.get("private") == "yes",
            creator: text("creator"),
            metadata: text("metadata"),
            urls: text("urls"),
        }
    }

    /// What is asked for each picture, or what is wrong with it, in sentences.
    fn request(&self) -> Result<UploadRequest, Vec<String>> {
        let mut problems = Vec::new();
        if self.creator.chars().count() > MAX_CREATOR_CHARS || self.creator.contains('\0') {
            problems.push(format!("The creator must be a text of at most {MAX_CREATOR_CHARS} characters."));
        }
        let metadata = match self.metadata.as_str() {
            "" => None,
            text => match Json::parse(text) {
                Ok(metadata) if metadata.is_object() => {
                    if metadata.as_str().len() > StaffEdit::MAX_METADATA_BYTES {
                        problems.push(format!(
                            "Cloudflare keeps metadata of at most {} bytes.",
                            StaffEdit::MAX_METADATA_BYTES
                        ));
                    }
                    Some(metadata)
                }
                Ok(_) => {
                    problems.push("The metadata must be a JSON object, such as {\"album\": \"lakes\"}.".to_owned());
                    None
                }
                Err(error) => {
                    problems.push(format!("The metadata cannot be read: {}.", visible(&error.to_string())));
                    None
                }
            },
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(UploadRequest {
            metadata,
            require_signed_urls: Some(self.is_private),
            creator: Some(self.creator.clone()),
            by_staff: true,
            ..UploadRequest::default()
        })
    }

    fn urls(&self) -> impl Iterator<Item = &str> {
        self.urls.lines().map(str::trim).filter(|line| !line.is_empty())
    }
}

/// Shows the form, and what became of the images that the address names.
pub(super) async fn show(State(admin): State<Admin>, staff: Staff, request: Request) -> Result<Response, PageError> {
    let query = Query::parse(request.uri().query().unwrap_or_default()).unwrap_or_default();
    let ids: Vec<_> =
        query.all("image").map(CloudflareId::new).filter(CloudflareId::is_storable).take(MAX_IMAGES).collect();
    let outcome = if ids.is_empty() { None } else { Some(outcome(&admin, &ids, Vec::new()).await?) };
    Ok(page(&admin, &staff, Wishes::usual(&admin), Vec::new(), outcome))
}

fn page(admin: &Admin, staff: &Staff, wishes: Wishes, problems: Vec<String>, outcome: Option<Outcome>) -> Response {
    let page = UploadPage {
        frame: Frame::new(admin, staff, Section::Upload),
        csrf: staff.csrf.to_string(),
        script: admin.asset("admin-upload.js"),
        max_megabytes: admin.service.max_file_bytes() / 1_000_000,
        wishes,
        problems,
        outcome,
    };
    ([(header::CONTENT_SECURITY_POLICY, admin.upload_policy.clone())], render(&page)).into_response()
}

async fn outcome(admin: &Admin, ids: &[CloudflareId], failures: Vec<Failure>) -> Result<Outcome, PageError> {
    let storable: Vec<_> = ids.iter().filter(|id| id.is_storable()).cloned().collect();
    let images = admin.service.find_images_at_cloudflare(&storable).await?;
    let is_waiting = images.iter().any(|image| matches!(image.status, ImageStatus::Pending | ImageStatus::Draft));
    let now = admin.service.clock().now();
    Ok(Outcome {
        title: title(&images, failures.len()),
        again: (is_waiting && failures.is_empty()).then(|| address_of(admin, &storable)),
        images: images.iter().map(|image| uploaded(admin, image, now)).collect(),
        failures,
    })
}

/// What became of all of them, in a line.
fn title(images: &[Image], failed: usize) -> String {
    let uploaded = images.iter().filter(|image| image.is_uploaded()).count();
    let text = match (uploaded, images.len()) {
        (_, 0) => return "Nothing was uploaded".to_owned(),
        (1, 1) => "1 picture was uploaded".to_owned(),
        (uploaded, all) if uploaded == all => format!("{all} pictures were uploaded"),
        (uploaded, all) => format!("{uploaded} of {all} pictures are uploaded so far"),
    };
    if failed > 0 { format!("{text}, {failed} not") } else { text }
}

fn uploaded(admin: &Admin, image: &Image, now: Timestamp) -> UploadedImage {
    UploadedImage {
        id: image.id.to_string(),
        name: name(image, MAX_SHOWN),
        thumbnail: Thumbnail::new(&admin.links, image, now),
        status: status_badge(&image.status),
    }
}

/// The page that tells what became of images.
fn address_of(admin: &Admin, ids: &[CloudflareId]) -> String {
    let pairs = ids.iter().map(|id| format!("image={}", utf8_percent_encode(id.as_str(), ID)));
    format!("{}?{}", admin.path("upload/"), pairs.collect::<Vec<_>>().join("&"))
}

/// Uploads what the form holds: files, where the browser has not sent them to Cloudflare already, and then what URLs lead to.
pub(super) async fn submit(
    State(admin): State<Admin>,
    Extension(WorkDeadline(until)): Extension<WorkDeadline>,
    StaffUpload { staff, form, files }: StaffUpload,
) -> Result<Response, PageError> {
    let wishes = Wishes::read(&form);
    let sent: Vec<_> =
        form.fields.all("image").map(CloudflareId::new).filter(CloudflareId::is_storable).take(MAX_IMAGES).collect();
    let request = match wishes.request() {
        Ok(request) => request,
        Err(problems) => {
            // What scripts have sent to Cloudflare already is told all the same.
            let outcome = if sent.is_empty() { None } else { Some(outcome(&admin, &sent, Vec::new()).await?) };
            let page = page(&admin, &staff, wishes, problems, outcome);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let mut uploads = Uploads { admin: &admin, staff: &staff, request, until, done: sent, failures: Vec::new() };
    uploads.take_files(files).await;
    let left = uploads.take_urls(&wishes).await;
    let Uploads { done, failures, .. } = uploads;
    if failures.is_empty() && !done.is_empty() {
        let address = address_of(&admin, &done);
        if address.len() <= MAX_ADDRESS {
            return Ok(Redirect::to(&address).into_response());
        }
        let outcome = outcome(&admin, &done, failures).await?;
        return Ok(page(&admin, &staff, Wishes::usual(&admin), Vec::new(), Some(outcome)));
    }
    let (problems, outcome) = if failures.is_empty() {
        (vec!["Choose a picture, or give a URL.".to_owned()], None)
    } else {
        (Vec::new(), Some(outcome(&admin, &done, failures).await?))
    };
    let wishes = Wishes { urls: left, ..wishes };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&admin, &staff, wishes, problems, outcome)).into_response())
}

/// The uploads of one form.
struct Uploads<'a> {
    admin: &'a Admin,
    staff: &'a Staff,
    request: UploadRequest,
    until: Instant,
    done: Vec<CloudflareId>,
    failures: Vec<Failure>,
}

impl Uploads<'_> {
    /// Passes files on to Cloudflare, one after the other. One that is refused does not keep the others from it.
    async fn take_files(&mut self, mut files: FormFiles) {
        if let Some(reason) = self.take_each(&mut files).await {
            self.failures.push(Failure { name: "The files after that".to_owned(), reason });
        }
    }

    /// Passes files on until the last, or until the rest of the form cannot be read: why not.
    async fn take_each(&mut self, files: &mut FormFiles) -> Option<String> {
        for taken in 0.. {
            let file = match timeout_at(self.until, files.next()).await {
                Ok(Ok(file)) => file?,
                Ok(Err(error)) => return Some(sentence(error)),
                Err(_) => return Some(TOO_SLOW.to_owned()),
            };
            if taken >= StaffUpload::MAX_FILES {
                return Some(format!("At most {} files are taken at once.", StaffUpload::MAX_FILES));
            }
            let name = shortened(file.file_name().unwrap_or_default(), MAX_SHOWN);
            let (uploaded, fed) = self.pass_on(files, file).await;
            match uploaded {
                Ok(image) => self.done.push(image.cloudflare_id),
                Err(error) => self.failures.push(Failure { name, reason: refusal(&error).1 }),
            }
            if let Err(reason) = fed {
                return Some(reason);
            }
        }
        None
    }

    /// Passes a file on; the image, and whether all of the file came.
    async fn pass_on(
        &self,
        files: &mut FormFiles,
        mut file: Part<'static>,
    ) -> (Result<Image, service::Error>, Result<(), String>) {
        let deadlines = UploadDeadlines::until(self.until);
        let (sender, incoming) = IncomingFile::channel(file.file_name().unwrap_or_default());
        let feeding = async {
            let mut is_wanted = true;
            while let Some(bytes) = files.chunk(&mut file).await? {
                // What nobody wants is still before the next file.
                is_wanted = is_wanted && sender.send(bytes).await.is_ok();
            }
            sender.finish().await;
            Ok::<_, PartsError>(())
        };
        let feeding = async {
            match timeout_at(deadlines.file, feeding).await {
                Ok(fed) => fed.map_err(sentence),
                Err(_) => Err(TOO_SLOW.to_owned()),
            }
        };
        let uploading = self.admin.service.upload_file(&self.staff.user, self.request.clone(), incoming, deadlines);
        let (fed, uploaded) = tokio::join!(feeding, uploading);
        (uploaded, fed)
    }

    /// Has Cloudflare fetch what URLs lead to, one after the other; the lines that it could not.
    async fn take_urls(&mut self, wishes: &Wishes) -> String {
        let mut left = String::new();
        for (at, url) in wishes.urls().enumerate() {
            let fetched = if at >= MAX_IMAGES {
                Err(format!("At most {MAX_IMAGES} URLs are fetched at once."))
            } else if Instant::now() >= self.until {
                Err(TOO_SLOW.to_owned())
            } else {
                fetch_one(self.admin, self.staff, self.request.clone(), url, self.until).await.map_err(|(_, text)| text)
            };
            match fetched {
                Ok(image) => self.done.push(image.cloudflare_id),
                Err(reason) => {
                    self.failures.push(Failure { name: shortened(url, MAX_SHOWN), reason });
                    left.push_str(url);
                    left.push('\n');
                }
            }
        }
        left
    }
}

/// Has Cloudflare fetch a picture; the image, or why there is none.
async fn fetch_one(
    admin: &Admin,
    staff: &Staff,
    request: UploadRequest,
    url: &str,
    until: Instant,
) -> Result<Image, (StatusCode, String)> {
    let unusable = |text: String| (StatusCode::UNPROCESSABLE_ENTITY, text);
    if url.chars().count() > MAX_URL_CHARS {
        return Err(unusable("The URL is too long.".to_owned()));
    }
    let url = SourceUrl::parse(url).map_err(|error| unusable(error.to_string()))?;
    admin.service.require_fetchable(&url).await.map_err(|error| unusable(error.to_string()))?;
    let uploaded = admin.service.upload_from_url(&staff.user, request, url, UploadDeadlines::until(until)).await;
    uploaded.map_err(|error| refusal(&error))
}

/// Why a form cannot be read to its end.
fn sentence(error: PartsError) -> String {
    let text = match error {
        PartsError::TooLarge => "The form is too large.",
        PartsError::Unreadable => "The form was cut off, or cannot be read.",
    };
    text.to_owned()
}

/// What people are told of an upload that was refused. Those before it are uploaded all the same.
fn refusal(error: &service::Error) -> (StatusCode, String) {
    const DATABASE: &str =
        "The database failed; the server's log tells why. Look whether the image is there before you try again.";
    match error {
        service::Error::Store(cause) => {
            error!(error = %error_chain(cause), "The database failed: {cause}");
            (StatusCode::SERVICE_UNAVAILABLE, DATABASE.to_owned())
        }
        service::Error::Picture(problem) => (StatusCode::UNPROCESSABLE_ENTITY, problem.to_string()),
        error => (StatusCode::BAD_GATEWAY, visible(&error.to_string())),
    }
}

/// Where a script sends a file to, in the form of the element `<cfimages-upload>`.
#[derive(Serialize)]
struct UploadUrlJson<'a> {
    upload_url: &'a str,
    cloudflare_id: &'a str,
    expires_at: String,
}

/// The image that a script has made.
#[derive(Serialize)]
struct ImageJson<'a> {
    cloudflare_id: &'a str,
}

/// Gets an upload URL for a file that a script sends to Cloudflare by itself.
pub(super) async fn create_url(
    State(admin): State<Admin>,
    StaffForm { staff, form }: StaffForm,
) -> Result<Response, PageError> {
    let mut request = match Wishes::read(&form).request() {
        Ok(request) => request,
        Err(problems) => return Ok(refused(StatusCode::UNPROCESSABLE_ENTITY, &problems.join(" "))),
    };
    let filename: String = form.get("filename").chars().filter(|c| *c != '\0').take(255).collect();
    request.filename = Some(filename).filter(|name| !name.is_empty());
    match admin.service.create_direct_upload_url(&staff.user, request).await {
        Ok(image) => {
            let answer = UploadUrlJson {
                upload_url: image.upload_url.as_str(),
                cloudflare_id: image.cloudflare_id.as_str(),
                expires_at: image.expires_at.to_string(),
            };
            Ok((StatusCode::CREATED, JsonBody(answer)).into_response())
        }
        Err(error) => {
            let (status, text) = refusal(&error);
            Ok(refused(status, &text))
        }
    }
}

/// Has Cloudflare fetch a picture for a script, which shows how far it is with several.
pub(super) async fn fetch(
    State(admin): State<Admin>,
    Extension(WorkDeadline(until)): Extension<WorkDeadline>,
    StaffForm { staff, form }: StaffForm,
) -> Result<Response, PageError> {
    let request = match Wishes::read(&form).request() {
        Ok(request) => request,
        Err(problems) => return Ok(refused(StatusCode::UNPROCESSABLE_ENTITY, &problems.join(" "))),
    };
    match fetch_one(&admin, &staff, request, form.get("url").trim(), until).await {
        Ok(image) => {
            let answer = ImageJson { cloudflare_id: image.cloudflare_id.as_str() };
            Ok((StatusCode::CREATED, JsonBody(answer)).into_response())
        }
        Err((status, text)) => Ok(refused(status, &text)),
    }
}

fn refused(status: StatusCode, text: &str) -> Response {
    (status, JsonBody(ErrorJson { error: text })).into_response()
}
