//! A file that comes in piece by piece and goes on to Cloudflare, without ever being here as a whole.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use tokio::sync::mpsc;

use super::PictureProblem;
use crate::domain::PictureFormat;

/// How many pieces wait to be passed on; a piece is what the client's connection gave at once, some ten kilobytes.
const PIECES: usize = 2;
/// The most characters of the name of a file that are kept.
const MAX_NAME_CHARS: usize = 255;

/// A piece of a file, or its end.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

/// Where the pieces of an [`IncomingFile`] are handed over. Where it is dropped before [`finish`](Self::finish), the upload is cut off.
#[derive(Debug)]
pub struct FileSender(mpsc::Sender<Piece>);

/// Nobody wants the rest of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct NotWanted;

impl FileSender {
    /// Hands a piece over, as soon as there is room for it.
    ///
    /// # Errors
    /// If the upload is over, one way or the other.
    pub async fn send(&self, bytes: Bytes) -> Result<(), NotWanted> {
        self.0.send(Piece::Bytes(bytes)).await.map_err(|_| NotWanted)
    }

    /// Says that the file is whole and may become an image.
    pub async fn finish(self) {
        // Where nobody listens the upload is over.
        let _ = self.0.send(Piece::End).await;
    }
}

/// A file that is on its way in.
#[derive(Debug)]
pub struct IncomingFile {
    /// The name that the client gave it; may be empty.
    name: String,
    pieces: mpsc::Receiver<Piece>,
}

impl IncomingFile {
    /// A file, and where its pieces are handed over. Of the name that the client gave it the folders are left out.
    pub fn channel(name: &str) -> (FileSender, Self) {
        let (sender, pieces) = mpsc::channel(PIECES);
        (FileSender(sender), Self { name: base_name(name), pieces })
    }

    /// Waits for enough of the file to know what it is.
    pub(super) async fn identify(mut self, max_bytes: u64) -> Result<IdentifiedFile, PictureProblem> {
        let mut start = Vec::new();
        let mut has_ended = false;
        while !has_ended && start.len() < PictureFormat::PREFIX_BYTES {
            match self.pieces.recv().await {
                Some(Piece::Bytes(bytes)) => start.extend_from_slice(&bytes),
                Some(Piece::End) => has_ended = true,
                None => return Err(PictureProblem::CutOff),
            }
        }
        if start.is_empty() {
            return Err(PictureProblem::Empty);
        }
        let prefix = &start[..start.len().min(PictureFormat::PREFIX_BYTES)];
        let format = PictureFormat::of(prefix).ok_or(PictureProblem::WrongType)?;
        let progress = Arc::new(Progress::default());
        let bytes = PassedOn {
            start: Some(start.into()),
            rest: (!has_ended).then_some(self.pieces),
            max_bytes,
            progress: Arc::clone(&progress),
        };
        Ok(IdentifiedFile { name: self.name, format, bytes, progress })
    }
}

/// The name without the folders that some clients send with it, and without what is no part of a name.
pub(super) fn base_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect::<String>().trim().to_owned()
}

/// A file that is a picture, as far as its first bytes tell.
#[derive(Debug)]
pub(super) struct IdentifiedFile {
    pub(super) name: String,
    pub(super) format: PictureFormat,
    pub(super) bytes: PassedOn,
    pub(super) progress: Arc<Progress>,
}

/// How far a file has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    bytes: AtomicU64,
    problem: OnceLock<PictureProblem>,
}

impl Progress {
    /// How many bytes were passed on.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Why the file was not passed on to its end.
    pub(super) fn problem(&self) -> Option<PictureProblem> {
        self.problem.get().copied()
    }
}

/// The bytes of a file on their way out; they end with an error where the file is too large or was cut off.
#[derive(Debug)]
pub(super) struct PassedOn {
    /// What was looked at.
    start: Option<Bytes>,
    /// What is still to come; nothing after the end.
    rest: Option<mpsc::Receiver<Piece>>,
    max_bytes: u64,
    progress: Arc<Progress>,
}

