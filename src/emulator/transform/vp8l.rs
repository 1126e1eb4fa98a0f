//! How much memory a decoder needs for the codes of pixels without loss, before it is trusted with them.
//!
//! Every part of a picture may have prefix codes of its own, and how many there are depends on pixels of a small picture in front. So
//! that one is read here, as far as it has to be: what it copies from itself brings no new values, and only the largest matters.

use super::Size;

/// Bytes of a code without its tables, and of a node of a tree, as the decoder has them.
const CODE: u64 = 64;
const NODE: u64 = 16;
/// Bits that the decoder looks up at once, in a table of four bytes each; longer ones are in a tree.
const TABLE_BITS: usize = 10;
const MAX_CODE_LENGTH: usize = 15;
/// Symbols of green and lengths, red, blue, alpha, distances. The first has those of the colour cache, too.
const ALPHABETS: [usize; 5] = [256 + 24, 256, 256, 256, 40];
/// In which order the lengths of the code for lengths are written.
const LENGTH_ORDER: [usize; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Bytes for the tables of a picture, or some number above `limit`; `None` where they cannot be read.
pub(super) fn table_bytes(data: &[u8], limit: u64) -> Option<u64> {
    let mut bits = Bits { data, at: 0 };
    if bits.read(8)? != 0x2f {
        return None;
    }
    let (width, height) = (bits.read(14)? + 1, bits.read(14)? + 1);
    // Whether there is transparency, and the version.
    bits.read(4)?;
    Scan { bits, bytes: 0, limit }.picture(Size { width, height })
}

/// The same for transparency, whose size is written elsewhere.
pub(super) fn table_bytes_of_alpha(data: &[u8], size: Size, limit: u64) -> Option<u64> {
    Scan { bits: Bits { data, at: 0 }, bytes: 0, limit }.picture(size)
}

/// What has been read so far.
struct Scan<'a> {
    bits: Bits<'a>,
    bytes: u64,
    limit: u64,
}

impl Scan<'_> {
    fn picture(mut self, size: Size) -> Option<u64> {
        let size = self.transforms(size)?;
        let cache = self.cache_size()?;
        let groups = if self.bits.flag()? {
            let tiles = self.tiles(size)?;
            self.sub_picture(tiles)? + 1
        } else {
            1
        };
        for _ in 0..groups {
            self.group(cache)?;
            if self.bytes > self.limit {
                break;
            }
        }
        Some(self.bytes)
    }

    /// Reads the transforms; the size that is left of the picture.
    fn transforms(&mut self, size: Size) -> Option<Size> {
        let mut size = size;
        let mut seen = [false; 4];
        while self.bits.flag()? {
            let kind = self.bits.read(2)?;
            if std::mem::replace(&mut seen[kind as usize], true) {
                return None;
            }
            match kind {
                0 | 1 => {
                    let tiles = self.tiles(size)?;
                    self.sub_picture(tiles)?;
                }
                2 => {}
                _ => {
                    let colours = self.bits.read(8)? + 1;
                    self.sub_picture(Size { width: colours, height: 1 })?;
                    let shift = match colours {
                        ..=2 => 3,
                        3..=4 => 2,
                        5..=16 => 1,
                        _ => 0,
                    };
                    size.width = size.width.div_ceil(1 << shift);
                }
            }
        }
        Some(size)
    }

    fn tiles(&mut self, size: Size) -> Option<Size> {
        let pixels = 1 << (self.bits.read(3)? + 2);
        Some(Size { width: size.width.div_ceil(pixels), height: size.height.div_ceil(pixels) })
    }

    /// Reads a picture inside the picture; the largest number that red and green of a pixel are together.
    fn sub_picture(&mut self, size: Size) -> Option<u32> {
        let cache = self.cache_size()?;
        let [green, red, blue, alpha, distance] = self.group(cache)?;
        let mut largest = 0;
        let mut left = size.pixels();
        while left > 0 {
            let symbol = green.read(&mut self.bits)?;
            let pixels = match symbol {
                0..256 => {
                    largest = largest.max(red.read(&mut self.bits)? << 8 | symbol);
                    blue.read(&mut self.bits)?;
                    alpha.read(&mut self.bits)?;
                    1
                }
                256..280 => {
                    let length = self.bits.prefixed(symbol - 256)?;
                    let code = distance.read(&mut self.bits)?;
                    self.bits.prefixed(code)?;
                    length.into()
                }
                _ => 1,
            };
            left = left.checked_sub(pixels)?;
        }
        Some(largest)
    }

    /// The number of colours that are remembered; 0 for none.
    fn cache_size(&mut self) -> Option<usize> {
        if !self.bits.flag()? {
            return Some(0);
        }
        let bits = self.bits.read(4)?;
        (1..=11).contains(&bits).then(|| 1 << bits)
    }

    fn group(&mut self, cache: usize) -> Option<[Code; 5]> {
        let mut codes = [const { Code::Single(0) }; 5];
        for (at, code) in codes.iter_mut().enumerate() {
            let alphabet = ALPHABETS[at] + if at == 0 { cache } else { 0 };
            *code = Code::parse(&mut self.bits, alphabet)?;
            self.bytes += code.table_bytes();
        }
        Some(codes)
    }
}

