//! Everything about one image or draft.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::value::RawValue;

use super::path::encode_segment;
use super::picture::path_of;
use super::query::parameters;
use super::storage::{ImageState, Original, StoredImage};
use super::texts::{Moment, bytes, format_name};
use super::transform::Size;
use super::{Account, page, problem};

/// An example of what flexible variants do.
const FLEXIBLE: &str = "w=400,h=300,fit=cover";

#[derive(Template)]
#[template(path = "emulator/image.html")]
struct Details {
    id: String,
    /// The same as a part of URLs.
    encoded: String,
    creator: Option<String>,
    /// Names and values, these as the JSON that was sent.
    metadata: Vec<(String, String)>,
    is_private: bool,
    state: Stage,
}

/// What only drafts have, and what only images.
enum Stage {
    Draft { made: Moment, expires: Moment, upload_url: String },
    Picture(Picture),
}

struct Picture {
    filename: String,
    uploaded: Moment,
    format: String,
    /// In pixels; drawings have none.
    size: Option<Size>,
    frames: u32,
    /// Of the file; none where it is gone.
    length: Option<String>,
    variants: Vec<VariantUrl>,
}

struct VariantUrl {
    name: String,
    url: String,
    is_signed: bool,
}

/// `GET /_cfimages/image?id=`
pub(super) async fn show(State(account): State<Arc<Account>>, uri: Uri) -> Response {
    let id = parameters(uri.query().unwrap_or_default()).find(|(name, _)| name == "id").map(|(_, id)| id);
    match id.and_then(|id| account.storage.find(&id, account.clock.now())) {
        Some(image) => page(&details(&account, &image).await),
        None => problem(StatusCode::NOT_FOUND, "No such image", "It was deleted, or the time of its draft is over."),
    }
}

async fn details(account: &Account, image: &StoredImage) -> Details {
    Details {
        id: image.id.clone(),
        encoded: encode_segment(&image.id),
        creator: image.creator.clone(),
        metadata: image.meta.as_deref().map(members).unwrap_or_default(),
        is_private: image.require_signed_urls,
        state: match &image.state {
            ImageState::Draft { expires_at, .. } => Stage::Draft {
                made: image.uploaded.into(),
                expires: (*expires_at).into(),
                upload_url: account.upload_url_of(&image.id),
            },
            ImageState::Uploaded(original) => Stage::Picture(picture(account, image, original).await),
        },
    }
}

async fn picture(account: &Account, image: &StoredImage, original: &Original) -> Picture {
    let pixels = original.content.pixels();
    let stored = original.clone();
    // One that was deleted just now has none.
    let length = account.on_storage(move |storage| storage.read(&stored)).await.ok();
    Picture {
        filename: original.filename.clone(),
        uploaded: image.uploaded.into(),
        format: format_name(&original.content),
        size: pixels.map(|picture| picture.size),
        frames: pixels.map_or(1, |picture| picture.frames),
        length: length.map(|original| bytes(original.len())),
        variants: variants(account, image),
    }
}

fn variants(account: &Account, image: &StoredImage) -> Vec<VariantUrl> {
    let variants = account.variants.get();
    let flexible = account.options.get().flexible_variants && !image.require_signed_urls;
    let names = variants.names().chain(flexible.then_some(FLEXIBLE));
    let url = |name: &str| {
        let path = path_of(account, image, name, account.clock.now());
        let is_signed = path.contains('?');
        VariantUrl { name: name.to_owned(), url: format!("{}{path}", account.public_url), is_signed }
    };
    names.map(url).collect()
}

/// The members of the metadata. Values stay as they were written, since numbers may be larger than any type.
fn members(metadata: &RawValue) -> Vec<(String, String)> {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(metadata.get()).unwrap_or_default();
    members.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_shown_as_it_was_sent() {
        let metadata = serde_json::from_str::<Box<RawValue>>(r#"{"b": 1e999, "a": {"x": "é"}}"#).unwrap();
        let want = [("a", r#"{"x": "é"}"#), ("b", "1e999")];
        assert_eq!(members(&metadata), want.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
