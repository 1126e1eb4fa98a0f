//! A form for uploads.

use askama::Template;

use super::SnippetError;
use super::image::write;

/// Where upload URLs come from, below the prefix.
const UPLOAD_URL: &str = "/api/upload-url/";

/// A `<form>` with the web component `<cfimages-upload>`, which sends the file straight to Cloudflare and then goes where `next`
/// says. Browsers without scripts send the file to the server, which passes it on.
///
/// upstream: `cf_upload_form`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadForm<'a> {
    /// The attribute `id` of the form.
    pub form_id: &'a str,
    /// The attribute `class` of the form.
    pub css_class: &'a str,
    /// What stands on the button.
    pub button_text: &'a str,
    /// What the field is called.
    pub label: &'a str,
    /// Where upload URLs come from: a path, or a URL of http or https, that ends in `/api/upload-url/`. The component, which is a
    /// script, comes from the same server, and files of browsers without scripts go there: it must be one that is trusted.
    pub api_endpoint: &'a str,
    /// Where the browser goes on after the upload: a path of the same host.
    pub next: Option<&'a str>,
    /// Django's token against forged requests. It is left out where the endpoint is no path, as others must not learn it.
    pub csrf_token: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "snippets/upload_form.html")]
struct UploadFormTemplate<'a> {
    form: &'a UploadForm<'a>,
    prefix: &'a str,
}

impl Default for UploadForm<'_> {
    fn default() -> Self {
        Self {
            form_id: "cf-upload-form",
            css_class: "cf-upload-form",
            button_text: "Upload Image",
            label: "Image",
            api_endpoint: "/cloudflare-images/api/upload-url/",
            next: None,
            csrf_token: None,
        }
    }
}

impl UploadForm<'_> {
    /// The form, and the script of the component.
    ///
    /// # Errors
    /// If the endpoint is neither a path nor a URL of the web, or is not that of `upload-url/`.
    pub fn html(&self) -> Result<String, SnippetError> {
        let prefix = self.api_endpoint.strip_suffix(UPLOAD_URL).ok_or(SnippetError::Endpoint)?;
        let is_path = self.api_endpoint.starts_with('/') && !self.api_endpoint.starts_with("//");
        if !is_path && !is_web_url(prefix) {
            return Err(SnippetError::Endpoint);
        }
        let form = &Self { csrf_token: self.csrf_token.filter(|_| is_path), ..self.clone() };
        Ok(write(&UploadFormTemplate { form, prefix }))
    }
}

fn is_web_url(text: &str) -> bool {
    let starts_with = |start: &str| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    starts_with("https://") || starts_with("http://")
}
