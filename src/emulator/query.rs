//! Queries of URLs, as forms write them.

use percent_encoding::percent_decode_str;

use super::envelope::ApiError;

/// The parameters in their order. What is not UTF-8 becomes what stands for unknown characters.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// A whole number between two others.
pub(super) fn number(name: &str, value: &str, least: usize, most: usize) -> Result<usize, ApiError> {
    value.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        let range = if most == usize::MAX { format!("{least} or more") } else { format!("{least} to {most}") };
        ApiError::bad_request(format!("{name} must be a whole number, {range}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_forms_write_them() {
        let all: Vec<_> = parameters("a=1&b&&meta.x%5Beq%5D=a+b%26%3D&c=").collect();
        let want = [("a", "1"), ("b", ""), ("meta.x[eq]", "a b&="), ("c", "")];
        assert_eq!(all, want.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
