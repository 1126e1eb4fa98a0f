//! How often callers may ask.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::cloudflare::CloudflareConfig;
use super::setting::Setting;
use super::settings::{
    CFIMAGES_RATE_LIMIT_READS, CFIMAGES_RATE_LIMIT_SIGN_IN, CFIMAGES_RATE_LIMIT_UPLOADS, CFIMAGES_RATE_LIMIT_WEBHOOKS,
    CFIMAGES_RATE_LIMIT_WRITES,
};
use super::values::Values;
use crate::domain::is_loopback_url;

/// How often each caller may ask, for each group of requests; `None` for as often as they like.
#[derive(Debug, Clone, Default)]
pub struct RateLimitsConfig {
    /// What makes new images.
    pub uploads: Option<RateLimit>,
    /// Notifications.
    pub webhooks: Option<RateLimit>,
    /// Passwords.
    pub sign_in: Option<RateLimit>,
    /// What changes nothing.
    pub reads: Option<RateLimit>,
    /// All other changes.
    pub writes: Option<RateLimit>,
}

/// So many requests at once, and so many within each period after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// 1 to 1,000,000.
    pub requests: u32,
    /// In which so many requests come back.
    pub period: Period,
}

/// What requests are counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// A second.
    Second,
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

impl RateLimitsConfig {
    /// Where nobody says, there are limits that only a program gone wild meets, and none where Cloudflare is an emulator on this
    /// machine, as for development and load tests.
    pub(super) fn read(values: &mut Values, cloudflare: Option<&CloudflareConfig>) -> Option<Self> {
        let is_local = cloudflare.is_some_and(|cloudflare| is_loopback_url(&cloudflare.base_url));
        let mut read = |setting: &'static Setting, usual| {
            let usual = if is_local { None } else { Some(RateLimit { requests: usual, period: Period::Minute }) };
            match values.read(setting, str::parse) {
                Some(Choice(limit)) => Some(limit),
                None if values.is_set(setting) => None,
                None => Some(usual),
            }
        };
        let uploads = read(&CFIMAGES_RATE_LIMIT_UPLOADS, 600);
        let webhooks = read(&CFIMAGES_RATE_LIMIT_WEBHOOKS, 30_000);
        let sign_in = read(&CFIMAGES_RATE_LIMIT_SIGN_IN, 60);
        let reads = read(&CFIMAGES_RATE_LIMIT_READS, 30_000);
        let writes = read(&CFIMAGES_RATE_LIMIT_WRITES, 12_000);
        Some(Self { uploads: uploads?, webhooks: webhooks?, sign_in: sign_in?, reads: reads?, writes: writes? })
    }
}

/// A limit, or that there is to be none.
struct Choice(Option<RateLimit>);

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self(None));
        }
        let limit = || {
            let (requests, period) = text.split_once('/')?;
            let requests = requests.trim().parse().ok().filter(|requests| (1..=1_000_000).contains(requests))?;
            Some(RateLimit { requests, period: Period::of_name(period.trim())? })
        };
        let rule = "must be off, or 1 to 1000000 requests per second, minute, hour or day, such as 120/minute";
        limit().map(|limit| Self(Some(limit))).ok_or_else(|| rule.to_owned())
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(RateLimit { requests, period }) => write!(f, "{requests}/{}", period.name()),
            None => f.write_str("off"),
        }
    }
}

impl Period {
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    /// How long it is.
    pub fn duration(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_mins(1),
            Self::Hour => Duration::from_hours(1),
            Self::Day => Duration::from_hours(24),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Loader, Purpose};

    fn uploads(limit: &str, base_url: &str) -> Option<RateLimit> {
        let variables = [
            ("CFIMAGES_RATE_LIMIT_UPLOADS", limit),
            ("CLOUDFLARE_IMAGES_BASE_URL", base_url),
            ("CLOUDFLARE_IMAGES_ACCOUNT_ID", "account"),
            ("CLOUDFLARE_IMAGES_API_TOKEN", "token"),
        ];
        Loader::new().environment(variables).load(Purpose::Database).unwrap().rate_limits.uploads
    }

    #[test]
    fn limits_are_requests_in_a_period_or_off() {
        for (text, requests, period) in [
            ("120/minute", 120, Period::Minute),
            (" 1 / second ", 1, Period::Second),
            ("1000000/hour", 1_000_000, Period::Hour),
            ("5/day", 5, Period::Day),
        ] {
            assert_eq!(uploads(text, ""), Some(RateLimit { requests, period }), "{text}");
        }
        assert_eq!(uploads("off", ""), None);
        for text in ["", "120", "0/minute", "-1/minute", "1000001/hour", "1/week", "1/", "/minute", "none"] {
            assert!(text.parse::<Choice>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_emulator_on_this_machine_has_limits_only_where_somebody_sets_them() {
        assert!(uploads("", "").is_some());
        assert_eq!(uploads("", "http://127.0.0.1:8001/client/v4"), None);
        assert!(uploads("1/day", "http://127.0.0.1:8001/client/v4").is_some());
    }
}
