//! A browser at the admin site, as far as tests need one: cookies, forms, no scripts.

use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Method, RequestBuilder, StatusCode};

use super::app::{Answer, TestApp};
use super::sql;

/// The password of those whom [`make_staff`] has made members of the staff.
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const PASSWORD_HASH: &str = "pbkdf2_sha256$10$salt$jse5kCwqc1BMREQnGQrxMs+btTRMrzTDStId1WOY62g=";

/// Makes a user a member of the staff, with [`PASSWORD`].
pub(crate) async fn make_staff(app: &TestApp, username: &str) {
    let update =
        format!("UPDATE auth_user SET is_staff = true, password = '{PASSWORD_HASH}' WHERE username = '{username}'");
    sql::execute(app.database_url.as_str(), &update).await;
}

/// Somebody's browser.
pub(crate) struct Browser<'a> {
    app: &'a TestApp,
    http: reqwest::Client,
    cookies: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    /// A browser without cookies.
    pub(crate) fn new(app: &'a TestApp) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { app, http, cookies: Vec::new() }
    }

    /// The browser of a member of the staff, who is made one and has signed in.
    pub(crate) async fn signed_in(app: &'a TestApp, username: &str) -> Self {
        make_staff(app, username).await;
        let mut browser = Self::new(app);
        let answer = browser.sign_in(username, PASSWORD, "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        browser
    }

    /// The browser of a superuser.
    pub(crate) async fn of_superuser(app: &'a TestApp, username: &str) -> Self {
        let update = format!("UPDATE auth_user SET is_superuser = true WHERE username = '{username}'");
        sql::execute(app.database_url.as_str(), &update).await;
        Self::signed_in(app, username).await
    }

    /// All pages of a list from one on and back again, which must be the same: what `items` finds on each.
    pub(crate) async fn walk<T: PartialEq + std::fmt::Debug>(
        &mut self,
        list: &str,
        first: &str,
        items: impl Fn(&str) -> Vec<T>,
    ) -> Vec<Vec<T>> {
        let (mut forward, mut html) = (Vec::new(), self.page(&format!("{list}{first}")).await);
        loop {
            forward.push(items(&html));
            let Some(next) = link(&html, "next") else { break };
            html = self.page(&format!("{list}{next}")).await;
        }
        let mut backward = vec![items(&html)];
        while let Some(previous) = link(&html, "prev") {
            html = self.page(&format!("{list}{previous}")).await;
            backward.insert(0, items(&html));
        }
        assert_eq!(backward, forward);
        forward
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    /// A request for a page, `sessions/` for one, with the cookies.
    pub(crate) fn request(&self, method: Method, page: &str) -> RequestBuilder {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let url = format!("{}/cloudflare-images/admin/{page}", self.app.origin);
        let request = self.http.request(method, url).header("User-Agent", "Mozilla/5.0 (X11; Linux) Firefox/140.0");
        if cookies.is_empty() { request } else { request.header(COOKIE, cookies.join("; ")) }
    }

    pub(crate) async fn get(&mut self, page: &str) -> Answer {
        let request = self.request(Method::GET, page);
        self.keep_cookies(Answer::of(request).await)
    }

    /// Shows a page, which must be there; its HTML.
    pub(crate) async fn page(&mut self, page: &str) -> String {
        let answer = self.get(page).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}: {}", answer.text);
        answer.text
    }

    /// Sends a form as its page of this origin does.
    pub(crate) async fn post(&mut self, page: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.request(Method::POST, page).header("Origin", &self.app.origin);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(encode(fields));
        self.keep_cookies(Answer::of(request).await)
    }

    /// Sends a form with the token of another page that has one.
    pub(crate) async fn submit(&mut self, from: &str, page: &str, fields: &[(&str, &str)]) -> Answer {
        let html = self.page(from).await;
        let mut fields = fields.to_vec();
        fields.push(("csrf", token(&html)));
        self.post(page, &fields).await
    }

    pub(crate) async fn sign_in(&mut self, username: &str, password: &str, next: &str) -> Answer {
        let fields = [("username", username), ("password", password), ("next", next)];
        self.submit("sign-in/", "sign-in/", &fields).await
    }

    fn keep_cookies(&mut self, answer: Answer) -> Answer {
        for set in set_cookies(&answer.headers) {
            let (name, rest) = set.split_once('=').unwrap();
            self.set_cookie(name, rest.split(';').next().unwrap());
        }
        answer
    }
}

/// The token of the first form of a page.
#[track_caller]
pub(crate) fn token(html: &str) -> &str {
    let rest = html.split_once(r#"name="csrf" value=""#).unwrap_or_else(|| panic!("no form in {html}")).1;
    rest.split('"').next().unwrap()
}

/// Where a link of the list leads, with its escapes undone.
pub(crate) fn link(html: &str, rel: &str) -> Option<String> {
    let rest = html.split_once(&format!("rel=\"{rel}\" href=\""))?.1;
    Some(rest.split('"').next()?.replace("&#38;", "&").replace("&amp;", "&"))
}

pub(crate) fn set_cookies(headers: &HeaderMap) -> Vec<&str> {
    headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
}

/// Where an answer leads to, as a path below the admin site.
#[track_caller]
pub(crate) fn leads_to(answer: &Answer) -> &str {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let target = answer.headers[LOCATION].to_str().unwrap();
    target.strip_prefix("/cloudflare-images/admin/").unwrap_or_else(|| panic!("it leads to {target}"))
}

pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |out, byte| {
            if byte.is_ascii_alphanumeric() { out + &char::from(byte).to_string() } else { format!("{out}%{byte:02X}") }
        })
    };
    fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}
