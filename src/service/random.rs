//! Random texts and times.

use std::time::Duration;

/// A text of `chars` characters of an alphabet of ASCII characters, each as likely as the others.
///
/// # Errors
/// If the system gives no random numbers.
pub(crate) fn random_text(alphabet: &[u8], chars: usize) -> Result<String, getrandom::Error> {
    // Bytes beyond the last whole round of the alphabet would make its first characters likelier.
    let limit = 256 / alphabet.len() * alphabet.len();
    let mut text = String::with_capacity(chars);
    while text.len() < chars {
        let mut byte = [0; 1];
        getrandom::fill(&mut byte)?;
        if usize::from(byte[0]) < limit {
            text.push(alphabet[usize::from(byte[0]) % alphabet.len()].into());
        }
    }
    Ok(text)
}

/// A time that is up to a quarter shorter or longer, so that not everything that was put off at once comes back at once.
pub(crate) fn with_jitter(time: Duration) -> Duration {
    let mut byte = [0];
    // Without random numbers the time is as good.
    let share = if getrandom::fill(&mut byte).is_ok() { f64::from(byte[0]) / 255.0 } else { 0.5 };
    time.mul_f64(0.75 + share / 2.0)
}
