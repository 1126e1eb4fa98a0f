//! Fragments, as a browser reads them, and filters, beside the toolkit.

use std::cell::RefCell;
use std::collections::BTreeMap;

use askama::Template;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::delivery::{DeliveryShape, DeliveryUrls, PictureError};

const URL: &str = "https://imagedelivery.net/hash/id/public";
const SIGNED: &str = "https://imagedelivery.net/hash/id/public?exp=1700000000&sig=00ff";

/// A start tag: its name and its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
}

impl Element {
    #[track_caller]
    fn get(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap_or_else(|| panic!("{} has no {name}: {self:?}", self.name))
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }
}

#[derive(Default)]
struct Reader {
    elements: RefCell<Vec<Element>>,
    text: RefCell<String>,
    depth: RefCell<Vec<String>>,
}

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        match token {
            Token::TagToken(Tag { kind: TagKind::StartTag, name, attrs, had_duplicate_attributes, .. }) => {
                assert!(!had_duplicate_attributes, "{name} has an attribute twice");
                let attributes =
                    attrs.iter().map(|attribute| (attribute.name.local.to_string(), attribute.value.to_string()));
                if !matches!(&*name, "img" | "source" | "input") {
                    self.depth.borrow_mut().push(name.to_string());
                }
                self.elements.borrow_mut().push(Element { name: name.to_string(), attributes: attributes.collect() });
            }
            Token::TagToken(Tag { name, .. }) => {
                assert_eq!(self.depth.borrow_mut().pop().as_deref(), Some(&*name), "an end tag is out of place");
            }
            Token::CharacterTokens(text) => self.text.borrow_mut().push_str(&text),
            Token::ParseError(error) => panic!("{error}"),
            Token::CommentToken(_) | Token::DoctypeToken(_) | Token::NullCharacterToken => {
                panic!("a fragment has neither comments nor null characters")
            }
            Token::EOFToken => {}
        }
        TokenSinkResult::Continue
    }
}

/// The start tags of a fragment and its text, whose tags all are closed.
#[track_caller]
fn read(html: &str) -> (Vec<Element>, String) {
    let input = BufferQueue::default();
    input.push_back(html.into());
    let options = TokenizerOpts { exact_errors: true, ..TokenizerOpts::default() };
    let tokenizer = Tokenizer::new(Reader::default(), options);
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    assert_eq!(*tokenizer.sink.depth.borrow(), Vec::<String>::new(), "an end tag is missing");
    (tokenizer.sink.elements.take(), tokenizer.sink.text.take())
}

#[track_caller]
fn elements(html: &str) -> Vec<Element> {
    read(html).0
}

#[track_caller]
fn only(html: &str) -> Element {
    let elements = elements(html);
    assert_eq!(elements.len(), 1, "{html}");
    elements[0].clone()
}

fn urls() -> DeliveryUrls {
    DeliveryUrls::default()
}

fn size(width: u32, height: u32) -> Dimensions {
    Dimensions { width, height }
}

#[test]
fn a_responsive_image_lets_the_browser_choose_and_holds_its_place() {
    let image = ResponsiveImage {
        alt: "A lake",
        class: "wide",
        sizes: "(max-width: 600px) 100vw, 600px",
        original: Some(size(900, 600)),
        ..ResponsiveImage::new(URL)
    };
    let img = only(&image.html(&urls()).unwrap());
    let at = |width| format!("https://imagedelivery.net/hash/id/fit=scale-down,format=auto,quality=85,width={width}");
    assert_eq!(img.name, "img");
    assert_eq!(img.get("srcset"), format!("{} 320w, {} 640w, {} 900w", at(320), at(640), at(900)));
    assert_eq!(img.get("src"), at(320));
    assert_eq!((img.get("width"), img.get("height")), ("900", "600"));
    assert_eq!((img.get("sizes"), img.get("class"), img.get("alt")), (image.sizes, "wide", "A lake"));
    assert_eq!((img.get("loading"), img.get("decoding")), ("lazy", "async"));
    assert!(!img.has("fetchpriority"));
}

