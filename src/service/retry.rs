//! Doing anew what somebody else's work undid.

use std::fmt::Display;
use std::time::Duration;

use tracing::debug;

/// How long to wait before each further try.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];

/// Does `work`, a transaction as a rule, up to four times: anew where its error is one that this may help against.
///
/// Django has rows in an order of its own, so now and then PostgreSQL ends one of two transactions that wait for each other.
pub(super) async fn retry<T, E, F>(may_pass: impl Fn(&E) -> bool, mut work: impl FnMut() -> F) -> Result<T, E>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    for pause in PAUSES {
        match work().await {
            Err(error) if may_pass(&error) => {
                debug!(error = %error, "A transaction is tried again: {error}");
                tokio::time::sleep(pause).await;
            }
            outcome => return outcome,
        }
    }
    work().await
}
