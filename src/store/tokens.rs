//! Rows of `authtoken_token`: one API token a user. Django has the table where `rest_framework.authtoken` is installed.

use sqlx::FromRow;

use super::sql::{Argument, Dialect, Statement, bind_all};
use super::{Database, Error, MissingTableExt, Transaction, is_missing_table, on, read};
use crate::domain::{Account, AccountFilter, PageFrom, Timestamp, UserId};

pub(super) const TABLE: &str = "authtoken_token";

/// A token without its secret part.
#[derive(Debug, FromRow)]
pub struct TokenSummary {
    /// The owner's name.
    pub username: String,
    /// The first eight of forty digits.
    pub key_start: String,
    /// When the token was made.
    pub created: Timestamp,
}

const LIST: &str = r"
    SELECT users.username, substr(authtoken_token.key, 1, 8) AS key_start, authtoken_token.created
    FROM authtoken_token
    JOIN {users} AS users ON users.id = authtoken_token.user_id
    ORDER BY users.username, users.id";

/// All tokens, by the names of their owners.
///
/// # Errors
/// [`Error::NoTokens`] if Django has no tokens.
pub async fn list(database: &Database) -> Result<Vec<TokenSummary>, Error> {
    let statement = database.users().await?.sql(LIST);
    on!(database.reader(), pool => sqlx::query_as::<_, TokenSummary>(statement).fetch_all(pool).await).map_err(explain)
}

/// Which rows an [`Account`] is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accounts {
    /// All users, whether they have a token or not.
    All,
    /// Users with a token.
    WithToken,
    /// All users, where Django has no tokens.
    WithoutTokens,
}

/// Adds the query for accounts up to its conditions.
fn push_accounts(statement: &mut Statement, accounts: Accounts) {
    const USERS: &str = "SELECT users.id, users.username, users.email, users.is_active, users.is_staff, users.is_superuser, \
                         users.date_joined, ";
    const SUMMARY: &str =
        "substr(tokens.key, 1, 8) AS key_start, tokens.created AS token_created FROM {users} AS users";
    const TOKENS: &str = " JOIN authtoken_token AS tokens ON tokens.user_id = users.id WHERE TRUE";
    const ALONE: &str =
        "CAST(NULL AS text) AS key_start, CAST(NULL AS timestamptz) AS token_created FROM {users} AS users WHERE TRUE";
    statement.push(USERS);
    match accounts {
        Accounts::All => statement.push(SUMMARY).push(" LEFT").push(TOKENS),
        Accounts::WithToken => statement.push(SUMMARY).push(TOKENS),
        Accounts::WithoutTokens => statement.push(ALONE),
    };
}

/// At most `limit` users by name, with what may be shown of their tokens. Where Django has no tokens, nobody has one.
///
/// Staff and those who have a token are looked for one by one, as an index leads to the latter.
///
/// # Errors
/// If the database fails.
pub async fn list_accounts(
    database: &Database,
    filter: &AccountFilter,
    from: &PageFrom<(String, UserId)>,
    limit: u32,
) -> Result<Vec<Account>, Error> {
    let page = from.clone().map(|(name, id)| vec![Argument::Text(name), Argument::User(id)]);
    let push_part = |statement: &mut Statement, accounts, only_staff| {
        push_accounts(statement, accounts);
        if only_staff {
            statement.push(" AND users.is_staff");
        }
        if let Some(term) = &filter.term {
            statement.push(" AND ").any_contains(&["users.username", "users.email"], term);
        }
        statement.push_page(&["users.username", "users.id"], false, &page, limit);
    };
    let mut accounts = fetch_accounts(database, |statement, all| {
        if !filter.only_staff_and_owners || all == Accounts::WithoutTokens {
            return push_part(statement, all, filter.only_staff_and_owners);
        }
        statement.push("SELECT * FROM (SELECT * FROM (");
        push_part(statement, all, true);
        statement.push(") AS staff UNION SELECT * FROM (");
        push_part(statement, Accounts::WithToken, false);
        statement.push(") AS owners) AS accounts WHERE TRUE");
        statement.push_page(&["username", "id"], false, &page, limit);
    })
    .await?;
    if from.is_backward() {
        accounts.reverse();
    }
    Ok(accounts)
}

/// The user with a key, and what may be shown of the token.
///
/// # Errors
/// If the database fails.
pub async fn find_account(database: &Database, user: UserId) -> Result<Option<Account>, Error> {
    let found = fetch_accounts(database, |statement, all| {
        push_accounts(statement, all);
        statement.push(" AND users.id = ").bind(Argument::User(user));
    });
    Ok(found.await?.pop())
}

/// The users whom the statement finds that `push` writes, which is told how all are read.
async fn fetch_accounts(database: &Database, push: impl Fn(&mut Statement, Accounts)) -> Result<Vec<Account>, Error> {
    let users = database.users().await?;
    for all in [Accounts::All, Accounts::WithoutTokens] {
        let mut statement = Statement::new(Dialect::of(database), "");
        push(&mut statement, all);
        let Statement { text, arguments, .. } = statement;
        let text = users.sql(&text);
        let found = read!(database, connection => {
            bind_all!(sqlx::query_as::<_, Account>(text), arguments).fetch_all(connection).await
        });
        match found {
            Err(error) if all == Accounts::All && is_missing_table(&error, TABLE) => {}
            found => return Ok(found?),
        }
    }
    Ok(Vec::new())
}

const FIND: &str = "SELECT key FROM authtoken_token WHERE user_id = $1";

/// The token of a user.
///
/// # Errors
/// If the database fails.
pub async fn find(database: &Database, user: UserId) -> Result<Option<String>, Error> {
    on!(database.reader(), pool => {
        let found = sqlx::query_scalar(FIND).bind(user).fetch_optional(pool).await;
        found.none_without_table(TABLE)
    })
}

const FIND_OR_INSERT: &str = r"
    INSERT INTO authtoken_token (key, created, user_id)
    VALUES ($1, $2, $3)
    ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
    RETURNING key";

/// The token of a user: the one there is, else `key`.
///
/// # Errors
/// [`Error::NoTokens`] if Django has no tokens.
pub async fn find_or_insert(
    transaction: &mut Transaction,
    user: UserId,
    key: &str,
    now: Timestamp,
) -> Result<String, Error> {
    on!(transaction.connection(), connection => sqlx::query_scalar(FIND_OR_INSERT)
        .bind(key)
        .bind(now)
        .bind(user)
        .fetch_one(connection)
        .await)
    .map_err(explain)
}

const DELETE: &str = "DELETE FROM authtoken_token WHERE user_id = $1";

/// Deletes the token of a user; whether there was one.
///
/// # Errors
/// [`Error::NoTokens`] if Django has no tokens.
pub async fn delete(transaction: &mut Transaction, user: UserId) -> Result<bool, Error> {
    let rows = on!(transaction.connection(), connection => {
        sqlx::query(DELETE).bind(user).execute(connection).await.map(|done| done.rows_affected())
    })
    .map_err(explain)?;
    Ok(rows > 0)
}

/// A site without tokens is not broken; it lacks something.
fn explain(error: sqlx::Error) -> Error {
    if is_missing_table(&error, TABLE) { Error::NoTokens } else { error.into() }
}