impl PassedOn {
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PictureProblem>>> {
        if let Some(start) = self.start.take() {
            return Poll::Ready(Some(Ok(start)));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        rest.poll_recv(context).map(|piece| match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => None,
            None => Some(Err(PictureProblem::CutOff)),
        })
    }

    fn count(&self, bytes: Bytes) -> Result<Bytes, PictureProblem> {
        let count = self.progress.bytes() + bytes.len() as u64;
        if count > self.max_bytes {
            return Err(PictureProblem::TooLarge { max_bytes: self.max_bytes });
        }
        self.progress.bytes.store(count, Ordering::Relaxed);
        Ok(bytes)
    }
}

impl Body for PassedOn {
    type Data = Bytes;
    type Error = PictureProblem;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PictureProblem>>> {
        let next = std::task::ready!(self.next(context)).map(|piece| piece.and_then(|bytes| self.count(bytes)));
        if !matches!(next, Some(Ok(_))) {
            self.rest = None;
        }
        if let Some(Err(problem)) = next {
            // There is but one: what comes after it is not looked at.
            let _ = self.progress.problem.set(problem);
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const GIF: &[u8] = b"GIF89a";

    /// Hands pieces over, and the end if there is to be one.
    fn file(pieces: Vec<Vec<u8>>, has_end: bool) -> IncomingFile {
        let (sender, file) = IncomingFile::channel("");
        tokio::spawn(async move {
            for piece in pieces {
                if sender.send(piece.into()).await.is_err() {
                    return;
                }
            }
            if has_end {
                sender.finish().await;
            }
        });
        file
    }

    #[test]
    fn names_are_kept_without_folders_and_cut() {
        assert_eq!(base_name("C:\\fakepath\\lake.png"), "lake.png");
        assert_eq!(base_name("../../etc/\u{0}lake\n.png "), "lake.png");
        assert_eq!(base_name(&"é".repeat(300)).chars().count(), 255);
        assert_eq!((base_name(""), base_name("a/")), (String::new(), String::new()));
    }

    #[tokio::test]
    async fn a_file_is_passed_on_as_it_came() {
        let pieces = vec![b"G".to_vec(), b"IF89a".to_vec(), vec![1; 20_000], vec![2; 20_000]];
        let whole = pieces.concat();
        let file = file(pieces, true).identify(whole.len() as u64).await.unwrap();
        assert_eq!(file.format, PictureFormat::Gif);
        assert_eq!(file.bytes.collect().await.unwrap().to_bytes(), whole);
        assert_eq!((file.progress.bytes(), file.progress.problem()), (whole.len() as u64, None));
    }

    #[tokio::test]
    async fn what_is_no_picture_goes_nowhere() {
        for (pieces, problem) in [
            (vec![], PictureProblem::Empty),
            (vec![vec![]], PictureProblem::Empty),
            (vec![b"GIF".to_vec()], PictureProblem::WrongType),
            (vec![vec![b' '; 9000], GIF.to_vec()], PictureProblem::WrongType),
        ] {
            assert_eq!(file(pieces, true).identify(100_000).await.unwrap_err(), problem);
        }
        assert_eq!(file(vec![GIF.to_vec()], false).identify(100).await.unwrap_err(), PictureProblem::CutOff);
    }

    #[tokio::test]
    async fn the_bytes_end_with_an_error_where_the_file_is_too_large_or_cut_off() {
        let pieces = vec![GIF.to_vec(), vec![0; 9000], vec![0; 9000]];
        for (has_end, max_bytes, problem) in [
            (true, 18_005, PictureProblem::TooLarge { max_bytes: 18_005 }),
            (true, 5, PictureProblem::TooLarge { max_bytes: 5 }),
            (false, 18_006, PictureProblem::CutOff),
        ] {
            let file = file(pieces.clone(), has_end).identify(max_bytes).await.unwrap();
            assert_eq!(file.bytes.collect().await.unwrap_err(), problem);
            assert_eq!(file.progress.problem(), Some(problem));
        }
    }
}
