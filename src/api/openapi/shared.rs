//! What holds for all operations of the API: the answers that come from before and around the handlers, and how a request is signed.

use utoipa::openapi::path::{HttpMethod, Operation, ParameterIn, PathItem};
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    ContentBuilder, Header, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Schema, Type,
};

use super::{CSRF, SESSION, TOKEN};

/// An answer that many operations may give, and describe by its name.
struct SharedResponse {
    name: &'static str,
    status: &'static str,
    description: &'static str,
    body: Body,
    /// Which operations may give it.
    of: fn(&Operation) -> bool,
}

/// What such an answer holds.
enum Body {
    /// The JSON that most errors have.
    Detail,
    /// A page of Django's.
    Page,
}

const RESPONSES: &[SharedResponse] = &[
    SharedResponse {
        name: "BadRequest",
        status: "400",
        description: "More than 1000 parameters or fields, a body of more than 2.5 MiB, or a host that is not served",
        body: Body::Page,
        of: |_| true,
    },
    SharedResponse {
        name: "Unauthorized",
        status: "401",
        description: "Not signed in, where `CFIMAGES_AUTH_ORDER` begins with `token`; otherwise that is a 403",
        body: Body::Detail,
        of: needs_user,
    },
    SharedResponse {
        name: "Forbidden",
        status: "403",
        description: "Not signed in, or by a session without the token against forged requests",
        body: Body::Detail,
        of: needs_user,
    },
    SharedResponse {
        name: "NotAcceptable",
        status: "406",
        description: "Nothing that `Accept` names can be answered with",
        body: Body::Detail,
        of: |_| true,
    },
    SharedResponse {
        name: "UnsupportedMediaType",
        status: "415",
        description: "The body is neither JSON nor a form",
        body: Body::Detail,
        of: |operation| operation.request_body.is_some() && needs_user(operation),
    },
    SharedResponse {
        name: "TooManyRequests",
        status: "429",
        description: "There were too many requests",
        body: Body::Detail,
        of: |_| true,
    },
    SharedResponse {
        name: "ServerError",
        status: "500",
        description: "The server failed; `request_id` is the name of the request in its logs",
        body: Body::Detail,
        of: |_| true,
    },
    SharedResponse {
        name: "Unavailable",
        status: "503",
        description: "The database is not available, or the request took too long; try again later",
        body: Body::Detail,
        of: |_| true,
    },
];

/// Completes the description of the views: what a handler says of an answer itself is left as it is.
pub(super) fn complete(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        for (method, operation) in operations(item) {
            for shared in RESPONSES {
                if (shared.of)(operation) {
                    let reference = || RefOr::Ref(Ref::from_response_name(shared.name));
                    operation.responses.responses.entry(shared.status.to_owned()).or_insert_with(reference);
                }
            }
            describe_pages(operation);
            if needs_user(operation) && method != HttpMethod::Get {
                operation.security = Some(by_token_or_session_with_csrf());
            }
        }
    }
    let components = document.components.get_or_insert_default();
    components.schemas.values_mut().for_each(let_forms_overlap);
    components.responses.extend(RESPONSES.iter().map(|shared| (shared.name.to_owned(), shared.response().into())));
}

impl SharedResponse {
    fn response(&self) -> Response {
        let (media_type, schema) = match self.body {
            Body::Detail => ("application/json", Ref::from_schema_name("ErrorDetail").into()),
            Body::Page => ("text/html", text()),
        };
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new().description(self.description).content(media_type, content);
        if self.status == "429" { response.header("Retry-After", seconds_to_wait()).build() } else { response.build() }
    }
}

fn seconds_to_wait() -> Header {
    let seconds = Schema::from(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)));
    HeaderBuilder::new().schema(Some(seconds)).description(Some("How many seconds to wait")).build()
}

/// The forms of an answer are told from one another by their fields, but one may have all those of another and more. So any of them
/// may fit, not only exactly one.
fn let_forms_overlap(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::OneOf(forms)) = schema {
        let any = AnyOfBuilder::new().description(forms.description.take());
        *schema = forms.items.drain(..).fold(any, AnyOfBuilder::item).into();
    }
}

/// Every operation of a path, with its method.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let all = [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Put, &mut item.put),
        (HttpMethod::Patch, &mut item.patch),
        (HttpMethod::Delete, &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn needs_user(operation: &Operation) -> bool {
    operation.security.is_some()
}

/// Django's pages for what it does not even look at, and for paths that lead nowhere: beside the answers in JSON.
fn describe_pages(operation: &mut Operation) {
    let has_path_parameter = operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Path,
        RefOr::Ref(_) => false,
    });
    for (status, is_possible) in [("400", true), ("404", has_path_parameter)] {
        if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(status)
            && is_possible
        {
            let page = || ContentBuilder::new().schema(Some(text())).build().into();
            response.content.entry("text/html".to_owned()).or_insert_with(page);
        }
    }
}

fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}

fn by_token_or_session_with_csrf() -> Vec<SecurityRequirement> {
    let nothing = || std::iter::empty::<String>();
    vec![SecurityRequirement::new(TOKEN, nothing()), SecurityRequirement::new(SESSION, nothing()).add(CSRF, nothing())]
}
