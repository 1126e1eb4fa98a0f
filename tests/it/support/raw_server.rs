//! A server that answers in bytes, right or wrong, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// It is answered with these bytes, after which the connection is closed.
    Bytes(Vec<u8>),
    /// The connection is closed without a word.
    Close,
    /// The connection is reset.
    Reset,
    /// Nothing, for ever.
    Silence,
}

impl Reply {
    /// A whole answer; `headers` are lines.
    pub(crate) fn answer(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = format!("Content-Length: {}", body.len());
        let lines = [&["Connection: close", &length], headers].concat();
        let head = format!("HTTP/1.1 {status} Whatever\r\n{}\r\n\r\n", lines.join("\r\n"));
        Self::Bytes([head.as_bytes(), body].concat())
    }

    /// The same without what comes after so many bytes, counted from the end where negative.
    pub(crate) fn cut(self, at: isize) -> Self {
        match self {
            Self::Bytes(mut bytes) => {
                bytes.truncate(if at < 0 { bytes.len() - at.unsigned_abs() } else { at.unsigned_abs() });
                Self::Bytes(bytes)
            }
            other => other,
        }
    }
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct RawRequest {
    /// `GET`, `POST`...
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A server that is asked what becomes of each request. It stops when it is dropped.
pub(crate) struct RawServer {
    /// Without a slash at the end.
    pub(crate) url: String,
    requests: Arc<AtomicUsize>,
    _running: JoinSet<()>,
}

impl RawServer {
    /// `reply` is given each request with its number, from 0.
    pub(crate) async fn start<R>(reply: impl Fn(usize, RawRequest) -> R + Clone + Send + 'static) -> Self
    where
        R: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let mut running = JoinSet::new();
        running.spawn(serve(listener, Arc::clone(&requests), reply));
        Self { url, requests, _running: running }
    }

    /// Gives these replies one after the other, and the last one to all further requests.
    pub(crate) async fn scripted(replies: Vec<Reply>) -> Self {
        Self::start(move |number, _| {
            let reply = replies.get(number).or(replies.last()).cloned().unwrap();
            async { reply }
        })
        .await
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve<R>(
    listener: TcpListener,
    requests: Arc<AtomicUsize>,
    reply: impl Fn(usize, RawRequest) -> R + Clone + Send + 'static,
) where
    R: Future<Output = Reply> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((mut connection, _)) = listener.accept().await {
        let (requests, reply) = (Arc::clone(&requests), reply.clone());
        connections.spawn(async move {
            if let Some(request) = read(&mut connection).await {
                let number = requests.fetch_add(1, Ordering::SeqCst);
                send(connection, reply(number, request).await).await;
            }
        });
    }
}

async fn send(mut connection: TcpStream, reply: Reply) {
    match reply {
        Reply::Bytes(bytes) => {
            // Whoever has gone away does not want it.
            let _ = connection.write_all(&bytes).await;
            let _ = connection.shutdown().await;
        }
        Reply::Close => {}
        Reply::Reset => connection.set_zero_linger().unwrap(),
        Reply::Silence => std::future::pending().await,
    }
}

/// Reads a request to its end; `None` where it has none.
async fn read(connection: &mut TcpStream) -> Option<RawRequest> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = find(&bytes, b"\r\n\r\n") {
            break at;
        }
        more(connection, &mut bytes).await?;
    };
    let mut body = bytes.split_off(head_end + 4);
    let head = String::from_utf8(bytes).ok()?;
    let mut lines = head.lines();
    let mut start = lines.next()?.split(' ').map(str::to_owned);
    let (method, path) = (start.next()?, start.next()?);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let header = |name: &str| headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    if let Some(length) = header("content-length") {
        let length = length.parse().ok()?;
        while body.len() < length {
            more(connection, &mut body).await?;
        }
    } else if header("transfer-encoding") == Some("chunked") {
        while !body.ends_with(b"0\r\n\r\n") {
            more(connection, &mut body).await?;
        }
        body = unchunk(&body)?;
    }
    Some(RawRequest { method, path, headers, body })
}

async fn more(connection: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let read = connection.read_buf(bytes).await.ok()?;
    (read > 0).then_some(())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = find(rest, b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line_end]).ok()?, 16).ok()?;
        rest = &rest[line_end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