#[test]
fn what_is_seen_first_is_fetched_first() {
    let img = only(&ResponsiveImage { loading: Loading::Eager, ..ResponsiveImage::new(URL) }.html(&urls()).unwrap());
    assert_eq!((img.get("loading"), img.get("fetchpriority")), ("eager", "high"));
    assert_eq!((img.get("alt"), img.has("width"), img.has("class")), ("", false, false));
}

#[test]
fn no_picture_is_enlarged() {
    let small = ResponsiveImage { original: Some(size(200, 100)), ..ResponsiveImage::new(URL) };
    let img = only(&small.html(&urls()).unwrap());
    assert!(img.get("srcset").ends_with("width=200 200w"));
    assert!(img.get("src").ends_with("width=200"));
    assert_eq!((img.get("width"), img.get("height")), ("200", "100"));
    let avatar = Avatar { original: Some(size(150, 150)), ..Avatar::new(URL) };
    assert!(!only(&avatar.html(&urls()).unwrap()).get("srcset").contains("2x"));
}

#[test]
fn the_height_follows_from_the_ratio_of_the_original() {
    for (width, height, to, want) in
        [(1200, 800, 1024, (1024, 683)), (800, 600, 1024, (800, 600)), (12_000, 1, 100, (100, 1)), (1, 9, 1, (1, 9))]
    {
        let scaled = Dimensions { width, height }.scaled_down_to(to);
        assert_eq!((scaled.width, scaled.height), want);
    }
    assert_eq!(Dimensions { width: u32::MAX, height: u32::MAX }.scaled_down_to(7).height, 7);
}

#[test]
fn a_picture_element_has_a_source_for_each_kind_of_screen() {
    let picture = PictureElement {
        alt: "A lake",
        tablet_width: 300,
        original: Some(size(4000, 3000)),
        ..PictureElement::new(URL)
    };
    let html = picture.html(&urls()).unwrap();
    let [element, first, second, img] = elements(&html).try_into().unwrap();
    assert_eq!(
        [&element, &first, &second, &img].map(|element| element.name.as_str()),
        ["picture", "source", "source", "img"]
    );
    assert_eq!((first.get("media"), second.get("media")), ("(max-width: 300px)", "(max-width: 400px)"));
    let at = |width| {
        let rest = format!("fit=scale-down,format=auto,quality=85,width={width}");
        let base = "https://imagedelivery.net/hash/id";
        format!("{base}/{rest} 1x, {base}/dpr=2.0,{rest} 2x")
    };
    assert_eq!((first.get("srcset"), second.get("srcset")), (at(300).as_str(), at(400).as_str()));
    assert_eq!(img.get("srcset"), at(1200));
    assert_eq!((img.get("width"), img.get("height"), img.get("alt")), ("1200", "900", "A lake"));
}

#[test]
fn avatars_and_thumbnails_are_squares_for_all_screens() {
    let avatar = only(&Avatar { size: 64, class: "big", ..Avatar::new(URL) }.html(&urls()).unwrap());
    assert_eq!((avatar.get("width"), avatar.get("height"), avatar.get("class")), ("64", "64", "cf-avatar big"));
    let base = "https://imagedelivery.net/hash/id";
    let square = "fit=cover,gravity=auto,height=64,quality=90,width=64";
    assert_eq!(avatar.get("src"), format!("{base}/{square}"));
    assert_eq!(avatar.get("srcset"), format!("{base}/{square} 1x, {base}/dpr=2.0,{square} 2x"));
    let thumbnail = only(&Thumbnail::new(URL).html(&urls()).unwrap());
    assert_eq!((thumbnail.get("width"), thumbnail.get("class")), ("150", "cf-thumbnail"));
    assert!(thumbnail.get("src").ends_with("/fit=cover,height=150,quality=85,width=150"));
}

