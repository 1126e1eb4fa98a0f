//! Lists of images, page by page.

use cfimages::cloudflare::{Error, ImageListFilter, ListedImage, PageToken, PerPage, UploadOrder};
use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param, query_param_is_missing};
use wiremock::{Match, Mock, ResponseTemplate};

use super::{Cloudflare, all};
use crate::support::suite::Suite;

pub(crate) fn register(suite: &mut Suite) {
    suite.test("cloudflare_client::a_list_is_read_page_by_page_to_its_end", list_pages);
    suite.test("cloudflare_client::a_list_goes_on_where_a_token_says", list_from_token);
    suite.test("cloudflare_client::a_list_that_runs_in_a_circle_is_an_error", list_in_a_circle);
    suite.test("cloudflare_client::a_page_that_failed_can_be_read_again", list_after_an_error);
    suite.test("cloudflare_client::a_page_that_is_too_long_is_read_in_parts", list_of_long_pages);
    suite.test("cloudflare_client::the_older_list_is_read_to_its_first_empty_page", list_by_number);
    suite.test("cloudflare_client::an_older_list_that_ignores_the_page_is_an_error", list_by_number_in_a_circle);
}

fn page_v2(token: Option<&'static str>) -> impl Match {
    let token: Box<dyn Match> = match token {
        Some(token) => Box::new(query_param("continuation_token", token)),
        None => Box::new(query_param_is_missing("continuation_token")),
    };
    all([Box::new(method("GET")), Box::new(path("/accounts/acct/images/v2")), token])
}

fn page_v1(number: &'static str) -> impl Match {
    all([Box::new(method("GET")), Box::new(path("/accounts/acct/images/v1")), Box::new(query_param("page", number))])
}

fn images(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({"id": id, "meta": {"of": id}, "variants": []})).collect()
}

fn ids(images: &[ListedImage]) -> Vec<&str> {
    images.iter().map(|image| image.id.as_str()).collect()
}

async fn list_pages() {
    let cloudflare = Cloudflare::start().await;
    let first = json!({"images": images(&["a", "b/c"]), "continuation_token": "t+1/="});
    cloudflare.on(page_v2(None), first).await;
    cloudflare.on(page_v2(Some("t+1/=")), json!({"images": [], "continuation_token": "t2"})).await;
    cloudflare.on(page_v2(Some("t2")), json!({"images": images(&["d"]), "continuation_token": null})).await;
    let filter = ImageListFilter {
        creator: Some("user 7".to_owned()),
        order: UploadOrder::OldestFirst,
        per_page: PerPage::nearest(20),
        ..ImageListFilter::default()
    };

    let mut pages = cloudflare.client.list_images(filter, None);
    let first = pages.next_page().await.unwrap().unwrap();
    assert_eq!((ids(&first.images), first.next.unwrap().as_str()), (vec!["a", "b/c"], "t+1/="));
    let empty = pages.next_page().await.unwrap().unwrap();
    assert_eq!((ids(&empty.images), empty.next.unwrap().as_str()), (vec![], "t2"));
    let last = pages.next_page().await.unwrap().unwrap();
    assert_eq!((ids(&last.images), last.next), (vec!["d"], None));
    assert!(pages.next_page().await.unwrap().is_none());

    let requests = cloudflare.requests().await;
    assert_eq!(requests.len(), 3, "nothing is asked after the end");
    for request in requests {
        let asked = request.url.query().unwrap();
        assert!(asked.starts_with("per_page=20&sort_order=asc&creator=user%207"), "{asked}");
    }
}

async fn list_from_token() {
    let cloudflare = Cloudflare::start().await;
    cloudflare.on(page_v2(Some("t2")), json!({"images": images(&["d"])})).await;

    let start = Some(PageToken::new("t2".to_owned()));
    let mut pages = cloudflare.client.list_images(ImageListFilter::default(), start);
    assert_eq!(ids(&pages.next_page().await.unwrap().unwrap().images), ["d"]);
    assert!(pages.next_page().await.unwrap().is_none());
}

