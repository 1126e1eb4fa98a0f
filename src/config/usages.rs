//! Where the application's own tables name images.

use std::fmt;

use super::parse;
use super::settings::CFIMAGES_USAGE_SOURCES;
use super::values::Values;
use crate::domain::UsageSource;

/// Where the application's own tables name images.
#[derive(Debug, Clone)]
pub struct UsagesConfig {
    /// The columns whose usages `reconcile-usage` rebuilds.
    pub sources: Vec<UsageSource>,
}

impl UsagesConfig {
    pub(super) fn read(values: &mut Values) -> Self {
        let sources = values.read(&CFIMAGES_USAGE_SOURCES, Sources::parse);
        Self { sources: sources.map_or_else(Vec::new, |sources| sources.0) }
    }
}

struct Sources(Vec<UsageSource>);

impl Sources {
    fn parse(text: &str) -> Result<Self, String> {
        let source = |text: &str| text.parse().map_err(|rule| format!("{text:?} {rule}"));
        parse::list(text).map(source).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(UsageSource::to_string).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_one_after_the_other_and_the_wrong_one_is_named() {
        let sources = Sources::parse("a:id:hero:x.Y , s.b:id:cover_id:x.z:front,").unwrap();
        assert_eq!(sources.to_string(), "a:id:hero:x.y, s.b:id:cover_id:x.z:front");
        assert!(Sources::parse("a:id:hero:x.y,b:id").err().unwrap().starts_with("\"b:id\" must be TABLE:"));
    }
}