#[test]
fn a_gallery_is_a_list_of_links() {
    let images =
        [GalleryImage::new(URL, "lake.jpg"), GalleryImage::new("javascript:alert(1)", "x"), GalleryImage::new(URL, "")];
    let html = Gallery { columns: 4, class: "wide", ..Gallery::new(&images) }.html(&urls()).unwrap();
    let [list, _, first, picture, _, second, _] = elements(&html).try_into().unwrap();
    assert_eq!((list.name.as_str(), list.get("class")), ("ul", "cf-gallery cf-columns-4 wide"));
    assert_eq!(first.get("href"), "https://imagedelivery.net/hash/id/fit=scale-down,format=auto,quality=85,width=1600");
    assert_eq!((picture.get("alt"), picture.get("width"), first.has("aria-label")), ("lake.jpg", "300", false));
    assert_eq!(second.get("aria-label"), "Image 2");

    let (empty, text) = read(&Gallery::new(&[]).html(&urls()).unwrap());
    assert_eq!((empty[0].get("class"), text.as_str()), ("cf-gallery-empty", "No images yet."));
    for columns in [0, 13] {
        assert_eq!(Gallery { columns, ..Gallery::new(&[]) }.html(&urls()), Err(SnippetError::Columns));
    }
}

#[test]
fn signed_pictures_are_shown_as_they_are() {
    for html in [
        ResponsiveImage::new(SIGNED).html(&urls()).unwrap(),
        PictureElement::new(SIGNED).html(&urls()).unwrap(),
        Avatar::new(SIGNED).html(&urls()).unwrap(),
        Gallery::new(&[GalleryImage::new(SIGNED, "")]).html(&urls()).unwrap(),
    ] {
        let elements = elements(&html);
        let img = elements.iter().find(|element| element.name == "img").unwrap();
        assert_eq!((img.get("src"), img.has("srcset"), img.has("sizes")), (SIGNED, false, false));
        assert!(
            elements
                .iter()
                .all(|element| element.name != "source" && !element.attributes.values().any(|v| v.contains("width=")))
        );
    }
}

#[test]
fn an_upload_form_works_with_and_without_scripts() {
    let form = UploadForm { next: Some("/done?a=1&b=2"), csrf_token: Some("secret"), ..UploadForm::default() };
    let (elements, text) = read(&form.html().unwrap());
    let names: Vec<_> = elements.iter().map(|element| element.name.as_str()).collect();
    assert_eq!(names, ["form", "input", "input", "cfimages-upload", "label", "input", "button", "script"]);
    let [form, token, next, component, _, file, button, script] = elements.try_into().unwrap();
    assert_eq!((form.get("id"), form.get("class"), form.get("method")), ("cf-upload-form", "cf-upload-form", "post"));
    assert_eq!(form.get("action"), "/cloudflare-images/api/images/upload/");
    assert_eq!(form.get("enctype"), "multipart/form-data");
    assert_eq!((token.get("name"), token.get("value")), ("csrfmiddlewaretoken", "secret"));
    assert_eq!((next.get("name"), next.get("value")), ("next", "/done?a=1&b=2"));
    assert_eq!(component.get("endpoint"), "/cloudflare-images/api/upload-url/");
    assert_eq!((file.get("type"), file.get("name"), file.has("required")), ("file", "file", true));
    assert_eq!(button.get("type"), "submit");
    assert_eq!((script.get("type"), script.get("src")), ("module", "/cloudflare-images/static/cfimages-upload.js"));
    assert!(text.contains("Upload Image"));
}

