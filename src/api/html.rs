//! `html/`: HTML fragments for pages.

use std::borrow::Cow;

use axum::extract::{Extension, FromRef, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::body::Form;
use super::error::ErrorDetail;
use super::fields::Fields;
use super::next_url::{self, NextUrl};
use super::view::{Access, View, ViewContext};
use super::{ApiError, Authentication, FieldErrors, Principal, selection};
use crate::delivery::{DeliveryUrls, Picture, PictureError, Preset};
use crate::domain::{Image, ImageFilter, ImageId, ImageStatus, PageRequest, User};
use crate::http::EntityTag;
use crate::metrics::TransformationSource;
use crate::service::{self, CloudflareService, ImageLinks};
use crate::snippets::{
    Avatar, DEFAULT_WIDTHS, Dimensions, Gallery, GalleryImage, Loading, PictureElement, ResponsiveImage, SnippetError,
    Thumbnail, UploadForm, parse_widths,
};

const fn view(path: &'static str, name: &'static str, description: &'static str) -> View {
    View {
        path,
        methods: &["GET"],
        access: Access::Users,
        takes_suffix: false,
        name,
        description,
        describes_image: false,
    }
}

/// A picture in several widths.
pub const IMAGE: View = view("html/img/", "Html Image", "An <img> in several widths.");
/// A picture in a width for each kind of screen.
pub const PICTURE: View = view("html/picture/", "Html Picture", "A <picture> with a width for each kind of screen.");
/// A round picture of a person.
pub const AVATAR: View = view("html/avatar/", "Html Avatar", "A round <img> of a person.");
/// A square picture.
pub const THUMBNAIL: View = view("html/thumbnail/", "Html Thumbnail", "A square <img>.");
/// Several pictures in a grid.
pub const GALLERY: View = view("html/gallery/", "Html Gallery", "A list of thumbnails in columns.");
/// A form for uploads.
pub const UPLOAD_FORM: View =
    view("html/upload-form/", "Html Upload Form", "A form that works with scripts and without.");

/// Pictures from anywhere, and nothing else.
const FRAGMENT_POLICY: &str = "default-src 'none'; img-src *; frame-ancestors 'none'";
const EITHER: &str = "Give either url or image.";
const BOTH_SIDES: &str = "Give both width and height, or neither.";
const PRIVATE: &str = "The image is private: its picture is delivered by signed URLs of named variants only, and \
                       CLOUDFLARE_IMAGES_SIGNING_KEY is not set.";
const NO_UUID: &str = "Must be a valid UUID.";
const MAX_URL_CHARS: usize = 4096;
const MAX_TEXT_CHARS: usize = 1000;
const MAX_SIDE: i64 = 12_000;
const MAX_GALLERY_IMAGES: usize = 100;
const DEFAULT_GALLERY_IMAGES: u32 = 12;

/// Write an image.
///
/// An `<img>` in several widths, of which the browser takes the one that fits.
#[utoipa::path(
    get,
    path = "/html/img/",
    tag = "HTML",
    operation_id = "write_image_html",
    params(
        PictureParameters,
        ("widths" = Option<String>, Query, description = "The widths in pixels, `320,640,1024` by default"),
        ("quality" = Option<u32>, Query, minimum = 1, maximum = 100, description = "85 by default"),
        ("sizes" = Option<String>, Query, description = "The attribute `sizes`: how wide the picture is shown; `100vw` by default"),
    ),
    responses(
        (status = 200, description = "The fragment", content_type = "text/html", body = String),
        (status = 304, description = "The client has it already"),
        (status = 400, description = "Parameters are not accepted", body = FieldErrors),
        (status = 404, description = "There is no such image, or it is somebody else's", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn write_image(
    Principal(user): Principal,
    State(pictures): State<Pictures>,
    Extension(context): Extension<ViewContext>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let form = Form::from(context.query);
    let mut fields = Fields::of_form(&form);
    let asked = Asked::read(&mut fields, pictures.urls());
    let widths = widths(&mut fields);
    let quality = fields.integer("quality", &(1..=100)).and_then(|quality| u8::try_from(quality).ok());
    let sizes = fields.text("sizes", MAX_TEXT_CHARS);
    fields.finish()?;
    let shown = pictures.find(&user, asked).await?;
    let image = ResponsiveImage {
        alt: &shown.alt,
        class: &shown.class,
        widths: &widths,
        quality: quality.unwrap_or(85),
        sizes: sizes.as_deref().unwrap_or("100vw"),
        original: shown.original,
        loading: shown.loading,
        ..ResponsiveImage::new(&shown.url)
    };
    let html = image.html(pictures.urls())?;
    pictures.count(Preset::Responsive { width: 1, quality: 1 }, &shown.url);
    Ok(cached(html, &headers))
}

/// Write a picture.
///
/// A `<picture>` with a width for phones, one for tablets and one for all larger screens.
#[utoipa::path(
    get,
    path = "/html/picture/",
    tag = "HTML",
    operation_id = "write_picture_html",
    params(
        PictureParameters,
        ("mobile_width" = Option<u32>, Query, minimum = 1, maximum = 12000, description = "The width for windows up to this width, 400 by default"),
        ("tablet_width" = Option<u32>, Query, minimum = 1, maximum = 12000, description = "The width for windows up to this width, 768 by default"),
        ("desktop_width" = Option<u32>, Query, minimum = 1, maximum = 12000, description = "The width for all others, 1200 by default"),
    ),
    responses(
        (status = 200, description = "The fragment", content_type = "text/html", body = String),
        (status = 304, description = "The client has it already"),
        (status = 400, description = "Parameters are not accepted", body = FieldErrors),
        (status = 404, description = "There is no such image, or it is somebody else's", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn write_picture(
    Principal(user): Principal,
    State(pictures): State<Pictures>,
    Extension(context): Extension<ViewContext>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let form = Form::from(context.query);
    let mut fields = Fields::of_form(&form);
    let asked = Asked::read(&mut fields, pictures.urls());
    let [mobile, tablet, desktop] =
        ["mobile_width", "tablet_width", "desktop_width"].map(|name| side(&mut fields, name));
    fields.finish()?;
    let shown = pictures.find(&user, asked).await?;
    let usual = PictureElement::new(&shown.url);
    let picture = PictureElement {
        alt: &shown.alt,
        class: &shown.class,
        mobile_width: mobile.unwrap_or(usual.mobile_width),
        tablet_width: tablet.unwrap_or(usual.tablet_width),
        desktop_width: desktop.unwrap_or(usual.desktop_width),
        original: shown.original,
        loading: shown.loading,
        ..usual
    };
    let html = picture.html(pictures.urls())?;
    pictures.count(Preset::Responsive { width: 1, quality: 1 }, &shown.url);
    Ok(cached(html, &headers))
}

/// Write an avatar.
///
/// A round `<img>` of a person; `static/cfimages-snippets.css` makes it round.
#[utoipa::path(
    get,
    path = "/html/avatar/",
    tag = "HTML",
    operation_id = "write_avatar_html",
    params(
        PictureParameters,
        ("size" = Option<u32>, Query, minimum = 1, maximum = 12000, description = "The diameter in pixels, 100 by default"),
    ),
    responses(
        (status = 200, description = "The fragment", content_type = "text/html", body = String),
        (status = 304, description = "The client has it already"),
        (status = 400, description = "Parameters are not accepted", body = FieldErrors),
        (status = 404, description = "There is no such image, or it is somebody else's", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn write_avatar(
    Principal(user): Principal,
    State(pictures): State<Pictures>,
    Extension(context): Extension<ViewContext>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let form = Form::from(context.query);
    let mut fields = Fields::of_form(&form);
    let asked = Asked::read(&mut fields, pictures.urls());
    let size = side(&mut fields, "size");
    fields.finish()?;
    let Shown { url, alt, class, original, loading } = &pictures.find(&user, asked).await?;
    let usual = Avatar::new(url);
    let size = size.unwrap_or(usual.size);
    let avatar = Avatar { alt, class, size, original: *original, loading: *loading, ..usual };
    let html = avatar.html(pictures.urls())?;
    pictures.count(Preset::Avatar { size }, url);
    Ok(cached(html, &headers))
}

/// Write a thumbnail.
///
/// A square `<img>` that the picture fills.
#[utoipa::path(
    get,
    path = "/html/thumbnail/",
    tag = "HTML",
    operation_id = "write_thumbnail_html",
    params(
        PictureParameters,
        ("size" = Option<u32>, Query, minimum = 1, maximum = 12000, description = "The side in pixels, 150 by default"),
    ),
    responses(
        (status = 200, description = "The fragment", content_type = "text/html", body = String),
        (status = 304, description = "The client has it already"),
        (status = 400, description = "Parameters are not accepted", body = FieldErrors),
        (status = 404, description = "There is no such image, or it is somebody else's", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn write_thumbnail(
    Principal(user): Principal,
    State(pictures): State<Pictures>,
    Extension(context): Extension<ViewContext>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let form = Form::from(context.query);
    let mut fields = Fields::of_form(&form);
    let asked = Asked::read(&mut fields, pictures.urls());
    let size = side(&mut fields, "size");
    fields.finish()?;
    let Shown { url, alt, class, original, loading } = &pictures.find(&user, asked).await?;
    let usual = Thumbnail::new(url);
    let size = size.unwrap_or(usual.size);
    let thumbnail = Thumbnail { alt, class, size, original: *original, loading: *loading, ..usual };
    let html = thumbnail.html(pictures.urls())?;
    pictures.count(Preset::Thumbnail { size }, url);
    Ok(cached(html, &headers))
}

/// Write a gallery.
///
/// A list of thumbnails, each of which leads to the large picture: of the images that are named, in this order, or of the user's
/// newest ones.
#[utoipa::path(
    get,
    path = "/html/gallery/",
    tag = "HTML",
    operation_id = "write_gallery_html",
    params(
        ("images" = Option<String>, Query, description = "The keys of at most 100 images of the user's, with commas"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How many of the newest images, private ones only where they can be signed, 12 by default; without `images`"),
        ("columns" = Option<u32>, Query, minimum = 1, maximum = 12, description = "3 by default; fewer on narrow screens"),
        ("size" = Option<u32>, Query, minimum = 1, maximum = 12000, description = "The side of a thumbnail in pixels, 300 by default"),
        ("class" = Option<String>, Query, description = "Classes beside `cf-gallery`"),
    ),
    responses(
        (status = 200, description = "The fragment", content_type = "text/html", body = String),
        (status = 304, description = "The client has it already"),
        (status = 400, description = "Parameters are not accepted", body = FieldErrors),
        (status = 404, description = "There is no such image, or it is somebody else's", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn write_gallery(
    Principal(user): Principal,
    State(pictures): State<Pictures>,
    Extension(context): Extension<ViewContext>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let form = Form::from(context.query);
    let mut fields = Fields::of_form(&form);
    let ids = image_ids(&mut fields);
    let limit = fields.integer("limit", &(1..=100)).and_then(|limit| u32::try_from(limit).ok());
    let columns = fields.integer("columns", &(1..=12)).and_then(|columns| u32::try_from(columns).ok());
    let size = side(&mut fields, "size");
    let class = fields.text("class", MAX_TEXT_CHARS).unwrap_or_default();
    fields.finish()?;
    let images = match ids {
        Some(ids) => pictures.find_all(&user, &ids).await?,
        None => pictures.find_newest(&user, limit.unwrap_or(DEFAULT_GALLERY_IMAGES)).await?,
    };
    let usual = Gallery::new(&images);
    let (columns, thumbnail_size) = (columns.unwrap_or(usual.columns), size.unwrap_or(usual.thumbnail_size));
    let gallery = Gallery { columns, thumbnail_size, class: &class, ..usual };
    let html = gallery.html(pictures.urls())?;
    for image in &images {
        pictures.count(Preset::Thumbnail { size: thumbnail_size }, &image.url);
    }
    Ok(cached(html, &headers))
}

/// Write an upload form.
///
/// A form with the web component `<cfimages-upload>`, whose file goes straight to Cloudflare. Without scripts it goes to
/// `images/upload/`. It holds a token against forged requests where the client has a cookie with one, so it is kept nowhere.
#[utoipa::path(
    get,
    path = "/html/upload-form/",
    tag = "HTML",
    operation_id = "write_upload_form_html",
    params(
        ("form_id" = Option<String>, Query, description = "The attribute `id`, `cf-upload-form` by default"),
        ("css_class" = Option<String>, Query, description = "The attribute `class`, `cf-upload-form` by default"),
        ("button_text" = Option<String>, Query, description = "`Upload Image` by default"),
        ("label" = Option<String>, Query, description = "What the field is called, `Image` by default"),
        ("next" = Option<String>, Query, description = "Where the browser goes on after the upload, as `images/upload/` takes it"),
    ),
    responses(
        (status = 200, description = "The fragment", content_type = "text/html", body = String),
        (status = 400, description = "Parameters are not accepted", body = FieldErrors),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn write_upload_form(
    Principal(_): Principal,
    State(authentication): State<Authentication>,
    Extension(context): Extension<ViewContext>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let api = context.url.strip_suffix(UPLOAD_FORM.path).unwrap_or_default();
    // A path, so that the form goes where its page is, whatever a proxy in between made of the host.
    let api = api.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..])).unwrap_or(api);
    let endpoint = format!("{api}upload-url/");
    let token = authentication.token_for_form(&headers);
    let form = Form::from(context.query.clone());
    let mut fields = Fields::of_form(&form);
    let [form_id, css_class, button_text, label] =
        ["form_id", "css_class", "button_text", "label"].map(|name| fields.text(name, MAX_TEXT_CHARS));
    let next = fields.text("next", next_url::MAX_CHARS);
    if next.as_ref().is_some_and(|next| NextUrl::parse(next, &context.url, &authentication).is_none()) {
        fields.refuse("next", next_url::NOT_ALLOWED);
    }
    fields.finish()?;
    let usual = UploadForm::default();
    let form = UploadForm {
        form_id: form_id.as_deref().unwrap_or(usual.form_id),
        css_class: css_class.as_deref().unwrap_or(usual.css_class),
        button_text: button_text.as_deref().unwrap_or(usual.button_text),
        label: label.as_deref().unwrap_or(usual.label),
        api_endpoint: &endpoint,
        next: next.as_deref(),
        csrf_token: token.as_deref(),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Html(form.html()?)).into_response())
}

/// A fragment that the client may keep and has to ask for again, or 304 where it has it already.
fn cached(html: String, headers: &HeaderMap) -> Response {
    let tag = EntityTag::of(html.as_bytes());
    let is_known = tag.is_known(headers);
    let about = [
        (header::ETAG, tag.into()),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        // For people who look at a fragment in the browser; in a page it is under the page's policy.
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FRAGMENT_POLICY)),
    ];
    if is_known { (StatusCode::NOT_MODIFIED, about).into_response() } else { (about, Html(html)).into_response() }
}

/// What all fragments of one picture take.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters; `Asked::read` reads them by DRF's rules")]
struct PictureParameters {
    /// The picture: a delivery URL, a path on a zone of Cloudflare, or any URL of the web. Either this or `image`
    url: Option<String>,
    /// The key of an image of the user's. Either this or `url`
    image: Option<uuid::Uuid>,
    /// What the picture shows. Empty for decoration, as it is by default for `url`; for `image` the default is `alt` of the metadata,
    /// or the name of the file
    alt: Option<String>,
    /// The attribute `class`
    class: Option<String>,
    /// The width of the original in pixels, where it is known; with `height`
    #[param(minimum = 1, maximum = 12000)]
    width: Option<u32>,
    /// The height of the original in pixels, where it is known; with `width`
    #[param(minimum = 1, maximum = 12000)]
    height: Option<u32>,
    /// Whether the picture is seen first, and so is fetched at once
    priority: Option<bool>,
}

/// What a request says of its picture.
struct Asked {
    source: Option<Source>,
    /// Empty for decoration.
    alt: Option<String>,
    class: String,
    original: Option<Dimensions>,
    loading: Loading,
}

enum Source {
    Url(String),
    Image(ImageId),
}

impl Asked {
    fn read(fields: &mut Fields<'_>, urls: &DeliveryUrls) -> Self {
        Self {
            source: read_source(fields, urls),
            alt: fields.text_or_blank("alt", MAX_TEXT_CHARS),
            class: fields.text("class", MAX_TEXT_CHARS).unwrap_or_default(),
            original: read_original(fields),
            loading: if fields.boolean("priority") == Some(true) { Loading::Eager } else { Loading::Lazy },
        }
    }
}

fn read_source(fields: &mut Fields<'_>, urls: &DeliveryUrls) -> Option<Source> {
    let (url, image) = (fields.text("url", MAX_URL_CHARS), fields.text("image", MAX_TEXT_CHARS));
    match (url, image) {
        (Some(url), None) => match Picture::new(urls, &url).err() {
            Some(error) => refuse(fields, "url", &sentence(error)),
            None => Some(Source::Url(url)),
        },
        (None, Some(id)) => match id.parse() {
            Ok(id) => Some(Source::Image(id)),
            Err(_) => refuse(fields, "image", NO_UUID),
        },
        (Some(_), Some(_)) => refuse(fields, "image", EITHER),
        (None, None) if fields.are_valid() => refuse(fields, "url", EITHER),
        (None, None) => None,
    }
}

fn read_original(fields: &mut Fields<'_>) -> Option<Dimensions> {
    match (side(fields, "width"), side(fields, "height")) {
        (Some(width), Some(height)) => Some(Dimensions { width, height }),
        (Some(_), None) if fields.are_valid() => refuse(fields, "height", BOTH_SIDES),
        (None, Some(_)) if fields.are_valid() => refuse(fields, "width", BOTH_SIDES),
        _ => None,
    }
}

/// A number of pixels.
fn side(fields: &mut Fields<'_>, name: &str) -> Option<u32> {
    fields.integer(name, &(1..=MAX_SIDE)).and_then(|pixels| u32::try_from(pixels).ok())
}

fn widths(fields: &mut Fields<'_>) -> Vec<u32> {
    let Some(text) = fields.text("widths", MAX_TEXT_CHARS) else { return DEFAULT_WIDTHS.to_vec() };
    parse_widths(&text).unwrap_or_else(|_| {
        fields.refuse("widths", "Must be whole numbers from 1 to 12000 with commas, such as 320,640,1024.");
        Vec::new()
    })
}

/// Keys with commas between them.
fn image_ids(fields: &mut Fields<'_>) -> Option<Vec<ImageId>> {
    let text = fields.text("images", usize::MAX)?;
    if text.split(',').nth(MAX_GALLERY_IMAGES).is_some() {
        return refuse(fields, "images", &format!("At most {MAX_GALLERY_IMAGES} images can be shown."));
    }
    let ids: Result<Vec<ImageId>, _> = text.split(',').map(|id| id.trim().parse()).collect();
    ids.map_or_else(|_| refuse(fields, "images", "Must be valid UUIDs with commas between them."), Some)
}

fn refuse<T>(fields: &mut Fields<'_>, name: &str, message: &str) -> Option<T> {
    fields.refuse(name, message);
    None
}

/// What is wrong with a URL, as DRF writes sentences.
fn sentence(error: PictureError) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect()
}

/// A picture that is found, and how it is shown.
struct Shown {
    url: String,
    alt: String,
    class: String,
    original: Option<Dimensions>,
    loading: Loading,
}

/// Where the pictures of fragments come from.
#[derive(Debug, Clone)]
pub struct Pictures {
    service: CloudflareService,
    links: ImageLinks,
}

impl<S> FromRef<S> for Pictures
where
    CloudflareService: FromRef<S>,
    ImageLinks: FromRef<S>,
{
    fn from_ref(state: &S) -> Self {
        Self { service: CloudflareService::from_ref(state), links: ImageLinks::from_ref(state) }
    }
}

impl Pictures {
    fn urls(&self) -> &DeliveryUrls {
        self.links.urls()
    }

    /// Counts a picture that is shown by a preset, which signed ones are not. Its sizes do not matter.
    fn count(&self, preset: Preset, url: &str) {
        let is_transformed = Picture::new(self.urls(), url).is_ok_and(|picture| !picture.is_signed());
        if let (true, Ok(transform)) = (is_transformed, preset.transform()) {
            let options = transform.option_names();
            self.service.metrics().count_transformation(TransformationSource::Html, preset.name(), &options);
        }
    }

    /// The picture that is asked for: an image has to be the user's own.
    async fn find(&self, user: &User, asked: Asked) -> Result<Shown, ApiError> {
        let Asked { source, alt, class, original, loading } = asked;
        let found = match source {
            Some(Source::Url(url)) => GalleryImage { original, ..GalleryImage::new(url, "") },
            Some(Source::Image(id)) => {
                let image = self.service.get_image(user, &selection::with_id(ImageFilter::default(), id)).await?;
                self.shown("image", &image)?
            }
            None => return Err(FieldErrors::of("url", EITHER).into()),
        };
        Ok(Shown {
            url: found.url.into_owned(),
            alt: alt.unwrap_or_else(|| found.alt.into_owned()),
            class,
            original: original.or(found.original),
            loading,
        })
    }

    /// These images of the user's, in this order.
    async fn find_all(&self, user: &User, ids: &[ImageId]) -> Result<Vec<GalleryImage<'static>>, ApiError> {
        let filter = ImageFilter { ids: Some(ids.to_vec()), ..ImageFilter::default() };
        let images = self.list(user, &filter, u32::try_from(ids.len()).unwrap_or(u32::MAX)).await?;
        let find = |id: &ImageId| images.iter().find(|image| image.id == *id).ok_or(service::Error::NotFound);
        ids.iter().map(|id| Ok(self.shown("images", find(id)?)?)).collect()
    }

    /// The user's newest images that can be shown: private ones only where they can be signed.
    async fn find_newest(&self, user: &User, limit: u32) -> Result<Vec<GalleryImage<'static>>, ApiError> {
        let filter = ImageFilter {
            status: Some(ImageStatus::Uploaded),
            require_signed_urls: (!self.links.has_signing_key()).then_some(false),
            ..ImageFilter::default()
        };
        let images = self.list(user, &filter, limit).await?;
        Ok(images.iter().filter_map(|image| self.shown("images", image).ok()).collect())
    }

    async fn list(&self, user: &User, filter: &ImageFilter, size: u32) -> Result<Vec<Image>, ApiError> {
        let page = self.service.list_images(user, filter, &[], |_| Ok::<_, ApiError>(PageRequest { offset: 0, size }));
        Ok(page.await?.items)
    }

    /// How an image is shown; `field` is the one that named it.
    fn shown(&self, field: &str, image: &Image) -> Result<GalleryImage<'static>, FieldErrors> {
        let url = self.url_of(image).map_err(|reason| FieldErrors::of(field, &reason))?;
        Ok(GalleryImage { url: url.into(), alt: alt_of(image).into(), original: dimensions_of(image) })
    }

    fn url_of(&self, image: &Image) -> Result<String, Cow<'static, str>> {
        if !image.is_uploaded() {
            return Err(format!("The image has no picture that could be shown: its status is {}.", image.status).into());
        }
        if image.require_signed_urls {
            let signed = self.links.signed(image, self.service.clock().now()).and_then(|links| links.public_url);
            return signed.map(|url| url.as_str().to_owned()).ok_or_else(|| PRIVATE.into());
        }
        self.links.picture_url(image).ok_or_else(|| "The URL of the picture is not known.".into())
    }
}

/// What an image shows, as far as its record tells: `alt` of the metadata, else the name of the file without its extension.
fn alt_of(image: &Image) -> String {
    let metadata: Option<serde_json::Value> = serde_json::from_str(image.metadata.as_str()).ok();
    let alt = metadata.as_ref().and_then(|metadata| metadata.get("alt")?.as_str());
    alt.map_or_else(|| alt_of_filename(&image.original_filename, &image.filename), str::to_owned)
}

fn alt_of_filename(original: &str, uploaded: &str) -> String {
    let name = if original.is_empty() { uploaded } else { original };
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem });
    stem.split(['-', '_', ' ']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn dimensions_of(image: &Image) -> Option<Dimensions> {
    let side = |side: Option<i64>| u32::try_from(side?).ok().filter(|side| *side > 0);
    Some(Dimensions { width: side(image.width)?, height: side(image.height)? })
}

/// What is left to be wrong once the parameters were read.
impl From<SnippetError> for ApiError {
    fn from(error: SnippetError) -> Self {
        match &error {
            SnippetError::Picture(error) => FieldErrors::of("url", &sentence(*error)),
            SnippetError::Transform(error) => FieldErrors::of(error.option().unwrap_or("url"), &error.problem()),
            SnippetError::Widths => FieldErrors::of("widths", &error.to_string()),
            SnippetError::Columns => FieldErrors::of("columns", &error.to_string()),
            SnippetError::Endpoint => FieldErrors::of("api_endpoint", &error.to_string()),
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_become_words() {
        for (original, uploaded, want) in [
            ("red-shoes_2.jpg", "x.png", "red shoes 2"),
            ("", "My Photo.tar.gz", "My Photo.tar"),
            ("C:\\pictures\\lake.png", "", "lake"),
            (".jpg", "", ".jpg"),
            ("", "", ""),
            ("lake", "", "lake"),
        ] {
            assert_eq!(alt_of_filename(original, uploaded), want, "{original} {uploaded}");
        }
    }
}
