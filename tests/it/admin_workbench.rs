//! The workbench of the admin.

use cfimages::config::settings;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::admin::Browser;
use crate::support::app::{SIGNING_KEY, TestApp};
use crate::support::picture;
use crate::support::rows::ImageRow;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("admin_workbench::options_make_a_picture_and_what_leads_to_it", options);
    suite.on_both_engines("admin_workbench::what_is_wrong_is_told_beside_the_option", problems);
    suite.on_both_engines("admin_workbench::private_pictures_come_in_signed_variants", private_pictures);
    suite.on_both_engines("admin_workbench::without_a_picture_there_are_some_to_choose_from", choice);
}

async fn upload(app: &TestApp, is_private: bool) -> String {
    let upload = app.create_upload(&json!({"require_signed_urls": is_private, "filename": "a \"lake\".jpg"})).await;
    let id = upload["id"].as_str().unwrap().to_owned();
    app.upload(upload["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
    app.wait_for_status(&id, "uploaded").await;
    id
}

/// The texts that can be copied.
fn codes(html: &str) -> Vec<String> {
    let copies = html.split("data-copy=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    copies
        .map(|text| text.replace("&#34;", "\"").replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&"))
        .collect()
}

async fn options(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let id = upload(&app, false).await;
    let html = browser.page(&format!("workbench/?image={id}&width=200&h=100&fit=cover&blur=&gravity=0.2x0.8")).await;
    let [url, img, picture, command] = &codes(&html)[..] else { panic!("{html}") };
    assert!(
        url.starts_with(&app.emulator) && url.ends_with("/fit=cover,gravity=0.2x0.8,height=100,width=200"),
        "{url}"
    );
    let delivered = app.http.get(url).send().await.unwrap();
    assert_eq!(
        (delivered.status(), &delivered.headers()["content-type"]),
        (StatusCode::OK, &"image/jpeg".parse().unwrap())
    );
    assert!(html.contains(&format!("<img src=\"{url}\"")));
    assert!(
        img.starts_with("<img ") && img.contains("dpr=2.0,fit=cover") && img.contains("width=\"200\" height=\"100\""),
        "{img}"
    );
    assert!(img.contains("alt=\"a &#34;lake&#34;.jpg\""), "{img}");
    assert!(picture.starts_with("<picture>"), "{picture}");
    assert!(
        command.starts_with("cfimages url build ")
            && command.ends_with("fit=cover gravity=0.2x0.8 height=100 width=200"),
        "{command}"
    );
    // The controls show what is set, and every preset leads to a picture.
    assert!(html.contains("<option selected>cover</option>") && html.contains("name=\"height\" value=\"100\""));
    let presets: Vec<_> = html.split("href=\"?image=").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(presets.len() > 5, "{presets:?}");
    for preset in presets {
        let html = browser.page(&format!("workbench/?image={}", preset.replace("&#38;", "&"))).await;
        assert_eq!(codes(&html).len(), 4, "{preset}");
    }
    let json = browser.page(&format!("workbench/?image={id}&format=json")).await;
    assert!(json.contains("JSON that tells its size") && codes(&json).len() == 2);
    let variant = browser.page(&format!("workbench/?image={id}&variant=public&width=3")).await;
    assert!(codes(&variant)[0].ends_with("/public"), "{variant}");
}

async fn problems(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let id = upload(&app, false).await;
    let hostile = "%3Cscript%3E%22%27%E2%80%AE";
    let html = browser
        .page(&format!("workbench/?image={id}&width=0&blur={hostile}&{hostile}={hostile}&trim.left=x&border=3"))
        .await;
    assert!(codes(&html).is_empty() && html.contains("There is no picture for that"));
    for (place, problem) in [
        ("problem-width", "Must be a whole number from 1 to 12000, or auto."),
        ("problem-blur", "Must be a whole number from 0 to 250."),
        ("problem-trim-left", "Must be a whole number of pixels"),
    ] {
        assert!(html.contains(&format!("id=\"{place}\">{problem}")), "{place}: {html}");
    }
    assert!(html.contains("is not an option") && html.contains("is one of Workers only"));
    assert!(!html.contains("<script>") && html.contains("⟨U+202E⟩"), "{html}");
    let zoom = browser.page(&format!("workbench/?image={id}&zoom=0.5")).await;
    assert!(zoom.contains("id=\"problem-zoom\">This option needs gravity=face."));
    for (page, status) in [("nonsense", 404), ("00000000-0000-0000-0000-000000000009", 404)] {
        assert_eq!(browser.get(&format!("workbench/?image={page}")).await.status.as_u16(), status, "{page}");
    }
}

async fn private_pictures(engine: Engine) {
    let app = TestApp::builder().set(&settings::CLOUDFLARE_IMAGES_SIGNING_KEY, SIGNING_KEY).start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let id = upload(&app, true).await;
    let html = browser.page(&format!("workbench/?image={id}&width=200")).await;
    let [url, img, command] = &codes(&html)[..] else { panic!("{html}") };
    assert!(html.contains("options in a URL cannot be signed") && html.contains("The signature is good until"));
    assert!(!html.contains("name=\"width\""), "options would do nothing");
    assert_eq!(app.http.get(url).send().await.unwrap().status(), 200, "{url}");
    assert!(
        url.contains("/public?exp=") && img.contains("sig=") && command.starts_with("cfimages url sign "),
        "{command}"
    );
    let options = browser.page(&format!("workbench/?image={id}&variant=width%3D3")).await;
    assert!(options.contains("That is no name of a variant."));
}

async fn choice(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    assert!(browser.page("workbench/").await.contains("There is no picture to work on yet"));
    let id = upload(&app, false).await;
    ImageRow { number: 7, status: "pending", ..ImageRow::default() }.insert(app.database_url.as_str()).await;
    let html = browser.page("workbench/").await;
    let waiting = uuid::Uuid::from_u128(7);
    assert!(html.contains(&format!("?image={id}\"")) && !html.contains(&waiting.to_string()), "{html}");
    let waiting = browser.page(&format!("workbench/?image={waiting}")).await;
    assert!(waiting.contains("There is no picture yet."));
}
