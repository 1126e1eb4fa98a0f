//! What pages send, and the proof that a page of ours sent it.

use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, Method, header};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::error::PageError;
use super::staff::Superuser;
use super::{Admin, Staff};
use crate::http::RequestContext;
use crate::http::body::MAX_BODY_BYTES;
use crate::http::multipart::{Part, Parts, PartsError};
use crate::http::query::{MAX_FIELDS, Query};
use crate::signature::{encode_hex, secrets_match};

/// The field that carries the token against forgeries.
const FIELD: &str = "csrf";
/// The header that scripts may use in its place.
const HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const FOREIGN: &str = "Another site sent this request, or the proxy in front of this server does not pass on Host and \
                       X-Forwarded-Proto as the browser sees them. Nothing was changed.";
const STALE: &str =
    "The page was open for too long, or you have signed in anew since. Go back, reload it and try again.";
const UNREADABLE: &str = "The form was too large or could not be read. Nothing was changed.";

/// A token against forged requests: an HMAC under the secret in the browser's cookie, which scripts cannot read and other sites cannot
/// guess. Nothing has to be kept for it, and it ends with the cookie.
#[derive(Clone)]
pub(super) struct CsrfToken(String);

impl fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfToken(***)")
    }
}

impl fmt::Display for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CsrfToken {
    /// The token for the pages of whoever has a cookie with this secret.
    pub(super) fn of(cookie: &str) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(cookie.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(b"cfimages admin form");
        Self(encode_hex(&mac.finalize().into_bytes()))
    }

    /// Makes sure that a page of ours sent what was read.
    pub(super) fn check(&self, form: &ReadForm) -> Result<(), PageError> {
        if secrets_match(&self.0, form.token.as_bytes()) { Ok(()) } else { Err(PageError::Forbidden(STALE)) }
    }
}

/// The fields of a form that came from this origin, and the token that it brought, which is still to be checked.
#[derive(Debug)]
pub(super) struct ReadForm {
    pub(super) fields: Query,
    token: String,
}

impl ReadForm {
    /// Reads a form, if it was sent by a page of this origin.
    pub(super) async fn read(request: Request) -> Result<Self, PageError> {
        require_same_origin(&request)?;
        let header = token_header(request.headers());
        let body = Bytes::from_request(request, &()).await.map_err(|_| PageError::BadRequest(UNREADABLE))?;
        let text = std::str::from_utf8(&body).map_err(|_| PageError::BadRequest(UNREADABLE))?;
        let fields = Query::parse(text).map_err(|_| PageError::BadRequest(UNREADABLE))?;
        Ok(Self::new(fields, header))
    }

    fn new(fields: Query, header: Option<String>) -> Self {
        let token = header.or_else(|| fields.get(FIELD).map(str::to_owned)).unwrap_or_default();
        Self { fields, token }
    }

    /// The last value of a field; empty where it was not sent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_default()
    }
}

fn require_same_origin(request: &Request) -> Result<(), PageError> {
    let origin = request.extensions().get::<RequestContext>().map_or("", |context| &context.origin);
    let is_ours = request.method() == Method::POST && is_same_origin(request.headers(), origin);
    if is_ours { Ok(()) } else { Err(PageError::Forbidden(FOREIGN)) }
}

fn token_header(headers: &HeaderMap) -> Option<String> {
    headers.get(HEADER)?.to_str().ok().map(str::to_owned)
}

/// Whether a page of this origin sent the request. Browsers that do not say so themselves name the origin; a client that says neither
/// is no browser, and has the token to show.
fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    headers.get(header::ORIGIN).is_none_or(|sender| sender.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
}

/// A form that a member of the staff sent from a page of the admin site. Whatever changes something takes one.
#[derive(Debug)]
pub(super) struct StaffForm {
    pub(super) staff: Staff,
    pub(super) form: ReadForm,
}

impl FromRequest<Admin> for StaffForm {
    type Rejection = PageError;

    async fn from_request(request: Request, admin: &Admin) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let staff = Staff::of(&mut parts, admin).await?;
        let form = ReadForm::read(Request::from_parts(parts, body)).await?;
        staff.csrf.check(&form)?;
        Ok(Self { staff, form })
    }
}

/// A form that a superuser sent from a page of the admin site.
#[derive(Debug)]
pub(super) struct SuperuserForm {
    pub(super) staff: Staff,
}

impl FromRequest<Admin> for SuperuserForm {
    type Rejection = PageError;

    async fn from_request(request: Request, admin: &Admin) -> Result<Self, PageError> {
        let StaffForm { staff, .. } = StaffForm::from_request(request, admin).await?;
        Superuser::require(&staff)?;
        Ok(Self { staff })
    }
}

/// A form with files that a member of the staff sent from a page of the admin site. Its fields stand before the first file, the token
/// among them, so that no file is looked at before it is known who sends it.
pub(super) struct StaffUpload {
    pub(super) staff: Staff,
    pub(super) form: ReadForm,
    pub(super) files: FormFiles,
}

