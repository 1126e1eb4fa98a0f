//! The emulator, whose answers are checked against Cloudflare's description in all tests.

use std::process::ExitCode;
use std::sync::Mutex;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use cfimages::emulator::{Emulator, Faults};

use super::conformance::Exchange;

/// What was wrong so far. Tests may be over when an answer is found wrong, so it is the run that fails.
static VIOLATIONS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Everything the emulator answers, checked unless it is to go wrong.
pub(crate) fn checked_router(emulator: &Emulator) -> Router {
    let faults = emulator.faults();
    emulator.router().layer(from_fn(move |request, next| check(faults.clone(), request, next)))
}

async fn check(faults: Faults, request: Request, next: Next) -> Response {
    let plan = faults.plan();
    if plan.plain_text_errors || !plan.faults.is_empty() {
        return next.run(request).await;
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (parts, body) = next.run(request).await.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let content_type = parts.headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap());
    expect_conformance(Exchange {
        method: method.as_str(),
        path: &path,
        status: parts.status.as_u16(),
        content_type,
        body: &body,
    });
    Response::from_parts(parts, Body::from(body))
}

/// Fails the run if the answer is not what Cloudflare describes.
pub(crate) fn expect_conformance(exchange: Exchange<'_>) {
    VIOLATIONS.lock().unwrap().extend(exchange.violation());
}

/// The result of a run, with what was wrong with the emulator's answers in it.
#[expect(clippy::print_stderr, reason = "it is told where test results are told")]
pub(crate) fn conclude(result: ExitCode) -> ExitCode {
    let violations = VIOLATIONS.lock().unwrap();
    if violations.is_empty() {
        return result;
    }
    eprintln!("answers of the emulator are not what Cloudflare describes:\n{}", violations.join("\n"));
    ExitCode::FAILURE
}
