//! `cfimages user`

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use super::database::open_accounts;
use super::output::{print_line, print_rows, yes};
use crate::domain::{Role, User};
use crate::service::SignInError;

/// Creates users, lists them, sets and checks their passwords.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cfimages user create alice --superuser\n  \
    pwgen 20 1 | cfimages user create bob --staff --password-stdin\n  \
    cfimages user list --json\n  \
    cfimages user check-password alice       exit code 0 if it is right")]
pub(super) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Create a user.
    Create {
        /// The name to sign in with.
        username: String,
        /// The address for mail.
        #[arg(long, default_value = "")]
        email: String,
        /// Let the user into the admin site.
        #[arg(long)]
        staff: bool,
        /// Let the user into the admin site with its pages of tokens and settings, and do everything in Django.
        #[arg(long)]
        superuser: bool,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List all users.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check whether a user can sign in with a password.
    ///
    /// Nothing is changed, and no failure is counted. The exit code is 0 only if the password is right and the user active. Try
    /// it with a user of Django's, to see that hashes of its passwords are understood.
    CheckPassword {
        /// The name to sign in with.
        username: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Give a user another password.
    SetPassword {
        /// The name to sign in with.
        username: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
}

/// Where the password comes from; never from an argument, which others on the machine could read.
#[derive(Debug, Args)]
struct PasswordArgs {
    /// Read the password from standard input. Otherwise it comes from `CFIMAGES_ADMIN_PASSWORD`, from the file that
    /// `CFIMAGES_ADMIN_PASSWORD_FILE` names, or from a prompt.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Serialize)]
struct Row {
    username: String,
    email: String,
    active: bool,
    staff: bool,
    superuser: bool,
    created: Option<String>,
}

impl From<User> for Row {
    fn from(user: User) -> Self {
        Self {
            username: user.username,
            email: user.email,
            active: user.is_active,
            staff: user.is_staff,
            superuser: user.is_superuser,
            created: user.date_joined.map(|time| time.to_string()),
        }
    }
}

impl UserArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        let accounts = open_accounts(&config).await?;
        match self.command {
            UserCommand::Create { username, email, staff, superuser, password } => {
                let role = match (superuser, staff) {
                    (true, _) => Role::Superuser,
                    (false, true) => Role::Staff,
                    (false, false) => Role::User,
                };
                let user = accounts.create_user(&username, &email, &password.read()?, role).await?;
                print_line(format_args!("created user {}", user.username))?;
            }
            UserCommand::List { json } => {
                let rows: Vec<Row> = accounts.list_users().await?.into_iter().map(Row::from).collect();
                print_rows(json, &["USER", "E-MAIL", "ACTIVE", "STAFF", "SUPERUSER", "CREATED"], &rows, |row| {
                    vec![
                        row.username.clone(),
                        row.email.clone(),
                        yes(row.active),
                        yes(row.staff),
                        yes(row.superuser),
                        row.created.clone().unwrap_or_default(),
                    ]
                })?;
            }
            UserCommand::CheckPassword { username, password } => {
                accounts.get_user(&username).await?;
                match accounts.check_password(&username, &password.read_once()?).await {
                    Ok(_) => print_line("the password is right")?,
                    Err(SignInError::Refused) => {
                        print_line(format_args!("the password is wrong, or {username} may not sign in"))?;
                        return Ok(ExitCode::FAILURE);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            UserCommand::SetPassword { username, password } => {
                accounts.get_user(&username).await?;
                accounts.set_password(&username, &password.read()?).await?;
                print_line(format_args!("changed the password of {username}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl PasswordArgs {
    /// A new password, which is asked for twice.
    fn read(&self) -> anyhow::Result<String> {
        if let Some(password) = self.given()? {
            return Ok(password);
        }
        let password = prompt("Password: ")?;
        if password != prompt("Password again: ")? {
            bail!("the two passwords differ");
        }
        Ok(password)
    }

    /// A password that is known already.
    fn read_once(&self) -> anyhow::Result<String> {
        match self.given()? {
            Some(password) => Ok(password),
            None => prompt("Password: "),
        }
    }

    /// The password, where it need not be asked for.
    fn given(&self) -> anyhow::Result<Option<String>> {
        if self.password_stdin {
            let mut password = String::new();
            std::io::stdin().read_to_string(&mut password).context("the password cannot be read")?;
            return Ok(Some(without_newline(password)));
        }
        if let Ok(password) = std::env::var("CFIMAGES_ADMIN_PASSWORD") {
            return Ok(Some(password));
        }
        let Some(path) = std::env::var_os("CFIMAGES_ADMIN_PASSWORD_FILE") else { return Ok(None) };
        let password = std::fs::read_to_string(&path)
            .with_context(|| format!("CFIMAGES_ADMIN_PASSWORD_FILE: {} cannot be read", Path::new(&path).display()))?;
        Ok(Some(without_newline(password)))
    }
}

fn prompt(question: &str) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask for a password: use --password-stdin or CFIMAGES_ADMIN_PASSWORD_FILE");
    }
    rpassword::prompt_password(question).context("the password cannot be read")
}

fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}
