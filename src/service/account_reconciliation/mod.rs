//! The records, compared with all images of the account at Cloudflare.
//!
//! First Cloudflare's list is read from its beginning to its end, a page at a time, and each image is compared with its record. A
//! side table remembers which images were there: a list of a million may tell an image twice, or leave one out. So Cloudflare is then
//! asked, one by one, about the uploaded images that were not in the list, and only its answer counts.
//!
//! Before anything is changed, Cloudflare is asked about some records: another account than theirs must not get its images recorded, let
//! alone theirs deleted.
//!
//! How far the run has come is committed with what it does. So one that is cut off anywhere goes on, and does nothing twice.

mod account_check;
mod changes;
mod differences;
mod session;

use std::pin::pin;
use std::time::Duration;

use serde_json::json;
use tracing::{info, instrument};
use uuid::Uuid;

use super::{CloudflareService, Error};
use crate::cloudflare::{self, Client};
use crate::domain::{AccountFigures, CloudflareId, ImageId, Timestamp, UserId};
use crate::store::account_runs::AccountRun;
use crate::store::{self, Transaction};

use session::Session;

pub use account_check::AccountDoubt;
pub use differences::FieldDifference;

/// Rows of the side table that are removed in one go.
const FORGOTTEN_AT_A_TIME: u32 = 50_000;
/// How long a run is one process's own. A process that was killed keeps others out for no longer.
const CLAIM_MINUTES: i64 = 1;
/// How often the claim is prolonged while Cloudflare is waited for.
const CLAIM_RENEWAL: Duration = Duration::from_secs(20);

/// What to do, and to which images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRunOptions {
    /// Whether to change records; otherwise it is only told what differs.
    pub apply: bool,
    /// Whether to delete records whose image is gone, unless content refers to them.
    pub delete_missing: bool,
    /// Who gets images that are not recorded and whose creator is no user; otherwise nobody.
    pub owner: Option<UserId>,
    /// Images that were uploaded less than so many minutes ago are neither imported nor missed: whoever uploads one may be about to
    /// record it, and Cloudflare may take minutes to find it everywhere.
    pub min_age_minutes: u32,
    /// What not to make sure of.
    pub trust: AccountTrust,
}

/// What to take for granted instead of asking Cloudflare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountTrust {
    /// This is the right account, however few of the recorded images it has.
    pub account: bool,
    /// What is listed is there: it is imported without a question about each image.
    pub list: bool,
}

impl AccountRunOptions {
    /// The options in the form in which a run keeps them.
    fn to_text(self) -> String {
        let Self { apply, delete_missing, owner, min_age_minutes, trust } = self;
        let owner = owner.map(|owner| owner.to_string());
        json!({
            "apply": apply, "delete_missing": delete_missing, "owner": owner, "min_age_minutes": min_age_minutes,
            "trust_account": trust.account, "trust_list": trust.list,
        })
        .to_string()
    }
}

/// How a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountRunStart {
    /// There was none to go on with.
    New,
    /// It goes on with one that was cut off and had begun at this time.
    Resumed(Timestamp),
    /// One that was cut off is given up, as it was asked for something else, or as it was said to.
    Anew,
}

/// An image that differs.
#[derive(Debug)]
pub struct AccountFinding {
    /// The image at Cloudflare.
    pub cloudflare_id: CloudflareId,
    /// How it differs, and what was done.
    pub kind: AccountFindingKind,
}

/// How an image differs.
#[derive(Debug)]
pub enum AccountFindingKind {
    /// It is at Cloudflare and not recorded.
    Unrecorded {
        /// The creator that Cloudflare tells.
        creator: Option<String>,
        /// Who gets it, or would get it.
        owner: Option<UserId>,
        /// Whether it is recorded by now.
        is_imported: bool,
    },
    /// It is at Cloudflare and not recorded, and it is to be deleted there.
    BeingDeleted,
    /// It is at Cloudflare, and cannot be recorded: its id is too long, or holds what no database keeps.
    Unusable,
    /// Its record says something else.
    Different {
        /// What differs.
        fields: Vec<FieldDifference>,
        /// Whether the record says the same by now.
        is_repaired: bool,
    },
    /// It is recorded as uploaded, and Cloudflare says that it does not have it.
    Missing(MissingOutcome),
    /// It could not be asked about, or its record not be changed.
    Failed(Error),
}

