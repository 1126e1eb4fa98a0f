//! Users and their API tokens, for superusers.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tracing::info;

use super::error::PageError;
use super::list::{Asked, Choice, Filter, LINES, Selection, Shown, choice, refusal};
use super::page::{Frame, Notice, Section, render};
use super::text::{Moment, shortened, visible};
use super::{Admin, Staff, Superuser, SuperuserForm};
use crate::domain::{Account, AccountFilter, Timestamp};
use crate::service::AccountError;
use crate::store;

const WHO: [Choice; 1] = [choice("all", "Everybody")];
const FILTERS: [Filter; 2] =
    [Filter { name: "q", label: "Search", choices: &[] }, Filter { name: "who", label: "Who", choices: &WHO }];

#[derive(Template)]
#[template(path = "admin/users.html")]
struct UsersPage {
    frame: Frame,
    selection: Selection,
    list: Shown<Line>,
}

/// A user, as lists and pages show one.
struct Line {
    id: String,
    name: String,
    email: String,
    /// What the user may do.
    roles: Vec<&'static str>,
    is_active: bool,
    joined: Option<Moment>,
    token: Option<Token>,
}

/// An API token, without its secret part.
struct Token {
    masked: String,
    created: Option<Moment>,
}

#[derive(Template)]
#[template(path = "admin/user.html")]
struct UserPage {
    frame: Frame,
    csrf: String,
    notice: Option<Notice>,
    line: Line,
    /// The name as an address has it.
    owner: String,
    /// The whole token, where it was asked for.
    revealed: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/token_question.html")]
struct QuestionPage {
    frame: Frame,
    csrf: String,
    line: Line,
    title: &'static str,
    text: &'static str,
    action: &'static str,
    button: &'static str,
}

/// Lists users by name: staff and those who have a token, or everybody.
pub(super) async fn list(
    State(admin): State<Admin>,
    Superuser(staff): Superuser,
    Asked(query): Asked,
) -> Result<Response, PageError> {
    let selection = Selection::read(&query, "users", &FILTERS);
    let list = match conditions(&selection) {
        Ok(filter) => {
            let now = admin.service.clock().now();
            match admin.service.search_accounts(&filter, selection.from()?, LINES).await {
                Ok(part) => selection.show(&part, ("user", "users"), |account| line(account, now)),
                Err(error) => Shown::refused(refusal(error, "Look at everybody, without a search.")?),
            }
        }
        Err(problems) => Shown::refused(problems),
    };
    Ok(render(&UsersPage { frame: Frame::new(&admin, &staff, Section::Users), selection, list }))
}

fn conditions(selection: &Selection) -> Result<AccountFilter, Vec<String>> {
    let mut reader = selection.reader();
    let only_staff_and_owners = reader.one_of("who", &WHO).is_none();
    let term = reader.text("q");
    reader.finish(AccountFilter { only_staff_and_owners, term })
}

/// Shows a user.
pub(super) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Superuser(staff): Superuser,
    Asked(query): Asked,
) -> Result<Response, PageError> {
    let notice = match query.get("done") {
        Some("created") => Some(Notice::good("The user has a token now. Show it to pass it on.")),
        Some("rotated") => {
            Some(Notice::good("There is a new token, and the one before has ended. Show it to pass it on."))
        }
        Some("had") => Some(Notice::bad("The user had a token already, and keeps it. Rotate it to replace it.")),
        Some("revoked") => Some(Notice::good("The token has ended.")),
        _ => None,
    };
    let account = find(&admin, &id).await?;
    Ok(page(&admin, &staff, &account, notice, None))
}

/// Shows the whole token, once.
pub(super) async fn reveal_token(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    SuperuserForm { staff }: SuperuserForm,
) -> Result<Response, PageError> {
    let account = find(&admin, &id).await?;
    let Some(token) = admin.accounts.find_token(account.user.id).await? else {
        return Ok(page(&admin, &staff, &account, Some(Notice::bad("The token has ended meanwhile.")), None));
    };
    record(&staff, "shown", &account);
    Ok(page(&admin, &staff, &account, None, Some(token)))
}

/// Makes a token for a user who has none.
pub(super) async fn create_token(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    SuperuserForm { staff }: SuperuserForm,
) -> Result<Response, PageError> {
    issue(&admin, &staff, &id, false).await
}

