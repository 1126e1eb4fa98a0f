//! The commands, one file each: its arguments, and `run`.
//!
//! Logs go to standard error, results to standard output. Neither `println!` nor `eprintln!` is used: they panic where a pipe is
//! closed or a disk full.

mod cleanup_expired;
mod completions;
mod config;
#[cfg(feature = "emulator")]
mod data_folder;
mod database;
#[cfg(feature = "emulator")]
mod dev;
#[cfg(feature = "emulator")]
mod emulator;
mod healthcheck;
mod images;
mod import;
mod leftovers;
mod logs;
mod migrate;
mod openapi;
mod output;
mod progress;
mod reconcile_account;
mod reconcile_usage;
#[cfg(all(test, feature = "emulator"))]
mod reference;
mod serve;
mod stats;
mod token;
mod url;
mod user;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::app;
use crate::config::{Config, Loader, Purpose, Setting};

/// The image backend for applications that keep their pictures in Cloudflare Images.
#[derive(Debug, Parser)]
#[command(
    name = "cfimages",
    version,
    about,
    after_help = "Try it without a Cloudflare account:  cfimages dev\n\
                  Settings come from the environment, from flags and from a file: see `cfimages config example`."
)]
pub struct Cli {
    /// Read settings from this TOML file.
    #[arg(long, value_name = "FILE", env = "CFIMAGES_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try everything on this machine: server, emulator of Cloudflare Images, database and a user.
    #[cfg(feature = "emulator")]
    Dev(dev::DevArgs),
    /// Run the emulator of Cloudflare Images alone, for applications and test suites in any language.
    #[cfg(feature = "emulator")]
    Emulator(Box<emulator::EmulatorArgs>),
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Create, adopt or update the tables in the database, or take away what is ours.
    Migrate(migrate::MigrateArgs),
    /// Mark what expired, and delete what is not needed any more; for cron.
    CleanupExpired(cleanup_expired::CleanupExpiredArgs),
    /// Show, retry or forget what is left at Cloudflare after failures.
    Leftovers(leftovers::LeftoversArgs),
    /// Bring pictures that are elsewhere to Cloudflare: from a list of URLs or files, a folder, or Django's `ImageField`.
    Import(Box<import::ImportArgs>),
    /// Compare the records with all images of the account at Cloudflare, and repair them.
    ReconcileAccount(reconcile_account::ReconcileAccountArgs),
    /// Rebuild where images are used, out of the application's tables.
    ReconcileUsage(reconcile_usage::ReconcileUsageArgs),
    /// List images, show all that is known of one, and delete some.
    Images(images::ImagesArgs),
    /// Show how many images there are, by status, their size, and what refers to them.
    Stats(stats::StatsArgs),
    /// Delete old entries of the logs of images; for cron.
    Logs(logs::LogsArgs),
    /// Create users, list them, set and check their passwords.
    User(user::UserArgs),
    /// Create, list and revoke API tokens.
    Token(token::TokenArgs),
    /// Make delivery URLs, sign them and take them apart; needs neither server nor database.
    Url(url::UrlArgs),
    /// Have Cloudflare send webhooks, try whether they arrive, and list those that came.
    Webhook(webhook::WebhookArgs),
    /// Check, show and explain the configuration.
    Config(config::ConfigArgs),
    /// Ask a running server whether it is ready; for containers and monitors.
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Print the description of the API, in OpenAPI form.
    Openapi(openapi::OpenapiArgs),
    /// Print the completions of a shell.
    Completions(completions::CompletionsArgs),
}

/// What commands know of the outside.
#[derive(Debug)]
struct Context {
    config_file: Option<PathBuf>,
}

impl Context {
    /// The sources of the configuration: the file that was named and the environment.
    fn loader(&self) -> Loader {
        Loader::new().config_file(self.config_file.clone()).environment(std::env::vars_os())
    }

    /// The configuration for commands that work on the database.
    fn database_config(&self) -> anyhow::Result<Config> {
        let config = self.loader().load(Purpose::Database)?;
        app::init_telemetry(&config.log)?;
        Ok(config)
    }

    /// The configuration for the server, with the values of flags.
    fn serve_config(&self, flags: Vec<(&'static Setting, String)>) -> anyhow::Result<Config> {
        Ok(self.loader().overrides(flags).load(Purpose::Serve)?)
    }
}

/// Runs the command that the arguments of the process name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::print_error(format_args!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.run()) {
        Ok(code) => code,
        Err(error) => {
            output::print_error(output::describe(&error));
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let context = Context { config_file: self.config };
        match self.command {
            #[cfg(feature = "emulator")]
            Command::Dev(args) => Box::pin(args.run(&context)).await,
            #[cfg(feature = "emulator")]
            Command::Emulator(args) => Box::pin(args.run(&context)).await,
            Command::Serve(args) => Box::pin(args.run(&context)).await,
            Command::Migrate(args) => args.run(&context).await,
            Command::CleanupExpired(args) => Box::pin(args.run(&context)).await,
            Command::Leftovers(args) => Box::pin(args.run(&context)).await,
            Command::Import(args) => Box::pin(args.run(&context)).await,
            Command::ReconcileAccount(args) => Box::pin(args.run(&context)).await,
            Command::ReconcileUsage(args) => args.run(&context).await,
            Command::Images(args) => Box::pin(args.run(&context)).await,
            Command::Stats(args) => args.run(&context).await,
            Command::Logs(args) => args.run(&context).await,
            Command::User(args) => args.run(&context).await,
            Command::Token(args) => args.run(&context).await,
            Command::Url(args) => args.run(&context).await,
            Command::Webhook(args) => Box::pin(args.run(&context)).await,
            Command::Config(args) => args.run(context.loader(), &mut std::io::stdout(), &mut std::io::stderr()),
            Command::Healthcheck(args) => args.run(&context).await,
            Command::Openapi(args) => args.run(&context),
            Command::Completions(args) => args.run(&mut Self::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
