//! Places in lists, as addresses carry them: texts without a meaning to others, which are read as strictly as anything from outside.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The text for a place in a list; `list` names the list and its order.
pub(super) fn encode(list: &str, place: &impl Serialize) -> String {
    // Places are numbers, times and texts, which can always be written.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&(list, place)).unwrap_or_default())
}

/// The place that a text stands for; none where it is no such text, or one of another list or order, or no database holds what is in it.
pub(super) fn decode<P: DeserializeOwned>(list: &str, text: &str) -> Option<P> {
    let json = URL_SAFE_NO_PAD.decode(text).ok()?;
    let value: Value = serde_json::from_slice(&json).ok()?;
    if has_null_character(&value) {
        return None;
    }
    let (found, place): (String, P) = serde_json::from_value(value).ok()?;
    (found == list).then_some(place)
}

fn has_null_character(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_null_character),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_null_character(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::BrowsePosition;

    proptest! {
        #[test]
        fn places_survive_and_belong_to_their_list(value in any::<i64>(), id in any::<u128>(), name in "\\PC*") {
            let place = BrowsePosition { value, id: Uuid::from_u128(id).into() };
            let text = encode("size", &place);
            prop_assert_eq!(decode("size", &text), Some(place));
            prop_assert_eq!(decode::<BrowsePosition>("created", &text), None);
            prop_assert_eq!(decode("users", &encode("users", &(&name, value))), Some((name, value)));
        }

        #[test]
        fn places_that_no_database_holds_are_none(before in "[a-z]{0,3}", after in "[a-z]{0,3}") {
            let name = format!("{before}\0{after}");
            prop_assert_eq!(decode::<(String, i64)>("users", &encode("users", &(&name, 1))), None);
            prop_assert_eq!(decode::<Vec<Vec<String>>>("users", &encode("users", &[[&name]])), None);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*", likely in "[A-Za-z0-9_-]{0,40}") {
            let _ = decode::<BrowsePosition>("created", &text);
            let _ = decode::<BrowsePosition>("created", &likely);
        }
    }
}
