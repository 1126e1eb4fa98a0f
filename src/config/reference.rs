//! The page of the documentation that explains every setting.

use std::fmt::Write as _;

use super::setting::{Kind, Setting};
use super::settings::SETTINGS;

const HEADER: &str = "\
# Configuration

Every setting can be given in the environment, by its name, and in a TOML file, by its key. From the weakest to the strongest: the
default, the file that `--config` or `CFIMAGES_CONFIG` names, the environment, flags of the command. An empty value is the same as none,
unless the setting says otherwise.

Secrets can be kept in files: where a name ending in `_FILE` (in the file: a key ending in `_file`) is given, it takes the path of a file
that holds the secret; a line break at its end does not count. A key that does not exist is a mistake, and so is a value that cannot be: the command
says all of them at once, and does not start.

| command | does |
| --- | --- |
| `cfimages config check` | names all that is missing or wrong, with where it comes from |
| `cfimages config show` | prints what is in effect, and where each value comes from; secrets are not shown |
| `cfimages config example` | prints a file with every setting in it, commented out |
| `cfimages config reference` | prints this page |

`serve` needs `CLOUDFLARE_IMAGES_ACCOUNT_ID`, `CLOUDFLARE_IMAGES_API_TOKEN` and, on an address that others can reach,
`CLOUDFLARE_IMAGES_WEBHOOK_SECRET`; all else has a default that is right for most. `dev` needs nothing.
";

/// Every setting, in Markdown: a section for each group, an entry for each setting.
pub fn reference() -> String {
    let mut text = HEADER.to_owned();
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            let _ = write!(text, "\n## {group}\n");
        }
        let _ = write!(text, "\n{}", entry(setting));
    }
    text
}

fn entry(setting: &Setting) -> String {
    let (name, key, table) = (setting.name, setting.key(), setting.table());
    let file = if setting.is_secret() { format!(" (or `{name}_FILE`, `{key}_file`)") } else { String::new() };
    let default = setting.default.map_or_else(|| "no default".to_owned(), |default| format!("default `{default}`"));
    let example =
        if setting.default.is_none() { format!("; for example `{}`", setting.example) } else { String::new() };
    format!(
        "### `{name}`\n\n{}\n\n`{key}` in `[{table}]`{file}: {}; {default}{example}.\n",
        setting.doc.iter().map(|line| line.trim_start()).collect::<Vec<_>>().join("\n"),
        form(setting.kind),
    )
}

/// How a value is written.
fn form(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Number => "a whole number",
        Kind::Flag => "`true` or `false`",
        Kind::List => "a list, separated by commas in the environment",
        Kind::Json => "a JSON object",
        Kind::Secret => "a secret",
        Kind::SecretList => "secrets, separated by commas in the environment",
        Kind::SecretUrl => "a URL, of which no password is shown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_has_an_entry_of_its_own() {
        let page = reference();
        for setting in SETTINGS {
            assert_eq!(page.matches(&format!("\n### `{}`\n", setting.name)).count(), 1, "{}", setting.name);
        }
    }
}