/// Replaces the token of a user.
pub(super) async fn rotate_token(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    SuperuserForm { staff }: SuperuserForm,
) -> Result<Response, PageError> {
    issue(&admin, &staff, &id, true).await
}

async fn issue(admin: &Admin, staff: &Staff, id: &str, rotate: bool) -> Result<Response, PageError> {
    let account = find(admin, id).await?;
    match admin.accounts.issue_token(account.user.id, rotate).await {
        // The page was old.
        Ok(token) if !token.is_new => Ok(back(admin, &account, "had")),
        Ok(_) => {
            let word = if rotate { "rotated" } else { "created" };
            record(staff, word, &account);
            Ok(back(admin, &account, word))
        }
        Err(error @ AccountError::Store(store::Error::NoTokens)) => {
            let notice = Notice::bad(visible(&error.to_string()));
            Ok((StatusCode::CONFLICT, page(admin, staff, &account, Some(notice), None)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends the token of a user.
pub(super) async fn revoke_token(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    SuperuserForm { staff }: SuperuserForm,
) -> Result<Response, PageError> {
    let account = find(&admin, &id).await?;
    if admin.accounts.end_token(account.user.id).await? {
        record(&staff, "revoked", &account);
    }
    Ok(back(&admin, &account, "revoked"))
}

/// Asks whether a token is to be replaced.
pub(super) async fn ask_to_rotate(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Superuser(staff): Superuser,
) -> Result<Response, PageError> {
    let account = find(&admin, &id).await?;
    Ok(render(&QuestionPage {
        title: "Rotate this token?",
        text: "The user gets a new token, and the one there is ends at once. Whatever uses it is refused until it is told the new one.",
        action: "rotate-token",
        button: "Rotate",
        ..question(&admin, &staff, &account)
    }))
}

/// Asks whether a token is to end.
pub(super) async fn ask_to_revoke(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Superuser(staff): Superuser,
) -> Result<Response, PageError> {
    let account = find(&admin, &id).await?;
    Ok(render(&QuestionPage {
        title: "Revoke this token?",
        text: "It ends at once: whatever uses it is refused. The user's images stay, and so do password and sessions.",
        action: "revoke-token",
        button: "Revoke",
        ..question(&admin, &staff, &account)
    }))
}

fn question(admin: &Admin, staff: &Staff, account: &Account) -> QuestionPage {
    QuestionPage {
        frame: Frame::new(admin, staff, Section::Users),
        csrf: staff.csrf.to_string(),
        line: line(account, admin.service.clock().now()),
        title: "",
        text: "",
        action: "",
        button: "",
    }
}

async fn find(admin: &Admin, id: &str) -> Result<Account, PageError> {
    admin.accounts.find_account(id).await?.ok_or(PageError::NotFound)
}

fn page(admin: &Admin, staff: &Staff, account: &Account, notice: Option<Notice>, revealed: Option<String>) -> Response {
    render(&UserPage {
        frame: Frame::new(admin, staff, Section::Users),
        csrf: staff.csrf.to_string(),
        notice,
        line: line(account, admin.service.clock().now()),
        owner: utf8_percent_encode(&account.user.username, NON_ALPHANUMERIC).to_string(),
        revealed,
    })
}

fn back(admin: &Admin, account: &Account, word: &str) -> Response {
    Redirect::to(&admin.path(&format!("users/{}/?done={word}", account.user.id))).into_response()
}

/// Leaves in the log of the server who had something done with whose token.
fn record(staff: &Staff, what: &str, account: &Account) {
    let (name, owner) = (&staff.user.username, &account.user.username);
    info!(user.name = ?name, token.owner = ?owner, "The API token of {owner:?}: {what} by {name:?}");
}

fn line(account: &Account, now: Timestamp) -> Line {
    let Account { user, key_start, token_created } = account;
    let roles = [(user.is_superuser, "Superuser"), (user.is_staff, "Staff")];
    Line {
        id: user.id.to_string(),
        name: shortened(&user.username, 150),
        email: if user.email == user.username { String::new() } else { shortened(&user.email, 254) },
        roles: roles.into_iter().filter(|(has, _)| *has).map(|(_, role)| role).collect(),
        is_active: user.is_active,
        joined: user.date_joined.map(|time| Moment::new(time, now)),
        token: key_start.as_ref().map(|start| Token {
            masked: format!("{}…", visible(start)),
            created: token_created.map(|time| Moment::new(time, now)),
        }),
    }
}
