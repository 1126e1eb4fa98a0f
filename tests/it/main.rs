//! Integration tests.

mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::suite::Suite::new().run()
}
