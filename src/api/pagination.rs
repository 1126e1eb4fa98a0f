//! Pages of lists, by DRF's rules for `PageNumberPagination` and, for clients of older releases, `LimitOffsetPagination`.

use super::python;
use crate::domain::PageRequest;
use crate::http::query::Query;

const DEFAULT_SIZE: u32 = 20;
const MAX_SIZE: u32 = 100;

/// There is no such page.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid page.")]
pub struct InvalidPage;

/// Which part of a list a request asks for, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pagination {
    /// `page` and `page_size`: pages from 1.
    Page { number: u64, size: u32 },
    /// `limit` and `offset`.
    Window { offset: u64, limit: u32 },
}

impl Pagination {
    /// Reads what is asked for of a list of `count` items.
    ///
    /// # Errors
    /// If the page is no number from 1 or the word `last`, or lies beyond the list.
    pub(super) fn of(query: &Query, count: u64) -> Result<Self, InvalidPage> {
        let has = |name| query.get(name).is_some();
        if (has("limit") || has("offset")) && !has("page") && !has("page_size") {
            let offset = query.get("offset").and_then(python::int).and_then(|offset| u64::try_from(offset).ok());
            return Ok(Self::Window { offset: offset.unwrap_or(0), limit: size(query, "limit") });
        }
        let size = size(query, "page_size");
        let last = last_page(count, size);
        let number = match query.get("page") {
            None | Some("") => 1,
            Some("last") => last,
            Some(text) => python::int(text).and_then(|number| u64::try_from(number).ok()).ok_or(InvalidPage)?,
        };
        if (1..=last).contains(&number) { Ok(Self::Page { number, size }) } else { Err(InvalidPage) }
    }

    /// The same for the database.
    pub(super) fn request(self) -> PageRequest {
        match self {
            Self::Page { number, size } => {
                PageRequest { offset: number.saturating_sub(1).saturating_mul(size.into()), size }
            }
            Self::Window { offset, limit } => PageRequest { offset, size: limit },
        }
    }

    /// The links of this part of a list of `count` items at `url`, which has no query.
    pub(super) fn links(self, url: &str, query: &Query, count: u64) -> PageLinks {
        let link = |changes: &[(&str, Option<u64>)]| match query.with(changes) {
            query if query.is_empty() => url.to_owned(),
            query => format!("{url}?{query}"),
        };
        match self {
            Self::Page { number, size } => {
                let page = |number| link(&[("page", Some(number).filter(|number| *number > 1))]);
                PageLinks {
                    next: (number < last_page(count, size)).then(|| page(number + 1)),
                    previous: (number > 1).then(|| page(number - 1)),
                }
            }
            Self::Window { offset, limit } => {
                let limit = u64::from(limit);
                let window = |offset: u64| {
                    link(&[("limit", Some(limit)), ("offset", Some(offset).filter(|offset| *offset > 0))])
                };
                PageLinks {
                    next: (offset.saturating_add(limit) < count).then(|| window(offset + limit)),
                    previous: (offset > 0).then(|| window(offset.saturating_sub(limit))),
                }
            }
        }
    }
}

/// The URLs of the pages before and after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageLinks {
    /// The page after it.
    pub(super) next: Option<String>,
    /// The page before it.
    pub(super) previous: Option<String>,
}

fn size(query: &Query, parameter: &str) -> u32 {
    let size = query.get(parameter).and_then(python::int).filter(|size| *size > 0);
    size.map_or(DEFAULT_SIZE, |size| u32::try_from(size).unwrap_or(MAX_SIZE).min(MAX_SIZE))
}

/// The number of the last page of a list of `count` items; an empty list has one empty page.
fn last_page(count: u64, size: u32) -> u64 {
    count.div_ceil(size.into()).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(query: &str, count: u64) -> Result<Pagination, InvalidPage> {
        Pagination::of(&Query::parse(query).unwrap(), count)
    }

    fn links(query: &str, count: u64) -> (Option<String>, Option<String>) {
        let links = page(query, count).unwrap().links("http://h/images/", &Query::parse(query).unwrap(), count);
        (links.next, links.previous)
    }

    #[test]
    fn links_sort_the_parameters_keep_repeated_ones_and_leave_out_the_first_page() {
        let next = |query| links(query, 78).0.unwrap();
        assert_eq!(next("z=1&page_size=2&a=2&z=3"), "http://h/images/?a=2&page=2&page_size=2&z=1&z=3");
        assert_eq!(next("ordering=%20created_at%20"), "http://h/images/?ordering=+created_at+&page=2");
        assert_eq!(next("creator=T%C3%89NANT"), "http://h/images/?creator=T%C3%89NANT&page=2");
        assert_eq!(next("page_size="), "http://h/images/?page=2&page_size=");
        assert_eq!(
            links("page=%202%20", 78),
            (Some("http://h/images/?page=3".to_owned()), Some("http://h/images/".to_owned()))
        );
        assert_eq!(links("page=last", 78), (None, Some("http://h/images/?page=3".to_owned())));
        assert_eq!(links("", 0), (None, None));
    }

    #[test]
    fn sizes_are_capped_and_senseless_ones_ignored() {
        for (query, want) in [
            ("page_size=5", 5),
            ("page_size=1000", 100),
            ("page_size=0", 20),
            ("page_size=-3", 20),
            ("page_size=x", 20),
            ("page_size=99999999999999999999", 100),
            ("page_size=1_0", 10),
            ("page_size=1&page_size=7", 7),
            ("limit=7", 7),
            ("limit=0", 20),
            ("limit=1000&offset=3", 100),
            ("offset=x", 20),
        ] {
            assert_eq!(page(query, 0).unwrap().request().size, want, "{query}");
        }
    }

    #[test]
    fn pages_that_do_not_exist_are_refused() {
        for query in ["page=5", "page=0", "page=-1", "page=x", "page=1.0", "page=99999999999999999999", "page=_1"] {
            assert_eq!(page(query, 78), Err(InvalidPage), "{query}");
        }
        assert_eq!(page("page=2", 0), Err(InvalidPage));
        assert_eq!(page("page=٢", 78), Ok(Pagination::Page { number: 2, size: 20 }));
    }

    #[test]
    fn windows_have_links_of_their_own() {
        assert_eq!(
            links("limit=10&offset=20&a=1", 78),
            (
                Some("http://h/images/?a=1&limit=10&offset=30".to_owned()),
                Some("http://h/images/?a=1&limit=10&offset=10".to_owned())
            )
        );
        assert_eq!(links("limit=10&offset=5", 12), (None, Some("http://h/images/?limit=10".to_owned())));
        assert_eq!(links("offset=100", 12), (None, Some("http://h/images/?limit=20&offset=80".to_owned())));
        assert!(matches!(page("limit=5&page=1", 78), Ok(Pagination::Page { .. })));
    }

    proptest! {
        #[test]
        fn no_query_makes_the_reader_panic(query in "[a-z_=&0-9%-]*", count in any::<u64>()) {
            let query = Query::parse(&query).unwrap_or_default();
            if let Ok(page) = Pagination::of(&query, count) {
                page.request();
                page.links("/", &query, count);
            }
        }
    }
}
