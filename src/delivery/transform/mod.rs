//! Transformations: what is done to a picture on its way to the browser.

mod error;
mod info;
mod text;

pub use error::TransformError;
pub use info::{OPTIONS, OptionInfo, OptionKind, SHORTHANDS};

use super::options::{
    Border, Compression, Fit, Flip, Format, Gravity, MAX_SIDE, Metadata, OnError, Quality, Rectangle, Segment, Trim,
    Upscale, Value, Width, is_side,
};
use super::{Color, DeliveryUrls, Picture, Resolved};

/// The smallest factor that an adjustment gives: Cloudflare ignores 0.
const SMALLEST_FACTOR: f64 = 0.01;

/// What is done to a picture: a builder of transformation URLs.
///
/// Options that are not set are Cloudflare's business. They stand in the URL in the order of the alphabet, so that one
/// transformation of a picture has one URL, which browsers and Cloudflare keep once.
///
/// # Examples
/// ```
/// use cfimages::delivery::{DeliveryUrls, Fit, Picture, Transform};
///
/// let urls = DeliveryUrls::default();
/// let thumbnail = Transform::new().width(300)?.height(200)?.fit(Fit::Cover).quality(85)?;
///
/// let hosted = Picture::new(&urls, "https://imagedelivery.net/hash/id/public")?;
/// assert_eq!(thumbnail.build(&hosted)?, "https://imagedelivery.net/hash/id/fit=cover,height=200,quality=85,width=300");
///
/// let path = Picture::new(&urls, "/media/cat.jpg")?.on_zone("example.com")?;
/// assert_eq!(
///     thumbnail.build(&path)?,
///     "https://example.com/cdn-cgi/image/fit=cover,height=200,quality=85,width=300/media/cat.jpg"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transform {
    anim: Option<bool>,
    background: Option<Color>,
    blur: Option<u32>,
    brightness: Option<f64>,
    compression: Option<Compression>,
    contrast: Option<f64>,
    dpr: Option<f64>,
    fit: Option<Fit>,
    flip: Option<Flip>,
    format: Option<Format>,
    gamma: Option<f64>,
    gravity: Option<Gravity>,
    height: Option<u32>,
    metadata: Option<Metadata>,
    onerror: Option<OnError>,
    quality: Option<Quality>,
    rotate: Option<u32>,
    saturation: Option<f64>,
    segment: Option<Segment>,
    sharpen: Option<f64>,
    slow_connection_quality: Option<Quality>,
    /// In a box, as it is long and rare.
    trim: Option<Box<Trim>>,
    upscale: Option<Upscale>,
    auto_width: Option<Box<AutoWidth>>,
    width: Option<Width>,
    zoom: Option<f64>,
}

/// What `width=auto` chooses from.
#[derive(Debug, Clone, PartialEq, Default)]
struct AutoWidth {
    breakpoints: Vec<u32>,
    desktop: Option<u32>,
    mobile: Option<u32>,
}

impl AutoWidth {
    /// The name of the first option that is set.
    fn first_name(&self) -> &'static str {
        match self {
            Self { breakpoints, .. } if !breakpoints.is_empty() => "wbreakpoints",
            Self { desktop: Some(_), .. } => "wdesktop",
            _ => "wmobile",
        }
    }

    fn breakpoints_value(&self) -> Option<Value<'static>> {
        if self.breakpoints.is_empty() {
            return None;
        }
        let widths: Vec<String> = self.breakpoints.iter().map(u32::to_string).collect();
        Some(Value::Text(widths.join(";").into()))
    }
}

fn invalid(option: &'static str) -> TransformError {
    let info = OPTIONS.iter().chain(SHORTHANDS).find(|info| info.name == option);
    TransformError::Invalid { option, allowed: info.map_or("another value", |info| info.allowed) }
}

/// The value, where it is allowed.
#[inline]
fn check<T>(value: T, is_allowed: bool, option: &'static str) -> Result<Option<T>, TransformError> {
    if is_allowed { Ok(Some(value)) } else { Err(invalid(option)) }
}

fn is_factor(number: f64) -> bool {
    number > 0.0 && number.is_finite()
}

/// The options, each by its setter. Setters of what can be wrong give an error with the allowed range.
impl Transform {
    /// Nothing is done.
    pub fn new() -> Self {
        Self::default()
    }

    /// The width of the result: 1 to 12000 pixels, or [`Width::Auto`].
    #[inline]
    pub fn width(self, width: impl Into<Width>) -> Result<Self, TransformError> {
        let width = width.into();
        Ok(Self { width: check(width, width.is_allowed(), "width")?, ..self })
    }

