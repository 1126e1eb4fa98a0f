//! Names of tables that people write down.

use std::fmt;
use std::str::FromStr;

/// The name of a table, alone or after that of its schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    schema: Option<String>,
    table: String,
}

/// A text is not the name of a table.
#[derive(Debug, thiserror::Error)]
#[error("must be a table or schema.table; names with dots or quotes are written in double quotes")]
pub struct ParseTableNameError;

impl TableName {
    /// The schema, where one is named.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The name without that of the schema.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The name as statements have it, with every part in quotes.
    pub fn to_sql(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote_identifier(schema), quote_identifier(&self.table)),
            None => quote_identifier(&self.table),
        }
    }
}

/// A name of a table, column or schema as statements have it: in double quotes, those within it doubled.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Parts that are not plain are in quotes, so that the text can be read again.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", Part(schema))?;
        }
        write!(f, "{}", Part(&self.table))
    }
}

struct Part<'a>(&'a str);

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = !self.0.contains(['.', '"']) && self.0.trim() == self.0;
        if is_plain { f.write_str(self.0) } else { f.write_str(&quote_identifier(self.0)) }
    }
}

impl FromStr for TableName {
    type Err = ParseTableNameError;

    fn from_str(text: &str) -> Result<Self, ParseTableNameError> {
        let (first, rest) = read_part(text)?;
        let (schema, table, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (second, rest) = read_part(rest)?;
                (Some(first), second, rest)
            }
            None => (None, first, rest),
        };
        if rest.is_empty() { Ok(Self { schema, table }) } else { Err(ParseTableNameError) }
    }
}

/// The part at the start of a text, without its quotes, and what follows it.
fn read_part(text: &str) -> Result<(String, &str), ParseTableNameError> {
    let (name, rest) = if let Some(quoted) = text.strip_prefix('"') {
        read_quoted(quoted).ok_or(ParseTableNameError)?
    } else {
        let (name, rest) = text.split_at(text.find(['.', '"']).unwrap_or(text.len()));
        (name.to_owned(), rest)
    };
    if name.is_empty() || name.contains(char::is_control) { Err(ParseTableNameError) } else { Ok((name, rest)) }
}

/// The name up to the closing quote, and what follows that.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_quoted_in_statements() {
        for (text, sql) in [
            ("auth_user", r#""auth_user""#),
            ("Shop Users", r#""Shop Users""#),
            ("crm.person", r#""crm"."person""#),
            (r#""crm"."person""#, r#""crm"."person""#),
            (r#""a.b".c"#, r#""a.b"."c""#),
            (r#""say ""hi""; --""#, r#""say ""hi""; --""#),
        ] {
            assert_eq!(text.parse::<TableName>().unwrap().to_sql(), sql);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", ".", "a.", ".b", "a.b.c", r#"a"b"#, r#""a"#, r#""a"b"#, r#""""#, "a\0b", "a\nb"] {
            assert!(text.parse::<TableName>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_that_can_be_shown_and_read_again_or_none(text in ".*") {
            if let Ok(name) = text.parse::<TableName>() {
                prop_assert_eq!(&name.to_string().parse::<TableName>().unwrap(), &name);
            }
        }

        #[test]
        fn any_names_in_quotes_are_read_as_they_are(schema in "[^\\p{C}]+", table in "[^\\p{C}]+") {
            let name: TableName = format!("{}.{}", quote_identifier(&schema), quote_identifier(&table)).parse().unwrap();
            prop_assert_eq!((name.schema(), name.table()), (Some(schema.as_str()), table.as_str()));
        }
    }
}
