//! `cfimages config`: what is wrong with the configuration, what is in effect, and what there is to set.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::output::to_pretty_json;
use crate::config::{ConfigErrors, EffectiveValue, Loader, Purpose, example, reference};

/// Checks, shows and explains the configuration.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say what is wrong with the configuration, all at once.
    Check {
        /// What the configuration must be complete for.
        #[arg(long = "for", value_enum, default_value_t, value_name = "PURPOSE")]
        purpose: Purpose,
    },
    /// Print the settings in effect and where each comes from, without secrets.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a configuration file that explains every setting.
    Example,
    /// Print a page that explains every setting, in Markdown.
    Reference,
}

impl ConfigArgs {
    /// Runs the command; problems go to `stderr`, everything else to `stdout`.
    ///
    /// # Errors
    /// If nothing can be written.
    pub(super) fn run(
        self,
        loader: Loader,
        stdout: &mut dyn Write,
        stderr: &mut dyn Write,
    ) -> anyhow::Result<ExitCode> {
        let outcome = match self.command {
            ConfigCommand::Check { purpose } => {
                let outcome = loader.load(purpose);
                if let Ok(config) = &outcome {
                    writeln!(stdout, "configuration is valid")?;
                    let is_served = purpose == Purpose::Serve;
                    for warning in config.warnings().into_iter().filter(|_| is_served) {
                        writeln!(stderr, "warning: {warning}")?;
                    }
                }
                outcome.map(drop)
            }
            ConfigCommand::Show { json } => {
                let (values, outcome) = loader.inspect();
                if json {
                    write_json(&values, stdout)?;
                } else {
                    write_table(&values, stdout)?;
                }
                outcome
            }
            ConfigCommand::Example => {
                stdout.write_all(example().as_bytes())?;
                Ok(())
            }
            ConfigCommand::Reference => {
                stdout.write_all(reference().as_bytes())?;
                Ok(())
            }
        };
        exit_code(outcome, stderr)
    }
}

fn exit_code(outcome: Result<(), ConfigErrors>, stderr: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let Err(errors) = outcome else { return Ok(ExitCode::SUCCESS) };
    for problem in errors.problems() {
        writeln!(stderr, "{problem}")?;
    }
    Ok(ExitCode::FAILURE)
}

#[derive(Serialize)]
struct SettingJson<'a> {
    name: &'static str,
    value: Option<&'a str>,
    origin: Option<&'a str>,
}

fn write_json(values: &[EffectiveValue], stdout: &mut dyn Write) -> anyhow::Result<()> {
    let settings = values.iter().map(|effective| SettingJson {
        name: effective.setting.name,
        value: effective.value.as_deref(),
        origin: effective.origin.as_deref(),
    });
    writeln!(stdout, "{}", to_pretty_json(&settings.collect::<Vec<_>>())?)?;
    Ok(())
}

fn write_table(values: &[EffectiveValue], stdout: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Builder::new();
    table.push_record(["NAME", "VALUE", "ORIGIN"]);
    for EffectiveValue { setting, value, origin } in values {
        table.push_record([setting.name, value.as_deref().unwrap_or("-"), origin.as_deref().unwrap_or("-")]);
    }
    writeln!(stdout, "{}", table.build().with(Style::blank()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        config: ConfigArgs,
    }

    struct Output {
        succeeded: bool,
        stdout: String,
        stderr: String,
    }

    fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let cli = TestCli::parse_from([&["config"], arguments].concat());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let loader = Loader::new().environment(environment.iter().copied());
        let code = cli.config.run(loader, &mut stdout, &mut stderr).unwrap();
        Output {
            succeeded: code == ExitCode::SUCCESS,
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    const ACCOUNT: [(&str, &str); 2] =
        [("CLOUDFLARE_IMAGES_ACCOUNT_ID", "account"), ("CLOUDFLARE_IMAGES_API_TOKEN", "hunter2")];

    #[test]
    fn check_says_that_a_complete_configuration_is_valid() {
        let secret = ("CLOUDFLARE_IMAGES_WEBHOOK_SECRET", "hunter3");
        let output = run(&["check"], &[&ACCOUNT[..], &[secret]].concat());
        assert!(output.succeeded);
        assert_eq!(output.stdout, "configuration is valid\n");
        assert_eq!(output.stderr, "");
    }

    #[test]
    fn check_warns_of_what_may_be_on_purpose() {
        let output = run(&["check"], &ACCOUNT);
        assert!(output.succeeded);
        assert_eq!(output.stdout, "configuration is valid\n");
        assert!(output.stderr.starts_with("warning: No CLOUDFLARE_IMAGES_WEBHOOK_SECRET is set:"), "{}", output.stderr);
        assert_eq!(run(&["check", "--for", "database"], &ACCOUNT).stderr, "");
    }

    #[test]
    fn check_prints_each_problem_on_a_line_of_stderr_and_fails() {
        let output = run(&["check"], &[("CFIMAGES_LISTEN", "8000")]);
        assert!(!output.succeeded);
        assert_eq!(output.stdout, "");
        let keys: Vec<_> = output.stderr.lines().map(|line| line.split([' ', ':']).next().unwrap()).collect();
        assert_eq!(keys, ["CFIMAGES_LISTEN", "CLOUDFLARE_IMAGES_ACCOUNT_ID", "CLOUDFLARE_IMAGES_API_TOKEN"]);
    }

    #[test]
    fn check_for_the_database_needs_no_account() {
        assert!(run(&["check", "--for", "database"], &[]).succeeded);
        assert!(!run(&["check", "--for", "serve"], &[]).succeeded);
    }

    #[test]
    fn show_prints_every_setting_with_its_origin_and_no_secret() {
        let output = run(&["show"], &[&ACCOUNT[..], &[("DATABASE_URL", "postgres://shop:hunter2@db/shop")]].concat());
        assert!(output.succeeded);
        let row = |name: &str| {
            let line = output.stdout.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
            line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(row("CLOUDFLARE_IMAGES_API_TOKEN"), "*** environment");
        assert_eq!(row("DATABASE_URL"), "postgres://shop:***@db/shop environment");
        assert_eq!(row("CFIMAGES_LISTEN"), "127.0.0.1:8000 default");
        assert_eq!(row("CLOUDFLARE_IMAGES_SIGNING_KEY"), "- -");
        assert!(!output.stdout.contains("hunter2"));
    }

    #[test]
    fn show_prints_json_and_fails_when_a_value_is_wrong() {
        let output = run(&["show", "--json"], &[("CFIMAGES_URL_PREFIX", "images/"), ("CFIMAGES_LISTEN", "8000")]);
        assert!(!output.succeeded);
        assert!(output.stderr.starts_with("CFIMAGES_LISTEN (environment): must be"));
        let rows: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        let rows = rows.as_array().unwrap();
        let prefix = serde_json::json!({
            "name": "CFIMAGES_URL_PREFIX", "value": "/images", "origin": "environment",
        });
        assert!(rows.contains(&prefix));
        let unset = serde_json::json!({ "name": "CLOUDFLARE_IMAGES_API_TOKEN", "value": null, "origin": null });
        assert!(rows.contains(&unset));
    }

    #[test]
    fn example_prints_the_file_that_ships_with_the_program() {
        assert_eq!(run(&["example"], &[]).stdout, include_str!("../../cfimages.example.toml"));
    }

    #[test]
    fn reference_prints_the_page_of_the_documentation() {
        assert!(
            run(&["reference"], &[]).stdout == include_str!("../../docs/configuration.md"),
            "docs/configuration.md is out of date: cargo run -- config reference > docs/configuration.md"
        );
    }
}
