//! `transform/`

use std::borrow::Cow;

use axum::Json;
use axum::extract::{Extension, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Required, Type};

use super::error::ErrorDetail;
use super::metadata::capitalised;
use super::view::{Access, View, ViewContext};
use super::{ApiError, FieldErrors, Principal, selection};
use crate::delivery::{
    DeliveryUrls, OPTIONS, OptionInfo, PRESETS, Picture, PictureError, Preset, PresetError, SHORTHANDS, Transform,
    TransformError,
};
use crate::domain::{Image, ImageFilter, ImageId};
use crate::http::query::Query;
use crate::metrics::TransformationSource;
use crate::service::{CloudflareService, ImageLinks};

/// The URLs of transformed pictures.
pub const TRANSFORM: View = View {
    path: "transform/",
    methods: &["GET"],
    access: Access::Users,
    takes_suffix: false,
    name: "Transform",
    description: "Builds the URL of a transformed picture.",
    describes_image: false,
};

const EITHER: &str = "Give either url or image.";
const REPEATED: &str = "Is given more than once.";
const PRIVATE: &str = "The image is private, and private images are delivered in named variants only: make a variant at Cloudflare, and \
    sign its URL.";

/// The URL of a transformed picture.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransformResponse {
    /// The URL.
    #[schema(
        format = "uri",
        example = "https://imagedelivery.net/ZWd9g1K7eljCn_KDTu_MWA/2cdc28f0-017a-49c4-9ed7-87056c83901f/width=300"
    )]
    url: String,
    /// What is done to the picture: options by their full names.
    #[schema(value_type = Object, example = json!({"width": 300}))]
    options: Transform,
}

/// The parameters that are no options: names and descriptions.
const PARAMETERS: [(&str, &str); 5] = [
    ("url", "The picture: a delivery URL, a path on a zone, or any URL of the web. Either this or `image`"),
    ("image", "The key of an image of the user's, which is uploaded and not private. Either this or `url`"),
    (
        "zone",
        "The domain that fetches and transforms a picture that is not in Cloudflare Images, such as `example.com`",
    ),
    ("preset", "A transformation for a common use, whose options the others replace"),
    ("sizes", "The sizes of the preset in its order, with commas, such as `1200,600`"),
];

/// Describes all parameters, the options among them.
pub struct TransformParameters;

impl utoipa::IntoParams for TransformParameters {
    fn into_params(_parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let own = PARAMETERS.iter().map(|(name, about)| parameter(name, &format!("{about}{}", presets_of(name))));
        let options = OPTIONS.iter().chain(SHORTHANDS).map(|info| parameter(info.name, &describe(info)));
        own.chain(options).collect()
    }
}

