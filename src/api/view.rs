//! The URLs of the API and what holds for all of them, in the manner of DRF's views: who may, with which methods, and how the URL
//! describes itself.

use std::fmt;

use axum::http::Method;

use crate::domain::User;

/// A URL of the API.
#[derive(Debug)]
pub struct View {
    /// The path below `api/`, as axum writes it, with a slash at the end: `images/{id}/`. A part in braces holds no slash and no
    /// dot, but for `{cloudflare_id}`, which holds anything.
    pub path: &'static str,
    /// The methods that are answered, in DRF's order, without `HEAD` and `OPTIONS`.
    pub methods: &'static [&'static str],
    /// Who may.
    pub access: Access,
    /// Whether the path may end in a format instead of the slash: `images.json`.
    pub takes_suffix: bool,
    /// The name, as `OPTIONS` tells it.
    pub name: &'static str,
    /// What it is for, as `OPTIONS` tells it.
    pub description: &'static str,
    /// Whether `OPTIONS` describes the fields of an image, for each of the methods `POST` and `PUT`.
    pub describes_image: bool,
}

/// Who may use a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody; what proves the request genuine is the view's own business.
    Anybody,
    /// Users who are signed in.
    Users,
    /// Users who are staff.
    Staff,
}

impl View {
    /// Whether a method is answered.
    pub(super) fn allows(&self, method: &Method) -> bool {
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        method == "OPTIONS" || self.methods.contains(&method)
    }

    /// The methods that are answered, as the header `Allow` has them.
    pub(super) fn allow(&self) -> String {
        let mut methods = self.methods.to_vec();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.join(", ")
    }

    /// What stands in the braces of a decoded path below `api/`: `None` where the path is another, an empty text where there are no
    /// braces.
    pub(super) fn captured<'p>(&self, path: &'p str) -> Option<&'p str> {
        let pattern = self.path;
        let Some((before, rest)) = pattern.split_once('{') else { return (path == pattern).then_some("") };
        let (name, after) = rest.split_once('}')?;
        let value = path.strip_prefix(before)?.strip_suffix(after)?;
        Self::fits(name, value).then_some(value)
    }

    /// The same for a path that ends in a format, which is given too.
    pub(super) fn captured_with_suffix<'p>(&self, path: &'p str) -> Option<(&'p str, &'p str)> {
        if !self.takes_suffix {
            return None;
        }
        let (base, format) = path.strip_suffix('/').unwrap_or(path).rsplit_once('.')?;
        if format.is_empty() || !format.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return None;
        }
        let pattern = self.path.trim_end_matches('/');
        let Some((before, rest)) = pattern.split_once('{') else { return (base == pattern).then_some(("", format)) };
        let (name, after) = rest.split_once('}')?;
        let value = base.strip_prefix(before)?.strip_suffix(after)?;
        Self::fits(name, value).then_some((value, format))
    }

    fn fits(name: &str, value: &str) -> bool {
        !value.is_empty()
            && match name {
                "cloudflare_id" => !value.contains('\n'),
                _ => !value.contains(['/', '.']),
            }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)
    }
}

/// What is known of a request once its URL was resolved. An extension of every request that a handler of the API sees.
#[derive(Debug, Clone)]
pub struct ViewContext {
    /// Who asks; nobody where the view is for anybody.
    pub user: Option<User>,
    /// The URL without its query, absolute, as Django would write it.
    pub url: String,
    /// The parameters of the query.
    pub query: crate::http::query::Query,
    /// The format at the end of the path.
    pub suffix: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn view(path: &'static str) -> View {
        View {
            path,
            methods: &["GET", "POST"],
            access: Access::Users,
            takes_suffix: true,
            name: "",
            description: "",
            describes_image: false,
        }
    }

    #[test]
    fn paths_are_matched_as_djangos_router_matches_them() {
        let (list, detail, logs) = (view("images/"), view("images/{id}/"), view("images/{id}/logs/"));
        let by_id = view("images/by-cloudflare-id/{cloudflare_id}/");
        assert_eq!(list.captured("images/"), Some(""));
        assert_eq!((list.captured("images"), list.captured("images//")), (None, None));
        assert_eq!(detail.captured("images/1/"), Some("1"));
        assert_eq!(
            (detail.captured("images/a.b/"), detail.captured("images//"), detail.captured("images/a/b/")),
            (None, None, None)
        );
        assert_eq!(logs.captured("images/x/logs/"), Some("x"));
        assert_eq!(by_id.captured("images/by-cloudflare-id/a/b.c//"), Some("a/b.c/"));
        assert_eq!(by_id.captured("images/by-cloudflare-id/a\nb/"), None);
    }

    #[test]
    fn formats_at_the_end_are_told_from_the_path() {
        let root = view("");
        assert_eq!(root.captured_with_suffix(".json"), Some(("", "json")));
        assert_eq!(view("images/").captured_with_suffix("images.json/"), Some(("", "json")));
        assert_eq!(view("images/{id}/").captured_with_suffix("images/a.b"), Some(("a", "b")));
        assert_eq!(view("images/{id}/").captured_with_suffix("images/a.b.json"), None);
        assert_eq!(view("images/{id}/logs/").captured_with_suffix("images/a/logs.xml"), Some(("a", "xml")));
        assert_eq!(view("images/").captured_with_suffix("images.JSON"), None);
        let by_id = view("images/by-cloudflare-id/{cloudflare_id}/");
        assert_eq!(by_id.captured_with_suffix("images/by-cloudflare-id/a.b/c.json"), Some(("a.b/c", "json")));
    }

    #[test]
    fn the_methods_are_told_in_drfs_order() {
        assert_eq!(view("").allow(), "GET, POST, HEAD, OPTIONS");
        let only_post = View { methods: &["POST"], ..view("") };
        assert_eq!(only_post.allow(), "POST, OPTIONS");
        assert!(
            view("").allows(&Method::HEAD) && !only_post.allows(&Method::HEAD) && only_post.allows(&Method::OPTIONS)
        );
    }
}
