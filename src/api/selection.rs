//! Which images a query asks for: filters, metadata, search and order. They hold for lists and for single images alike.

use super::body::Form;
use super::fields::Fields;
use super::{ApiError, FieldErrors, python, search};
use crate::domain::{CloudflareId, ImageFilter, ImageId, ImageOrder, ImageSort, MetadataMatch};
use crate::http::query::Query;

const STATUSES: [&str; 5] = ["pending", "draft", "uploaded", "failed", "expired"];
const METADATA_PREFIX: &str = "metadata__";
/// Django's names of comparisons, which are refused in the place of a key.
const OPERATORS: [&str; 21] = [
    "exact",
    "iexact",
    "contains",
    "icontains",
    "in",
    "gt",
    "gte",
    "lt",
    "lte",
    "startswith",
    "istartswith",
    "endswith",
    "iendswith",
    "range",
    "isnull",
    "regex",
    "iregex",
    "has_key",
    "has_keys",
    "has_any_keys",
    "contained_by",
];
/// Those that Django knows behind a key, where they are no keys.
const KEY_OPERATORS: [&str; 15] = [
    "exact",
    "iexact",
    "icontains",
    "in",
    "gt",
    "gte",
    "lt",
    "lte",
    "startswith",
    "istartswith",
    "endswith",
    "iendswith",
    "isnull",
    "regex",
    "iregex",
];
/// More terms, or places in metadata, are not what people look for.
const MAX_CONDITIONS: usize = 100;

/// The conditions of the toolkit's `get_queryset`.
///
/// # Errors
/// If a place in the metadata is named wrongly.
pub(super) fn filter(query: &Query) -> Result<ImageFilter, ApiError> {
    let mut filter = checked_filter(query);
    filter.metadata = metadata(query)?;
    Ok(filter)
}

/// The same with what is searched for: the conditions of lists and of all that is done with one image by its key.
///
/// # Errors
/// As [`filter`], or if the search is no text.
pub(super) fn filter_with_search(query: &Query) -> Result<ImageFilter, ApiError> {
    let filter = filter(query)?;
    Ok(ImageFilter { terms: search_terms(query)?, ..filter })
}

/// The words of `search`, all of which must be found.
///
/// # Errors
/// If the search holds U+0000, or too many words.
pub(super) fn search_terms(query: &Query) -> Result<Vec<String>, ApiError> {
    let text = query.get("search").unwrap_or_default();
    if text.contains('\0') {
        return Err(ApiError::Messages(vec!["Null characters are not allowed.".to_owned()]));
    }
    let terms = search::terms(text);
    if terms.len() > MAX_CONDITIONS {
        return Err(ApiError::Messages(vec![format!("At most {MAX_CONDITIONS} words can be searched for.")]));
    }
    Ok(terms)
}

/// Narrows conditions down to one image.
pub(super) fn with_id(filter: ImageFilter, id: ImageId) -> ImageFilter {
    ImageFilter { ids: Some(vec![id]), ..filter }
}

/// The same by its key at Cloudflare.
pub(super) fn with_cloudflare_id(filter: ImageFilter, id: CloudflareId) -> ImageFilter {
    ImageFilter { cloudflare_ids: Some(vec![id]), ..filter }
}

/// Whether a parameter is set to one of the toolkit's words for yes, in letters of either case.
pub(super) fn is_on(query: &Query, name: &str) -> bool {
    query.get(name).is_some_and(|word| matches!(word.to_lowercase().as_str(), "1" | "true" | "yes" | "on"))
}

/// What to sort images by.
pub(super) fn order(query: &Query) -> Vec<ImageOrder> {
    let columns = sort_columns(query, |name| match name {
        "created_at" => Some(ImageSort::CreatedAt),
        "uploaded_at" => Some(ImageSort::UploadedAt),
        "expires_at" => Some(ImageSort::ExpiresAt),
        "file_size" => Some(ImageSort::FileSize),
        _ => None,
    });
    columns.into_iter().map(|(by, descending)| ImageOrder { by, descending }).collect()
}

/// The columns of `ordering`, and which of them are descending. Unknown names do not count, nor does a column once more, which
/// could not change the order.
pub(super) fn sort_columns<S: PartialEq>(query: &Query, read: impl Fn(&str) -> Option<S>) -> Vec<(S, bool)> {
    let mut columns = Vec::new();
    for name in query.get("ordering").unwrap_or_default().split(',').map(python::strip) {
        let (descending, name) = name.strip_prefix('-').map_or((false, name), |name| (true, name));
        if let Some(column) = read(name).filter(|column| columns.iter().all(|(known, _)| known != column)) {
            columns.push((column, descending));
        }
    }
    columns
}

/// Where one value is wrong, none of these counts, as in the toolkit.
fn checked_filter(query: &Query) -> ImageFilter {
    let form = Form::from(query.clone());
    let mut fields = Fields::of_form(&form);
    let filter = ImageFilter {
        status: fields.choice("status", &STATUSES).map(Into::into),
        uploaded_after: fields.date_time("uploaded_after"),
        uploaded_before: fields.date_time("uploaded_before"),
        has_variants: fields.boolean("has_variants"),
        require_signed_urls: fields.boolean("require_signed_urls"),
        filename: fields.text("filename", usize::MAX),
        creator: fields.text("creator", usize::MAX),
        orphaned: fields.boolean("orphaned").unwrap_or(false),
        ..ImageFilter::default()
    };
    if fields.are_valid() { filter } else { ImageFilter::default() }
}

