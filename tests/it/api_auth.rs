//! Who is let in.

use reqwest::Method;
use serde_json::json;

use crate::support::app::{ALICE, Answer, BOB, CAROL_WHO_IS_INACTIVE, TestApp};
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_auth::tokens_are_accepted_as_drf_accepts_them", accepted);
    suite.on_both_engines("api_auth::everybody_else_is_refused_in_drfs_words", refused);
    suite.on_both_engines("api_auth::nobody_learns_whether_an_image_exists_before_signing_in", unknown_detail);
}

async fn accepted(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for header in
        [format!("Token {ALICE}"), format!("token {ALICE}"), format!("Token  {ALICE}"), format!("TOKEN\t{BOB}")]
    {
        let answer = Answer::of(app.anonymous(Method::GET, "images/").header("Authorization", &header)).await;
        answer.assert_is(200, &json!({"count": 0, "next": null, "previous": null, "results": []}));
    }
}

async fn refused(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let cases = [
        (String::new(), "Authentication credentials were not provided."),
        (format!("Bearer {ALICE}"), "Authentication credentials were not provided."),
        (ALICE.to_owned(), "Authentication credentials were not provided."),
        ("Token".to_owned(), "Invalid token header. No credentials provided."),
        ("Token a b".to_owned(), "Invalid token header. Token string should not contain spaces."),
        (format!("Token {}", &ALICE[..39]), "Invalid token."),
        ("Token ' OR 1=1 --".replace(' ', "\u{a0}").replace("Token\u{a0}", "Token "), "Invalid token."),
        (format!("Token {CAROL_WHO_IS_INACTIVE}"), "User inactive or deleted."),
    ];
    for (header, detail) in cases {
        for (method, path) in [(Method::GET, "images/"), (Method::POST, "upload-url/"), (Method::GET, "stats/")] {
            let answer = Answer::of(app.anonymous(method, path).header("Authorization", header.as_bytes())).await;
            answer.assert_is(403, &json!({"detail": detail}));
            assert!(!answer.headers.contains_key("www-authenticate"));
        }
    }
}

async fn unknown_detail(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for path in ["images/00000000-0000-4000-8000-00000000dead/", "images/nonsense/", "images/nonsense/logs/"] {
        let answer = Answer::of(app.anonymous(Method::GET, path)).await;
        answer.assert_is(403, &json!({"detail": "Authentication credentials were not provided."}));
    }
}
