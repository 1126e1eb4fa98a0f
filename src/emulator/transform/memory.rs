//! How much memory work on a picture takes. The figures are upper bounds, so that their sum is one too.

use super::decode::MAX_DECODED;

/// Bytes for all the work that is done at a time, whatever is asked for.
pub(super) const TOTAL: u64 = 2 * 1024 * MIB;
/// Bytes to read a header with: a colour profile, and what the decoder copies of the file.
pub(in crate::emulator) const OF_HEADER: u64 = 64 * MIB;
/// Bytes for what does not depend on the pixels: copies of the file and of its colour profile.
const BASE: u64 = 128 * MIB;
/// The decoded pixels, and with them up to four copies: coefficients and canvases of decoders, the turned picture, the one
/// with its alpha multiplied in, both passes of scaling.
const COPIES: u64 = 5;
/// What memory is counted in.
pub(super) const MIB: u64 = 1024 * 1024;

const _: () = assert!(of_work_on(MAX_DECODED) <= TOTAL, "every picture that is accepted can be worked on");

/// Bytes to decode a picture, or to make a variant of it, whose decoded pixels take so many.
pub(super) const fn of_work_on(decoded: u64) -> u64 {
    decoded.saturating_mul(COPIES).saturating_add(BASE)
}