    /// The height of the result: 1 to 12000 pixels.
    #[inline]
    pub fn height(self, pixels: u32) -> Result<Self, TransformError> {
        Ok(Self { height: check(pixels, is_side(pixels), "height")?, ..self })
    }

    /// How the picture is fitted into width and height. Cloudflare's default is [`Fit::ScaleDown`].
    #[must_use]
    #[inline]
    pub fn fit(self, fit: Fit) -> Self {
        Self { fit: Some(fit), ..self }
    }

    /// What stays in view when the picture is cut. Cloudflare's default is the middle.
    #[inline]
    pub fn gravity(self, gravity: Gravity) -> Result<Self, TransformError> {
        Ok(Self { gravity: check(gravity, gravity.is_allowed(), "gravity")?, ..self })
    }

    /// How close a face is cut, 0.0 to 1.0; only with [`Gravity::Face`].
    pub fn zoom(self, zoom: f64) -> Result<Self, TransformError> {
        Ok(Self { zoom: check(zoom, (0.0..=1.0).contains(&zoom), "zoom")?, ..self })
    }

    /// The quality of lossy formats: 1 to 100, or a [level](super::QualityLevel). Cloudflare's default is 85.
    #[inline]
    pub fn quality(self, quality: impl Into<Quality>) -> Result<Self, TransformError> {
        let quality = quality.into();
        Ok(Self { quality: check(quality, quality.is_allowed(), "quality")?, ..self })
    }

    /// The quality for browsers with a slow connection, as [`quality`](Self::quality).
    pub fn slow_connection_quality(self, quality: impl Into<Quality>) -> Result<Self, TransformError> {
        let quality = quality.into();
        let slow_connection_quality = check(quality, quality.is_allowed(), "slow-connection-quality")?;
        Ok(Self { slow_connection_quality, ..self })
    }

    /// The format of the result.
    #[must_use]
    #[inline]
    pub fn format(self, format: Format) -> Self {
        Self { format: Some(format), ..self }
    }

    /// Device pixels per pixel of width and height: 1.0 to 3.0.
    pub fn dpr(self, dpr: f64) -> Result<Self, TransformError> {
        Ok(Self { dpr: check(dpr, (1.0..=3.0).contains(&dpr), "dpr")?, ..self })
    }

    /// Whether animations stay animations.
    #[must_use]
    pub fn anim(self, anim: bool) -> Self {
        Self { anim: Some(anim), ..self }
    }

    /// What is kept of the metadata of a JPEG.
    #[must_use]
    pub fn metadata(self, metadata: Metadata) -> Self {
        Self { metadata: Some(metadata), ..self }
    }

    /// What is below transparent parts, and beside a picture that is padded.
    #[must_use]
    pub fn background(self, color: Color) -> Self {
        Self { background: Some(color), ..self }
    }

    /// The radius of the blur: 0 to 250.
    pub fn blur(self, radius: u32) -> Result<Self, TransformError> {
        Ok(Self { blur: check(radius, radius <= 250, "blur")?, ..self })
    }

    /// How much the picture is sharpened: 0.0 to 10.0.
    pub fn sharpen(self, amount: f64) -> Result<Self, TransformError> {
        Ok(Self { sharpen: check(amount + 0.0, (0.0..=10.0).contains(&amount), "sharpen")?, ..self })
    }

    /// The factor of the brightness, above 0.0.
    pub fn brightness(self, factor: f64) -> Result<Self, TransformError> {
        Ok(Self { brightness: check(factor, is_factor(factor), "brightness")?, ..self })
    }

    /// The factor of the contrast, above 0.0.
    pub fn contrast(self, factor: f64) -> Result<Self, TransformError> {
        Ok(Self { contrast: check(factor, is_factor(factor), "contrast")?, ..self })
    }

    /// Makes the picture darker (down to -1.0) or brighter (up to 1.0): the factor 1 + x, which never becomes 0.
    pub fn adjust_brightness(self, adjustment: f64) -> Result<Self, TransformError> {
        Ok(Self { brightness: Some(factor_of(adjustment, "adjust-brightness")?), ..self })
    }

    /// Takes contrast away (down to -1.0) or adds some (up to 1.0): the factor 1 + x, which never becomes 0.
    pub fn adjust_contrast(self, adjustment: f64) -> Result<Self, TransformError> {
        Ok(Self { contrast: Some(factor_of(adjustment, "adjust-contrast")?), ..self })
    }

    /// The exponent of the brightness of midtones, above 0.0.
    pub fn gamma(self, exponent: f64) -> Result<Self, TransformError> {
        Ok(Self { gamma: check(exponent, is_factor(exponent), "gamma")?, ..self })
    }

