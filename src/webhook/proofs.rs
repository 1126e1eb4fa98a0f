//! What the headers of a webhook offer as proof.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue};

use crate::service::WebhookProofs;

/// The proofs in the headers; empty ones are none.
pub(super) fn proofs_in(headers: &HeaderMap) -> WebhookProofs<'_> {
    WebhookProofs {
        secret: value(headers, "cf-webhook-auth"),
        signature: value(headers, "x-signature").or_else(|| value(headers, "x-cloudflare-signature")),
        timestamped: value(headers, "webhook-signature"),
    }
}

/// The value of a header. One that stands there several times is the list of its values, as HTTP has it, and no proof is a list: what
/// somebody before us believed of one of them does not count.
fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, [u8]>> {
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let value = match values.as_slice() {
        [value] => Cow::Borrowed(*value),
        values => Cow::Owned(values.join(&b", "[..])),
    };
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_second_name_of_the_signature_counts_where_the_first_is_not_there() {
        for (pairs, want) in [
            (&[("x-signature", &b"a"[..]), ("x-cloudflare-signature", b"b")][..], "a"),
            (&[("x-signature", b""), ("x-cloudflare-signature", b"b")], "b"),
            (&[("x-cloudflare-signature", b"b")], "b"),
        ] {
            assert_eq!(proofs_in(&headers(pairs)).signature.as_deref(), Some(want.as_bytes()));
        }
    }

    #[test]
    fn a_header_that_is_repeated_is_one_value() {
        let headers = headers(&[("cf-webhook-auth", b"a"), ("cf-webhook-auth", b"b")]);
        assert_eq!(proofs_in(&headers).secret.as_deref(), Some(&b"a, b"[..]));
    }

    proptest! {
        #[test]
        fn every_proof_is_the_header_of_its_name(auth in "[\\x21-\\xff]{0,20}", signature in "[ -~]{0,20}", timestamped in "[ -~]{0,20}") {
            let pairs = [
                ("cf-webhook-auth", auth.as_bytes()),
                ("x-signature", signature.as_bytes()),
                ("webhook-signature", timestamped.as_bytes()),
            ];
            let pairs = pairs.map(|(name, value)| (name, value.to_vec()));
            prop_assume!(pairs.iter().all(|(_, value)| HeaderValue::from_bytes(value).is_ok()));
            let headers = headers(&pairs.iter().map(|(name, value)| (*name, value.as_slice())).collect::<Vec<_>>());
            let proofs = proofs_in(&headers);
            for (proof, (_, value)) in [proofs.secret, proofs.signature, proofs.timestamped].iter().zip(&pairs) {
                prop_assert_eq!(proof.as_deref(), Some(value.as_slice()).filter(|value| !value.is_empty()));
            }
        }
    }
}