#[test]
fn the_endpoint_says_where_the_server_is() {
    let form = |api_endpoint| UploadForm { api_endpoint, ..UploadForm::default() }.html();
    let html = form("https://img.example.org/x/api/upload-url/").unwrap();
    assert_eq!(elements(&html)[0].get("action"), "https://img.example.org/x/api/images/upload/");
    assert!(html.contains(r#"src="https://img.example.org/x/static/cfimages-upload.js""#));
    assert_eq!(elements(&form("/api/upload-url/").unwrap())[0].get("action"), "/api/images/upload/");
    let hostile =
        ["javascript:alert(1)//api/upload-url/", "//evil.example/api/upload-url/", "data:text/html,x", "", "é"];
    for hostile in hostile.into_iter().chain(["relative/", "/own/", "/x/api/upload-url/?a"]) {
        assert_eq!(form(hostile), Err(SnippetError::Endpoint), "{hostile}");
    }
}

#[test]
fn no_other_server_learns_the_token() {
    let form = |api_endpoint| UploadForm { api_endpoint, csrf_token: Some("t0ken"), ..UploadForm::default() }.html();
    assert!(form("/x/api/upload-url/").unwrap().contains("t0ken"));
    assert!(!form("https://img.example.org/x/api/upload-url/").unwrap().contains("t0ken"));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let responsive = ResponsiveImage::new(URL);
    assert_eq!(ResponsiveImage::new("").html(&urls()), Err(SnippetError::Picture(PictureError::Empty)));
    for url in ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "JaVaScRiPt:alert(1)"] {
        assert_eq!(Avatar::new(url).html(&urls()), Err(SnippetError::Picture(PictureError::NotOfTheWeb)), "{url}");
    }
    assert_eq!(ResponsiveImage { widths: &[], ..responsive.clone() }.html(&urls()), Err(SnippetError::Widths));
    for (wrong, option) in [
        (ResponsiveImage { widths: &[320, 0], ..responsive.clone() }, "width"),
        (ResponsiveImage { widths: &[12_001], ..responsive.clone() }, "width"),
        (ResponsiveImage { quality: 0, ..responsive }, "quality"),
    ] {
        let Err(SnippetError::Transform(error)) = wrong.html(&urls()) else { panic!("{wrong:?}") };
        assert_eq!(error.option(), Some(option));
    }
    for text in ["", "320,", "a", "0", "12001", "-1", "1.5", "99999999999"] {
        assert_eq!(parse_widths(text), Err(SnippetError::Widths), "{text}");
    }
    assert_eq!(parse_widths(" 320, 640"), Ok(vec![320, 640]));
}

/// A template with a text before the bar, and a function that renders it.
macro_rules! filtered {
    ($function:ident($($field:ident: $type:ty),*), $source:literal) => {
        fn $function(url: &str, site: &Site $(, $field: $type)*) -> askama::Result<String> {
            #[derive(Template)]
            #[template(source = $source, ext = "txt")]
            struct Filtered<'a> {
                url: &'a str,
                $($field: $type,)*
            }
            Filtered { url $(, $field)* }.render_with_values(&site.values())
        }
    };
}

filtered!(thumbnail(size: u32), "{{ url|cf_thumbnail(*size) }}");
filtered!(avatar(size: u32), "{{ url|cf_avatar(*size) }}");
filtered!(hero_image(width: u32), "{{ url|cf_hero_image(*width, height=800) }}");
filtered!(responsive_image(width: u32, quality: u8), "{{ url|cf_responsive_image(*width, quality=self.quality) }}");
filtered!(product_image(size: u32), "{{ url|cf_product_image(*size) }}");
filtered!(mobile_optimized(width: u32), "{{ url|cf_mobile_optimized(width=self.width) }}");
filtered!(srcset(widths: String, quality: u8), "{{ url|cf_srcset(widths, *quality) }}");
filtered!(
    defaults(),
    "{{ url|cf_thumbnail }} {{ url|cf_avatar }} {{ url|cf_hero_image }} {{ url|cf_responsive_image(640) }} \
     {{ url|cf_product_image }} {{ url|cf_mobile_optimized }}"
);
filtered!(
    tests_of_urls(),
    "{{ url|cf_is_cloudflare_url }} {{ url|cf_validate_url }} {{ url|cf_extract_id }}\
     {% if url|cf_is_cloudflare_url %} yes{% endif %}"
);

fn site(golden: &Value, name: &Value) -> Site {
    let settings = &golden["settings"][name.as_str().unwrap()];
    let text = |name: &str| settings[name].as_str().map(str::to_owned);
    let usual = DeliveryShape::default();
    let shape = DeliveryShape {
        delivery_url: text("DELIVERY_URL"),
        path_prefix: text("DELIVERY_PATH_PREFIX").unwrap_or(usual.path_prefix),
        include_account_hash: settings["DELIVERY_INCLUDE_ACCOUNT_HASH"].as_bool().unwrap_or(true),
    };
    Site { urls: DeliveryUrls::new(text("ACCOUNT_HASH"), &shape), ..Site::default() }
}

