//! HTTP/1.1 to the byte: libraries would tidy up what the recordings are about.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request or an answer.
#[derive(Debug)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Where a message ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// After `Content-Length` bytes.
    AtLength,
    /// When the connection is closed.
    AtClose,
}

impl Message {
    /// The value of a header; `None` where it is absent. Several are joined by commas, as HTTP reads them.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_else(|_| panic!("{}", self.start))
    }
}

/// Sends a request as it is, and reads the answer to its end.
pub(crate) async fn exchange(address: &str, request: &[u8]) -> io::Result<Message> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(request).await?;
    read_message(&mut connection, End::AtClose).await
}

/// Reads a message.
pub(crate) async fn read_message(connection: &mut TcpStream, end: End) -> io::Result<Message> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = bytes.split_off(head_end + 4);
    let head = String::from_utf8_lossy(&bytes);
    let mut lines = head.trim_end().split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers = lines.filter_map(header).collect();
    let message = Message { start, headers, body: Vec::new() };
    assert_eq!(message.header("transfer-encoding"), None, "{head}");
    let length: Option<usize> = message.header("content-length").and_then(|length| length.parse().ok());
    match end {
        End::AtClose => drop(connection.read_to_end(&mut body).await?),
        End::AtLength => {
            while body.len() < length.unwrap_or(0) {
                if connection.read_buf(&mut body).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
    assert!(body.is_empty() || length == Some(body.len()), "{head}");
    Ok(Message { body, ..message })
}
