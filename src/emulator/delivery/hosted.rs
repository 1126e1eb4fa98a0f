//! Pictures that are kept here: `/{account_hash}/{image_id}/{variant}`, also behind `/cdn-cgi/imagedelivery`, where the variant has
//! a name or is a list of options.

use std::borrow::Cow;

use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};
use axum::response::Response;

use crate::delivery::{OnError, Resolved, verify};

use super::super::signing_keys::SigningKey;
use super::super::storage::StoredImage;
use super::{Account, Browser, File, Found, Job, Refusal, answer, parse_options, path, public_for, vary, warnings};

/// Answers with a picture that is kept here.
///
/// UNCONFIRMED, and chosen here: the order of the checks, which is that of the path, then privacy; a signature on a public
/// picture is not looked at; private pictures may be kept by browsers only as far as they see fit (`private`).
pub(super) async fn answer(account: &Account, request: &Parts) -> Result<Response, Refusal> {
    let found = find_picture(account, &request.uri, Browser::from(&request.headers))?;
    answer::answer(account, found, request).await
}

/// The parts of a delivery path.
#[derive(Debug, PartialEq, Eq)]
struct DeliveryPath<'a> {
    account_hash: &'a str,
    image_id: String,
    variant: String,
    /// The same as it came; the options of a flexible variant are decoded one by one.
    encoded_variant: &'a str,
    /// The path as it is signed: as it came, without the prefix.
    signed: &'a str,
}

impl<'a> DeliveryPath<'a> {
    /// Takes a path apart: the account first, the variant last, and everything between them the id.
    fn parse(path: &'a str) -> Option<Self> {
        let prefixed = path.strip_prefix("/cdn-cgi/imagedelivery").filter(|rest| rest.starts_with('/'));
        let signed = prefixed.unwrap_or(path);
        let (account_hash, rest) = signed.strip_prefix('/')?.split_once('/')?;
        let (image_id, encoded_variant) = rest.rsplit_once('/')?;
        if account_hash.is_empty() || image_id.is_empty() || encoded_variant.is_empty() {
            return None;
        }
        let (image_id, variant) = (path::decode(image_id)?, path::decode(encoded_variant)?);
        Some(Self { account_hash, image_id, variant, encoded_variant, signed })
    }

    /// The options in place of the name of a variant, also where all of them were encoded as one.
    fn options(&self) -> Option<&str> {
        [self.encoded_variant, &self.variant].into_iter().find(|text| text.contains('='))
    }
}

fn find_picture(account: &Account, uri: &Uri, browser: Browser) -> Result<Found, Refusal> {
    let path = DeliveryPath::parse(uri.path()).ok_or(Refusal::MALFORMED_PATH)?;
    if path.account_hash != account.hash {
        return Err(Refusal::WRONG_ACCOUNT);
    }
    if path.options().is_some() && !account.options.get().flexible_variants {
        return Err(Refusal::FLEXIBLE_VARIANTS);
    }
    let image = account.storage.find(&path.image_id, account.clock.now()).ok_or(Refusal::NO_IMAGE)?;
    let original = image.original().ok_or(Refusal::NO_IMAGE)?.clone();
    let wanted = match path.options() {
        Some(options) => flexible_variant(&image, options)?,
        None => named_variant(account, &image, &path.variant)?,
    };
    let Wanted { options, is_private, browser_ttl, warnings: mut all_warnings } = wanted;
    if is_private {
        check_signature(account, path.signed, uri.query().unwrap_or_default())?;
    }
    all_warnings.extend(warnings(&options, &original.content));
    if options.onerror == Some(OnError::Redirect) {
        all_warnings.push("onerror is for remote images only".into());
    }
    let caching = if is_private {
        HeaderValue::from_static("private")
    } else {
        public_for(browser_ttl.unwrap_or(account.options.get().browser_ttl))
    };
    let job = Job::new(&options, &original.content, browser);
    let (sha256, vary) = (original.sha256.clone(), vary(&options));
    Ok(Found { file: File::Stored(original), sha256, job, caching, warnings: all_warnings, vary })
}

/// What is to be delivered of an image.
struct Wanted {
    options: Resolved,
    is_private: bool,
    /// Where the variant says it.
    browser_ttl: Option<u32>,
    warnings: Vec<Cow<'static, str>>,
}

fn named_variant(account: &Account, image: &StoredImage, name: &str) -> Result<Wanted, Refusal> {
    let variants = account.variants.get();
    let variant = variants.find(name).ok_or(Refusal::NO_VARIANT)?;
    let is_private = image.require_signed_urls && variant.requires_signature();
    let (options, browser_ttl) = (variant.options(), variant.browser_ttl());
    Ok(Wanted { options, is_private, browser_ttl, warnings: Vec::new() })
}

fn flexible_variant(image: &StoredImage, options: &str) -> Result<Wanted, Refusal> {
    if image.require_signed_urls {
        return Err(Refusal::PRIVATE);
    }
    let (options, warnings) = parse_options(options)?;
    Ok(Wanted { options, is_private: false, browser_ttl: None, warnings })
}

fn check_signature(account: &Account, signed_path: &str, query: &str) -> Result<(), Refusal> {
    let keys = account.signing_keys.get();
    let keys = keys.iter().map(SigningKey::value);
    verify(keys, signed_path, query, account.clock.now().as_unix_seconds()).map(drop).map_err(Refusal::unsigned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_shapes_of_a_path_are_the_same_picture() {
        for path in ["/hash/a/b%2Fc%25/public", "/cdn-cgi/imagedelivery/hash/a/b%2Fc%25/public"] {
            let parsed = DeliveryPath::parse(path).unwrap();
            assert_eq!((parsed.account_hash, parsed.variant.as_str()), ("hash", "public"));
            assert_eq!(parsed.image_id, "a/b/c%");
            assert_eq!(parsed.signed, "/hash/a/b%2Fc%25/public");
        }
    }

    #[test]
    fn paths_without_three_parts_are_malformed() {
        for path in ["", "/", "/hash", "/hash/public", "/hash/id/", "/hash//public", "//id/public", "/h/%ff/public"] {
            assert_eq!(DeliveryPath::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_the_parser_panic(path in "\\PC*") {
            let _ = DeliveryPath::parse(&path);
        }
    }
}
