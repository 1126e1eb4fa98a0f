//! What the staff do with images in the admin site.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Image, Json, Timestamp, User};

/// What a member of the staff does with an image. As JSON it is the parameters of a run over many images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StaffAction {
    /// Has Cloudflare asked about it.
    CheckStatus,
    /// Marks an upload that has not happened as expired.
    MarkExpired,
    /// Has it delivered by signed URLs alone.
    MakePrivate,
    /// Has it delivered to everybody.
    MakePublic,
    /// Changes what is kept with it.
    Edit(StaffEdit),
    /// Deletes it at Cloudflare and here.
    Delete {
        /// Also where content refers to it.
        force: bool,
    },
}

/// What is changed in an image by hand; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaffEdit {
    /// Cloudflare's `creator`, at most 255 characters; may be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// The name of the file, at most 255 characters; may be empty. Cloudflare is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_filename: Option<String>,
    /// What is kept with the image: an object of at most [`StaffEdit::MAX_METADATA_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataEdit>,
    /// When the image that was looked at had been changed last: one that was changed since is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
}

impl StaffEdit {
    /// The most bytes of metadata that Cloudflare keeps.
    pub const MAX_METADATA_BYTES: usize = 1024;
    /// The most characters of a text.
    pub const MAX_CHARS: usize = 255;
}

/// How metadata are changed: an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MetadataEdit {
    /// It takes the place of all metadata.
    Replace(Json),
    /// Values are laid over what is there.
    Merge {
        /// The values, an object.
        over: Json,
        /// The keys that are left out of what is there.
        #[serde(default)]
        without: Vec<String>,
    },
}

impl MetadataEdit {
    /// What becomes of these metadata.
    #[must_use]
    pub fn applied_to(&self, metadata: &Json) -> Json {
        match self {
            Self::Replace(whole) => whole.clone(),
            Self::Merge { over, without } => metadata.without(without).merged_with(over),
        }
    }
}

impl StaffAction {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::CheckStatus => "check_status",
            Self::MarkExpired => "mark_expired",
            Self::MakePrivate => "make_private",
            Self::MakePublic => "make_public",
            Self::Edit(_) => "edit",
            Self::Delete { .. } => "delete",
        }
    }

    /// What was done, after the name of who did it.
    fn predicate(&self) -> &'static str {
        match self {
            Self::CheckStatus => "had Cloudflare asked for the status",
            Self::MarkExpired => "marked the upload as expired",
            Self::MakePrivate => "made the image private",
            Self::MakePublic => "made the image public",
            Self::Edit(_) => "changed what is kept with the image",
            Self::Delete { .. } => "deleted the image",
        }
    }
}

/// The values that the fields of an image had before a change, and those that they have since.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct FieldChanges(BTreeMap<&'static str, FieldChange>);

#[derive(Debug, Clone, PartialEq, Serialize)]
struct FieldChange {
    from: Json,
    to: Json,
}

impl FieldChanges {
    /// What is different between two states of an image, among what the staff may change.
    pub fn between(before: &Image, after: &Image) -> Self {
        let text = |text: &str| Json::of(text);
        let fields = |image: &Image| {
            [
                ("cloudflare_id", text(image.cloudflare_id.as_str())),
                ("creator", text(&image.creator)),
                ("metadata", image.metadata.clone()),
                ("original_filename", text(&image.original_filename)),
                ("require_signed_urls", Json::of(&image.require_signed_urls)),
                ("status", text(image.status.as_str())),
            ]
        };
        let pairs = fields(before).into_iter().zip(fields(after));
        let changed = pairs.filter(|((_, from), (_, to))| from != to);
        Self(changed.map(|((field, from), (_, to))| (field, FieldChange { from, to })).collect())
    }
}

/// That a member of the staff did something with an image.
#[derive(Debug, Clone)]
pub struct StaffActed<'a> {
    /// Who did it.
    pub staff: &'a User,
    /// What was done.
    pub action: &'a StaffAction,
    /// What is different since.
    pub changes: FieldChanges,
    /// Why nobody knows whether it worked.
    pub doubt: Option<String>,
}

impl StaffActed<'_> {
    /// What happened, as a sentence.
    pub(super) fn message(&self) -> String {
        let (name, predicate) = (&self.staff.username, self.action.predicate());
        match &self.doubt {
            None => format!("{name} {predicate}"),
            Some(doubt) => format!("{name} {predicate}, and whether it worked is not known: {doubt}"),
        }
    }

    /// What is kept of it.
    pub(super) fn data(&self) -> Json {
        #[derive(Serialize)]
        struct Data<'a> {
            action: &'static str,
            user: Actor<'a>,
            #[serde(skip_serializing_if = "is_empty")]
            changes: &'a FieldChanges,
            #[serde(skip_serializing_if = "Option::is_none")]
            doubt: &'a Option<String>,
        }
        #[derive(Serialize)]
        struct Actor<'a> {
            id: String,
            username: &'a str,
        }
        fn is_empty(changes: &FieldChanges) -> bool {
            changes.0.is_empty()
        }
        let user = Actor { id: self.staff.id.to_string(), username: &self.staff.username };
        Json::around(&Data { action: self.action.as_str(), user, changes: &self.changes, doubt: &self.doubt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_survive_as_json() {
        let edit = StaffEdit {
            creator: Some(String::new()),
            metadata: Some(MetadataEdit::Merge {
                over: Json::parse(r#"{"n": 1.50, "é": 12345678901234567890123}"#).unwrap(),
                without: vec!["album".to_owned()],
            }),
            ..StaffEdit::default()
        };
        for action in [
            StaffAction::CheckStatus,
            StaffAction::MakePrivate,
            StaffAction::Delete { force: true },
            StaffAction::Edit(edit),
        ] {
            let json = serde_json::to_string(&action).unwrap();
            assert_eq!(serde_json::from_str::<StaffAction>(&json).unwrap(), action, "{json}");
            assert!(json.contains(&format!(r#""{}""#, action.as_str())), "{json}");
        }
    }
}
