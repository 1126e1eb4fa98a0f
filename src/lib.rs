//! The image backend for applications that keep their pictures in Cloudflare Images.
//!
//! The crate is one binary, `cfimages`, and the library it is made of. Layers are named by role and files by resource, so
//! the next step of a request is always the file of the same name one layer down. `POST upload-url/`, for one, goes
//!
//! 1. `main` → `cli::serve` → `app::router`, which lists every URL of the service;
//! 2. `api::uploads::create_upload_url`: extract, authenticate, validate;
//! 3. `service::uploads`, `CloudflareService::create_direct_upload_url`: the use case, without HTTP and without SQL;
//! 4. `cloudflare::uploads`, `Client::create_direct_upload`: the call to Cloudflare, with no transaction open;
//! 5. `store::images::insert` and `store::upload_logs::insert`: the rows, in one transaction.
//!
//! Dependencies point one way: `cli` and `app` → `webhook`, `jobs` and `admin` → `api` → `service` → `cloudflare` and `store` → [`domain`]. The webhook
//! borrows the rules for bodies and fields from the API, `admin` takes nothing from it; `http` is what every request passes, `config` what everything is told, `metrics` what is counted.
//! [`delivery`], [`signature`] and [`domain`] are pure: they do no I/O, read no clock, and build with
//! `--no-default-features`. `emulator` uses nothing but these three, so that a mistake of the server cannot hide itself. `snippets`,
//! HTML for pictures, needs nothing but [`delivery`] and a template engine (feature `snippets`).

pub mod delivery;
/// The Rust in the documents, which rustdoc tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/transformations.md")]
pub mod documents {}
pub mod domain;
pub mod signature;

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod cloudflare;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "emulator")]
pub mod emulator;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod jobs;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod service;
#[cfg(feature = "snippets")]
pub mod snippets;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod webhook;
