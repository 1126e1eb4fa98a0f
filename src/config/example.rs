//! The example of a configuration file.

use std::fmt::Write as _;

use super::setting::{Kind, Setting};
use super::settings::SETTINGS;

const HEADER: &str = "\
# The settings of cfimages.
#
# Every setting is shown with its default or, where it has none, with an example. Remove the comment sign before a line to
# change it. Variables of the environment win over this file, flags over both. An empty value is the same as none, unless
# the setting says otherwise. Where a name ending in `_FILE` or `_file` is given, it takes the path of a file that holds the
# secret, in place of the secret.
#
# The server reads the file that --config or CFIMAGES_CONFIG names; `cfimages config check` says what is wrong with it,
# `cfimages config show` what is in effect and why.
";

/// A configuration file that explains every setting, all of them commented out.
pub fn example() -> String {
    let mut text = HEADER.to_owned();
    let (mut table, mut group) = ("", "");
    for setting in SETTINGS {
        if setting.table() != table {
            table = setting.table();
            let _ = write!(text, "\n[{table}]\n");
        }
        if setting.group != group {
            group = setting.group;
            let _ = write!(text, "\n# ---- {group} ----\n");
        }
        let _ = write!(text, "\n{}", paragraph(setting));
    }
    text
}

fn paragraph(setting: &Setting) -> String {
    let mut text = String::new();
    for line in setting.doc {
        let _ = writeln!(text, "#{line}");
    }
    let (name, key) = (setting.name, setting.key());
    let default = match setting.default {
        Some(default) => format!("default {default}"),
        None => "no default".to_owned(),
    };
    let names =
        if setting.is_secret() { format!("{name}, or {name}_FILE, here also {key}_file") } else { name.to_owned() };
    let _ = writeln!(text, "# {names}; {default}");
    let _ = writeln!(text, "#{key} = {}", toml_value(setting));
    text
}

fn toml_value(setting: &Setting) -> String {
    let quote = |text: &str| format!("\"{text}\"");
    match setting.kind {
        Kind::Text | Kind::Secret | Kind::SecretUrl => quote(setting.example),
        Kind::Number | Kind::Flag | Kind::Json => setting.example.to_owned(),
        Kind::List | Kind::SecretList => {
            let items = super::parse::list(setting.example).map(quote).collect::<Vec<_>>();
            format!("[{}]", items.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tempfile::NamedTempFile;

    use super::*;
    use crate::config::{Loader, Purpose};

    const EXAMPLE: &str = include_str!("../../cfimages.example.toml");

    fn file(content: &str) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    #[test]
    fn the_example_is_the_file_that_ships_with_the_program() {
        assert_eq!(example(), EXAMPLE);
    }

    #[test]
    fn the_example_changes_nothing_as_it_is() {
        let file = file(EXAMPLE);
        let (values, outcome) = Loader::new().config_file(Some(file.path().into())).inspect();
        assert_eq!(outcome, Ok(()));
        assert!(values.iter().all(|value| matches!(value.origin.as_deref(), None | Some("default"))));
    }

    #[test]
    fn the_example_sets_everything_once_its_comment_signs_are_gone() {
        let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line != "#";
        let lines = EXAMPLE.lines().map(|line| if is_setting(line) { &line[1..] } else { line });
        let file = file(&lines.collect::<Vec<_>>().join("\n"));
        let loader = || Loader::new().config_file(Some(file.path().into()));
        assert!(loader().load(Purpose::Database).is_ok());
        let to_replace = SETTINGS.iter().filter(|setting| setting.is_secret() && setting.default.is_none()).count();
        let problems = loader().load(Purpose::Serve).unwrap_err();
        assert_eq!(problems.problems().len(), to_replace);
        assert!(
            problems.problems().iter().all(|problem| problem.to_string().contains("still the text of the example"))
        );
        let (set, default) = (loader().inspect().0, Loader::new().inspect().0);
        for (set, default) in set.into_iter().zip(default) {
            let name = set.setting.name;
            assert!(set.origin.unwrap().starts_with(&file.path().display().to_string()), "{name}");
            assert!(default.value.is_none() || default.value == set.value, "{name}");
        }
    }
}
