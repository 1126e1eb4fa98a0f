//! What `--help` teaches, made from what the library knows.

use std::fmt::Write as _;

use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::delivery::{OPTIONS, OptionInfo, PRESETS, SHORTHANDS};

/// Examples, and all options with what they take.
pub(super) fn with_options(examples: &str) -> String {
    let mut text = format!("{examples}\n\nOptions of transformations, as OPTION=VALUE:\n");
    add_options(&mut text, OPTIONS);
    text.push_str("\nOther ways to say some of them:\n");
    add_options(&mut text, SHORTHANDS);
    text
}

fn add_options(text: &mut String, options: &[OptionInfo]) {
    for option in options {
        let alias = option.alias.map(|alias| format!(" ({alias})")).unwrap_or_default();
        let _ = write!(text, "  {}{alias}: {}\n      {}\n", option.name, option.about, option.allowed);
    }
}

/// The names of the presets, each with its sizes and what it does.
pub(super) fn preset_names() -> PossibleValuesParser {
    PossibleValuesParser::new(PRESETS.iter().map(|preset| {
        let help = format!("{}: {}", preset.sizes, preset.about);
        PossibleValue::new(preset.name).aliases(preset.alias).help(help)
    }))
}
