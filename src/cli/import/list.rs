//! Lists of pictures: URLs, one a line, or CSV with a header.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail, ensure};
use csv::{ByteRecord, ReaderBuilder};
use memchr::memchr_iter;

use crate::service::{ImportPlace, ImportRow};

/// The most bytes of a line or of a row of CSV. One that is longer has a quote that is not closed, as a rule.
const MAX_ROW_BYTES: u64 = 1_000_000;
/// What a column may be called.
pub(super) const COLUMNS: [&str; 8] = ["url", "file", "id", "metadata", "creator", "user", "private", REASON];
/// Why a row failed the last time; of no interest here.
const REASON: &str = "reason";
/// What rows of the application are called in the list of those that failed.
pub(super) const ROW: &str = "row";
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads a list row by row, and hands each to `take` until that says false. Paths are those from `folder` on.
///
/// # Errors
/// If the list cannot be read to its end. Rows that are wrong are no error: they say what is wrong with them.
pub(super) fn read_list(input: impl Read, folder: &Path, take: impl FnMut(ImportRow) -> bool) -> anyhow::Result<()> {
    let mut lines = Lines { input: BufReader::new(input), number: 0, text: Vec::new() };
    while lines.next()? {
        if lines.is_empty() {
            continue;
        }
        let before = lines.number - 1;
        return match header_of(&lines.text)? {
            Some(columns) => Table::new(lines, columns, before).read(folder, take),
            None => read_lines(lines, take),
        };
    }
    Ok(())
}

/// The lines of an input, each at most so long.
struct Lines<R> {
    input: BufReader<R>,
    /// That of the line; the first is 1.
    number: u64,
    text: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// Goes on to the next line; false at the end.
    fn next(&mut self) -> anyhow::Result<bool> {
        self.number += 1;
        self.text.clear();
        let mut line = (&mut self.input).take(MAX_ROW_BYTES);
        line.read_until(b'\n', &mut self.text).context("the list cannot be read")?;
        if self.number == 1 && self.text.starts_with(BOM) {
            self.text.drain(..BOM.len());
            return Ok(true);
        }
        let is_whole = self.text.ends_with(b"\n") || (self.text.len() as u64) < MAX_ROW_BYTES;
        ensure!(is_whole, "line {} has more than {MAX_ROW_BYTES} bytes", self.number);
        Ok(!self.text.is_empty())
    }

    /// Whether there is nothing in the line but a comment.
    fn is_empty(&self) -> bool {
        matches!(self.text.trim_ascii_start().first(), None | Some(b'#'))
    }
}

/// Reads URLs, from the line on that was read already.
fn read_lines<R: Read>(mut lines: Lines<R>, mut take: impl FnMut(ImportRow) -> bool) -> anyhow::Result<()> {
    loop {
        if !lines.is_empty() {
            let mut row = ImportRow { place: ImportPlace::Line(lines.number), ..ImportRow::default() };
            match std::str::from_utf8(lines.text.trim_ascii()) {
                Ok(url) => url.clone_into(&mut row.url),
                Err(_) => row.problem = Some("the line is not UTF-8".to_owned()),
            }
            if !take(row) {
                return Ok(());
            }
        }
        if !lines.next()? {
            return Ok(());
        }
    }
}

/// The columns that a line names, if it is the header of a table; what is in each place of [`COLUMNS`].
fn header_of(line: &[u8]) -> anyhow::Result<Option<Vec<usize>>> {
    let mut record = ByteRecord::new();
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(line);
    reader.read_byte_record(&mut record).context("the header cannot be read")?;
    let names: Vec<String> =
        record.iter().map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase()).collect();
    if !names.iter().any(|name| matches!(name.as_str(), "url" | "file")) {
        return Ok(None);
    }
    let mut columns = Vec::new();
    for name in names {
        if name == ROW {
            bail!(
                "the column `{ROW}` is that of rows of `cfimages import django`: run that again, which does what is left"
            );
        }
        let known = COLUMNS.iter().position(|column| *column == name);
        let column = known.ok_or_else(|| anyhow!("there is no column `{name}`: {}", COLUMNS.join(", ")))?;
        ensure!(!columns.contains(&column), "the column `{name}` is there twice");
        columns.push(column);
    }
    Ok(Some(columns))
}