fn parameter(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn presets_of(name: &str) -> String {
    if name != "preset" {
        return String::new();
    }
    let presets = PRESETS.iter().map(|preset| format!("`{}` ({})", preset.name, preset.sizes));
    format!(": {}", presets.collect::<Vec<_>>().join(", "))
}

fn describe(info: &OptionInfo) -> String {
    let alias = info.alias.map(|alias| format!(". Also `{alias}`")).unwrap_or_default();
    format!("{}: {}{alias}", capitalised(info.about), info.allowed)
}

/// Build a transformation URL.
///
/// The URL of a picture, of the user's own or any other, with options. Each option may be given once, by its name or its shorter
/// one. `format` is the option: answers are always JSON.
#[utoipa::path(
    get,
    path = "/transform/",
    tag = "delivery",
    operation_id = "build_transformation_url",
    params(TransformParameters),
    responses(
        (status = 200, description = "The URL", body = TransformResponse),
        (status = 400, description = "Parameters are not accepted", body = FieldErrors),
        (status = 404, description = "There is no such image, or it is somebody else's", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn build_transformation_url(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    Extension(context): Extension<ViewContext>,
) -> Result<Json<TransformResponse>, ApiError> {
    let mut request = TransformRequest::read(&context.query);
    let url = match request.source.take() {
        Some(Source::Url(url)) => Some(Cow::Borrowed(url)),
        Some(Source::Image(id)) => {
            let filter = selection::with_id(ImageFilter::default(), id);
            let image = service.get_image(&user, &filter).await?;
            request.accept("image", picture_url(&image, &links)).map(Cow::Owned)
        }
        None => None,
    };
    let preset = request.preset.unwrap_or_default();
    let response = request.answer(links.urls(), url.as_deref())?;
    service.metrics().count_transformation(TransformationSource::Transform, preset, &response.options.option_names());
    Ok(Json(response))
}

/// The URL of an image that can be transformed.
fn picture_url(image: &Image, links: &ImageLinks) -> Result<String, String> {
    if !image.is_uploaded() {
        return Err(format!("The image has no picture that could be transformed: its status is {}.", image.status));
    }
    if image.require_signed_urls {
        return Err(PRIVATE.to_owned());
    }
    links.picture_url(image).ok_or_else(|| "The URL of the picture is not known.".to_owned())
}

/// What a request says, and what is wrong with it.
struct TransformRequest<'q> {
    source: Option<Source<'q>>,
    zone: Option<&'q str>,
    /// The name of the preset.
    preset: Option<&'static str>,
    transform: Option<Transform>,
    errors: FieldErrors,
}

/// Which picture is transformed.
enum Source<'q> {
    Url(&'q str),
    Image(ImageId),
}

impl<'q> TransformRequest<'q> {
    fn read(query: &'q Query) -> Self {
        let errors = FieldErrors::default();
        let mut request = Self { source: None, zone: None, preset: None, transform: None, errors };
        let [url, image, zone, preset, sizes] = PARAMETERS.map(|(name, _)| request.single(query, name));
        request.source = request.source_of(url, image);
        request.zone = zone;
        let is_option = |(name, _): &(&str, &str)| PARAMETERS.iter().all(|(parameter, _)| parameter != name);
        let preset = request.read_preset(preset, sizes);
        match preset.unwrap_or_default().with_options(query.pairs().filter(is_option)) {
            Ok(transform) => request.transform = Some(transform),
            Err(errors) => errors.iter().for_each(|error| request.refuse(error)),
        }
        request
    }

    /// The value of a parameter that may be given once; an empty one counts as none.
    fn single(&mut self, query: &'q Query, name: &str) -> Option<&'q str> {
        let mut values = query.pairs().filter(|(key, _)| *key == name).map(|(_, value)| value);
        let value = values.next();
        if values.next().is_some() {
            self.errors.add(name, REPEATED);
        }
        value.filter(|value| !value.is_empty())
    }

    fn source_of(&mut self, url: Option<&'q str>, image: Option<&str>) -> Option<Source<'q>> {
        match (url, image) {
            (Some(url), None) => Some(Source::Url(url)),
            (None, Some(id)) => {
                let id = id.parse().map_err(|_| "Must be a valid UUID.".to_owned());
                self.accept("image", id).map(Source::Image)
            }
            _ => {
                self.errors.add("non_field_errors", EITHER);
                None
            }
        }
    }

    fn read_preset(&mut self, name: Option<&str>, sizes: Option<&str>) -> Option<Transform> {
        let sizes: Result<Vec<u32>, _> =
            sizes.map_or(Ok(Vec::new()), |sizes| sizes.split(',').map(|size| size.trim().parse()).collect());
        let sizes =
            self.accept("sizes", sizes.map_err(|_| "Must be whole numbers with commas, such as 1200,600.".to_owned()))?;
        let Some(name) = name else {
            if !sizes.is_empty() {
                self.errors.add("sizes", "Needs a preset.");
            }
            return None;
        };
        match Preset::named(name, &sizes) {
            Ok(preset) => {
                self.preset = Some(preset.name());
                preset.transform().map_err(|error| self.refuse(&error)).ok()
            }
            Err(error @ PresetError::Unknown(_)) => self.accept("preset", Err(complete(&error))),
            Err(error @ PresetError::Sizes { .. }) => self.accept("sizes", Err(complete(&error))),
        }
    }

    /// The value, unless it is refused, which is kept.
    fn accept<T>(&mut self, name: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|message| self.errors.add(name, message)).ok()
    }

    fn refuse(&mut self, error: &TransformError) {
        self.errors.add(error.option().unwrap_or("url"), capitalised(&error.problem()));
    }

    fn answer(mut self, urls: &DeliveryUrls, url: Option<&str>) -> Result<TransformResponse, FieldErrors> {
        let picture = url.and_then(|url| self.picture(urls, url));
        let built = match (picture, self.transform.take()) {
            (Some(picture), Some(transform)) if self.errors.is_empty() => {
                transform.build(&picture).map(|url| TransformResponse { url, options: transform })
            }
            _ => return Err(self.errors),
        };
        built.map_err(|error| {
            self.refuse(&error);
            self.errors
        })
    }

    fn picture<'u>(&mut self, urls: &DeliveryUrls, url: &'u str) -> Option<Picture<'u>> {
        let picture = Picture::new(urls, url);
        let picture = match self.zone {
            Some(zone) => picture.and_then(|picture| picture.on_zone(zone)),
            None => picture,
        };
        let field = if matches!(picture, Err(PictureError::Zone)) { "zone" } else { "url" };
        self.accept(field, picture.map_err(|error| complete(&error)))
    }
}

/// An error as a sentence.
fn complete(error: &dyn std::error::Error) -> String {
    format!("{}.", capitalised(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn answer(query: &str) -> Value {
        let query = Query::parse(query).unwrap();
        let mut request = TransformRequest::read(&query);
        let url = match request.source.take() {
            Some(Source::Url(url)) => Some(url),
            Some(Source::Image(_)) | None => None,
        };
        match request.answer(&DeliveryUrls::default(), url) {
            Ok(answer) => serde_json::to_value(answer).unwrap(),
            Err(errors) => serde_json::to_value(errors).unwrap(),
        }
    }

    #[test]
    fn options_are_read_by_all_their_names() {
        let want = json!({
            "url": "/cdn-cgi/image/dpr=2.0,fit=cover,format=webp,gravity=face,height=20,quality=high,width=300/a.jpg",
            "options": {
                "dpr": 2.0, "fit": "cover", "format": "webp", "gravity": "face", "height": 20, "quality": "high", "width": 300,
            },
        });
        for query in [
            "url=/a.jpg&width=300&height=20&fit=cover&quality=high&format=webp&gravity=face&dpr=2",
            "w=300&h=20&fit=cover&q=high&f=webp&g=face&dpr=2&url=%2Fa.jpg",
        ] {
            assert_eq!(answer(query), want, "{query}");
        }
        let none = json!({"url": "/a.jpg", "options": {}});
        assert_eq!(answer("url=/a.jpg&zone=&preset=&sizes="), none);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let got =
            answer("width=0&w=3&nope=1&border=2&rotate=45&url=javascript:alert(1)&zone=a/b&zone=c&preset=x&sizes=1,b");
        let width = "Must be a whole number from 1 to 12000, or auto.";
        assert_eq!(got["width"], json!([width, REPEATED]));
        assert_eq!(got["rotate"], json!(["Must be one of: 0, 90, 180, 270, 360."]));
        assert_eq!(got["url"], json!(["Must be an http:// or https:// URL, or a path."]));
        assert_eq!(got["zone"], json!([REPEATED]));
        assert_eq!(got["sizes"], json!(["Must be whole numbers with commas, such as 1200,600."]));
        assert!(got["nope"][0].as_str().unwrap().starts_with("Is not an option; there are: anim, "));
        assert!(got["border"][0].as_str().unwrap().contains("Workers only"));
    }

    #[test]
    fn other_mistakes_name_their_parameter() {
        for (query, name, start) in [
            ("", "non_field_errors", EITHER),
            ("url=/a&image=0", "non_field_errors", EITHER),
            ("url=/a&url=/b", "url", REPEATED),
            ("image=cat", "image", "Must be a valid UUID."),
            ("url=/a&zone=a/b", "zone", "Must be a domain"),
            ("url=/a&preset=nope", "preset", "There is no preset \"nope\"; there are: thumbnail, "),
            ("url=/a&preset=hero&sizes=1,2,3", "sizes", "Hero takes [WIDTH=1200] [HEIGHT=600]"),
            ("url=/a&preset=responsive&sizes=10,101", "quality", "Must be a whole number from 1 to 100"),
            ("url=/a&sizes=1", "sizes", "Needs a preset."),
            ("url=/a&zoom=0.5", "zoom", "This option needs gravity=face."),
            (
                "url=https://imagedelivery.net/h/i/public&onerror=redirect",
                "onerror",
                "This option is for pictures of a zone only",
            ),
            ("url=https://imagedelivery.net/h/i/public?sig=00%26exp=1&w=1", "url", "The URL is signed"),
        ] {
            let got = answer(query);
            assert_eq!(got.as_object().unwrap().len(), 1, "{query}: {got}");
            assert!(got[name][0].as_str().unwrap_or_default().starts_with(start), "{query}: {got}");
        }
    }

    #[test]
    fn presets_are_a_start_that_options_replace() {
        for (query, want) in [
            ("preset=thumbnail", "fit=cover,height=150,quality=85,width=150"),
            (
                "preset=hero_image&sizes=800,%20300&q=50&f=webp",
                "fit=cover,format=webp,gravity=auto,height=300,quality=50,width=800",
            ),
        ] {
            assert_eq!(answer(&format!("url=/a&{query}"))["url"], format!("/cdn-cgi/image/{want}/a"));
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_the_reader_panic(text in "((url|zone|preset|sizes|width|trim|[a-z%0-9]*)=[a-z%0-9_,;./:-]*&)*") {
            answer(&text);
        }
    }
}
