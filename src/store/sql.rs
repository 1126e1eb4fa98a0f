//! Statements whose text depends on what is asked for.

use crate::domain::{CloudflareId, ImageId, ImageStatus, PageFrom, Timestamp, UserId};

use super::Database;
use super::database::Engine;

/// The engine that a statement is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    pub(super) fn of(database: &Database) -> Self {
        match database.reader() {
            Engine::Postgres(_) => Self::Postgres,
            Engine::Sqlite(_) => Self::Sqlite,
        }
    }
}

/// A value that is bound to a statement.
#[derive(Debug, Clone)]
pub(super) enum Argument {
    Text(String),
    Number(i64),
    Flag(bool),
    Time(Timestamp),
    Status(ImageStatus),
    User(UserId),
    Image(ImageId),
    CloudflareId(CloudflareId),
    Bytes(Vec<u8>),
}

/// Binds all arguments of a [`Statement`] to a query.
macro_rules! bind_all {
    ($query:expr, $arguments:expr) => {{
        let mut query = $query;
        for argument in $arguments {
            query = match argument {
                crate::store::sql::Argument::Text(value) => query.bind(value),
                crate::store::sql::Argument::Number(value) => query.bind(value),
                crate::store::sql::Argument::Flag(value) => query.bind(value),
                crate::store::sql::Argument::Time(value) => query.bind(value),
                crate::store::sql::Argument::Status(value) => query.bind(value),
                crate::store::sql::Argument::User(value) => query.bind(value),
                crate::store::sql::Argument::Image(value) => query.bind(value),
                crate::store::sql::Argument::CloudflareId(value) => query.bind(value),
                crate::store::sql::Argument::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}
pub(super) use bind_all;

/// The longest pattern that SQLite takes. What we search is a hundredth of that, so that a longer one finds nothing.
const MAX_PATTERN_BYTES: usize = 50_000;

/// A statement in the making. Values only ever enter it as arguments; its text is made of constants.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) dialect: Dialect,
    pub(super) text: String,
    pub(super) arguments: Vec<Argument>,
}

impl Statement {
    pub(super) fn new(dialect: Dialect, text: &str) -> Self {
        Self { dialect, text: text.to_owned(), arguments: Vec::new() }
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds the placeholder of an argument.
    pub(super) fn bind(&mut self, argument: Argument) -> &mut Self {
        let place = self.place(argument);
        self.push(&place)
    }

    /// Takes an argument; its placeholder, for any number of places in the text.
    pub(super) fn place(&mut self, argument: Argument) -> String {
        self.arguments.push(argument);
        format!("${}", self.arguments.len())
    }

    /// Adds, behind conditions, where a part of a list begins or ends, its order and its size. What is before a place comes in
    /// reverse.
    pub(super) fn push_page(
        &mut self,
        columns: &[&str],
        descending: bool,
        from: &PageFrom<Vec<Argument>>,
        limit: u32,
    ) -> &mut Self {
        let (sign, direction) = if descending == from.is_backward() { (">", "ASC") } else { ("<", "DESC") };
        if let PageFrom::After(place) | PageFrom::Before(place) = from {
            let values: Vec<_> = place.iter().map(|value| self.place(value.clone())).collect();
            self.push(&format!(" AND ({}) {sign} ({})", columns.join(", "), values.join(", ")));
        }
        let order: Vec<_> = columns.iter().map(|column| format!("{column} {direction}")).collect();
        self.push(" ORDER BY ").push(&order.join(", ")).push(" LIMIT ").bind(Argument::Number(limit.into()))
    }

    /// Adds `IN (...)`; without arguments nothing is in it.
    pub(super) fn bind_in(&mut self, arguments: impl IntoIterator<Item = Argument>) -> &mut Self {
        let mut arguments = arguments.into_iter().peekable();
        if arguments.peek().is_none() {
            // PostgreSQL takes no empty list.
            return self.push(" IN (NULL)");
        }
        self.push(" IN (");
        for (at, argument) in arguments.enumerate() {
            self.push(if at == 0 { "" } else { ", " }).bind(argument);
        }
        self.push(")")
    }

    /// Adds that one of the columns contains a text in any case; on SQLite, only ASCII letters have cases.
    pub(super) fn any_contains(&mut self, columns: &[&str], part: &str) -> &mut Self {
        let pattern = format!("%{}%", part.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_"));
        if pattern.len() > MAX_PATTERN_BYTES {
            return self.push("(1 = 0)");
        }
        self.bind_pattern(columns, pattern)
    }

    fn bind_pattern(&mut self, columns: &[&str], pattern: String) -> &mut Self {
        self.arguments.push(Argument::Text(pattern));
        let place = self.arguments.len();
        let dialect = self.dialect;
        let condition = |column: &&str| match dialect {
            Dialect::Postgres => format!(r"upper({column}) LIKE upper(${place})"),
            Dialect::Sqlite => format!(r"{column} LIKE ${place} ESCAPE '\'"),
        };
        let conditions: Vec<String> = columns.iter().map(condition).collect();
        self.push(&format!("({})", conditions.join(" OR ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_arguments_and_never_part_of_the_text() {
        let mut statement = Statement::new(Dialect::Sqlite, "SELECT 1 WHERE ");
        statement
            .any_contains(&["a", "b"], r"50%_\'")
            .push(" AND c")
            .bind_in([Argument::Flag(true), Argument::Number(2)]);
        assert_eq!(statement.text, r"SELECT 1 WHERE (a LIKE $1 ESCAPE '\' OR b LIKE $1 ESCAPE '\') AND c IN ($2, $3)");
        statement.push(" OR d").bind_in([]);
        assert!(statement.text.ends_with(" OR d IN (NULL)"));
        assert!(matches!(&statement.arguments[0], Argument::Text(text) if text == r"%50\%\_\\'%"));
    }

    #[test]
    fn what_is_too_long_to_be_anywhere_is_not_looked_for() {
        for (length, text) in [(49_998, "(a LIKE $1 ESCAPE '\\')"), (49_999, "(1 = 0)")] {
            let mut statement = Statement::new(Dialect::Sqlite, "");
            assert_eq!(statement.any_contains(&["a"], &"x".repeat(length)).text, text);
        }
    }
}