fn golden() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/toolkit/filters.json")).unwrap()
}

#[test]
fn filters_give_the_toolkits_urls() {
    let golden = golden();
    for case in golden["presets"].as_array().unwrap() {
        let (url, site) = (case["base"].as_str().unwrap(), &site(&golden, &case["settings"]));
        let argument = |at: usize| case["args"][at].as_u64().map(|number| u32::try_from(number).unwrap());
        let preset = case["preset"].as_str().unwrap();
        let got = match (preset, argument(0)) {
            ("responsive_image", Some(width)) => {
                responsive_image(url, site, width, argument(1).map_or(85, |quality| u8::try_from(quality).unwrap()))
            }
            ("thumbnail", Some(pixels)) => thumbnail(url, site, pixels),
            ("avatar", Some(pixels)) => avatar(url, site, pixels),
            ("hero_image", Some(width)) => hero_image(url, site, width),
            ("product_image", Some(pixels)) => product_image(url, site, pixels),
            ("mobile_optimized", Some(width)) => mobile_optimized(url, site, width),
            (preset, _) => {
                let all =
                    ["thumbnail", "avatar", "hero_image", "responsive_image", "product_image", "mobile_optimized"];
                let place = all.iter().position(|name| *name == preset).unwrap();
                Ok(defaults(url, site).unwrap().split(' ').nth(place).unwrap().to_owned())
            }
        };
        // Cloudflare takes colours as CSS writes them.
        let want = case["url"].as_str().unwrap().replace("background=", "background=%23");
        assert_eq!(got.unwrap(), want, "{case}");
    }
}

#[test]
fn srcset_and_tests_of_urls_are_the_toolkits() {
    let golden = golden();
    for case in golden["srcset"].as_array().unwrap() {
        let widths: Vec<_> = case["widths"].as_array().unwrap().iter().map(Value::to_string).collect();
        let quality = u8::try_from(case["quality"].as_u64().unwrap()).unwrap();
        let site = site(&golden, &case["settings"]);
        let got = srcset(case["base"].as_str().unwrap(), &site, widths.join(", "), quality).unwrap();
        assert_eq!(got, case["srcset"].as_str().unwrap(), "{case}");
    }
    for case in golden["urls"].as_array().unwrap() {
        let got = tests_of_urls(case["url"].as_str().unwrap(), &site(&golden, &case["settings"])).unwrap();
        let is_delivered = case["is_delivery_url"].as_bool().unwrap();
        assert!(got.starts_with(&format!("{is_delivered} {} ", case["valid"])), "{case}: {got}");
        assert_eq!(got.ends_with(" yes"), is_delivered);
    }
}

