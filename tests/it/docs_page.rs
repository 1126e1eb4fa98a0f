//! The page that describes the API.

use serde_json::Value;

use crate::support::app::{Answer, TestApp};
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.test("docs_page::every_operation_and_every_schema_of_the_document_is_on_the_page", whole);
    suite.test("docs_page::anybody_may_read_it_and_nothing_foreign_may_run_in_it", safe);
    suite.test("docs_page::what_the_client_has_is_not_sent_again", kept);
}

async fn page(app: &TestApp) -> Answer {
    Answer::of(app.http.get(format!("{}/cloudflare-images/docs/", app.origin))).await
}

async fn whole() {
    let app = TestApp::start(&Engine::Sqlite).await;
    let html = page(&app).await.text;
    let document: Value =
        serde_json::from_str(&cfimages::app::openapi("/cloudflare-images").to_json().unwrap()).unwrap();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let mut count = 0;
    for operation in operations {
        let id = operation["operationId"].as_str().unwrap();
        assert!(html.contains(&format!("<article class=\"card operation\" id=\"{id}\"")), "{id}");
        assert!(html.contains(&format!("href=\"#{id}\"")), "{id} is not in the menu");
        count += 1;
    }
    assert!(count > 30);
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(html.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
    let names: Vec<&str> = html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    for target in html.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(names.contains(&target), "#{target} leads nowhere");
    }
    let example = "curl -X POST -H &#34;Authorization: Token $TOKEN&#34;";
    assert!(html.contains(example), "{html}");
}

async fn safe() {
    let app = TestApp::start(&Engine::Sqlite).await;
    let answer = page(&app).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'self'") && !policy.contains("script"), "{policy}");
    assert!(!answer.text.contains("<script") && !answer.text.contains(" style="));
    for sheet in answer.text.split("rel=\"stylesheet\" href=\"").skip(1) {
        let path = sheet.split('"').next().unwrap();
        let file = Answer::of(app.http.get(format!("{}{path}", app.origin))).await;
        assert_eq!(file.headers["cache-control"], "public, max-age=31536000, immutable", "{path}");
    }
    let without_slash = app.http.get(format!("{}/cloudflare-images/docs", app.origin)).send().await.unwrap();
    assert_eq!(without_slash.url().path(), "/cloudflare-images/docs/");
}

async fn kept() {
    let app = TestApp::start(&Engine::Sqlite).await;
    let tag = page(&app).await.headers["etag"].clone();
    let request = app.http.get(format!("{}/cloudflare-images/docs/", app.origin)).header("If-None-Match", tag);
    let again = Answer::of(request).await;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));
}