fn metadata(query: &Query) -> Result<Vec<MetadataMatch>, ApiError> {
    let mut places = Vec::new();
    for (name, value) in query.last_values() {
        let Some(path) = name.strip_prefix(METADATA_PREFIX) else { continue };
        let refuse = |message: &str| ApiError::Fields(FieldErrors::of_parameter(name, message));
        let path: Vec<String> = path.split("__").map(str::to_owned).collect();
        if path.last().is_some_and(|key| OPERATORS.contains(&key.as_str())) {
            return Err(refuse("Unsupported metadata lookup operator."));
        }
        if path.iter().skip(1).any(|key| KEY_OPERATORS.contains(&key.as_str())) {
            return Err(refuse("Unsupported metadata lookup."));
        }
        if name.contains('\0') || value.contains('\0') {
            return Err(refuse("Null characters are not allowed."));
        }
        if places.len() == MAX_CONDITIONS {
            return Err(refuse("Too many metadata lookups."));
        }
        let place = if let [key] = path.as_slice() { python::int(key) } else { None };
        let path = place.map_or(path, |place| vec![place.to_string()]);
        places.push(MetadataMatch { path, is_place_only: place.is_some(), value: value.to_owned() });
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ImageStatus;

    fn query(text: &str) -> Query {
        Query::parse(text).unwrap()
    }

    #[test]
    fn one_wrong_value_makes_all_filters_void_but_those_of_metadata() {
        let good = filter(&query("status=failed&creator=%20a%20&has_variants=NO&filename=")).unwrap();
        assert_eq!(
            (good.status, good.creator.as_deref(), good.has_variants),
            (Some(ImageStatus::Failed), Some("a"), Some(false))
        );
        assert_eq!(good.filename, None);
        for wrong in ["status=UPLOADED", "uploaded_after=yesterday", "has_variants=null", "filename=%00", "creator=%20"]
        {
            let filter = filter(&query(&format!("{wrong}&status=failed&require_signed_urls=1&metadata__a=1"))).unwrap();
            let void = ImageFilter { metadata: Vec::new(), ..filter.clone() };
            assert!(wrong == "status=UPLOADED" || void.is_everything(), "{wrong}");
            assert_eq!(filter.metadata.len(), 1, "{wrong}");
        }
    }

    #[test]
    fn places_in_metadata_are_split_at_double_underscores() {
        let places = filter(&query("metadata__a__0=x&metadata__k__=y&metadata=z&metadata__=1&metadata__a__0=w"))
            .unwrap()
            .metadata;
        let place = |path: &[&str], value: &str| MetadataMatch {
            path: path.iter().map(|&key| key.to_owned()).collect(),
            is_place_only: false,
            value: value.to_owned(),
        };
        assert_eq!(places, [place(&["a", "0"], "w"), place(&["k", ""], "y"), place(&[""], "1")]);
        let is_place_only = |text| filter(&query(text)).unwrap().metadata[0].is_place_only;
        assert!(
            is_place_only("metadata__-1=x") && is_place_only("metadata__%D9%A3=x") && is_place_only("metadata__1_0=x")
        );
        assert!(!is_place_only("metadata__a__0=x") && !is_place_only("metadata__1.0=x"));
        assert!(filter(&query("metadata__exact__a=1&metadata__a__contains__b=1")).is_ok());
        for wrong in [
            "metadata__a__exact__b=1",
            "metadata__gt=1",
            "metadata__a__icontains=1",
            "metadata__a=%00",
            "metadata__%00=1",
        ] {
            assert!(filter(&query(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn orders_that_are_not_known_do_not_count() {
        let order = |text| order(&query(text)).iter().map(|order| (order.by, order.descending)).collect::<Vec<_>>();
        assert_eq!(
            order("ordering=bogus,-file_size,%20created_at%20"),
            [(ImageSort::FileSize, true), (ImageSort::CreatedAt, false)]
        );
        assert_eq!(order("ordering=--created_at,id,-"), []);
        assert_eq!(order(&format!("ordering={}", "-file_size,file_size,".repeat(3000))), [(ImageSort::FileSize, true)]);
    }

    #[test]
    fn searching_for_a_null_character_is_refused() {
        assert!(search_terms(&query("search=a%00")).is_err());
        assert!(search_terms(&query(&format!("search={}", "a+".repeat(101)))).is_err());
        assert_eq!(search_terms(&query("search=a,b")).unwrap(), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn no_query_makes_the_reader_panic(text in "((status|metadata__|search|ordering|uploaded_after|[a-z%0-9]*)=[a-z%0-9_,-]*&)*") {
            let query = Query::parse(&text).unwrap_or_default();
            let _ = filter_with_search(&query);
            order(&query);
        }
    }
}