/// The header, which was read already, and what comes after it.
type Whole<R> = Chain<Cursor<Vec<u8>>, BufReader<R>>;

/// A table, whose header was read.
struct Table<R> {
    reader: csv::Reader<Bounded<Whole<R>>>,
    columns: Vec<usize>,
    /// How many lines were before its header.
    before: u64,
    /// Whether lines end with CRLF, whose second half is read with the next row.
    has_crlf: bool,
}

impl<R: Read> Table<R> {
    fn new(lines: Lines<R>, columns: Vec<usize>, before: u64) -> Self {
        let has_crlf = lines.text.ends_with(b"\r\n");
        let input = Bounded { input: Cursor::new(lines.text).chain(lines.input), left: MAX_ROW_BYTES };
        let reader = ReaderBuilder::new().has_headers(true).flexible(true).from_reader(input);
        Self { reader, columns, before, has_crlf }
    }

    fn read(mut self, folder: &Path, mut take: impl FnMut(ImportRow) -> bool) -> anyhow::Result<()> {
        let mut record = ByteRecord::new();
        self.reader.byte_headers().context("the header cannot be read")?;
        loop {
            self.reader.get_mut().left = MAX_ROW_BYTES;
            let start = self.reader.position().line() + u64::from(self.has_crlf);
            let is_there = self.reader.read_byte_record(&mut record).with_context(|| {
                format!("the list cannot be read on from line {}: is a quote not closed?", self.before + start)
            })?;
            if !is_there {
                return Ok(());
            }
            let line = self.before + self.line_of(&record).max(start);
            if !take(self.row(&record, line, folder)) {
                return Ok(());
            }
        }
    }

    /// In which line the row begins that was read last, by that in which it ends: empty lines were passed over before it.
    fn line_of(&self, record: &ByteRecord) -> u64 {
        let within = memchr_iter(b'\n', record.as_slice()).count() as u64;
        self.reader.position().line().saturating_sub(within + u64::from(!self.has_crlf))
    }

    fn row(&self, record: &ByteRecord, line: u64, folder: &Path) -> ImportRow {
        let mut row = ImportRow { place: ImportPlace::Line(line), ..ImportRow::default() };
        if record.len() != self.columns.len() {
            let (has, wanted) = (record.len(), self.columns.len());
            row.problem = Some(format!("the row has {has} value(s), and the header names {wanted}"));
        }
        for (column, value) in self.columns.iter().zip(record) {
            let Ok(value) = std::str::from_utf8(value) else {
                row.problem = Some(format!("the value of `{}` is not UTF-8", COLUMNS[*column]));
                continue;
            };
            let trimmed = || value.trim().to_owned();
            match COLUMNS[*column] {
                "url" => row.url = trimmed(),
                "file" if value.is_empty() => {}
                "file" => row.file = folder.join(value).to_string_lossy().into_owned(),
                "id" => row.id = trimmed(),
                "metadata" => row.metadata = trimmed(),
                "creator" => row.creator = trimmed(),
                "user" => row.user = trimmed(),
                "private" => row.private = trimmed(),
                _ => {}
            }
        }
        row
    }
}

