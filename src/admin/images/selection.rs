//! What a URL of the list says: search, filters, order and place. All of it is in the URL, so that it can be kept and passed on.

use chrono::NaiveDate;

use crate::admin::Admin;
use crate::admin::error::PageError;
use crate::admin::list::{Address, Chip, Choice, Reader, choice, push};
use crate::admin::text::visible;
use crate::domain::{
    BrowseBy, BrowseFrom, BrowseOrder, BrowsePosition, CloudflareId, ImageFilter, ImageId, ImageQuery, ImageStatus,
};
use crate::http::query::Query;
use crate::service::OwnerProblem;

/// The parameters that make a selection, in the order of the URL.
const PARAMETERS: [&str; 17] = [
    "q", "status", "privacy", "usage", "owner", "creator", "variants", "from", "to", "up-from", "up-to", "end-from",
    "end-to", "min", "max", "sort", "per",
];
/// Those that are neither order nor size of a page.
const FILTERS: usize = 15;
/// Those of the filters that are always shown.
const BASIC_FILTERS: usize = 4;
/// The most words of a search; each costs another look at every image.
const MAX_WORDS: usize = 8;
/// The most kilobytes that make sense, far beyond what Cloudflare takes.
const MAX_KILOBYTES: i64 = 2_000_000;
/// The sizes that a page may have.
pub(super) const SIZES: [&str; 4] = ["25", "50", "100", "200"];
const DEFAULT_SIZE: &str = "50";
const DEFAULT_SORT: &str = "newest";

pub(super) const STATUSES: [Choice; 5] = [
    choice("uploaded", "Uploaded"),
    choice("pending", "Pending"),
    choice("draft", "Draft"),
    choice("failed", "Failed"),
    choice("expired", "Expired"),
];
pub(super) const PRIVACIES: [Choice; 2] = [choice("public", "Public"), choice("private", "Private")];
pub(super) const USAGES: [Choice; 2] = [choice("used", "Used by content"), choice("orphaned", "Not used")];
pub(super) const VARIANTS: [Choice; 2] = [choice("yes", "Listed"), choice("no", "None")];
/// Filters that are days.
pub(super) const DAYS: [&str; 6] = ["from", "to", "up-from", "up-to", "end-from", "end-to"];
pub(super) const SORTS: [Choice; 6] = [
    choice("newest", "Newest first"),
    choice("oldest", "Oldest first"),
    choice("uploaded", "Last uploaded first"),
    choice("uploaded-first", "First uploaded first"),
    choice("largest", "Largest first"),
    choice("smallest", "Smallest first"),
];

/// What is selected, as the URL says it.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    pub(super) address: Address,
}

impl Selection {
    pub(super) fn read(query: &Query) -> Self {
        Self { address: Address::read(query, PARAMETERS) }
    }

    /// The value of a parameter; empty where it is not set.
    pub(super) fn get(&self, name: &str) -> &str {
        self.address.get(name)
    }

    pub(super) fn is_filtered(&self) -> bool {
        self.filters().next().is_some()
    }

    /// Whether one of the filters is set that are not always shown.
    pub(super) fn has_more_filters(&self) -> bool {
        PARAMETERS[BASIC_FILTERS..FILTERS].iter().any(|name| !self.get(name).is_empty())
    }