/// What became of the record of an image that is gone.
#[derive(Debug)]
pub enum MissingOutcome {
    /// It stays, as nothing else was asked for.
    Left,
    /// It is deleted.
    Deleted,
    /// It stays, as content refers to it as often as this.
    InUse(u64),
    /// It stays, as the database does not let it go.
    Refused(Error),
}

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum AccountRunEvent<'a> {
    /// It begins.
    Begun(AccountRunStart),
    /// This may be another account than that of the records. Only runs that change nothing go on then.
    Doubted(AccountDoubt),
    /// It has come so far with Cloudflare's list.
    Listed {
        /// The images that were there, each once.
        images: u64,
        /// About how many there are.
        of: u64,
    },
    /// The requests of these minutes are used up. It goes on after so long.
    Waiting(Duration),
    /// Cloudflare does not go on with its list, which is read from its beginning again.
    ListBrokeOff(&'a cloudflare::Error),
    /// It has come so far with what was not in the list.
    Asked {
        /// The records that Cloudflare was asked about.
        records: u64,
        /// How many there are.
        of: u64,
    },
    /// An image differs. What was done about it is committed.
    Found(&'a AccountFinding),
}

/// Told of what a run does.
pub type AccountRunObserver<'a> = dyn FnMut(AccountRunEvent<'_>) + Send + 'a;

