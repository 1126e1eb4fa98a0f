//! What staff have done with many images in the background.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{BrowsePosition, ImageId, ImageQuery, StaffAction, Timestamp};

/// Which images a run is about.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkSelection {
    /// The conditions that they meet when it is their turn.
    pub query: ImageQuery,
    /// The query string of the list in the admin site that shows them; empty where they were chosen one by one.
    pub list: String,
}

/// What the database keeps as JSON; none where another version of cfimages wrote it that knows more.
#[derive(Debug, Clone)]
pub struct Legible<T>(pub Option<T>);

impl<T: DeserializeOwned> From<String> for Legible<T> {
    fn from(text: String) -> Self {
        Self(serde_json::from_str(&text).ok())
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkState {
    /// Nobody has begun with it.
    Waiting,
    /// Images are being done.
    Running,
    /// All images had their turn.
    Done,
    /// It was stopped before its end.
    Stopped,
    /// Another version of cfimages knows.
    Other,
}

impl BulkState {
    const ALL: [Self; 4] = [Self::Waiting, Self::Running, Self::Done, Self::Stopped];

    /// The word in the database; none that this version would write where another one knows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Other => "other",
        }
    }
}

impl From<String> for BulkState {
    fn from(word: String) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == word).unwrap_or(Self::Other)
    }
}

/// Images that were taken and are not done yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImagesInHand(pub Vec<ImageId>);

impl TryFrom<String> for ImagesInHand {
    type Error = serde_json::Error;

    /// Reads what the database keeps, which is JSON.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        serde_json::from_str(&text)
    }
}

/// A run: one action on many images.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct BulkRun {
    /// The number.
    pub id: i64,
    /// What is done with each image.
    #[cfg_attr(feature = "server", sqlx(try_from = "String"))]
    pub action: Legible<StaffAction>,
    /// Which images.
    #[cfg_attr(feature = "server", sqlx(try_from = "String"))]
    pub selection: Legible<BulkSelection>,
    /// The key of the user who began it, as text.
    pub user_key: String,
    /// The name of the user by then.
    pub username: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it came to its end, or was stopped.
    pub finished_at: Option<Timestamp>,
    /// How far it has come.
    #[cfg_attr(feature = "server", sqlx(try_from = "String"))]
    pub state: BulkState,
    /// How many images there were at its begin, where that is known.
    pub total: Option<i64>,
    /// How many images were changed.
    pub done: i64,
    /// How many images had nothing to be changed, or were left alone.
    pub unchanged: i64,
    /// How many images could not be changed.
    pub failed: i64,
    /// How often in a row nothing could be done, as Cloudflare was not to be had.
    pub attempts: i32,
    /// The age of the image that was taken last.
    pub after_created_at: Option<Timestamp>,
    /// The image that was taken last.
    pub after_id: Option<ImageId>,
    /// What was taken and is not done yet.
    #[cfg_attr(feature = "server", sqlx(try_from = "String"))]
    pub in_hand: ImagesInHand,
    /// Why it does not get on, or was stopped; empty where all is well.
    pub last_error: String,
    /// Until when somebody works on it, unless they prolong that, or everybody leaves it alone.
    pub claimed_until: Option<Timestamp>,
}

impl BulkRun {
    /// What is done with which images; none where this version cannot know, and must not go on with it.
    pub fn task(&self) -> Option<(&StaffAction, &BulkSelection)> {
        self.action.0.as_ref().zip(self.selection.0.as_ref())
    }

    /// Whether images are still to have their turn.
    pub fn is_open(&self) -> bool {
        matches!(self.state, BulkState::Waiting | BulkState::Running)
    }

    /// How many images have had their turn.
    pub fn settled(&self) -> i64 {
        self.done + self.unchanged + self.failed
    }

    /// The place of the image that was taken last.
    pub fn position(&self) -> Option<BrowsePosition> {
        Some(BrowsePosition { value: self.after_created_at?.as_micros(), id: self.after_id? })
    }
}

/// An image that a run could not do.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct BulkFailure {
    /// The image.
    pub image_id: ImageId,
    /// What people called it: the name of its file, else its id at Cloudflare.
    pub name: String,
    /// Why.
    pub message: String,
}

/// What became of some images of a run.
#[derive(Debug, Clone, Default)]
pub struct BulkStep {
    /// How many images were changed.
    pub done: i64,
    /// How many images had nothing to be changed, or were left alone.
    pub unchanged: i64,
    /// Those that could not be changed.
    pub failures: Vec<BulkFailure>,
    /// Those that are still to have their turn.
    pub in_hand: ImagesInHand,
    /// Why it does not get on; empty where all is well.
    pub last_error: String,
}

impl BulkStep {
    /// How many images have had their turn.
    pub fn settled(&self) -> i64 {
        self.done + self.unchanged + i64::try_from(self.failures.len()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CloudflareId, ImageFilter, ImageStatus, MetadataMatch, UserId};

    #[test]
    fn selections_survive_being_kept() {
        let id = ImageId::random();
        let query = ImageQuery {
            filter: ImageFilter {
                status: Some(ImageStatus::Draft),
                metadata: vec![MetadataMatch {
                    path: vec!["é".to_owned()],
                    is_place_only: true,
                    value: "\"".to_owned(),
                }],
                ids: Some(vec![id]),
                ..ImageFilter::default()
            },
            owner: Some(UserId::Uuid(id.as_uuid())),
            key: Some((id, CloudflareId::new("a/b"))),
            created_before: Some(Timestamp::from_micros(1)),
            ..ImageQuery::default()
        };
        for (query, list) in [(query, "?q=a%20b"), (ImageQuery { owner: Some(7.into()), ..ImageQuery::default() }, "")]
        {
            let selection = BulkSelection { query, list: list.to_owned() };
            let kept = serde_json::to_string(&selection).unwrap();
            let read = Legible::<BulkSelection>::from(kept).0.unwrap();
            assert_eq!(format!("{read:?}"), format!("{selection:?}"));
        }
        let is_legible = |kept: &str| Legible::<BulkSelection>::from(kept.to_owned()).0.is_some();
        assert!(is_legible(r#"{"query": {}, "list": ""}"#), "of an older version");
        for newer in [
            r#"{"query": {"is_starred": true}, "list": ""}"#,
            r#"{"query": {"filter": {"is_starred": true}}, "list": ""}"#,
            r#"{"query": {}, "list": "", "but": []}"#,
        ] {
            assert!(!is_legible(newer), "fewer conditions would hit more images: {newer}");
        }
    }
}