    fn filters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.address.parameters().filter(|(name, _)| PARAMETERS[..FILTERS].contains(name))
    }

    /// The filters that are set.
    pub(super) fn chips(&self) -> Vec<Chip> {
        let chip = |(name, value): (&'static str, &str)| Chip {
            label: label(name),
            value: shown(name, value),
            without: self.address.link(|other| other != name),
        };
        self.filters().map(chip).collect()
    }

    /// The same list of what was made in these days; of all days where there are none.
    pub(super) fn of_days(&self, days: Option<(NaiveDate, NaiveDate)>) -> String {
        let mut link = self.address.link(|name| !matches!(name, "from" | "to"));
        if let Some((from, to)) = days {
            push(&mut link, "from", &from.to_string());
            push(&mut link, "to", &to.to_string());
        }
        link
    }

    /// The list without any filter, in the same order.
    pub(super) fn without_filters(&self) -> String {
        self.address.link(|name| !PARAMETERS[..FILTERS].contains(&name))
    }

    /// The first page of the same list.
    pub(super) fn first_page(&self) -> String {
        self.address.first_page()
    }

    /// The same list in another view.
    pub(super) fn in_view(&self, view: &str) -> String {
        self.address.link_with("view", view)
    }

    pub(super) fn page_after(&self, place: BrowsePosition) -> String {
        self.address.page_after(place_kind(self.order().by), &place)
    }

    pub(super) fn page_before(&self, place: BrowsePosition) -> String {
        self.address.page_before(place_kind(self.order().by), &place)
    }

    /// The size of a page as the form has it.
    pub(super) fn size(&self) -> &'static str {
        let wanted = self.get("per");
        SIZES.into_iter().find(|size| *size == wanted).unwrap_or(DEFAULT_SIZE)
    }

    /// The order as the form has it.
    pub(super) fn sort(&self) -> &'static str {
        let wanted = self.get("sort");
        SORTS.iter().map(|choice| choice.value).find(|value| *value == wanted).unwrap_or(DEFAULT_SORT)
    }

    pub(super) fn per_page(&self) -> u32 {
        self.size().parse().unwrap_or(50)
    }

    pub(super) fn order(&self) -> BrowseOrder {
        let (by, descending) = match self.sort() {
            "oldest" => (BrowseBy::CreatedAt, false),
            "uploaded" => (BrowseBy::UploadedAt, true),
            "uploaded-first" => (BrowseBy::UploadedAt, false),
            "largest" => (BrowseBy::FileSize, true),
            "smallest" => (BrowseBy::FileSize, false),
            _ => (BrowseBy::CreatedAt, true),
        };
        BrowseOrder { by, descending }
    }

    /// Where the page begins.
    pub(super) fn from(&self) -> Result<BrowseFrom, PageError> {
        self.address.from(place_kind(self.order().by))
    }

    /// The conditions, or what is wrong with the filters.
    pub(super) async fn query(&self, admin: &Admin) -> Result<Result<ImageQuery, Vec<String>>, PageError> {
        let mut query = match self.conditions() {
            Ok(query) => query,
            Err(problems) => return Ok(Err(problems)),
        };
        let owner = self.get("owner");
        if !owner.is_empty() {
            let name = visible(owner);
            match admin.service.find_owner(owner).await? {
                Ok(id) => query.owner = Some(id),
                Err(OwnerProblem::Unknown) => return Ok(Err(vec![format!("There is no user {name}.")])),
                Err(OwnerProblem::Ambiguous) => return Ok(Err(vec![format!("Several users have the name {name}.")])),
            }
        }
        Ok(Ok(query))
    }

    fn conditions(&self) -> Result<ImageQuery, Vec<String>> {
        let mut reader = Reader::new(&self.address, PARAMETERS[..FILTERS].iter().copied(), label);
        let search = self.get("q");
        // Names of files are sometimes hashes, which read like a key without its hyphens.
        let key =
            search.parse::<ImageId>().ok().filter(|_| search.contains('-')).map(|id| (id, CloudflareId::new(search)));
        let terms = if key.is_some() { Vec::new() } else { words(&mut reader, search) };
        let filter = ImageFilter {
            status: reader.one_of("status", &STATUSES).map(|word| ImageStatus::from(word.to_owned())),
            require_signed_urls: reader.one_of("privacy", &PRIVACIES).map(|word| word == "private"),
            creator: reader.text("creator"),
            has_variants: reader.one_of("variants", &VARIANTS).map(|word| word == "yes"),
            orphaned: reader.one_of("usage", &USAGES) == Some("orphaned"),
            terms,
            ..ImageFilter::default()
        };
        let query = ImageQuery {
            filter,
            key,
            owner: None,
            is_used: self.get("usage") == "used",
            is_unfinished: false,
            created_from: reader.day("from"),
            created_before: reader.end_of_day("to"),
            uploaded_from: reader.day("up-from"),
            uploaded_before: reader.end_of_day("up-to"),
            expires_from: reader.day("end-from"),
            expires_before: reader.end_of_day("end-to"),
            min_bytes: kilobytes(&mut reader, "min"),
            max_bytes: kilobytes(&mut reader, "max"),
        };
        reader.finish(query)
    }
}

fn words(reader: &mut Reader<'_>, search: &str) -> Vec<String> {
    let words: Vec<_> = search.split_whitespace().map(str::to_owned).collect();
    if words.len() > MAX_WORDS {
        reader.refuse("q", "has too many words");
    }
    words
}

fn kilobytes(reader: &mut Reader<'_>, name: &str) -> Option<i64> {
    reader.read(name, "must be a number of kilobytes", |value| {
        let kilobytes = value.parse::<i64>().ok().filter(|kilobytes| (0..=MAX_KILOBYTES).contains(kilobytes));
        kilobytes.map(|kilobytes| kilobytes * 1000)
    })
}