filtered!(by_text(), r#"{{ url|cf_image_transform("width=300, height=200,fit=cover") }}"#);
filtered!(
    by_names(quality: u32),
    r##"{{ url|cf_image_transform(width=300, height=200, fit="cover", quality=self.quality, dpr=1.5, background="#ff8800") }}"##
);
filtered!(by_both(), r#"{{ url|cf_image_transform("w=300", gravity="face", rotate=90) }}"#);
filtered!(without_width(), r#"{{ url|cf_image_transform("width=0") }}"#);
filtered!(wrong_widths(), r#"{{ url|cf_srcset("320,x") }}"#);

#[test]
fn transformations_are_said_as_a_text_or_by_names() {
    let (base, site) = ("https://imagedelivery.net/hash/id", &Site::default());
    assert_eq!(by_text(URL, site).unwrap(), format!("{base}/fit=cover,height=200,width=300"));
    assert_eq!(
        by_names(URL, site, 80).unwrap(),
        format!("{base}/background=%23ff8800,dpr=1.5,fit=cover,height=200,quality=80,width=300")
    );
    assert_eq!(by_both(URL, site).unwrap(), format!("{base}/gravity=face,rotate=90,width=300"));
}

#[test]
fn mistakes_of_a_template_are_told() {
    let site = &Site::default();
    for error in [without_width(URL, site).unwrap_err(), thumbnail(URL, site, 12_001).unwrap_err()] {
        assert!(error.to_string().contains("width must be a whole number from 1 to 12000"), "{error}");
    }
    let error = wrong_widths(URL, site).unwrap_err();
    assert!(error.to_string().starts_with("widths must be"), "{error}");
    let values = (Site::KEY, &"something else" as &dyn std::any::Any);
    assert!(AllFragments::new(URL, "x").render_with_values(&values).is_err());
}

filtered!(sizes(), "{{ url|cf_sizes }}");

#[test]
fn sizes_keep_their_units() {
    let got = sizes("max-width: 768px:100vw,max-width: 1024px:50vw,default:800", &Site::default()).unwrap();
    assert_eq!(got, "(max-width: 768px) 100vw, (max-width: 1024px) 50vw, 800px");
}

#[derive(Template)]
#[template(
    source = "[{{ missing|cf_avatar }}{{ url|cf_avatar }}{{ url|cf_responsive_img }}{{ url|cf_picture }}{{ url|cf_srcset(\"1\") }}\
              {{ url|cf_extract_id }}{{ url|cf_image_transform(width=1) }}]",
    ext = "html"
)]
struct Missing<'a> {
    url: &'a str,
    missing: Option<String>,
}

#[test]
fn what_is_missing_shows_nothing() {
    for url in ["", " ", "javascript:alert(1)", "https://", "https://imagedelivery.net/h"] {
        assert_eq!(Missing { url, missing: None }.render().unwrap(), "[]", "{url}");
    }
}

#[test]
fn filters_leave_signed_urls_as_they_are() {
    let site = &Site::default();
    assert_eq!(defaults(SIGNED, site).unwrap(), [SIGNED; 6].join(" "));
    assert_eq!(srcset(SIGNED, site, "320".to_owned(), 85).unwrap(), "");
}

#[derive(Template)]
#[template(
    source = r#"{{ url|cf_responsive_img(text, text, "320", sizes=text, priority=true, width=640, height=480) }}{{ url|cf_picture(text, css_class=text) }}{{ images|cf_image_gallery(2, thumbnail_size=100) }}{{ text|cf_upload_form(text, text, next=text) }}"#,
    ext = "html"
)]
struct AllFragments<'a> {
    url: &'a str,
    text: &'a str,
    images: Vec<GalleryImage<'a>>,
}

impl<'a> AllFragments<'a> {
    fn new(url: &'a str, text: &'a str) -> Self {
        Self { url, text, images: vec![GalleryImage::new(url, text)] }
    }
}

#[test]
fn filters_of_fragments_give_html() {
    let site = Site { csrf_token: Some("token".to_owned()), url_prefix: "/pics".to_owned(), ..Site::default() };
    let elements = elements(&AllFragments::new(URL, "x").render_with_values(&site.values()).unwrap());
    let names: Vec<_> = elements.iter().map(|element| element.name.as_str()).collect();
    assert_eq!(names[..9], ["img", "picture", "source", "source", "img", "ul", "li", "a", "img"]);
    assert_eq!(elements[0].get("height"), "240");
    assert_eq!(elements[9].get("action"), "/pics/api/images/upload/");
    assert_eq!(elements[10].get("value"), "token");
    assert_eq!(elements[12].get("endpoint"), "/pics/api/upload-url/");
}

