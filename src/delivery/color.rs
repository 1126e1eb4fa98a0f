//! Colours, as CSS knows them.

use std::fmt;
use std::str::FromStr;

/// A colour with an opacity.
///
/// # Examples
/// ```
/// use cfimages::delivery::Color;
///
/// let red: Color = "hsl(0 100% 50%)".parse()?;
/// assert_eq!(red, Color::rgb(255, 0, 0));
/// assert_eq!(red.to_string(), "#ff0000");
/// # Ok::<(), cfimages::delivery::ColorError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Color {
    /// Red, green, blue and opacity, 0 to 255 each.
    rgba: [u8; 4],
}

/// A text that is no CSS colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a CSS colour, such as #ff8800, orange or rgb(255 136 0 / 50%)")]
pub struct ColorError;

impl Color {
    /// White.
    pub const WHITE: Self = Self::rgb(255, 255, 255);

    /// An opaque colour of red, green and blue.
    pub const fn rgb(red: u8, green: u8, blue: u8) -> Self {
        Self { rgba: [red, green, blue, 255] }
    }

    /// A colour of red, green, blue and opacity, where 255 is opaque.
    pub const fn rgba(red: u8, green: u8, blue: u8, opacity: u8) -> Self {
        Self { rgba: [red, green, blue, opacity] }
    }

    /// Red, green, blue and opacity.
    pub const fn to_rgba(self) -> [u8; 4] {
        self.rgba
    }
}

impl FromStr for Color {
    type Err = ColorError;

    /// Reads any colour of CSS: a name, `#rgb` to `#rrggbbaa` with or without `#`, `rgb()`, `hsl()` and so on.
    fn from_str(text: &str) -> Result<Self, ColorError> {
        // The library also takes its own notations, which are no CSS.
        if text.len() > 100 || !text.is_ascii() || text.trim().is_empty() {
            return Err(ColorError);
        }
        csscolorparser::parse(text).map(|color| Self { rgba: color.to_rgba8() }).map_err(|_| ColorError)
    }
}

/// As CSS: `#rrggbb` where it is opaque, else `rgba(r,g,b,a)`. Equal colours have the same text.
impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue, opacity] = self.rgba;
        if opacity == 255 {
            return write!(f, "#{red:02x}{green:02x}{blue:02x}");
        }
        // Three decimals tell all 256 steps apart.
        let opacity = (f64::from(opacity) / 255.0 * 1000.0).round() / 1000.0;
        write!(f, "rgba({red},{green},{blue},{opacity})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_of_css_are_read_in_every_notation() {
        for (text, want) in [
            ("red", "#ff0000"),
            ("RebeccaPurple", "#663399"),
            ("#0f0", "#00ff00"),
            ("#00FF00", "#00ff00"),
            ("00ff00", "#00ff00"),
            ("fff", "#ffffff"),
            ("rgb(240,40,145)", "#f02891"),
            ("rgb(240 40 145)", "#f02891"),
            ("rgba(240,40,145,0)", "rgba(240,40,145,0)"),
            ("rgb(240 40 145 / 50%)", "rgba(240,40,145,0.502)"),
            ("#f0289180", "rgba(240,40,145,0.502)"),
            ("hsl(120deg 100% 25%)", "#008000"),
            ("transparent", "rgba(0,0,0,0)"),
        ] {
            assert_eq!(text.parse::<Color>().map(|color| color.to_string()).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_colours() {
        for text in ["", " ", "reddish", "#12", "#ggg", "rgb(1,2)", "url(x)", "rot", "12345", "#12345", "röt"] {
            assert_eq!(text.parse::<Color>(), Err(ColorError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn colours_are_read_as_they_are_written(rgba in any::<[u8; 4]>()) {
            let color = Color { rgba };
            prop_assert_eq!(color.to_string().parse(), Ok(color));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(#|rgba?\\(|hsl\\(|\\PC)*") {
            let _ = text.parse::<Color>();
        }
    }
}
