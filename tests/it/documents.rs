//! Whether the documents, and the files to run the server by, speak of what there is.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use cfimages::config::settings::SETTINGS;
use cfimages::delivery::{OPTIONS, OptionInfo, PRESETS, SHORTHANDS};

use crate::support::suite::Suite;

/// Variables of the environment that are no settings.
const OTHER_VARIABLES: [&str; 4] =
    ["CFIMAGES_CONFIG", "CFIMAGES_ADMIN_PASSWORD", "CFIMAGES_ADMIN_PASSWORD_FILE", "CFIMAGES_TEST_REQUIRE_POSTGRES"];

pub(crate) fn register(suite: &mut Suite) {
    suite.test("documents::each_variable_that_is_named_exists", named_variables);
    suite.test("documents::each_link_leads_somewhere", links);
    suite.test("documents::transformations_are_told_as_the_library_has_them", tables_of_transformations);
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What is read by those who run the server.
fn documents() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "llms.txt", "Dockerfile", "compose.yaml"]
            .map(|name| project().join(name))
            .into();
    let mut folders = vec![project().join("docs"), project().join("contrib")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|extension| extension != "webp") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 20, "{files:?}");
    files
}

async fn named_variables() {
    let mut known: HashSet<String> = OTHER_VARIABLES.map(str::to_owned).into();
    for setting in SETTINGS {
        known.insert(setting.name.to_owned());
        if setting.is_secret() {
            known.insert(format!("{}_FILE", setting.name));
        }
    }
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let words = text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
        for word in words {
            // `CFIMAGES_*` stands for all of them.
            let is_variable = ["CFIMAGES_", "CLOUDFLARE_IMAGES_", "DATABASE_URL"]
                .iter()
                .any(|start| word.starts_with(start) && (!start.ends_with('_') || word != *start));
            assert!(!is_variable || known.contains(word), "{}: there is no {word}", path.display());
        }
    }
}

async fn links() {
    for path in documents().into_iter().filter(|path| is_markdown(path) || path.ends_with("llms.txt")) {
        let text = fs::read_to_string(&path).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target} is not there", path.display());
            if !anchor.is_empty() {
                let anchors = anchors(&fs::read_to_string(&file).unwrap());
                assert!(anchors.contains(anchor), "{}: {target} leads to none of {anchors:?}", path.display());
            }
        }
    }
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

/// The names of the headings, as GitHub makes them.
pub(crate) fn anchors(text: &str) -> HashSet<String> {
    let mut anchors = HashSet::new();
    let mut is_code = false;
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if is_code || !line.starts_with('#') {
            continue;
        }
        let name = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        let name: String = name.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect();
        anchors.insert(name);
    }
    anchors
}

/// What `docs/transformations.md` tells of presets and options, as the library has them.
async fn tables_of_transformations() {
    let presets = PRESETS.iter().map(|preset| {
        let alias = preset.alias.map_or_else(String::new, |alias| format!(", `{alias}`"));
        let example = preset.sizes.replace(['[', ']'], "");
        format!("| `{}`{alias} | `{example}` | {} |", preset.name, preset.about)
    });
    expect_table("presets", "| preset | sizes, with their defaults | |", presets);
    let row = |option: &OptionInfo| {
        let alias = option.alias.map_or_else(String::new, |alias| format!(", `{alias}`"));
        format!("| `{}`{alias} | {} | {} |", option.name, option.allowed, option.about)
    };
    expect_table("options", "| option | takes | does |", OPTIONS.iter().map(row));
    expect_table("shorthands", "| option | takes | does |", SHORTHANDS.iter().map(row));
}

/// Asserts that `docs/transformations.md` has a table between two comments; with `WRITE_DOCS` it is put there.
fn expect_table(name: &str, head: &str, rows: impl Iterator<Item = String>) {
    let path = project().join("docs/transformations.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&format!("<!-- {name} -->\n")).unwrap();
    let (table, after) = rest.split_once("<!-- end -->\n").unwrap();
    let want = format!("{head}\n| --- | --- | --- |\n{}\n", rows.collect::<Vec<_>>().join("\n"));
    if std::env::var_os("WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}<!-- {name} -->\n{want}<!-- end -->\n{after}")).unwrap();
    } else {
        assert_eq!(table, want, "WRITE_DOCS=1 cargo test --test it -- documents");
    }
}
