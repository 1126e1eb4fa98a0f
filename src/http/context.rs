//! Who is asking, and under which name the request is logged.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use uuid::Uuid;

use crate::domain::Networks;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const CLOUDFLARE_CLIENT: HeaderName = HeaderName::from_static("cf-connecting-ip");

tokio::task_local! {
    static CURRENT_ID: Arc<str>;
}

/// What is known about a request before any handler sees it. An extension of every request.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The name of the request in logs and errors.
    pub id: Arc<str>,
    /// Where the request came from, behind trusted proxies; unknown only in tests without a socket.
    pub client: Option<IpAddr>,
    /// Whether that is a trusted proxy, or this machine where it is one: who is behind it, if anybody is, was not told.
    pub is_proxy: bool,
    /// Scheme, host and port as the client wrote them, for absolute URLs: `https://example.com`.
    pub origin: String,
}

impl RequestContext {
    /// The id of the request that is being answered by this task.
    pub fn current_id() -> Option<Arc<str>> {
        CURRENT_ID.try_with(Arc::clone).ok()
    }

    fn of(request: &Request, proxies: &Networks) -> Self {
        let headers = request.headers();
        let peer =
            request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical());
        let is_behind_proxy = peer.is_some_and(|peer| proxies.contains(peer));
        let client = if is_behind_proxy { forwarded_client(headers, proxies).or(peer) } else { peer };
        let is_https =
            is_behind_proxy && text(headers, &FORWARDED_PROTO).is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
        let host = text(headers, &header::HOST).or_else(|| request.uri().host()).unwrap_or("localhost");
        let given_id = text(headers, &REQUEST_ID).filter(|id| is_behind_proxy && is_plain_id(id));
        Self {
            id: given_id.map_or_else(|| Uuid::new_v4().simple().to_string().into(), Arc::from),
            client,
            is_proxy: client.is_some_and(|client| proxies.contains(client)),
            origin: format!("{}://{host}", if is_https { "https" } else { "http" }),
        }
    }
}

/// Finds out who is asking, and names the request in a header of the answer.
pub async fn add_context(State(proxies): State<Arc<Networks>>, mut request: Request, next: Next) -> Response {
    let context = RequestContext::of(&request, &proxies);
    let id = Arc::clone(&context.id);
    request.extensions_mut().insert(context);
    let mut response = CURRENT_ID.scope(Arc::clone(&id), next.run(request)).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The last address of the chain that no trusted proxy of ours has: what stands before it was written by the client. Cloudflare's
/// own header counts only where there is no chain, as proxies of ours pass on whatever clients write into it.
fn forwarded_client(headers: &HeaderMap, proxies: &Networks) -> Option<IpAddr> {
    if !headers.contains_key(&FORWARDED_FOR) {
        return text(headers, &CLOUDFLARE_CLIENT).and_then(parse_address);
    }
    let chain: Vec<String> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .flat_map(|value| String::from_utf8_lossy(value.as_bytes()).split(',').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut client = None;
    for entry in chain.into_iter().rev() {
        let Some(address) = parse_address(&entry) else { break };
        client = Some(address);
        if !proxies.contains(address) {
            break;
        }
    }
    client
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

fn is_plain_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::config::{Loader, Purpose, settings};

    fn context(peer: &str, headers: &[(&str, &str)]) -> RequestContext {
        let overrides = [(&settings::CFIMAGES_TRUSTED_PROXIES, "127.0.0.0/8, 10.0.0.0/8".to_owned())];
        let proxies = Loader::new().overrides(overrides).load(Purpose::Database).unwrap().server.trusted_proxies;
        let mut request = Request::builder().uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
        RequestContext::of(&request, &proxies)
    }

    fn client(peer: &str, headers: &[(&str, &str)]) -> String {
        context(peer, headers).client.unwrap().to_string()
    }

    #[test]
    fn a_client_that_is_no_proxy_speaks_for_itself_only() {
        let lies = [
            ("x-forwarded-for", "1.1.1.1"),
            ("cf-connecting-ip", "2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-request-id", "abc"),
        ];
        let context = context("203.0.113.9:1", &lies);
        assert_eq!(context.client.unwrap().to_string(), "203.0.113.9");
        assert_eq!(context.origin, "http://localhost");
        assert_ne!(&*context.id, "abc");
    }

    #[test]
    fn trusted_proxies_are_believed_up_to_the_first_stranger() {
        assert_eq!(client("127.0.0.1:1", &[("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.0.0.3")]), "198.51.100.7");
        assert_eq!(client("[::ffff:127.0.0.1]:1", &[("x-forwarded-for", "198.51.100.7:443")]), "198.51.100.7");
        assert_eq!(client("127.0.0.1:1", &[("cf-connecting-ip", "2001:db8::1")]), "2001:db8::1");
        let forged = [("cf-connecting-ip", "1.1.1.1"), ("x-forwarded-for", "\u{e9}, 198.51.100.7")];
        assert_eq!(client("127.0.0.1:1", &forged), "198.51.100.7");
        assert_eq!(client("127.0.0.1:1", &[("x-forwarded-for", "rubbish")]), "127.0.0.1");
    }

    #[test]
    fn the_origin_follows_host_and_the_proxys_scheme() {
        let context = context(
            "127.0.0.1:1",
            &[("host", "example.com:8443"), ("x-forwarded-proto", "https"), ("x-request-id", "abc-1")],
        );
        assert_eq!(context.origin, "https://example.com:8443");
        assert_eq!(&*context.id, "abc-1");
    }

    #[test]
    fn request_ids_with_other_characters_are_replaced() {
        for id in ["", "a b", "a\"b", "é", &"x".repeat(65)] {
            assert!(!is_plain_id(id), "{id}");
        }
    }
}
