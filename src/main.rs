//! The command `cfimages`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cfimages::cli::main()
}