/// A prefix code.
enum Code {
    /// Of one symbol, which takes no bits.
    Single(u32),
    /// Of two symbols, a bit each.
    Pair(u32, u32),
    Canonical {
        /// How many symbols there are of each length.
        counts: [u32; MAX_CODE_LENGTH + 1],
        /// In the order of their codes.
        symbols: Vec<u32>,
    },
}

impl Code {
    fn parse(bits: &mut Bits<'_>, alphabet: usize) -> Option<Self> {
        if !bits.flag()? {
            let lengths = Self::lengths(bits, alphabet)?;
            return Self::canonical(&lengths);
        }
        let is_pair = bits.flag()?;
        let width = if bits.flag()? { 8 } else { 1 };
        let first = bits.read(width)?;
        let code = if is_pair { Self::Pair(first, bits.read(8)?) } else { Self::Single(first) };
        let (Self::Single(largest) | Self::Pair(_, largest)) = code else { return None };
        (first.max(largest) < u32::try_from(alphabet).ok()?).then_some(code)
    }

    /// The lengths of the codes of all symbols, which are written in a code of their own.
    fn lengths(bits: &mut Bits<'_>, alphabet: usize) -> Option<Vec<u8>> {
        let mut of_lengths = [0; LENGTH_ORDER.len()];
        let written = bits.read(4)? as usize + 4;
        for at in LENGTH_ORDER.get(..written)? {
            of_lengths[*at] = u8::try_from(bits.read(3)?).ok()?;
        }
        let code = Self::canonical(&of_lengths)?;
        let mut left = alphabet;
        if bits.flag()? {
            let width = 2 + 2 * bits.read(3)?;
            left = bits.read(width)? as usize + 2;
            if left > alphabet {
                return None;
            }
        }
        let (mut lengths, mut previous) = (Vec::with_capacity(alphabet), 8);
        while lengths.len() < alphabet && left > 0 {
            left -= 1;
            let (length, times) = match code.read(bits)? {
                16 => (previous, bits.read(2)? + 3),
                17 => (0, bits.read(3)? + 3),
                18 => (0, bits.read(7)? + 11),
                length => (u8::try_from(length).ok()?, 1),
            };
            if length != 0 {
                previous = length;
            }
            lengths.extend(std::iter::repeat_n(length, times as usize));
        }
        lengths.resize(lengths.len().max(alphabet), 0);
        (lengths.len() == alphabet).then_some(lengths)
    }

