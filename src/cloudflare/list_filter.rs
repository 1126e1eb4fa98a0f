//! Which images a list holds, and how it is asked for.

use std::fmt::Write;

use super::transport::segment;

/// Which images a list holds, and in which order.
#[derive(Debug, Clone, Default)]
pub struct ImageListFilter {
    /// Only images with this `creator`; the empty text stands for images without one.
    pub creator: Option<String>,
    /// Only images to whose metadata all of these apply. Cloudflare takes 5 at most.
    pub metadata: Vec<MetadataFilter>,
    /// The order.
    pub order: UploadOrder,
    /// How many images a page holds.
    pub per_page: PerPage,
}

/// The order of a list, by the time of upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UploadOrder {
    /// The newest first: Cloudflare's default.
    #[default]
    NewestFirst,
    /// The oldest first, so that what is uploaded meanwhile comes last.
    OldestFirst,
}

/// How many images a page of a list holds: 10 to 1,000. Cloudflare's schema allows 10,000, its description 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerPage(u16);

impl PerPage {
    const MIN: u16 = 10;
    const MAX: u16 = 1000;

    /// The nearest number that Cloudflare allows.
    pub fn nearest(number: u16) -> Self {
        Self(number.clamp(Self::MIN, Self::MAX))
    }

    /// Half as many, where that is allowed.
    pub(super) fn halved(self) -> Option<Self> {
        (self.0 > Self::MIN).then(|| Self::nearest(self.0 / 2))
    }
}

impl Default for PerPage {
    /// 1,000, as at Cloudflare.
    fn default() -> Self {
        Self(Self::MAX)
    }
}

/// A condition on a field of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataFilter {
    field: String,
    test: MetadataTest,
}

/// What a field of the metadata must be like.
#[derive(Debug, Clone, PartialEq)]
pub enum MetadataTest {
    /// It is this text.
    IsText(String),
    /// It is this number.
    IsNumber(serde_json::Number),
    /// It is true or false.
    IsBoolean(bool),
    /// It is larger.
    GreaterThan(serde_json::Number),
    /// It is as large or larger.
    AtLeast(serde_json::Number),
    /// It is smaller.
    LessThan(serde_json::Number),
    /// It is as small or smaller.
    AtMost(serde_json::Number),
    /// It is one of these texts, 10 at most.
    IsOneOfTexts(Vec<String>),
    /// It is one of these numbers, 10 at most.
    IsOneOfNumbers(Vec<serde_json::Number>),
}

/// Why Cloudflare cannot be asked for images with such metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataFilterError {
    /// The path of the field cannot be used.
    #[error(
        "name the field by letters, digits and _, 100 at most, with dots before those within others, 5 levels at most"
    )]
    Field,
    /// The values to choose from cannot be sent.
    #[error("give 1 to 10 values, none with a | in it")]
    Values,
}

impl MetadataFilter {
    const MAX_LEVELS: usize = 5;
    const MAX_NAME_CHARS: usize = 100;
    const MAX_VALUES: usize = 10;

