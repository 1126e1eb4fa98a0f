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
    /// Where upload URLs come from: a path, or a URL of http or https. Where it ends in `/api/upload-url/`, files of browsers
    /// without scripts go to the same server, and the component comes from there, too.
    pub api_endpoint: &'a str,
    /// Where the browser goes on after the upload: a path of the same host.
    pub next: Option<&'a str>,
    /// Django's token against forged requests.
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
    /// If the endpoint is neither a path nor a URL of the web.
    pub fn html(&self) -> Result<String, SnippetError> {
        if !is_web_address(self.api_endpoint) {
            return Err(SnippetError::Endpoint);
        }
        let prefix = self.api_endpoint.strip_suffix(UPLOAD_URL).unwrap_or("/cloudflare-images");
        Ok(write(&UploadFormTemplate { form: self, prefix }))
    }
}

fn is_web_address(text: &str) -> bool {
    let starts_with = |start: &str| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    text.starts_with('/') || starts_with("https://") || starts_with("http://")
}
