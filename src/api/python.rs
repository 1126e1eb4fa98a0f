//! What Python makes of texts: clients of the toolkit may send whatever it reads.

/// The digit zero of every script that Unicode has decimal digits of; the other nine follow it.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0,
    0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60,
    0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// Python reads no number of more digits.
pub(super) const MAX_DIGITS: usize = 4300;

/// Python's `str.isspace` of one character.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Python's `str.strip`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Python's `int` of a text: blanks around, a sign, single underscores between decimal digits of any script. Numbers beyond 128
/// bits become the nearest that 128 bits hold.
pub(super) fn int(text: &str) -> Option<i128> {
    // Unlike for `strip`, the separators of ASCII are no blanks here.
    let text = text.trim();
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.len() > MAX_DIGITS && digits.chars().filter(|c| *c != '_').count() > MAX_DIGITS {
        return None;
    }
    let mut value: i128 = 0;
    for part in digits.split('_') {
        if part.is_empty() {
            return None;
        }
        for c in part.chars() {
            value = value.saturating_mul(10).saturating_add(i128::from(decimal_digit(c)?));
        }
    }
    Some(if is_negative { -value } else { value })
}

fn decimal_digit(c: char) -> Option<u32> {
    let code = u32::from(c);
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= code)].last()?;
    let digit = code - zero;
    (digit < 10).then_some(digit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_in_every_form_that_python_takes() {
        for (text, want) in [
            ("5", 5),
            (" +5\u{b}\n", 5),
            ("\u{85}٢\u{a0}", 2),
            ("-12", -12),
            ("1_000", 1000),
            ("٢٣", 23),
            ("１２", 12),
            ("007", 7),
            (&"9".repeat(100), i128::MAX),
            (&format!("-{}", "9".repeat(100)), -i128::MAX),
        ] {
            assert_eq!(int(text), Some(want), "{text}");
        }
        for text in
            ["", "-", "1.0", "1e2", "_1", "1_", "1__0", "x", "½", "²", "0x10", "True", "1 2", "2\u{1f}", "\u{1c}٢"]
        {
            assert_eq!(int(text), None, "{text}");
        }
        assert_eq!((int(&"0".repeat(4300)), int(&"0".repeat(4301))), (Some(0), None));
    }

    #[test]
    fn separators_count_as_blanks() {
        assert_eq!(strip("\u{1c} a b\u{a0}\u{3000}\n"), "a b");
        assert_eq!(strip("\u{200b}a"), "\u{200b}a");
    }

    proptest! {
        #[test]
        fn whole_numbers_survive(number in any::<i64>()) {
            prop_assert_eq!(int(&number.to_string()), Some(number.into()));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*") {
            int(&text);
        }
    }
}
