//! The bytes of images.

use std::time::Duration;

use cfimages::cloudflare::{Client, ClientLimits, ClientSettings, Error, OriginalImage};
use cfimages::domain::CloudflareId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wiremock::ResponseTemplate;

use super::{Cloudflare, TOKEN, client_of, on};
use crate::support::picture;
use crate::support::raw_server::{RawServer, Reply};
use crate::support::suite::Suite;

pub(crate) fn register(suite: &mut Suite) {
    suite.test("cloudflare_client::an_original_comes_with_its_type_and_length", original);
    suite.test("cloudflare_client::an_original_is_read_as_it_comes", streamed);
    suite.test("cloudflare_client::an_original_that_is_cut_off_is_an_error", cut_off);
    suite.test("cloudflare_client::an_original_is_a_call_in_flight_until_its_last_byte", in_flight);
    suite.test("cloudflare_client::errors_about_originals_are_read_in_either_form", errors);
}

const ARRIVAL: Duration = Duration::from_secs(10);

async fn all_of(original: &mut OriginalImage) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = original.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn original() {
    let cloudflare = Cloudflare::start().await;
    let bytes = picture("photo.jpg");
    let answer = ResponseTemplate::new(200).set_body_raw(bytes.clone(), "image/jpeg");
    cloudflare.answer(on("GET", "/accounts/acct/images/v1/a%2Fb/blob"), answer).await;

    let mut original = cloudflare.client.download_image(&CloudflareId::new("a/b"), ARRIVAL).await.unwrap();
    assert_eq!((original.content_type(), original.length()), (Some("image/jpeg"), Some(bytes.len() as u64)));
    assert_eq!(all_of(&mut original).await.unwrap(), bytes);
}

/// A server that answers one request with a head and some bytes.
async fn answer_with(listener: &TcpListener, answer: &[u8]) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(answer).await.unwrap();
    stream
}

async fn streamed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client_of(format!("http://{}", listener.local_addr().unwrap()));
    let (has_first, first) = oneshot::channel();
    let server = tokio::spawn(async move {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: image/gif\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        let mut stream = answer_with(&listener, head).await;
        first.await.unwrap();
        stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    });

    let mut original = client.download_image(&CloudflareId::new("i"), ARRIVAL).await.unwrap();
    assert_eq!(original.length(), None);
    assert_eq!(original.chunk().await.unwrap().unwrap(), "first");
    has_first.send(()).unwrap();
    assert_eq!(all_of(&mut original).await.unwrap(), b"second");
    server.await.unwrap();
}

async fn cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client_of(format!("http://{}", listener.local_addr().unwrap()));
    let server = tokio::spawn(async move {
        drop(answer_with(&listener, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnot all of it").await);
    });
    let mut original = client.download_image(&CloudflareId::new("i"), ARRIVAL).await.unwrap();
    assert!(matches!(all_of(&mut original).await, Err(Error::Interrupted(_))));
    server.await.unwrap();
}

/// Downloads have one of the two places.
async fn in_flight() {
    let server = RawServer::scripted(vec![Reply::answer(200, &["Content-Type: image/gif"], "all of it")]).await;
    let settings =
        ClientSettings { base_url: server.url, account_id: "acct".to_owned(), api_token: TOKEN.to_owned().into() };
    let limits =
        ClientLimits { timeout: Duration::from_millis(400), max_concurrent_requests: 2, ..ClientLimits::default() };
    let client = Client::with_limits(&settings, &limits).unwrap();
    let download = async |arrival| client.download_image(&CloudflareId::new("i"), arrival).await;

    let mut original = download(ARRIVAL).await.unwrap();
    assert!(matches!(download(Duration::ZERO).await, Err(Error::Busy)));
    assert_eq!(all_of(&mut original).await.unwrap(), b"all of it");
    drop(download(ARRIVAL).await.unwrap());
    download(ARRIVAL).await.unwrap();
}

async fn errors() {
    let cloudflare = Cloudflare::start().await;
    let json = r#"{"result":null,"success":false,"errors":[{"code":5404,"message":"Image not found"}],"messages":[]}"#;
    for (id, body) in [("json", json), ("text", "ERROR 5404: Image not found")] {
        let at = format!("/accounts/acct/images/v1/{id}/blob");
        cloudflare.answer(on("GET", &at), ResponseTemplate::new(404).set_body_string(body)).await;
        let error = cloudflare.client.download_image(&CloudflareId::new(id), ARRIVAL).await.unwrap_err();
        assert!(error.is_not_found(), "{id}: {error:?}");
        assert_eq!(error.message_of(5404), Some("Image not found"));
    }
}