/// Why a run did not come to its end. What was done before stays done, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum AccountRunError {
    /// Another run is at work.
    #[error("another run is at work on this database. If it was killed, try again in {} seconds", seconds_left)]
    Busy {
        /// When it counts as ended unless it is heard of again.
        seconds_left: i64,
    },
    /// Another run took over, as this one was not heard of for too long.
    #[error("another run has taken over, as this one was not heard of for {CLAIM_MINUTES} minute(s)")]
    TakenOver,
    /// This looks like another account than that of the records.
    #[error(
        "{0}. Nothing was changed. Check CLOUDFLARE_IMAGES_ACCOUNT_ID and the API token, and look at a run without --apply. \
         If it is the right account all the same, pass --trust-account"
    )]
    OtherAccount(AccountDoubt),
    /// Cloudflare refused or could not be reached.
    #[error("{operation}: {cause}")]
    Cloudflare {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        #[source]
        cause: cloudflare::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Images could not be changed.
    #[error(transparent)]
    Images(#[from] Error),
}

impl AccountRunError {
    /// Whether the same may work a little later, as far as the database is concerned.
    fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Images(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// Compares the records with the account at Cloudflare, and repairs them. One run at a time; it may go on beside everything else.
#[derive(Debug)]
pub struct AccountReconciler {
    service: CloudflareService,
    /// Leaves requests to those of people.
    client: Client,
    account_id: String,
    options: AccountRunOptions,
    /// The name of this process among those that might want the run.
    claimant: String,
}

/// A run, and what it found so far.
#[derive(Debug, Clone)]
struct Run {
    row: AccountRun,
    figures: AccountFigures,
}

impl AccountReconciler {
    /// A reconciler of the records with the account that the service works on.
    pub fn new(service: CloudflareService, account_id: String, options: AccountRunOptions) -> Self {
        let client = service.client.patient();
        Self { service, client, account_id, options, claimant: Uuid::new_v4().to_string() }
    }

    /// Goes on with the run that was cut off, if it was asked for the same, else begins a new one; what was found and done, by all
    /// parts of the run.
    ///
    /// # Errors
    /// See [`AccountRunError`].
    #[instrument(name = "service.account_reconciliation.run", skip_all)]
    pub async fn run(
        &self,
        restart: bool,
        observer: &mut AccountRunObserver<'_>,
    ) -> Result<AccountFigures, AccountRunError> {
        let claimed = self.claim().await?;
        let outcome = Box::pin(self.go_on(claimed, restart, observer)).await;
        let released = self.release().await;
        // Why a run failed says more than that others have to wait for a minute.
        let figures = outcome?;
        released?;
        Ok(figures)
    }

    /// Lets others have the run. To be called where [`run`](Self::run) was given up before it came to its end.
    ///
    /// # Errors
    /// If the database fails; others then have to wait for a minute.
    pub async fn release(&self) -> Result<(), AccountRunError> {
        let mut transaction = self.service.database.begin().await?;
        store::account_runs::release(&mut transaction, &self.claimant, self.now()).await?;
        Ok(transaction.commit().await?)
    }

    async fn go_on(
        &self,
        claimed: AccountRun,
        restart: bool,
        observer: &mut AccountRunObserver<'_>,
    ) -> Result<AccountFigures, AccountRunError> {
        let (run, start) = self.begin(claimed, restart).await?;
        observer(AccountRunEvent::Begun(start));
        let mut session = Session::new(self, run, observer);
        if !matches!(start, AccountRunStart::Resumed(_)) {
            session.check_account().await?;
        }
        session.read_list().await?;
        session.ask_about_unlisted().await?;
        let mut run = session.into_run();
        run.row.finished_at = Some(self.now());
        self.save(&run).await?;
        self.forget_seen(&run).await?;
        info!(figures = ?run.figures, "Reconciled the records with the account at Cloudflare");
        Ok(run.figures)
    }

    fn now(&self) -> Timestamp {
        self.service.clock.now()
    }

    async fn claim(&self) -> Result<AccountRun, AccountRunError> {
        let now = self.now();
        let mut transaction = self.service.database.begin().await?;
        let claimed_until = now.plus_minutes(CLAIM_MINUTES);
        let claimed = store::account_runs::claim(&mut transaction, &self.claimant, now, claimed_until).await?;
        transaction.commit().await?;
        if let Some(run) = claimed {
            return Ok(run);
        }
        let until = store::account_runs::claimed_until(&self.service.database).await?.unwrap_or(now);
        let seconds_left = (until.as_unix_seconds() - now.as_unix_seconds() + 1).max(1);
        Err(AccountRunError::Busy { seconds_left })
    }

    async fn begin(&self, claimed: AccountRun, restart: bool) -> Result<(Run, AccountRunStart), AccountRunError> {
        let options = self.options.to_text();
        let is_same = claimed.account_id == self.account_id && claimed.options == options;
        // A run that found nothing yet may have been about to ask whether this is the right account.
        let is_begun = |figures: &AccountFigures| *figures != AccountFigures::default();
        let figures = serde_json::from_str(&claimed.figures).ok().filter(is_begun);
        let open = figures.filter(|_| claimed.finished_at.is_none());
        if let Some(figures) = open
            && is_same
            && !restart
        {
            let start = AccountRunStart::Resumed(claimed.started_at);
            return Ok((Run { row: claimed, figures }, start));
        }
        // What was seen is worth nothing from here on, whatever happens to this process.
        let mut run = Run { row: claimed, figures: AccountFigures::default() };
        run.row.finished_at = run.row.finished_at.or(Some(self.now()));
        self.save(&run).await?;
        self.forget_seen(&run).await?;
        run.row = AccountRun {
            account_id: self.account_id.clone(),
            options,
            started_at: self.now(),
            finished_at: None,
            continuation_token: None,
            is_listed: false,
            checked_from: ImageId::first(),
            figures: String::new(),
        };
        self.save(&run).await?;
        Ok((run, if open.is_some() { AccountRunStart::Anew } else { AccountRunStart::New }))
    }

    async fn save(&self, run: &Run) -> Result<(), AccountRunError> {
        let mut transaction = self.service.database.begin().await?;
        self.save_with(&mut transaction, run).await?;
        Ok(transaction.commit().await?)
    }

    /// Records how far the run has come, and makes sure that it is still ours.
    async fn save_with(&self, transaction: &mut Transaction, run: &Run) -> Result<(), AccountRunError> {
        let row = AccountRun { figures: json!(run.figures).to_string(), ..run.row.clone() };
        let claimed_until = self.now().plus_minutes(CLAIM_MINUTES);
        let is_ours = store::account_runs::save(transaction, &row, &self.claimant, claimed_until).await?;
        if is_ours { Ok(()) } else { Err(AccountRunError::TakenOver) }
    }

    async fn forget_seen(&self, run: &Run) -> Result<(), AccountRunError> {
        loop {
            let mut transaction = self.service.database.begin().await?;
            let forgotten = store::account_runs::forget_seen(&mut transaction, FORGOTTEN_AT_A_TIME).await?;
            self.save_with(&mut transaction, run).await?;
            transaction.commit().await?;
            if forgotten < u64::from(FORGOTTEN_AT_A_TIME) {
                return Ok(());
            }
        }
    }

    /// Waits for Cloudflare, and prolongs the claim meanwhile.
    async fn holding<T>(&self, run: &Run, call: impl Future<Output = T>) -> Result<T, AccountRunError> {
        let mut call = pin!(call);
        loop {
            match tokio::time::timeout(CLAIM_RENEWAL, &mut call).await {
                Ok(answer) => return Ok(answer),
                Err(_) => self.save(run).await?,
            }
        }
    }
}
