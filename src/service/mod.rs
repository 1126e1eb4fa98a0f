//! The use cases. They know neither HTTP nor SQL.
//!
//! [`CloudflareService`] is one type whose methods are spread over a file per resource.

mod access_changes;
mod account_reconciliation;
mod accounts;
mod admin_sessions;
mod browsing;
mod bulk_runs;
mod cleanup;
mod deletions;
mod delivery_urls;
mod error;
mod file_uploads;
mod hashing;
mod images;
mod imports;
mod incoming_file;
mod leftovers;
mod links;
mod logs;
mod overview;
mod passwords;
mod polling;
mod random;
mod reconciliation;
mod registration;
mod retry;
mod searches;
mod sessions;
mod sign_in;
mod signing;
mod signing_keys;
mod source_url;
mod staff_actions;
mod stats;
mod status;
mod uploads;
mod usages;
mod webhooks;

use std::sync::Arc;

use secrecy::SecretString;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::cloudflare::Client;
use crate::domain::{Clock, Json, Timestamp};
use crate::metrics::Metrics;
use crate::store::Database;

use overview::FinishedDays;
use searches::Searches;
use signing_keys::SigningKeys;
use webhooks::DeliveryQueue;

pub use account_reconciliation::{
    AccountDoubt, AccountFinding, AccountFindingKind, AccountReconciler, AccountRunError, AccountRunEvent,
    AccountRunObserver, AccountRunOptions, AccountRunStart, AccountTrust, FieldDifference, MissingOutcome,
};
pub use accounts::{AccountError, Accounts, IssuedToken, TokenError, random_password, random_token};
pub use admin_sessions::{AdminSignInError, Browser, SessionToken};
pub use browsing::{ImagePage, OwnerProblem};
pub use bulk_runs::{BulkPreview, BulkProgress};
pub use cleanup::{CleanupEvent, CleanupObserver};
pub use deletions::{BulkDeletion, BulkOutcome, ImageRecords, NotTried};
pub use delivery_urls::VariantUrl;
pub use error::{EditProblem, Error, PictureProblem};
pub use file_uploads::UploadDeadlines;
pub use imports::{
    ImportError, ImportEvent, ImportFigures, ImportObserver, ImportOptions, ImportOutcome, ImportPlace, ImportProblem,
    ImportRow, ImportSources, ImportedImage, Importer,
};
pub use incoming_file::{FileSender, IncomingFile};
pub use leftovers::LeftoverOutcome;
pub use links::{DEFAULT_LIFETIME, ImageLinks, PictureUrl, SignedLinks};
pub use overview::{DayOfUploads, Overview};
pub use polling::Polled;
pub(crate) use random::{random_text, with_jitter};
pub use reconciliation::{ReconcileError, ReconcileProgress, Reconciled, SourcesError, UsageReconciler};
pub use searches::SearchError;
pub use sessions::DjangoSessions;
pub use sign_in::SignInError;
pub use source_url::{SourceUrl, SourceUrlError};
pub use staff_actions::{StaffOutcome, Unchanged};
pub use status::{Backlog, DatabaseStatus, LastWebhooks, Status};
pub use uploads::UploadRequest;
pub use webhooks::{
    IncomingWebhook, RegisteredPart, RegistrationAction, RegistrationError, RegistrationPlan, WebhookAnswer,
    WebhookEvent, WebhookMessage, WebhookProofs, WebhookRefusal, WebhookRegistration, WebhookSettings,
};

/// Everything that is done with images at Cloudflare and their records here. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CloudflareService {
    client: Client,
    database: Database,
    records: ImageRecords,
    clock: Arc<dyn Clock>,
    settings: Arc<ServiceSettings>,
    signing_keys: Arc<SigningKeys>,
    webhook_deliveries: Arc<DeliveryQueue>,
    finished_days: Arc<FinishedDays>,
    started_at: Timestamp,
    /// Turns for searches that may look at all rows.
    searches: Arc<Searches>,
    /// What goes on to its end when the client goes away.
    tasks: TaskTracker,
}

/// What the service does where a request does not say.
#[derive(Debug)]
pub struct ServiceSettings {
    /// Minutes until an upload URL ends, 2 to 360.
    pub default_expiry_minutes: i64,
    /// Whether pictures are private.
    pub require_signed_urls: bool,
    /// Kept with every image, below what the request says: an object.
    pub default_metadata: Json,
    /// Cloudflare's `creator`; may be empty.
    pub default_creator: String,
    /// The most bytes of a file that is uploaded through the server.
    pub max_file_bytes: u64,
    /// Which webhooks are believed.
    pub webhook: WebhookSettings,
    /// The key that URLs of private pictures are signed with; without one, Cloudflare is asked for the account's.
    pub signing_key: Option<SecretString>,
    /// Tables of the application whose rows are deleted with the image they require: `table` or `schema.table`.
    pub host_delete_tables: Vec<String>,
}

impl CloudflareService {
    /// Puts the service together.
    pub fn new(client: Client, database: Database, clock: Arc<dyn Clock>, settings: ServiceSettings) -> Self {
        let records = ImageRecords::new(database.clone(), Arc::clone(&clock), settings.host_delete_tables.clone());
        let signing_keys = Arc::new(SigningKeys::new(settings.signing_key.clone()));
        let (settings, tasks) = (Arc::new(settings), TaskTracker::new());
        let (webhook_deliveries, finished_days) = Default::default();
        let started_at = clock.now();
        Self {
            client,
            database,
            records,
            clock,
            settings,
            signing_keys,
            webhook_deliveries,
            finished_days,
            started_at,
            searches: Arc::new(Searches::new()),
            tasks,
        }
    }

    /// The same service for what nobody waits for, see [`Client::patient`].
    fn patient(&self) -> Self {
        Self { client: self.client.patient(), ..self.clone() }
    }

    /// Does what must not stop half way, and goes on to its end when the client goes away.
    async fn run_to_end<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        match self.tasks.spawn(work.in_current_span()).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process is ending, and this request with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Waits for what goes on though its client went away. To be called when no more requests are taken.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The most bytes of a file that is uploaded through the server.
    pub fn max_file_bytes(&self) -> u64 {
        self.settings.max_file_bytes
    }

    /// The engine of the database, for people.
    pub fn engine_name(&self) -> &'static str {
        self.database.engine_name()
    }

    /// Whether pictures are private of which nobody says otherwise.
    pub fn is_private_by_default(&self) -> bool {
        self.settings.require_signed_urls
    }

    /// Cloudflare's `creator` where nobody names one; may be empty.
    pub fn default_creator(&self) -> &str {
        &self.settings.default_creator
    }

    /// The origin that upload URLs lead to, see [`Client::upload_origin`].
    pub fn upload_origin(&self) -> String {
        self.client.upload_origin()
    }

    /// Where the service counts what it does: where its client counts its calls.
    pub fn metrics(&self) -> &Arc<Metrics> {
        self.client.metrics()
    }

    /// The clock of the service.
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }
}
