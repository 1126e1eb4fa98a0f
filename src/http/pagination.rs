//! Pages of lists, by DRF's rules for `PageNumberPagination`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::domain::PageRequest;

const DEFAULT_SIZE: u32 = 20;
const MAX_SIZE: u32 = 100;

/// What Python's `quote_plus` leaves as it is; blanks become `+`.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// There is no such page.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid page.")]
pub struct InvalidPage;

/// The parameters of a query, in their order, repeated ones included.
#[derive(Debug, Clone)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string; what is not UTF-8 is replaced.
    pub fn parse(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        )
    }

    /// The last value of a parameter, as Django's `QueryDict` gives it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The page that is asked for.
    ///
    /// # Errors
    /// If it is no number from 1 or the word `last`, or lies beyond a list of `count` items.
    pub fn page(&self, count: u64) -> Result<PageRequest, InvalidPage> {
        let size = self.get("page_size").and_then(python_int).filter(|size| *size > 0);
        let size = size.map_or(DEFAULT_SIZE, |size| u32::try_from(size).unwrap_or(MAX_SIZE).min(MAX_SIZE));
        let mut page = PageRequest { number: 1, size };
        let last = page.last_page(count);
        page.number = match self.get("page") {
            None | Some("") => 1,
            Some("last") => last,
            Some(text) => python_int(text).and_then(|number| u64::try_from(number).ok()).ok_or(InvalidPage)?,
        };
        if (1..=last).contains(&page.number) { Ok(page) } else { Err(InvalidPage) }
    }

    /// The query string with another page: sorted by name, without `page` for the first.
    fn with_page(&self, number: u64) -> String {
        let mut pairs: Vec<(&str, String)> = self
            .0
            .iter()
            .filter(|(name, _)| name != "page")
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        if number > 1 {
            pairs.push(("page", number.to_string()));
        }
        pairs.sort_by_key(|(name, _)| *name);
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
    }
}

/// The URLs of the pages before and after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLinks {
    /// The page after it.
    pub next: Option<String>,
    /// The page before it.
    pub previous: Option<String>,
}

impl PageLinks {
    /// The links of a page of a list of `count` items at `url`, which has no query.
    pub fn new(url: &str, query: &Query, page: PageRequest, count: u64) -> Self {
        let link = |number| match query.with_page(number) {
            query if query.is_empty() => url.to_owned(),
            query => format!("{url}?{query}"),
        };
        Self {
            next: (page.number < page.last_page(count)).then(|| link(page.number + 1)),
            previous: (page.number > 1).then(|| link(page.number - 1)),
        }
    }
}

/// What Python's `int` reads, within 128 bits: blanks around, a sign, single underscores between digits.
fn python_int(text: &str) -> Option<i128> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let is_well_formed = digits.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let value: i128 = is_well_formed.then(|| digits.replace('_', "").parse().ok()).flatten()?;
    Some(sign * value)
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string().replace("%20", "+")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn links(query: &str, count: u64) -> (Option<String>, Option<String>) {
        let query = Query::parse(Some(query));
        let page = query.page(count).unwrap();
        let links = PageLinks::new("http://h/images/", &query, page, count);
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
        let size = |query| Query::parse(Some(query)).page(0).unwrap().size;
        for (query, want) in [
            ("page_size=5", 5),
            ("page_size=1000", 100),
            ("page_size=0", 20),
            ("page_size=-3", 20),
            ("page_size=x", 20),
            ("page_size=99999999999999999999", 100),
            ("page_size=1_0", 10),
            ("page_size=1&page_size=7", 7),
        ] {
            assert_eq!(size(query), want, "{query}");
        }
    }

    #[test]
    fn pages_that_do_not_exist_are_refused() {
        for query in ["page=5", "page=0", "page=-1", "page=x", "page=1.0", "page=99999999999999999999", "page=_1"] {
            assert_eq!(Query::parse(Some(query)).page(78), Err(InvalidPage), "{query}");
        }
        assert_eq!(Query::parse(Some("page=2")).page(0), Err(InvalidPage));
    }

    proptest! {
        #[test]
        fn no_query_makes_the_reader_panic(query in "\\PC*", count in any::<u64>()) {
            let query = Query::parse(Some(&query));
            if let Ok(page) = query.page(count) {
                PageLinks::new("/", &query, page, count);
            }
        }
    }
}