/// The files of a form, of which nothing has been read yet.
pub(super) struct FormFiles {
    parts: Parts,
    next: Option<Part<'static>>,
}

impl StaffUpload {
    /// The most files of a form.
    pub(super) const MAX_FILES: u64 = 100;
}

impl FromRequest<Admin> for StaffUpload {
    type Rejection = PageError;

    async fn from_request(request: Request, admin: &Admin) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let staff = Staff::of(&mut parts, admin).await?;
        let request = Request::from_parts(parts, body);
        require_same_origin(&request)?;
        let header = token_header(request.headers());
        let max_bytes = admin.service.max_file_bytes() * Self::MAX_FILES + MAX_BODY_BYTES as u64;
        let mut files = FormFiles::of(request, max_bytes)?;
        let form = ReadForm::new(files.read_fields().await?, header);
        staff.csrf.check(&form)?;
        Ok(Self { staff, form, files })
    }
}

impl FormFiles {
    fn of(request: Request, max_bytes: u64) -> Result<Self, PageError> {
        let (head, body) = request.into_parts();
        let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let parts = Parts::new(content_type.unwrap_or_default(), body, max_bytes);
        Ok(Self { parts: parts.ok_or(PageError::BadRequest(UNREADABLE))?, next: None })
    }

    /// Reads the fields up to the first file.
    async fn read_fields(&mut self) -> Result<Query, PageError> {
        let unreadable = |_| PageError::BadRequest(UNREADABLE);
        let (mut fields, mut bytes_left) = (Vec::new(), MAX_BODY_BYTES);
        while let Some(mut part) = self.parts.next().await.map_err(unreadable)? {
            if part.file_name().is_some() {
                self.next = Some(part);
                break;
            }
            let name = part.name().unwrap_or_default().to_owned();
            bytes_left = bytes_left.checked_sub(name.len()).ok_or(PageError::BadRequest(UNREADABLE))?;
            let mut value = Vec::new();
            while let Some(bytes) = self.parts.chunk(&mut part).await.map_err(unreadable)? {
                value.extend_from_slice(&bytes);
                bytes_left = bytes_left.checked_sub(bytes.len()).ok_or(PageError::BadRequest(UNREADABLE))?;
            }
            fields.push((name, String::from_utf8_lossy(&value).into_owned()));
            if fields.len() > MAX_FIELDS {
                return Err(PageError::BadRequest(UNREADABLE));
            }
        }
        Ok(fields.into())
    }

    /// The next file; none after the last. Fields that come late, and places for files that were left empty, are passed over.
    pub(super) async fn next(&mut self) -> Result<Option<Part<'static>>, PartsError> {
        let mut next = self.next.take();
        loop {
            let part = match next.take() {
                Some(part) => Some(part),
                None => self.parts.next().await?,
            };
            match part {
                Some(mut part) if part.file_name().is_none_or(str::is_empty) => self.parts.skip(&mut part).await?,
                part => return Ok(part),
            }
        }
    }

    /// The next piece of a file; none at its end.
    pub(super) async fn chunk(&self, file: &mut Part<'_>) -> Result<Option<Bytes>, PartsError> {
        self.parts.chunk(file).await
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn tokens_belong_to_their_cookie_and_are_not_shown() {
        let token = CsrfToken::of("secret");
        assert_ne!(token.to_string(), CsrfToken::of("secreu").to_string());
        assert!(!format!("{token:?}").contains(&token.to_string()));
        let form = |token: String| ReadForm { fields: Query::default(), token };
        assert!(token.check(&form(token.to_string())).is_ok());
        for other in [String::new(), CsrfToken::of("").to_string(), token.to_string().to_uppercase()] {
            assert!(token.check(&form(other)).is_err());
        }
    }

    #[test]
    fn browsers_say_where_a_request_comes_from() {
        let origin = "https://example.com";
        let is_same = |headers: &[(HeaderName, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            is_same_origin(&headers.collect(), origin)
        };
        assert!(is_same(&[]) && is_same(&[(header::ORIGIN, "https://Example.com")]));
        // Behind a proxy that does not pass on the scheme, the browser's word is enough.
        assert!(is_same(&[(SEC_FETCH_SITE, "same-origin"), (header::ORIGIN, "http://example.com")]));
        assert!(is_same(&[(SEC_FETCH_SITE, "none")]));
        for foreign in ["null", "https://example.com:444", "http://example.com", "https://example.com.evil.example", ""]
        {
            assert!(!is_same(&[(header::ORIGIN, foreign)]), "{foreign}");
        }
        for foreign in ["cross-site", "same-site", ""] {
            assert!(!is_same(&[(SEC_FETCH_SITE, foreign), (header::ORIGIN, "https://example.com")]), "{foreign}");
        }
    }
}