    /// A condition on the field with this path, such as `status` or `region.name`.
    ///
    /// # Errors
    /// If Cloudflare does not take such a path or so many values, or if one of several texts holds a `|`.
    pub fn new(field: &str, test: MetadataTest) -> Result<Self, MetadataFilterError> {
        let is_name = |name: &str| {
            (1..=Self::MAX_NAME_CHARS).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if field.split('.').count() > Self::MAX_LEVELS || !field.split('.').all(is_name) {
            return Err(MetadataFilterError::Field);
        }
        let is_sendable = match &test {
            MetadataTest::IsOneOfTexts(texts) => {
                (1..=Self::MAX_VALUES).contains(&texts.len()) && !texts.iter().any(|text| text.contains('|'))
            }
            MetadataTest::IsOneOfNumbers(numbers) => (1..=Self::MAX_VALUES).contains(&numbers.len()),
            _ => true,
        };
        if !is_sendable {
            return Err(MetadataFilterError::Values);
        }
        Ok(Self { field: field.to_owned(), test })
    }

    fn parameter(&self) -> (String, String) {
        let (operator, value) = match &self.test {
            MetadataTest::IsText(text) => ("eq:string", text.clone()),
            MetadataTest::IsNumber(number) => ("eq:number", number.to_string()),
            MetadataTest::IsBoolean(value) => ("eq:boolean", value.to_string()),
            MetadataTest::GreaterThan(number) => ("gt:number", number.to_string()),
            MetadataTest::AtLeast(number) => ("gte:number", number.to_string()),
            MetadataTest::LessThan(number) => ("lt:number", number.to_string()),
            MetadataTest::AtMost(number) => ("lte:number", number.to_string()),
            MetadataTest::IsOneOfTexts(texts) => ("in:string", texts.join("|")),
            MetadataTest::IsOneOfNumbers(numbers) => {
                ("in:number", numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("|"))
            }
        };
        (format!("meta.{}[{operator}]", self.field), value)
    }
}

impl ImageListFilter {
    /// The query of a list without the place in it.
    pub(super) fn query(&self, per_page: PerPage) -> String {
        let order = match self.order {
            UploadOrder::NewestFirst => "desc",
            UploadOrder::OldestFirst => "asc",
        };
        let mut query = format!("per_page={}&sort_order={order}", per_page.0);
        if let Some(creator) = &self.creator {
            push_parameter(&mut query, "creator", creator);
        }
        for (name, value) in self.metadata.iter().map(MetadataFilter::parameter) {
            push_parameter(&mut query, &name, &value);
        }
        query
    }
}

/// Adds a parameter to a query that has some.
pub(super) fn push_parameter(query: &mut String, name: &str, value: &str) {
    let _ = write!(query, "&{}={}", segment(name), segment(value)); // a String takes everything
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> MetadataTest {
        MetadataTest::IsOneOfTexts(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn a_list_is_asked_for_by_creator_metadata_and_order() {
        let filter = ImageListFilter {
            creator: Some("user 7&x=1".to_owned()),
            metadata: vec![
                MetadataFilter::new("status", MetadataTest::IsText("new+é".to_owned())).unwrap(),
                MetadataFilter::new("region.no", MetadataTest::AtLeast(5.into())).unwrap(),
                MetadataFilter::new("kind", texts(&["a", "b"])).unwrap(),
            ],
            order: UploadOrder::OldestFirst,
            per_page: PerPage::default(),
        };
        assert_eq!(
            filter.query(PerPage::nearest(50)),
            "per_page=50&sort_order=asc&creator=user%207%26x%3D1&meta.status%5Beq%3Astring%5D=new%2B%C3%A9\
             &meta.region.no%5Bgte%3Anumber%5D=5&meta.kind%5Bin%3Astring%5D=a%7Cb"
        );
    }

    #[test]
    fn a_list_without_conditions_asks_for_everything() {
        assert_eq!(ImageListFilter::default().query(PerPage::default()), "per_page=1000&sort_order=desc");
        let nobodys = ImageListFilter { creator: Some(String::new()), ..ImageListFilter::default() };
        assert_eq!(nobodys.query(PerPage::default()), "per_page=1000&sort_order=desc&creator=");
    }

    #[test]
    fn every_test_has_an_operator_of_its_type() {
        let numbers = || vec![1.into(), 2.into()];
        for (test, operator, value) in [
            (MetadataTest::IsNumber(1.into()), "eq:number", "1"),
            (MetadataTest::IsBoolean(true), "eq:boolean", "true"),
            (MetadataTest::GreaterThan(1.into()), "gt:number", "1"),
            (MetadataTest::LessThan(1.into()), "lt:number", "1"),
            (MetadataTest::AtMost((-1).into()), "lte:number", "-1"),
            (MetadataTest::IsOneOfNumbers(numbers()), "in:number", "1|2"),
        ] {
            let filter = MetadataFilter::new("a", test).unwrap();
            assert_eq!(filter.parameter(), (format!("meta.a[{operator}]"), value.to_owned()));
        }
    }

    #[test]
    fn conditions_that_cloudflare_refuses_are_refused_first() {
        let long = "x".repeat(101);
        for field in ["", "a.", ".a", "a b", "a[eq]", "é", &long, "a.b.c.d.e.f"] {
            let filter = MetadataFilter::new(field, MetadataTest::IsBoolean(true));
            assert_eq!(filter, Err(MetadataFilterError::Field), "{field}");
        }
        for test in [texts(&[]), texts(&["a|b"]), texts(&["x"; 11]), MetadataTest::IsOneOfNumbers(vec![1.into(); 11])] {
            assert_eq!(MetadataFilter::new("a", test), Err(MetadataFilterError::Values));
        }
        assert!(MetadataFilter::new("a.b.c.d.e", MetadataTest::IsText("a|b".to_owned())).is_ok());
    }

    #[test]
    fn pages_hold_what_cloudflare_allows() {
        assert_eq!((PerPage::nearest(0), PerPage::nearest(u16::MAX)), (PerPage(10), PerPage(1000)));
        let mut sizes = vec![];
        let mut next = PerPage::default().halved();
        while let Some(size) = next {
            sizes.push(size.0);
            next = size.halved();
        }
        assert_eq!(sizes, [500, 250, 125, 62, 31, 15, 10]);
    }
}
