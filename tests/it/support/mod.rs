//! Shared by the tests.

pub(crate) mod admin;
pub(crate) mod app;
pub(crate) mod cloudflare;
pub(crate) mod conformance;
pub(crate) mod django;
pub(crate) mod emulator;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod raw_server;
pub(crate) mod rows;
pub(crate) mod scrape;
pub(crate) mod scripted_account;
pub(crate) mod sessions;
pub(crate) mod sql;
pub(crate) mod suite;
pub(crate) mod webp_bomb;

use std::path::PathBuf;
use std::time::Duration;

/// A picture among the fixtures.
pub(crate) fn picture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

/// Repeats a question until the answer is what the test waits for, for half a minute at most.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asking)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"))
}
