//! Media types in `Content-Type` and `Accept`, by the rules of DRF.

/// A longer value is no media type at all.
const MAX_LENGTH: usize = 10_000;

/// Whether a media type that somebody asks for, such as `application/*; q=0.5`, takes in one that is known. Parameters of what is
/// asked for do not count.
pub fn matches(known: &str, asked: &str) -> bool {
    let (known_type, known_subtype) = parts(known);
    let (asked_type, asked_subtype) = parts(asked);
    let fits = |known: &str, asked: &str| asked == "*" || asked.eq_ignore_ascii_case(known);
    fits(known_type, asked_type) && fits(known_subtype, asked_subtype)
}

fn parts(media_type: &str) -> (&str, &str) {
    if media_type.len() > MAX_LENGTH {
        return ("", "");
    }
    let full = media_type.split(';').next().unwrap_or_default().trim();
    full.split_once('/').unwrap_or((full, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_parameters_are_understood() {
        for asked in [
            "application/json",
            "*/*",
            "application/*",
            "*/json",
            " Application/JSON ; q=0.1",
            "application/json;indent=4",
        ] {
            assert!(matches("application/json", asked), "{asked}");
        }
        let long = format!("application/json; {}", "x".repeat(10_000));
        for asked in ["", "json", "*", "application/xml", "text/*", "application", "application/json/x", &long] {
            assert!(!matches("application/json", asked), "{asked}");
        }
    }
}