/// What tells places of an order from those of others.
fn place_kind(by: BrowseBy) -> &'static str {
    match by {
        BrowseBy::CreatedAt => "created",
        BrowseBy::UploadedAt => "uploaded",
        BrowseBy::FileSize => "size",
    }
}

/// What a parameter is called.
pub(super) fn label(name: &str) -> &'static str {
    match name {
        "q" => "Search",
        "status" => "Status",
        "privacy" => "Privacy",
        "usage" => "Usage",
        "owner" => "Owner",
        "creator" => "Creator",
        "variants" => "Variants",
        "from" => "Created from",
        "to" => "Created to",
        "up-from" => "Uploaded from",
        "up-to" => "Uploaded to",
        "end-from" => "Expires from",
        "end-to" => "Expires to",
        "min" => "At least",
        "max" => "At most",
        _ => "",
    }
}

/// The value of a filter as people read it.
fn shown(name: &str, value: &str) -> String {
    let all = STATUSES.iter().chain(&PRIVACIES).chain(&USAGES).chain(&VARIANTS);
    let known = all
        .into_iter()
        .find(|choice| choice.value == value && matches!(name, "status" | "privacy" | "usage" | "variants"));
    match (known, name) {
        (Some(choice), _) => choice.label.to_owned(),
        (None, "min" | "max") => format!("{} kB", visible(value)),
        (None, _) => visible(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(query: &str) -> Selection {
        Selection::read(&Query::parse(query).unwrap())
    }

    #[test]
    fn what_the_url_says_is_kept_in_links_and_what_says_nothing_is_not() {
        let selection = selection("q=caf%C3%A9+%26&status=failed&owner=&view=table&x=y&sort=largest&after=abc");
        assert_eq!(selection.address.link(|_| true), "?q=caf%C3%A9%20%26&status=failed&sort=largest");
        assert_eq!(selection.without_filters(), "?sort=largest");
        assert_eq!(
            selection.in_view("gallery"),
            "?q=caf%C3%A9%20%26&status=failed&sort=largest&after=abc&view=gallery"
        );
        let chips: Vec<_> = selection.chips().into_iter().map(|chip| (chip.label, chip.value, chip.without)).collect();
        assert_eq!(
            chips,
            [
                ("Search", "café &".to_owned(), "?status=failed&sort=largest".to_owned()),
                ("Status", "Failed".to_owned(), "?q=caf%C3%A9%20%26&sort=largest".to_owned())
            ]
        );
    }

    #[test]
    fn filters_become_conditions() {
        let query = selection("status=draft&privacy=private&usage=used&from=2026-03-24&to=2026-03-24&min=1&max=2")
            .conditions()
            .unwrap();
        assert_eq!((query.filter.status, query.filter.require_signed_urls), (Some(ImageStatus::Draft), Some(true)));
        assert_eq!((query.min_bytes, query.max_bytes, query.is_used), (Some(1000), Some(2000), true));
        assert_eq!(query.created_from.unwrap().to_string(), "2026-03-24T00:00:00Z");
        assert_eq!(query.created_before.unwrap().to_string(), "2026-03-25T00:00:00Z");
        let by_key = selection("q=0d5dd4e6-e2f4-4f7f-8f7a-9b2a6e0e3c11").conditions().unwrap();
        assert!(by_key.key.is_some() && by_key.filter.terms.is_empty());
        assert_eq!(selection("q=two+words").conditions().unwrap().filter.terms, ["two", "words"]);
        assert!(selection("").conditions().unwrap().depends_on_counts_only());
        assert!(!by_key.depends_on_counts_only());
    }

    #[test]
    fn filters_that_make_no_sense_are_named() {
        for (query, problem) in [
            ("status=lost", "Status"),
            ("privacy=x", "Privacy"),
            ("usage=x", "Usage"),
            ("from=24.3.2026", "Created from"),
            ("to=9999-12-31", "Created to"),
            ("to=0000-12-31", "Created to"),
            ("min=-1", "At least"),
            ("max=99999999999999999999", "At most"),
            ("q=a+b+c+d+e+f+g+h+i", "Search"),
            ("creator=%00", "Creator"),
            (&format!("q={}", "x".repeat(256)), "Search"),
        ] {
            let problems = selection(query).conditions().unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains(problem), "{query}: {problems:?}");
        }
    }

    #[test]
    fn unknown_orders_and_sizes_are_the_usual_ones() {
        let odd = selection("sort=x&per=7");
        assert_eq!((odd.sort(), odd.per_page(), odd.order()), ("newest", 50, BrowseOrder::NEWEST_FIRST));
        assert!(selection("after=x").from().is_err());
    }
}
