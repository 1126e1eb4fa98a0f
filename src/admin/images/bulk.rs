//! What is to be done with many images: the page that asks, and the beginning of a run.

use std::fmt;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::QUICKER;
use super::selection::Selection;
use crate::admin::error::PageError;
use crate::admin::forms::ReadForm;
use crate::admin::list::{Chip, Choice, choice, refusal};
use crate::admin::page::{Frame, Section, render};
use crate::admin::picture::{Thumbnail, name};
use crate::admin::runs::title;
use crate::admin::text::Grouped;
use crate::admin::{Admin, Staff, StaffForm};
use crate::domain::{
    BulkSelection, Image, ImageFilter, ImageId, ImageQuery, Json, MetadataEdit, StaffAction, StaffEdit, Timestamp,
};
use crate::http::query::Query;

/// How far images are counted.
const MAX_COUNTED: u64 = 10_000;
/// How many of the images are shown.
const PREVIEWS: u32 = 8;

/// What can be done with many images.
pub(super) const ACTIONS: [Choice; 7] = [
    choice("check-status", "Check the status"),
    choice("refresh", "Check pending and drafts"),
    choice("mark-expired", "Mark as expired"),
    choice("make-private", "Make private"),
    choice("make-public", "Make public"),
    choice("edit-metadata", "Edit metadata"),
    choice("delete", "Delete at Cloudflare"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    CheckStatus,
    /// The same for uploads that have not happened yet, and no others.
    Refresh,
    MarkExpired,
    MakePrivate,
    MakePublic,
    EditMetadata,
    Delete,
}

impl Action {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "check-status" => Self::CheckStatus,
            "refresh" => Self::Refresh,
            "mark-expired" => Self::MarkExpired,
            "make-private" => Self::MakePrivate,
            "make-public" => Self::MakePublic,
            "edit-metadata" => Self::EditMetadata,
            "delete" => Self::Delete,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::CheckStatus => "check-status",
            Self::Refresh => "refresh",
            Self::MarkExpired => "mark-expired",
            Self::MakePrivate => "make-private",
            Self::MakePublic => "make-public",
            Self::EditMetadata => "edit-metadata",
            Self::Delete => "delete",
        }
    }

    /// Whether content that uses an image notices.
    fn harms_content(self) -> bool {
        matches!(self, Self::MakePrivate | Self::Delete)
    }

    /// Whether it is about uploads that have not happened yet, and no others.
    fn is_about_unfinished(self) -> bool {
        matches!(self, Self::Refresh | Self::MarkExpired)
    }

    /// What is done with each image.
    fn on_each(self, edit: StaffEdit, also_used: bool) -> StaffAction {
        match self {
            Self::CheckStatus | Self::Refresh => StaffAction::CheckStatus,
            Self::MarkExpired => StaffAction::MarkExpired,
            Self::MakePrivate => StaffAction::MakePrivate,
            Self::MakePublic => StaffAction::MakePublic,
            Self::EditMetadata => StaffAction::Edit(edit),
            Self::Delete => StaffAction::Delete { force: also_used },
        }
    }

    /// What will happen.
    fn effects(self) -> &'static [&'static str] {
        match self {
            Self::CheckStatus => &["Cloudflare is asked about each image, and its answer is recorded."],
            Self::Refresh => {
                &["Cloudflare is asked about each upload that is pending or a draft, and its answer is recorded."]
            }
            Self::MarkExpired => {
                &["Uploads that are pending or drafts are marked as expired here. Cloudflare is not told."]
            }
            Self::MakePrivate => &[
                "The pictures are delivered by signed URLs alone. The public URLs that pages have now show nothing any more.",
                "Cloudflare may give an image another id. Images with an id of your own cannot become private, and are reported.",
            ],
            Self::MakePublic => {
                &["Everybody who knows the URL of a picture can see it.", "Cloudflare may give an image another id."]
            }
            Self::EditMetadata => &[
                "The keys are changed in the metadata of each image, at Cloudflare, too, where its picture is there. Other keys stay as \
                 they are.",
            ],
            Self::Delete => &[
                "The pictures are deleted at Cloudflare, and their records and logs here. That cannot be undone.",
                "An image that a row of the application cannot be without stays, and is reported.",
            ],
        }
    }
}

/// A number of images, which is not known exactly beyond [`MAX_COUNTED`].
#[derive(Debug, Clone, Copy)]
struct Amount(u64);