    /// The factor of the saturation, from 0.0, which is grey.
    pub fn saturation(self, factor: f64) -> Result<Self, TransformError> {
        let is_allowed = factor >= 0.0 && factor.is_finite();
        Ok(Self { saturation: check(factor + 0.0, is_allowed, "saturation")?, ..self })
    }

    /// Turns the picture clockwise: 90, 180 or 270 degrees; 0 and 360 leave it as it is.
    pub fn rotate(self, degrees: u32) -> Result<Self, TransformError> {
        let rotate = check(degrees, degrees.is_multiple_of(90) && degrees <= 360, "rotate")?
            .filter(|degrees| !degrees.is_multiple_of(360));
        Ok(Self { rotate, ..self })
    }

    /// Mirrors the picture, before it is turned.
    #[must_use]
    pub fn flip(self, flip: Flip) -> Self {
        Self { flip: Some(flip), ..self }
    }

    /// What is cut off before anything else is done.
    pub fn trim(self, trim: Trim) -> Result<Self, TransformError> {
        Ok(Self { trim: check(Box::new(trim), trim.is_allowed(), "trim")?, ..self })
    }

    /// Cuts off a border whose colours are this far apart.
    #[must_use]
    pub fn trim_threshold(self, tolerance: u8) -> Self {
        Self { trim: Some(Box::new(Trim::Border(Border { tolerance: Some(tolerance), ..Border::default() }))), ..self }
    }

    /// Keeps a rectangle of the picture, in pixels. The toolkit's `crop`, in the words that Cloudflare understands.
    pub fn crop(self, x: u32, y: u32, width: u32, height: u32) -> Result<Self, TransformError> {
        let is_allowed = x <= MAX_SIDE && y <= MAX_SIDE && is_side(width) && is_side(height);
        let rectangle = Rectangle {
            left: Some(x.into()),
            top: Some(y.into()),
            width: Some(width.into()),
            height: Some(height.into()),
        };
        Ok(Self { trim: check(Box::new(Trim::Rectangle(rectangle)), is_allowed, "crop")?, ..self })
    }

    /// Trades size for speed.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        Self { compression: Some(compression), ..self }
    }

    /// Makes the background transparent.
    #[must_use]
    pub fn segment(self, segment: Segment) -> Self {
        Self { segment: Some(segment), ..self }
    }

    /// How the picture is enlarged.
    #[must_use]
    pub fn upscale(self, upscale: Upscale) -> Self {
        Self { upscale: Some(upscale), ..self }
    }

    /// What happens when the transformation fails. Not for pictures that are kept in Cloudflare Images.
    #[must_use]
    pub fn onerror(self, onerror: OnError) -> Self {
        Self { onerror: Some(onerror), ..self }
    }

    /// The widths that [`Width::Auto`] chooses from, 1 to 12000 each; none for Cloudflare's choice.
    pub fn width_breakpoints(self, widths: impl Into<Vec<u32>>) -> Result<Self, TransformError> {
        let breakpoints = widths.into();
        if !breakpoints.iter().copied().all(is_side) {
            return Err(invalid("wbreakpoints"));
        }
        Ok(self.with_auto_width(|auto_width| auto_width.breakpoints = breakpoints))
    }

    /// What [`Width::Auto`] takes for computers where the browser says nothing: 1 to 12000 pixels.
    pub fn width_on_desktop(self, pixels: u32) -> Result<Self, TransformError> {
        let desktop = check(pixels, is_side(pixels), "wdesktop")?;
        Ok(self.with_auto_width(|auto_width| auto_width.desktop = desktop))
    }

    /// What [`Width::Auto`] takes for phones where the browser says nothing: 1 to 12000 pixels.
    pub fn width_on_mobile(self, pixels: u32) -> Result<Self, TransformError> {
        let mobile = check(pixels, is_side(pixels), "wmobile")?;
        Ok(self.with_auto_width(|auto_width| auto_width.mobile = mobile))
    }

    fn with_auto_width(mut self, change: impl FnOnce(&mut AutoWidth)) -> Self {
        let mut auto_width = self.auto_width.take().unwrap_or_default();
        change(&mut auto_width);
        self.auto_width = Some(auto_width).filter(|auto_width| **auto_width != AutoWidth::default());
        self
    }

    /// The width in pixels, where it is set to some.
    pub fn width_in_pixels(&self) -> Option<u32> {
        match self.width? {
            Width::Pixels(pixels) => Some(pixels),
            Width::Auto => None,
        }
    }

    /// Device pixels per pixel, where they are set.
    pub fn pixel_ratio(&self) -> Option<f64> {
        self.dpr
    }

    /// The height in pixels, where it is set.
    pub fn height_in_pixels(&self) -> Option<u32> {
        self.height
    }
}

