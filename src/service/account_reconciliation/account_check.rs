//! Whether the account is the one that the records are of.
//!
//! Cloudflare is asked about some records, and a run changes nothing where most of their images are not there. A record that exists
//! only because a run found its image in an account says nothing: another account that was once taken for the right one would have
//! all of those, and none of the others. So such records count only where there are no others, that is, where all that is recorded
//! came out of an account.

use std::fmt;

use super::session::{Answer, Session};
use super::{AccountRunError, AccountRunEvent};
use crate::domain::{CloudflareId, Image, Json};
use crate::store;

/// Records that Cloudflare is asked about: enough to tell an account that lacks most images from one that lacks some.
const SAMPLE: u32 = 20;

/// Why this may be another account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountDoubt {
    /// Records that Cloudflare was asked about.
    pub asked: u32,
    /// Of these, those whose image it has, delivered from where the record says: fewer than half.
    pub found: u32,
}

impl fmt::Display for AccountDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, found } = self;
        write!(f, "this looks like another account: of {asked} recorded image(s) that were looked for, it has {found}")
    }
}

impl Session<'_, '_> {
    /// Makes sure that it is the account of the records, before a run finds or changes anything.
    ///
    /// # Errors
    /// [`AccountRunError::OtherAccount`] if it is not, and the run is to change something; otherwise if Cloudflare or the database
    /// fails.
    pub(super) async fn check_account(&mut self) -> Result<(), AccountRunError> {
        let options = self.reconciler.options;
        if options.trust.account {
            return Ok(());
        }
        match self.doubt().await? {
            Some(doubt) if options.apply => return Err(AccountRunError::OtherAccount(doubt)),
            Some(doubt) => (self.observer)(AccountRunEvent::Doubted(doubt)),
            None => {}
        }
        Ok(())
    }

    async fn doubt(&mut self) -> Result<Option<AccountDoubt>, AccountRunError> {
        let mut doubt = AccountDoubt { asked: 0, found: 0 };
        for record in self.sample().await? {
            let answer = self.ask_for(&record.cloudflare_id).await?;
            doubt.asked += 1;
            if let Answer::Found(details) = answer {
                doubt.found += u32::from(!is_elsewhere(&record, details.variants.as_ref()));
            }
        }
        Ok((2 * doubt.found < doubt.asked).then_some(doubt))
    }

    /// The records to ask about, by key.
    async fn sample(&self) -> Result<Vec<Image>, AccountRunError> {
        let mut sample = store::account_runs::sample(self.database(), self.settled_before(), SAMPLE).await?;
        if sample.iter().any(|record| !record.is_imported) {
            sample.retain(|record| !record.is_imported);
        }
        let mut images: Vec<Image> = sample.into_iter().map(|record| record.image).collect();
        images.sort_unstable_by_key(|image| image.id);
        Ok(images)
    }
}

/// Whether a picture is delivered from elsewhere than that of the record: it is another account's, under the same id.
fn is_elsewhere(record: &Image, variants: Option<&Json>) -> bool {
    let id = &record.cloudflare_id;
    match (origin(record.variants.as_json(), id), variants.and_then(|variants| origin(variants, id))) {
        (Some(here), Some(at_cloudflare)) => here != at_cloudflare,
        _ => false,
    }
}

/// What the delivery URLs of an account begin with, in whatever form they are listed: `https://imagedelivery.net/<account hash>`.
fn origin<'a>(variants: &'a Json, id: &CloudflareId) -> Option<&'a str> {
    let (before, _) = variants.as_str().split_once(&format!("/{}/", id.as_str()))?;
    before.rsplit('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_delivery_urls_is_found_in_every_form() {
        let id = CloudflareId::new("a/b");
        for (variants, expected) in [
            (
                r#"["https://imagedelivery.net/hash/a/b/public", "https://x/a/b/y"]"#,
                Some("https://imagedelivery.net/hash"),
            ),
            (r#"{"public": "https://imagedelivery.net/hash/a/b/public"}"#, Some("https://imagedelivery.net/hash")),
            (r#""https://imagedelivery.net/hash/a/b/public""#, Some("https://imagedelivery.net/hash")),
            (r#"["https://imagedelivery.net/hash/other/public"]"#, None),
            ("[]", None),
            ("null", None),
        ] {
            assert_eq!(origin(&Json::from_stored(variants.to_owned()).unwrap(), &id), expected, "{variants}");
        }
    }
}