impl Amount {
    /// The number, without a word for what it counts.
    fn number(self) -> String {
        let shown = i64::try_from(self.0.min(MAX_COUNTED)).unwrap_or(i64::MAX);
        if self.0 > MAX_COUNTED { format!("more than {}", Grouped(shown)) } else { Grouped(shown).to_string() }
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), if self.0 == 1 { "image" } else { "images" })
    }
}

/// What somebody wants to be done with which images, as the forms say it.
#[derive(Debug)]
struct Wanted {
    action: Action,
    /// The images that were chosen one by one; none for all that the filters leave.
    chosen: Option<Vec<ImageId>>,
    selection: Selection,
    /// Images that were made later are left alone: nobody has been told of them.
    until: Timestamp,
    also_used: bool,
    is_understood: bool,
    /// Metadata to be laid over what is there, as it was typed.
    set: String,
    /// Keys of metadata to be left out, a line each.
    remove: String,
}

impl Wanted {
    fn read(form: &ReadForm, now: Timestamp) -> Result<Self, PageError> {
        const NO_ACTION: PageError = PageError::BadRequest("The form names no action. Go back and choose one.");
        const UNREADABLE: PageError =
            PageError::BadRequest("The form cannot be read. Go back, reload the page and try again.");
        let list = Query::parse(form.get("list").trim_start_matches('?')).map_err(|_| UNREADABLE)?;
        let images = form.fields.pairs().filter(|(name, _)| *name == "image");
        let images = images.map(|(_, id)| id.parse()).collect::<Result<Vec<ImageId>, _>>().map_err(|_| UNREADABLE)?;
        let until = form.get("until").parse().map_or(now, Timestamp::from_micros);
        Ok(Self {
            action: Action::read(form.get("action")).ok_or(NO_ACTION)?,
            chosen: (form.get("scope") != "all").then_some(images),
            selection: Selection::read(&list),
            until: until.min(now),
            also_used: form.get("also-used") == "yes",
            is_understood: form.get("understood") == "yes",
            set: form.get("set").to_owned(),
            remove: form.get("remove").to_owned(),
        })
    }

    /// The conditions on the images, used or not; or what is wrong with the filters.
    async fn query(&self, admin: &Admin) -> Result<Result<ImageQuery, Vec<String>>, PageError> {
        let mut query = match &self.chosen {
            Some(ids) => {
                let filter = ImageFilter { ids: Some(ids.clone()), ..ImageFilter::default() };
                ImageQuery { filter, ..ImageQuery::default() }
            }
            None => match self.selection.query(admin).await? {
                Ok(query) => ImageQuery { created_before: Some(self.bound(query.created_before)), ..query },
                Err(problems) => return Ok(Err(problems)),
            },
        };
        query.is_unfinished = self.action.is_about_unfinished();
        Ok(Ok(query))
    }

    /// The time before which images were made, where the filters may name an earlier one.
    fn bound(&self, filter: Option<Timestamp>) -> Timestamp {
        let next = Timestamp::from_micros(self.until.as_micros().saturating_add(1));
        filter.map_or(next, |filter| filter.min(next))
    }

    /// The run, or what has to be put right first.
    async fn run(&self, admin: &Admin) -> Result<Result<(StaffAction, BulkSelection), Vec<String>>, PageError> {
        const NOT_UNDERSTOOD: &str = "Tick that you know what will happen.";
        let mut problems = Vec::new();
        if self.action == Action::Delete && !self.is_understood {
            problems.push(NOT_UNDERSTOOD.to_owned());
        }
        let edit = self.edit().unwrap_or_else(|problem| {
            problems.push(problem);
            StaffEdit::default()
        });
        let query = self.query(admin).await?.unwrap_or_else(|wrong| {
            problems.extend(wrong);
            ImageQuery::default()
        });
        if !problems.is_empty() {
            return Ok(Err(problems));
        }
        let list = if self.chosen.is_some() { String::new() } else { self.selection.first_page() };
        let mut selection = BulkSelection { query, list };
        selection.query.filter.orphaned |= self.action.harms_content() && !self.also_used;
        Ok(Ok((self.action.on_each(edit, self.also_used), selection)))
    }

    /// The change of the metadata, or why there is none.
    fn edit(&self) -> Result<StaffEdit, String> {
        if self.action != Action::EditMetadata {
            return Ok(StaffEdit::default());
        }
        let text = if self.set.trim().is_empty() { "{}" } else { &self.set };
        let over = Json::parse(text).map_err(|error| format!("The keys to set are no JSON: {error}."))?;
        if !over.is_object() {
            return Err("The keys to set are to be an object: {\"album\": \"holidays\"}.".to_owned());
        }
        let lines = self.remove.lines().map(str::trim).filter(|line| !line.is_empty());
        let without: Vec<String> = lines.map(str::to_owned).collect();
        if over.is_empty() && without.is_empty() {
            return Err("Name keys to set or to remove.".to_owned());
        }
        Ok(StaffEdit { metadata: Some(MetadataEdit::Merge { over, without }), ..StaffEdit::default() })
    }
}

