//! The JSON API, wire-compatible with the toolkit: paths, names, messages and status codes are contract.

mod auth;
mod body;
mod error;
mod fields;
pub mod images;
mod model;
pub mod openapi;
pub mod stats;
pub mod uploads;

pub use auth::Principal;
pub use body::RawBody;
pub use error::{
    ApiError, BadRequest, ErrorDetail, ErrorMessage, RequestTookTooLong, bad_request_page, not_found_page, panicked,
};
pub use fields::{FieldErrors, Fields};
