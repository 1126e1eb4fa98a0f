//! What happens when Cloudflare fails: to every call of the client, and to every use case that writes.

mod calls;
mod use_cases;

use crate::support::suite::Suite;

pub(crate) fn register(suite: &mut Suite) {
    calls::register(suite);
    use_cases::register(suite);
}