#[derive(Template)]
#[template(path = "admin/bulk.html")]
struct BulkPage {
    frame: Frame,
    csrf: String,
    title: String,
    wanted: Wanted,
    problems: Vec<String>,
    /// Whether one of the problems is with the change of the metadata.
    is_edit_wrong: bool,
    amount: Amount,
    /// How many of them content uses, where that matters.
    used: Option<Amount>,
    chips: Vec<Chip>,
    previews: Vec<Preview>,
    has_more: bool,
    /// Whether the images were looked for in time.
    is_found: bool,
}

struct Preview {
    id: String,
    name: String,
    thumbnail: Thumbnail,
}

/// Asks whether something is really to be done.
pub(in crate::admin) async fn ask(
    State(admin): State<Admin>,
    StaffForm { staff, form }: StaffForm,
) -> Result<Response, PageError> {
    let wanted = Wanted::read(&form, admin.service.clock().now())?;
    Ok(render(&page(&admin, &staff, wanted, Vec::new()).await?))
}

/// Whoever comes to the question by its address has not said what it is about.
pub(in crate::admin) async fn ask_nothing(State(admin): State<Admin>, _: Staff) -> Redirect {
    Redirect::to(&admin.path("images/"))
}

/// Begins a run, and shows it.
pub(in crate::admin) async fn start(
    State(admin): State<Admin>,
    StaffForm { staff, form }: StaffForm,
) -> Result<Response, PageError> {
    let wanted = Wanted::read(&form, admin.service.clock().now())?;
    match wanted.run(&admin).await? {
        Ok((action, selection)) => {
            let run = admin.service.start_bulk_run(&action, &selection, &staff.user).await?;
            Ok(Redirect::to(&admin.path(&format!("runs/{run}/"))).into_response())
        }
        Err(problems) => {
            let page = page(&admin, &staff, wanted, problems).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)).into_response())
        }
    }
}

async fn page(admin: &Admin, staff: &Staff, wanted: Wanted, mut problems: Vec<String>) -> Result<BulkPage, PageError> {
    let now = admin.service.clock().now();
    let (mut amount, mut used, mut previews, mut has_more) = (Amount(0), None, Vec::new(), false);
    let mut is_found = true;
    match wanted.query(admin).await? {
        Ok(query) => {
            let counts_used = wanted.action.harms_content();
            match admin.service.preview_bulk_run(&query, counts_used, MAX_COUNTED + 1, PREVIEWS).await {
                Ok(found) => {
                    amount = Amount(found.images);
                    used = Some(Amount(found.used)).filter(|used| !used.is_none());
                    has_more = found.images > u64::from(PREVIEWS);
                    let preview = |image: &Image| Preview {
                        id: image.id.to_string(),
                        name: name(image, 60),
                        thumbnail: Thumbnail::new(&admin.links, image, now),
                    };
                    previews = found.newest.iter().map(preview).collect();
                }
                Err(error) => {
                    is_found = false;
                    problems.extend(refusal(error, QUICKER)?);
                }
            }
        }
        Err(wrong) if problems.is_empty() => problems = wrong,
        Err(_) => {}
    }
    let on_each = wanted.action.on_each(StaffEdit::default(), wanted.also_used);
    Ok(BulkPage {
        is_edit_wrong: !problems.is_empty() && wanted.edit().is_err(),
        frame: Frame::new(admin, staff, Section::Images),
        csrf: staff.csrf.to_string(),
        title: title(&on_each, &if is_found { amount.to_string() } else { "images".to_owned() }),
        chips: if wanted.chosen.is_some() { Vec::new() } else { wanted.selection.chips() },
        wanted,
        problems,
        amount,
        used,
        previews,
        has_more,
        is_found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_an_action() {
        for choice in ACTIONS {
            assert_eq!(Action::read(choice.value).unwrap().word(), choice.value);
        }
    }

    #[test]
    fn amounts_are_exact_up_to_a_bound() {
        for (count, text) in
            [(0, "0 images"), (1, "1 image"), (10_000, "10,000 images"), (10_001, "more than 10,000 images")]
        {
            assert_eq!(Amount(count).to_string(), text);
        }
    }
}