fn factor_of(adjustment: f64, option: &'static str) -> Result<f64, TransformError> {
    if !(-1.0..=1.0).contains(&adjustment) {
        return Err(invalid(option));
    }
    // Two digits more than anybody writes, so that 1 + 0.1 is 1.1 in the URL.
    Ok((((1.0 + adjustment) * 1e6).round() / 1e6).max(SMALLEST_FACTOR))
}

/// Building and parsing.
impl Transform {
    /// The URL of the transformed picture; that of the picture as it is where no option is set.
    ///
    /// upstream: `CloudflareImageTransform.build`
    ///
    /// # Errors
    /// If options do not go together, or not with the picture.
    pub fn build(&self, picture: &Picture<'_>) -> Result<String, TransformError> {
        let mut options = String::with_capacity(80);
        // Texts take whatever is written.
        let _ = self.write_options(&mut options);
        if options.is_empty() {
            return Ok(picture.url().to_owned());
        }
        self.check()?;
        if picture.is_hosted() {
            self.check_hosted()?;
        }
        if picture.is_signed() {
            return Err(TransformError::Signed);
        }
        let mut url = String::with_capacity(picture.url().len() + options.len() + 64);
        picture.write_url(&options, &mut url);
        Ok(url)
    }

    /// The options as a flexible variant of a picture that is kept in Cloudflare Images, for [`DeliveryUrls::build`].
    ///
    /// # Errors
    /// If no option is set, they do not go together, or are not for such pictures.
    pub fn variant(&self) -> Result<String, TransformError> {
        let options = self.to_string();
        if options.is_empty() {
            return Err(TransformError::NotTransformed);
        }
        self.check()?;
        self.check_hosted()?;
        Ok(options)
    }

    fn check_hosted(&self) -> Result<(), TransformError> {
        if self.onerror.is_some() {
            let reason = "is for pictures of a zone only, not for those kept in Cloudflare Images";
            return Err(TransformError::Unusable { option: "onerror", reason });
        }
        Ok(())
    }

    /// Takes the URL of a transformed picture apart into the picture and what is done to it.
    ///
    /// # Errors
    /// If the URL has no options, or one of them is wrong.
    pub fn parse<'a>(urls: &DeliveryUrls, url: &'a str) -> Result<(Picture<'a>, Self), TransformError> {
        let picture = Picture::new(urls, url).map_err(|_| TransformError::NotTransformed)?;
        let transform: Self = picture.options().ok_or(TransformError::NotTransformed)?.parse()?;
        Ok((picture, transform))
    }

    /// Checks that the options go together.
    fn check(&self) -> Result<(), TransformError> {
        if self.zoom.is_some() && self.gravity != Some(Gravity::Face) {
            return Err(TransformError::Unusable { option: "zoom", reason: "needs gravity=face" });
        }
        if let Some(auto_width) = self.auto_width.as_deref().filter(|_| self.width != Some(Width::Auto)) {
            return Err(TransformError::Unusable { option: auto_width.first_name(), reason: "needs width=auto" });
        }
        Ok(())
    }
}

/// Carrying out.
impl Transform {
    /// Every option, with Cloudflare's default where it is not set.
    pub fn resolved(&self) -> Resolved {
        let AutoWidth { breakpoints, desktop, mobile } = self.auto_width.as_deref().cloned().unwrap_or_default();
        Resolved {
            anim: self.anim.unwrap_or(true),
            background: self.background,
            blur: self.blur.unwrap_or(0),
            brightness: self.brightness.unwrap_or(1.0),
            compression: self.compression,
            contrast: self.contrast.unwrap_or(1.0),
            dpr: self.dpr.unwrap_or(1.0),
            fit: self.fit.unwrap_or(Fit::ScaleDown),
            flip: self.flip,
            format: self.format,
            gamma: self.gamma.unwrap_or(1.0),
            gravity: self.gravity.unwrap_or(Gravity::CENTRE),
            height: self.height,
            metadata: self.metadata.unwrap_or(Metadata::Copyright),
            onerror: self.onerror,
            quality: self.quality.unwrap_or(Quality::Number(85)),
            rotate: self.rotate.unwrap_or(0),
            saturation: self.saturation.unwrap_or(1.0),
            segment: self.segment,
            sharpen: self.sharpen.unwrap_or(0.0),
            slow_connection_quality: self.slow_connection_quality,
            trim: self.trim.as_deref().copied(),
            upscale: self.upscale.unwrap_or(Upscale::Interpolate),
            width: self.width,
            width_breakpoints: if breakpoints.is_empty() { vec![320, 768, 960, 1200] } else { breakpoints },
            width_on_desktop: desktop.unwrap_or(1200),
            width_on_mobile: mobile.unwrap_or(768),
            zoom: self.zoom.unwrap_or(0.0),
        }
    }
}
