//! Places in the list, as URLs carry them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::domain::{BrowseBy, BrowsePosition};

/// A byte for what is sorted by, eight for the value, sixteen for the key.
const BYTES: usize = 25;

/// The place as a text without a meaning to others.
pub(super) fn encode(by: BrowseBy, place: BrowsePosition) -> String {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.push(kind(by));
    bytes.extend(place.value.to_be_bytes());
    bytes.extend(place.id.as_uuid().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place that a text stands for; none where it is no such text, or one of another order.
pub(super) fn decode(by: BrowseBy, text: &str) -> Option<BrowsePosition> {
    let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (value, id) = bytes[1..].split_at(8);
    let value = i64::from_be_bytes(value.try_into().ok()?);
    let id = Uuid::from_slice(id).ok()?;
    (bytes[0] == kind(by)).then(|| BrowsePosition { value, id: id.into() })
}

fn kind(by: BrowseBy) -> u8 {
    match by {
        BrowseBy::CreatedAt => 1,
        BrowseBy::UploadedAt => 2,
        BrowseBy::FileSize => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_survive_and_belong_to_their_order(value in any::<i64>(), id in any::<u128>()) {
            let place = BrowsePosition { value, id: Uuid::from_u128(id).into() };
            let text = encode(BrowseBy::FileSize, place);
            prop_assert_eq!(decode(BrowseBy::FileSize, &text), Some(place));
            prop_assert_eq!(decode(BrowseBy::CreatedAt, &text), None);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*", likely in "[A-Za-z0-9_-]{0,40}") {
            let _ = decode(BrowseBy::CreatedAt, &text);
            let _ = decode(BrowseBy::CreatedAt, &likely);
        }
    }
}
