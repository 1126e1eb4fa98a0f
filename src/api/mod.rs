//! The JSON API, wire-compatible with the toolkit: paths, names, messages and status codes are contract.
//!
//! `dispatch` takes a request through the stages of Django and DRF, each of which has a file: `urls` resolves the path to a `view`,
//! `negotiation` looks at what the client takes, `auth` at who it is, with `csrf` where a browser is signed in. Then the handler of the view reads what it needs by the rules
//! of `body` and `fields`, `selection` and `pagination`, and answers with what is in `model`.

mod auth;
mod body;
pub mod cleanup;
mod csrf;
pub mod deletions;
pub mod delivery_urls;
mod dispatch;
pub mod docs;
mod error;
mod field_errors;
mod fields;
pub mod file_uploads;
pub mod health;
pub mod html;
pub mod images;
mod json_syntax;
mod metadata;
mod model;
mod negotiation;
mod next_url;
pub mod openapi;
mod pagination;
mod python;
pub mod registration;
pub mod root;
mod search;
mod selection;
pub mod stats;
pub mod transform;
mod upload_body;
pub mod uploads;
mod urls;
pub mod usages;
pub mod view;

pub use auth::{AuthError, Authentication, Identity, Principal};
pub use body::{Form, RawBody, RequestData};
pub use dispatch::Api;
pub use error::{
    ApiError, BadRequest, Conflict, ErrorDetail, ErrorMessage, Forbidden, RequestTookTooLong, Unavailable,
    bad_request_page, not_found_page, panicked,
};
pub use field_errors::FieldErrors;
pub use fields::Fields;
pub use json_syntax::{JsonSyntaxError, explain as explain_json};
pub use model::{ImageResponse, LogResponse, StatsResponse, UsageResponse};
