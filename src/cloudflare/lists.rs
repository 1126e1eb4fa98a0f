//! Lists of images, page by page: no more than one page is in memory.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::list_filter::push_parameter;
use super::transport::Transport;
use super::{Client, Error, ImageDetails, ImageListFilter, Operation, PerPage};
use crate::domain::CloudflareId;

impl Client {
    /// All images of the account that `filter` lets through, from `start` on or from the beginning. Drafts are in no list.
    ///
    /// Cloudflare's lists are not exact in large accounts: make sure of an image with [`get_image`](Self::get_image) before
    /// anything is done because it is missing.
    pub fn list_images(&self, filter: ImageListFilter, start: Option<PageToken>) -> ImagePages {
        ImagePages {
            transport: self.transport.clone(),
            per_page: filter.per_page,
            filter,
            seen: start.iter().cloned().collect(),
            place: Place::At(start),
        }
    }

    /// All images of the account, or those of a creator, by Cloudflare's older list, which is deprecated; from page `start` on,
    /// the first is 1. [`list_images`](Self::list_images) is what to use where it works.
    pub fn list_images_by_number(&self, creator: Option<String>, start: u32) -> NumberedPages {
        NumberedPages { transport: self.transport.clone(), creator, place: Place::At(start.max(1)), last_id: None }
    }
}

/// A page of a list; `P` is the form of places in the list.
#[derive(Debug)]
pub struct ImagePage<P> {
    /// The images, in the order of the list.
    pub images: Vec<ListedImage>,
    /// How many entries cannot be read, and so may be any image.
    pub unreadable: usize,
    /// Where the next page begins; absent on the last one.
    pub next: Option<P>,
}

/// An image of a list.
#[derive(Debug)]
pub struct ListedImage {
    /// The image.
    pub id: CloudflareId,
    /// All that the list says of it; values that cannot be kept are left out.
    pub details: ImageDetails,
}

/// A place in a list, in Cloudflare's words. It is worth something for a while only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageToken(String);

impl PageToken {
    /// A token that Cloudflare told.
    pub fn new(token: String) -> Self {
        Self(token)
    }

    /// The token, to be kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a list was read.
#[derive(Debug)]
enum Place<P> {
    At(P),
    End,
}

/// Reads a list page by page.
#[derive(Debug)]
pub struct ImagePages {
    transport: Transport,
    filter: ImageListFilter,
    /// How many images to ask for: fewer than the filter says once a page was too long.
    per_page: PerPage,
    /// Where pages began.
    seen: HashSet<PageToken>,
    place: Place<Option<PageToken>>,
}

impl ImagePages {
    /// The next page; `None` after the last one. After an error it is the same page's turn again.
    ///
    /// # Errors
    /// See [`Error`]. [`Error::Malformed`] also where the list runs in a circle.
    pub async fn next_page(&mut self) -> Result<Option<ImagePage<PageToken>>, Error> {
        let Place::At(start) = &self.place else { return Ok(None) };
        let result = loop {
            match self.read(start.as_ref()).await {
                Err(Error::TooLong) if let Some(fewer) = self.per_page.halved() => self.per_page = fewer,
                answer => break answer?,
            }
        };
        let (images, unreadable, next) = read_page(&result)?;
        self.place = match &next {
            Some(token) if !self.seen.insert(token.clone()) => return Err(Error::Malformed("the list repeats itself")),
            Some(token) => Place::At(Some(token.clone())),
            None => Place::End,
        };
        Ok(Some(ImagePage { images, unreadable, next }))
    }

    async fn read(&self, start: Option<&PageToken>) -> Result<Box<RawValue>, Error> {
        let mut path = format!("images/v2?{}", self.filter.query(self.per_page));
        if let Some(PageToken(token)) = start {
            push_parameter(&mut path, "continuation_token", token);
        }
        self.transport.call(Operation::ListImages, |account| account.get(&path)).await
    }
}

/// Reads the older form of a list page by page.
#[derive(Debug)]
pub struct NumberedPages {
    transport: Transport,
    creator: Option<String>,
    place: Place<u32>,
    /// The last image of the page before.
    last_id: Option<CloudflareId>,
}

impl NumberedPages {
    /// What Cloudflare's description allows, whatever its schema says.
    const PER_PAGE: u32 = 100;