async fn list_in_a_circle() {
    let cloudflare = Cloudflare::start().await;
    for (token, next) in [(None, "t1"), (Some("t1"), "t2"), (Some("t2"), "t1")] {
        cloudflare.on(page_v2(token), json!({"images": images(&["a"]), "continuation_token": next})).await;
    }
    for start in [None, Some(PageToken::new("t1".to_owned()))] {
        let mut pages = cloudflare.client.list_images(ImageListFilter::default(), start);
        let error = loop {
            match pages.next_page().await {
                Ok(page) => assert!(page.is_some(), "the list must not end"),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().ends_with("the list repeats itself"), "{error}");
    }
    assert_eq!(cloudflare.requests().await.len(), 3 + 2);
}

async fn list_after_an_error() {
    let cloudflare = Cloudflare::start().await;
    let unreadable = ResponseTemplate::new(200).set_body_string("{\"success\": tr");
    Mock::given(page_v2(Some("t1"))).respond_with(unreadable).up_to_n_times(1).mount(&cloudflare.server).await;
    cloudflare.on(page_v2(None), json!({"images": images(&["a"]), "continuation_token": "t1"})).await;
    cloudflare.on(page_v2(Some("t1")), json!({"images": images(&["b"])})).await;

    let mut pages = cloudflare.client.list_images(ImageListFilter::default(), None);
    assert_eq!(ids(&pages.next_page().await.unwrap().unwrap().images), ["a"]);
    assert!(matches!(pages.next_page().await, Err(Error::Malformed(_))));
    assert_eq!(ids(&pages.next_page().await.unwrap().unwrap().images), ["b"]);
    assert!(pages.next_page().await.unwrap().is_none());
}

async fn list_of_long_pages() {
    let cloudflare = Cloudflare::start().await;
    // A thousand images with 1,024 bytes of metadata and 100 variants each.
    let id = "0123456789abcdef0123456789abcdef0123";
    let url = |number| format!("https://imagedelivery.net/Vi7wi5KSItxGFsWRG2Us6Q/{id}/{}{number}", "v".repeat(90));
    let variants: Vec<String> = (0..100).map(url).collect();
    let image = json!({"id": id, "meta": {"text": "m".repeat(1012)}, "variants": variants});
    let page = |count| json!({"images": vec![&image; count], "continuation_token": null});
    let asked_for = |count: usize| {
        let per_page: Box<dyn Match> = Box::new(query_param("per_page", count.to_string()));
        all([Box::new(page_v2(None)), per_page])
    };
    for count in [1000, 500] {
        cloudflare.on(asked_for(count), page(count)).await;
    }

    let mut pages = cloudflare.client.list_images(ImageListFilter::default(), None);
    let page = pages.next_page().await.unwrap().unwrap();
    assert_eq!(page.images.len(), 500);
    assert_eq!(page.images[499].details.variants.as_ref().unwrap().as_str().matches("https://").count(), 100);
    assert_eq!(cloudflare.requests().await.len(), 2);
}

async fn list_by_number() {
    let cloudflare = Cloudflare::start().await;
    cloudflare.on(page_v1("1"), json!({"images": images(&["a", "b"])})).await;
    cloudflare.on(page_v1("2"), json!({"images": images(&["c"])})).await;
    cloudflare.on(page_v1("3"), json!({"images": []})).await;

    let mut pages = cloudflare.client.list_images_by_number(Some(String::new()), 1);
    let first = pages.next_page().await.unwrap().unwrap();
    assert_eq!((ids(&first.images), first.next), (vec!["a", "b"], Some(2)));
    assert_eq!(ids(&pages.next_page().await.unwrap().unwrap().images), ["c"]);
    assert!(pages.next_page().await.unwrap().is_none());
    assert!(pages.next_page().await.unwrap().is_none());
    let requests = cloudflare.requests().await;
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0].url.query(), Some("page=1&per_page=100&creator="));

    let mut pages = cloudflare.client.list_images_by_number(None, 2);
    assert_eq!(ids(&pages.next_page().await.unwrap().unwrap().images), ["c"]);
}

async fn list_by_number_in_a_circle() {
    let cloudflare = Cloudflare::start().await;
    cloudflare.on(path("/accounts/acct/images/v1"), json!({"images": images(&["a", "b"])})).await;

    let mut pages = cloudflare.client.list_images_by_number(None, 1);
    assert!(pages.next_page().await.unwrap().is_some());
    assert!(matches!(pages.next_page().await, Err(Error::Malformed("the list repeats itself"))));
}
