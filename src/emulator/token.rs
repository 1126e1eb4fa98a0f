//! Tokens that clients cannot make themselves: where a page ended, in a form that says nothing to them, and what is good for batches.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::domain::Timestamp;

use super::storage::Position;

const TIME: usize = 8;
const PLACE: usize = TIME + 16;
const TAG: usize = 8;
/// Bytes of a batch token before its tag: until when it is good, and chance.
const BATCH: usize = TIME + 16;

/// Makes and reads tokens. Those of one account are the same after a restart.
#[derive(Debug)]
pub(super) struct Tokens(Hmac<Sha256>);

impl Tokens {
    /// The tokens of whoever knows the secret.
    pub(super) fn new(secret: &str) -> Self {
        Self(Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length"))
    }

    /// The token for what comes after a place.
    pub(super) fn encode(&self, place: Position) -> String {
        let mut bytes = [0; PLACE + TAG];
        bytes[..TIME].copy_from_slice(&place.uploaded.as_micros().to_be_bytes());
        bytes[TIME..PLACE].copy_from_slice(&place.hash);
        let (place, tag) = bytes.split_at_mut(PLACE);
        tag.copy_from_slice(&self.hash(b"tag", place)[..TAG]);
        self.mask(place, tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place in a token; `None` where it is none of ours.
    pub(super) fn decode(&self, token: &str) -> Option<Position> {
        let mut bytes: [u8; PLACE + TAG] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let (place, tag) = bytes.split_at_mut(PLACE);
        self.mask(place, tag);
        let is_ours: bool = self.hash(b"tag", place)[..TAG].ct_eq(tag).into();
        let (time, hash) = place.split_at(TIME);
        let micros = i64::from_be_bytes(time.try_into().ok()?);
        is_ours.then_some(Position { uploaded: Timestamp::from_micros(micros), hash: hash.try_into().ok()? })
    }

    /// A token for batches until this time, different from all others.
    pub(super) fn new_batch_token(&self, expires_at: Timestamp) -> String {
        let mut bytes = Vec::with_capacity(BATCH + 32);
        bytes.extend(expires_at.as_micros().to_be_bytes());
        bytes.extend(Uuid::new_v4().as_bytes());
        bytes.extend(self.hash(b"batch", &bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether this is one of those tokens, and still good.
    pub(super) fn is_batch_token(&self, token: &[u8], now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
        let Some((content, tag)) = bytes.split_at_checked(BATCH) else { return false };
        let Some(time) = content.first_chunk() else { return false };
        let is_ours: bool = self.hash(b"batch", content).ct_eq(tag).into();
        is_ours && now < Timestamp::from_micros(i64::from_be_bytes(*time))
    }

    /// Hides the place, or shows it again. Tags of different places differ, and so do their masks.
    fn mask(&self, place: &mut [u8], tag: &[u8]) {
        for (byte, mask) in place.iter_mut().zip(self.hash(b"mask", tag)) {
            *byte ^= mask;
        }
    }

    fn hash(&self, purpose: &[u8], bytes: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(purpose).chain_update(bytes).finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_survive_and_nothing_else_is_one(micros in 0..253_402_300_799_999_999i64, hash: [u8; 16], at in 0..43usize) {
            let tokens = Tokens::new("secret");
            let place = Position { uploaded: Timestamp::from_micros(micros), hash };
            let token = tokens.encode(place);
            prop_assert_eq!(token.len(), 43);
            prop_assert_eq!(tokens.decode(&token), Some(place));
            prop_assert_eq!(Tokens::new("other").decode(&token), None);
            let mut forged = token.into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            prop_assert_ne!(tokens.decode(&forged), Some(place));
        }

        #[test]
        fn batch_tokens_are_good_until_their_time(micros in 1..253_402_300_799_999_999i64, at in 0..74usize) {
            let tokens = Tokens::new("secret");
            let end = Timestamp::from_micros(micros);
            let token = tokens.new_batch_token(end);
            prop_assert!(tokens.is_batch_token(token.as_bytes(), Timestamp::from_micros(micros - 1)));
            prop_assert!(!tokens.is_batch_token(token.as_bytes(), end));
            prop_assert!(!Tokens::new("other").is_batch_token(token.as_bytes(), Timestamp::from_micros(0)));
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            prop_assert!(!tokens.is_batch_token(&forged, Timestamp::from_micros(0)));
            prop_assert_ne!(token, tokens.new_batch_token(end));
        }

        #[test]
        fn no_token_makes_the_reader_panic(token in "\\PC*") {
            prop_assert_eq!(Tokens::new("secret").decode(&token), None);
            prop_assert!(!Tokens::new("secret").is_batch_token(token.as_bytes(), Timestamp::from_micros(0)));
        }
    }
}
