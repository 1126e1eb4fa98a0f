//! Tokens with fewer permissions than all.

use axum::body::Body;
use axum::http::{Method, Request, header};

use super::super::{LimitedToken, Permission};
use super::{ACCOUNT, Answer, App};

impl App {
    async fn call_with(&self, token: &str, method: &Method, path: &str) -> Answer {
        let request = Request::builder().method(method).uri(format!("/client/v4/accounts/{ACCOUNT}/{path}"));
        self.send(request.header(header::AUTHORIZATION, format!("Bearer {token}")).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn get_with(&self, token: &str, path: &str) -> Answer {
        self.call_with(token, &Method::GET, path).await
    }
}

/// An account with a token of the name of each permission.
fn app() -> App {
    App::with(|config| {
        let token = |permission: Permission| LimitedToken {
            token: permission.as_str().to_owned(),
            permissions: vec![permission],
        };
        config.limited_tokens = Permission::ALL.map(token).to_vec();
        config.limited_tokens.push(LimitedToken { token: "nothing".to_owned(), permissions: vec![] });
    })
}

#[tokio::test]
async fn a_token_does_what_its_permission_allows_and_nothing_else() {
    let app = app();
    let webhooks = "alerting/v3/destinations/webhooks";
    for (method, path, allowed) in [
        (Method::GET, "images/v2", ["images-read", "images-write"]),
        (Method::HEAD, "images/v1/stats", ["images-read", "images-write"]),
        (Method::GET, "images/v1/batch_token", ["images-write", "images-write"]),
        (Method::POST, "images/v2/direct_upload", ["images-write", "images-write"]),
        (Method::PUT, "images/v1/keys/mine", ["images-write", "images-write"]),
        (Method::DELETE, "images/v1/keys/mine", ["images-write", "images-write"]),
        (Method::GET, webhooks, ["notifications-read", "notifications-write"]),
        (Method::POST, webhooks, ["notifications-write", "notifications-write"]),
        (Method::POST, "alerting/v3/policies/x/test", ["notifications-write", "notifications-write"]),
    ] {
        for token in ["nothing", "images-read", "images-write", "notifications-read", "notifications-write"] {
            let answer = app.call_with(token, &method, path).await;
            let is_refused = answer.status == 403;
            assert_eq!(is_refused, !allowed.contains(&token), "{token} {method} {path}");
            if is_refused && method != Method::HEAD {
                assert_eq!(answer.error(), (403, 10000));
                assert_eq!(answer.json()["errors"][0]["message"], "Authentication error");
            }
        }
    }
}

#[tokio::test]
async fn permissions_are_asked_for_after_the_token_and_the_account() {
    let app = app();
    assert_eq!(app.get_with("images-admin", "images/v2").await.error(), (401, 10000));
    let other = Request::post("/client/v4/accounts/other/images/v2/direct_upload");
    let other = other.header(header::AUTHORIZATION, "Bearer images-read").body(Body::empty()).unwrap();
    assert_eq!(app.send(other).await.error(), (404, 7003));
    assert_eq!(app.get_with("images-read", "nothing").await.error(), (404, 7003));
}

#[tokio::test]
async fn only_the_token_of_the_account_controls_faults() {
    let app = app();
    let request = Request::get("/_cfimages/faults").header(header::AUTHORIZATION, "Bearer images-write");
    assert_eq!(app.send(request.body(Body::empty()).unwrap()).await.error(), (401, 10000));
}

#[test]
fn permissions_have_names() {
    for permission in Permission::ALL {
        assert_eq!(permission.as_str().parse(), Ok(permission));
    }
    assert!("images-edit".parse::<Permission>().is_err());
}