    /// The code whose symbols have codes of these lengths, shorter ones first.
    fn canonical(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0; MAX_CODE_LENGTH + 1];
        let mut used: Vec<(u8, u32)> =
            (0..).zip(lengths).filter(|(_, length)| **length > 0).map(|(symbol, length)| (*length, symbol)).collect();
        for (length, _) in &used {
            *counts.get_mut(usize::from(*length))? += 1;
        }
        if let [(_, symbol)] = used[..] {
            return Some(Self::Single(symbol));
        }
        // All codes together must leave nothing free and nothing double.
        let taken: u32 = counts.iter().zip(0..).map(|(count, length)| count << (MAX_CODE_LENGTH - length)).sum();
        if taken != 1 << MAX_CODE_LENGTH {
            return None;
        }
        used.sort_unstable();
        Some(Self::Canonical { counts, symbols: used.into_iter().map(|(_, symbol)| symbol).collect() })
    }

    fn read(&self, bits: &mut Bits<'_>) -> Option<u32> {
        let (counts, symbols) = match self {
            Self::Single(symbol) => return Some(*symbol),
            Self::Pair(zero, one) => return Some(if bits.flag()? { *one } else { *zero }),
            Self::Canonical { counts, symbols } => (counts, symbols),
        };
        let (mut code, mut first, mut before) = (0, 0, 0);
        for count in &counts[1..] {
            code |= bits.read(1)?;
            if code < first + count {
                return symbols.get((before + code - first) as usize).copied();
            }
            before += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }

    /// Bytes that the decoder makes of the code.
    fn table_bytes(&self) -> u64 {
        match self {
            Self::Single(_) => CODE,
            Self::Pair(..) => CODE + 3 * NODE + 8,
            Self::Canonical { counts, .. } => {
                let longest = counts.iter().rposition(|count| *count > 0).unwrap_or_default();
                let in_tree: u32 = counts.iter().skip(TABLE_BITS + 1).sum();
                CODE + (4 << longest.min(TABLE_BITS)) + 4 * NODE * u64::from(in_tree)
            }
        }
    }
}

/// Numbers of any width, the lowest bit first.
struct Bits<'a> {
    data: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    fn flag(&mut self) -> Option<bool> {
        self.read(1).map(|bit| bit == 1)
    }

    /// A number of at most 24 bits.
    fn read(&mut self, width: u32) -> Option<u32> {
        if self.at + width as usize > self.data.len() * 8 {
            return None;
        }
        let mut bytes = [0; 4];
        for (to, from) in bytes.iter_mut().zip(&self.data[self.at / 8..]) {
            *to = *from;
        }
        let number = u32::from_le_bytes(bytes) >> (self.at % 8) & ((1 << width) - 1);
        self.at += width as usize;
        Some(number)
    }

    /// A length or a distance, whose symbol says how many bits more there are.
    fn prefixed(&mut self, symbol: u32) -> Option<u32> {
        if symbol < 4 {
            return Some(symbol + 1);
        }
        let more = (symbol - 2) >> 1;
        Some(((2 + (symbol & 1)) << more) + self.read(more)? + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::codecs::webp::WebPDecoder;

    use super::super::webp_bomb;
    use super::*;

    #[test]
    fn tables_are_counted_group_by_group() {
        let of_groups = |groups| table_bytes(&webp_bomb::pixels(4, groups), u64::MAX).unwrap();
        let per_group = 5 * (CODE + 4096);
        assert_eq!(of_groups(1), 5 * CODE + per_group);
        assert_eq!(of_groups(1000), 5 * CODE + 1000 * per_group);
        let stopped = table_bytes(&webp_bomb::pixels(4, 1000), 100_000).unwrap();
        assert!((100_000..200_000).contains(&stopped), "{stopped}");
        let pixels = webp_bomb::pixels(4, 10);
        // Transparency has no header of five bytes.
        let alpha = table_bytes_of_alpha(&pixels[5..], Size { width: 4, height: 4 }, u64::MAX);
        assert_eq!(alpha, Some(5 * CODE + 10 * per_group));
        assert!((0..pixels.len() - 20).all(|length| table_bytes(&pixels[..length], u64::MAX).is_none()));
    }

    #[test]
    fn the_decoder_reads_the_same_codes() {
        let file = webp_bomb::file(4, 3);
        let decoder = WebPDecoder::new(Cursor::new(&file)).unwrap();
        image::DynamicImage::from_decoder(decoder).unwrap();
    }
}