/// An input of which no more is read than what is left.
struct Bounded<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let problem = format!("a row has more than {MAX_ROW_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let bytes = self.input.read(&mut buffer[..most])?;
        self.left -= bytes as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(list: &[u8]) -> anyhow::Result<Vec<ImportRow>> {
        let mut rows = Vec::new();
        read_list(list, Path::new("/lists"), |row| {
            rows.push(row);
            true
        })?;
        Ok(rows)
    }

    fn problem(list: &[u8]) -> String {
        format!("{:#}", read(list).unwrap_err())
    }

    fn line(row: &ImportRow) -> u64 {
        match row.place {
            ImportPlace::Line(line) => line,
            _ => panic!("{row:?}"),
        }
    }

    #[test]
    fn lines_are_urls_but_for_comments_and_empty_ones() {
        let rows = read(b"\xef\xbb\xbf# pictures\r\n\r\nhttps://a.example/1.png\r\n  # no\n https://a.example/2.png ")
            .unwrap();
        let read: Vec<_> = rows.iter().map(|row| (line(row), row.url.as_str())).collect();
        assert_eq!(read, [(3, "https://a.example/1.png"), (5, "https://a.example/2.png")]);
        assert!(self::read(b"").unwrap().is_empty() && self::read(b"\xef\xbb\xbf\n#\n").unwrap().is_empty());
    }

    #[test]
    fn tables_are_known_by_their_header() {
        let rows = read(
            b"\xef\xbb\xbf\n\"File\", id ,metadata,reason\r\na b.png,x,\"{\"\"a\"\":\r\n1}\",gone\r\n\r\n/abs.png,,,\r\n",
        )
        .unwrap();
        let read: Vec<_> = rows
            .iter()
            .map(|row| (line(row), row.file.as_str(), row.id.as_str(), row.metadata.as_str(), row.problem.clone()))
            .collect();
        assert_eq!(read, [(3, "/lists/a b.png", "x", "{\"a\":\r\n1}", None), (6, "/abs.png", "", "", None)]);
    }

    #[test]
    fn rows_that_are_wrong_say_so_and_the_others_are_read() {
        let rows = read(b"url,id\nhttps://a.example,1,2\nhttps://b.example\n\xff,2\nhttps://c.example,3\n").unwrap();
        let problems: Vec<_> = rows.iter().map(|row| row.problem.as_deref().unwrap_or_default()).collect();
        let count = |number| format!("the row has {number} value(s), and the header names 2");
        assert_eq!(problems, [&count(3), &count(1), "the value of `url` is not UTF-8", ""]);
        assert_eq!(read(b"https://a.example\n\xff\n").unwrap()[1].problem.as_deref(), Some("the line is not UTF-8"));
    }

    #[test]
    fn headers_that_make_no_sense_are_refused() {
        assert_eq!(
            problem(b"url,size\n"),
            "there is no column `size`: url, file, id, metadata, creator, user, private, reason"
        );
        assert_eq!(problem(b"url,id,URL\n"), "the column `url` is there twice");
        assert!(problem(b"row,file,reason\n").contains("cfimages import django"));
        // Without one of the columns that count, it is no table, and its lines are no URLs.
        assert_eq!(read(b"id,metadata\nx,{}\n").unwrap()[0].url, "id,metadata");
    }

    #[test]
    fn a_row_that_does_not_end_is_not_read_to_its_end() {
        let mut list = b"url,metadata\nhttps://a.example,\"".to_vec();
        list.resize(10_000_000, b'x');
        let torn = "the list cannot be read on from line 2: is a quote not closed?: a row has more than 1000000 bytes";
        assert!(problem(&list).starts_with(torn), "{}", problem(&list));
        assert_eq!(problem(&list[13..]), "line 1 has more than 1000000 bytes");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(values in proptest::collection::vec(("[^\\p{C}]*", "[^\\p{C}\\s]*", "(?s).{0,20}"), 0..5)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["url", "id", "metadata"]).unwrap();
            for (url, id, metadata) in &values {
                writer.write_record([url, id, metadata]).unwrap();
            }
            let rows = read(&writer.into_inner().unwrap()).unwrap();
            let read: Vec<_> = rows.into_iter().map(|row| (row.url, row.id, row.metadata)).collect();
            let expected: Vec<_> =
                values.into_iter().map(|(url, id, metadata)| (url.trim().to_owned(), id, metadata.trim().to_owned())).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn no_list_makes_the_reader_panic(head in "(url|file|id|,|\"|\n)*", rest in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&[head.as_bytes(), b"\n", &rest].concat());
        }
    }
}