proptest! {
    /// Whatever the texts are, the same elements are there, with the same attributes, and the texts are their values.
    #[test]
    fn no_text_leaves_its_attribute(text in r#"[<>"'&=/ \n`a-zé;#\\-]{0,12}|\PC{0,12}"#) {
        let want = elements(&AllFragments::new(URL, "x").render().unwrap());
        let got = elements(&AllFragments::new(URL, &text).render().unwrap());
        let next_is_left_out = text.is_empty();
        let shape = |elements: &[Element]| elements.iter().filter(|element| !(next_is_left_out && element.attributes.get("name").is_some_and(|name| name == "next")))
            .map(|element| (element.name.clone(), element.attributes.keys().filter(|name| !matches!(name.as_str(), "class" | "sizes" | "aria-label")).cloned().collect::<Vec<_>>()))
            .collect::<Vec<_>>();
        prop_assert_eq!(shape(&want), shape(&got));
        for (want, got) in want.iter().zip(&got).filter(|_| !next_is_left_out) {
            for (name, value) in &want.attributes {
                let expected = if value == "x" { &text } else { value };
                prop_assert_eq!(got.attributes.get(name), Some(expected));
            }
        }
    }

    /// No URL brings an element, an attribute or a script.
    #[test]
    fn no_url_leaves_its_attribute(url in r#"(https://|//|/|javascript:|data:)?(imagedelivery\.net/h/)?[<>"'&=/ ,\n\t`a-z:é?#-]{0,16}"#) {
        let html = AllFragments::new(&url, "x").render().unwrap();
        for element in elements(&html) {
            prop_assert!(matches!(element.name.as_str(), "img" | "picture" | "source" | "ul" | "li" | "a" | "p" | "form" | "input" | "cfimages-upload" | "label" | "button" | "script"));
            for name in element.attributes.keys() {
                prop_assert!(!name.starts_with("on") && name != "style", "{}", html);
            }
            for name in ["src", "href"] {
                if let Some(value) = element.attributes.get(name) {
                    let scheme = value.split(['/', '?', '#']).next().unwrap_or_default();
                    prop_assert!(!scheme.contains(':') || matches!(scheme.to_lowercase().as_str(), "https:" | "http:"), "{}", html);
                }
            }
        }
    }
}

mod transformed {
    use super::*;
    use crate::delivery::Transform;

    fn html(options: &str, original: Option<Dimensions>) -> (String, String) {
        let transform: Transform = if options.is_empty() { Transform::new() } else { options.parse().unwrap() };
        let image = TransformedImage { alt: "A \"lake\"", original, ..TransformedImage::new(URL, &transform) };
        let urls = DeliveryUrls::default();
        (image.html(&urls).unwrap(), image.picture_html(&urls).unwrap())
    }

    #[test]
    fn smaller_pictures_keep_the_ratio_and_all_other_options() {
        let (img, picture) = html("width=1000,height=500,fit=cover,blur=3", None);
        assert!(img.contains(r#"width="1000" height="500" alt="A &#34;lake&#34;""#), "{img}");
        assert!(picture.contains("(max-width: 400px)") && picture.contains("blur=3,fit=cover,height=200,width=400 1x"));
        assert!(picture.contains("(max-width: 768px)") && picture.contains("blur=3,fit=cover,height=384,width=768 1x"));
        let (_, picture) = html("width=500", None);
        assert!(picture.contains("400px") && !picture.contains("768px"), "{picture}");
    }

    #[test]
    fn densities_are_told_where_there_is_a_size_and_no_density() {
        let small = Some(Dimensions { width: 300, height: 200 });
        assert!(html("width=200", None).0.contains("dpr=2.0,width=200 2x"));
        assert!(!html("width=200", small).0.contains("2x"), "nothing is enlarged");
        for options in ["width=200,dpr=2", "blur=3", "width=auto", ""] {
            let (img, picture) = html(options, small);
            assert!(!img.contains("srcset"), "{options}: {img}");
            assert!(!picture.contains("<source"), "{options}: nothing is narrower than a phone: {picture}");
        }
    }

    #[test]
    fn room_is_left_where_the_size_is_certain() {
        let original = Some(Dimensions { width: 1200, height: 800 });
        for (options, want) in [
            ("width=600", Some(r#"width="600" height="400""#)),
            ("width=600,height=100,fit=pad", Some(r#"width="600" height="100""#)),
            ("width=600,height=100", None),
            ("width=600,rotate=90", None),
            ("height=100", None),
        ] {
            let (img, _) = html(options, original);
            assert_eq!(want.is_some_and(|want| img.contains(want)), img.contains(" height=\""), "{options}: {img}");
        }
    }
}
