//! Texts from outside, as terminals and pages may show them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character steers a terminal, cannot be seen, or changes the direction of what stands around it. Joiners, which some scripts
/// and emoji need, do none of that.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{200b}' | '\u{200e}'
            | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text on one line, with unprintable characters escaped: `\n`, `\u{9b}`.
pub fn printable(text: &str) -> String {
    printable_but(text, &[]).into_owned()
}

/// The same with some characters left as they are.
pub fn printable_but<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    escaped(text, |c| is_unprintable(c) && !kept.contains(&c), |c, out| out.extend(c.escape_default()))
}

/// JSON with unprintable characters escaped in its texts, as in `\u009b`: the same value. Blanks between values stay.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    let is_blank = |c| matches!(c, '\n' | '\r' | '\t');
    escaped(
        json,
        |c| is_unprintable(c) && !is_blank(c),
        |c, out| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        },
    )
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if is_escaped(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_terminals_or_misleads_is_escaped_and_what_scripts_need_is_not() {
        assert_eq!(printable("\u{1b}[2J\r\n\u{7f}\u{9b}31m"), r"\u{1b}[2J\r\n\u{7f}\u{9b}31m");
        assert_eq!(printable("a\u{202e}gpj\u{200b}\u{e0041}"), r"a\u{202e}gpj\u{200b}\u{e0041}");
        assert_eq!(printable_but("a\n\u{1b}\u{85}", &['\n', '\u{1b}']), "a\n\u{1b}\\u{85}");
        let plain = "pässwörd ✓ ไทย 👩\u{200d}🚀 نامه\u{200c}ای";
        assert!(matches!(printable_but(plain, &[]), Cow::Borrowed(same) if same == plain));
    }

    #[test]
    fn json_stays_the_same_value() {
        let value: Vec<String> = (0..0x11_0000).filter_map(char::from_u32).map(|c| format!("a{c}\"\\")).collect();
        for json in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            let printable = printable_json(&json);
            assert!(!printable.contains(|c| c != '\n' && is_unprintable(c)));
            assert_eq!(serde_json::from_str::<Vec<String>>(&printable).unwrap(), value);
        }
        assert_eq!(printable_json("\"\u{9b}\u{e0041}\""), r#""\u009b\udb40\udc41""#);
    }
}