    /// The next page; `None` after the last one. After an error it is the same page's turn again.
    ///
    /// The list ends with an empty page, as Cloudflare may give less than it is asked for.
    ///
    /// # Errors
    /// See [`Error`]. [`Error::Malformed`] also where the list runs in a circle.
    pub async fn next_page(&mut self) -> Result<Option<ImagePage<u32>>, Error> {
        let Place::At(page) = self.place else { return Ok(None) };
        let mut path = format!("images/v1?page={page}&per_page={}", Self::PER_PAGE);
        if let Some(creator) = &self.creator {
            push_parameter(&mut path, "creator", creator);
        }
        let result = self.transport.call(Operation::ListImagesByNumber, |account| account.get(&path)).await?;
        let (images, unreadable, _) = read_page(&result)?;
        if images.is_empty() && unreadable == 0 {
            self.place = Place::End;
            return Ok(None);
        }
        let last_id = images.last().map(|image| image.id.clone());
        if last_id.is_some() && last_id == self.last_id {
            return Err(Error::Malformed("the list repeats itself"));
        }
        self.last_id = last_id;
        let next = page.checked_add(1);
        self.place = next.map_or(Place::End, Place::At);
        Ok(Some(ImagePage { images, unreadable, next }))
    }
}

/// Reads a page of either list: its images, how many cannot be read, and the token of the next page.
fn read_page(result: &RawValue) -> Result<(Vec<ListedImage>, usize, Option<PageToken>), Error> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        // Named, so that it must be there: what is no list must not pass for an empty one.
        #[serde(borrow, deserialize_with = "Option::deserialize")]
        images: Option<Vec<&'a RawValue>>,
        continuation_token: Option<String>,
    }
    let answer: Answer<'_> =
        serde_json::from_str(result.get()).map_err(|_| Error::Malformed("it has no list of images"))?;
    let entries = answer.images.unwrap_or_default();
    let images: Vec<_> = entries.iter().filter_map(|entry| read_image(entry)).collect();
    let unreadable = entries.len() - images.len();
    let next = answer.continuation_token.filter(|token| !token.is_empty()).map(PageToken);
    Ok((images, unreadable, next))
}

fn read_image(entry: &RawValue) -> Option<ListedImage> {
    let (details, _) = ImageDetails::read(entry).ok()?;
    let id = details.id.clone().filter(|id| !id.as_str().is_empty())?;
    Some(ListedImage { id, details })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Result<(Vec<ListedImage>, usize, Option<PageToken>), Error> {
        read_page(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_page_is_read_in_every_form() {
        let (images, unreadable, next) = read(
            r#"{"images":[{"id":"a","meta":{"n":1}},{"id":"b/c","metadata":{"n":2},"filename":7},{"id":""},{},3],"continuation_token":"t"}"#,
        )
        .unwrap();
        let read: Vec<_> =
            images.iter().map(|image| (image.id.as_str(), image.details.metadata.as_ref().unwrap().as_str())).collect();
        assert_eq!(read, [("a", r#"{"n": 1}"#), ("b/c", r#"{"n": 2}"#)]);
        assert_eq!((unreadable, next), (3, Some(PageToken("t".to_owned()))));
    }

    #[test]
    fn the_last_page_has_no_token_in_any_form() {
        for json in [
            r#"{"images":[]}"#,
            r#"{"images":[],"continuation_token":null}"#,
            r#"{"images":[],"continuation_token":""}"#,
            r#"{"images":null}"#,
        ] {
            let (images, unreadable, next) = read(json).unwrap();
            assert_eq!((images.len(), unreadable, next), (0, 0, None), "{json}");
        }
    }

    #[test]
    fn what_is_no_list_is_no_empty_list() {
        for json in ["{}", "[]", "null", r#"{"images":{}}"#, r#"{"images":[],"continuation_token":7}"#] {
            assert!(matches!(read(json), Err(Error::Malformed(_))), "{json}");
        }
    }

    proptest! {
        #[test]
        fn no_page_makes_the_reader_panic(text in r#"\{"images":\[(\{("id"|"meta"|"uploaded"):("[a-z/é]*"|[0-9]{1,4}|null|\{\})\}|null|\[\]|,){0,6}\]\}"#) {
            if let Ok(raw) = serde_json::from_str::<&RawValue>(&text) {
                let _ = read_page(raw);
            }
        }
    }
}
