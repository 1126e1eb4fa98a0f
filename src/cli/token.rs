//! `cfimages token`

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use super::database::open_accounts;
use super::output::{print_line, print_rows};

/// Creates, lists and revokes API tokens. A user has one token at most.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    TOKEN=$(cfimages token create alice)\n  \
    cfimages token create alice --rotate     the old token ends at once")]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Print the token of a user, which is made where there is none.
    Create {
        /// The user's name.
        username: String,
        /// Make a new token; the one there is ends.
        #[arg(long)]
        rotate: bool,
    },
    /// List who has a token, with its first digits.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End the token of a user.
    Revoke {
        /// The user's name.
        username: String,
    },
}

#[derive(Serialize)]
struct Row {
    username: String,
    key: String,
    created: String,
}

impl TokenArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        let accounts = open_accounts(&config).await?;
        match self.command {
            TokenCommand::Create { username, rotate } => {
                print_line(accounts.create_token(&username, rotate).await?)?;
            }
            TokenCommand::List { json } => {
                let rows: Vec<Row> = accounts
                    .list_tokens()
                    .await?
                    .into_iter()
                    .map(|token| Row {
                        username: token.username,
                        key: format!("{}…", token.key_start),
                        created: token.created.to_string(),
                    })
                    .collect();
                print_rows(json, &["USER", "TOKEN", "CREATED"], &rows, |row| {
                    vec![row.username.clone(), row.key.clone(), row.created.clone()]
                })?;
            }
            TokenCommand::Revoke { username } => {
                if !accounts.revoke_token(&username).await? {
                    bail!("{username} has no token");
                }
                print_line(format_args!("revoked the token of {username}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
