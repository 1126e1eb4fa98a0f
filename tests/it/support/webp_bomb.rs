//! A WebP without loss of a few pixels, whose codes take a decoder gigabytes.

/// In which order the lengths of the code for lengths are written.
const LENGTH_ORDER: [u32; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Writes numbers of any width, the lowest bit first.
#[derive(Default)]
struct Writer {
    data: Vec<u8>,
    /// What is not a whole byte yet, and how many bits that is.
    rest: u32,
    bits: u32,
}

impl Writer {
    /// Writes a number of at most 24 bits.
    fn write(&mut self, number: u32, width: u32) {
        self.rest |= number << self.bits;
        self.bits += width;
        while self.bits >= 8 {
            self.data.push(self.rest.to_le_bytes()[0]);
            self.rest >>= 8;
            self.bits -= 8;
        }
    }

    /// A code of one symbol.
    fn single(&mut self, symbol: u32) {
        self.write(0b101, 3);
        self.write(symbol, 8);
    }

    /// A code whose table has a thousand entries, in a few bytes: lengths from 1 to 9, and twice 10.
    fn long(&mut self) {
        self.write(0, 1);
        // The lengths 0 to 15 have codes of four bits.
        self.write(15, 4);
        for length in LENGTH_ORDER {
            self.write(if length < 16 { 4 } else { 0 }, 3);
        }
        // Eleven lengths follow.
        self.write(1, 1);
        self.write(1, 3);
        self.write(9, 4);
        for length in [1_u32, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10] {
            self.write(length.reverse_bits() >> 28, 4);
        }
    }
}

/// The pixels of a picture of this size, whose parts have so many groups of codes, with five tables of four kilobytes each.
pub(crate) fn pixels(side: u32, groups: u32) -> Vec<u8> {
    let mut out = Writer::default();
    out.write(0x2f, 8);
    out.write(side - 1, 14);
    out.write(side - 1, 14);
    out.write(0, 4);
    // Neither transforms nor a colour cache, but codes by tiles of four pixels, whose picture has no cache and one colour.
    out.write(0b00_0100, 6);
    out.write(0, 1);
    for symbol in [(groups - 1) & 0xff, (groups - 1) >> 8, 0, 0, 0] {
        out.single(symbol);
    }
    for _ in 0..groups {
        (0..5).for_each(|_| out.long());
    }
    // Pixels of the first symbols, a bit each.
    for _ in 0..side * side {
        out.write(0, 4);
    }
    // To the end of the last byte.
    out.write(0, 7);
    out.data
}

/// The picture as a file.
pub(crate) fn file(side: u32, groups: u32) -> Vec<u8> {
    let mut data = pixels(side, groups);
    let length = u32::try_from(data.len()).unwrap();
    data.resize(data.len().next_multiple_of(2), 0);
    let all = u32::try_from(data.len() + 12).unwrap();
    [b"RIFF", &all.to_le_bytes()[..], b"WEBPVP8L", &length.to_le_bytes()[..], &data].concat()
}
