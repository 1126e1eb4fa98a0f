//! Automatic usages, rebuilt out of the application's own tables.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::retry::retry;
use crate::domain::{Clock, UsageSource};
use crate::store::usage_sources::{self, ResolvedSource, SourceProblem, Stretch, UsageStretch, UsageTotals};
use crate::store::{self, Database};

/// Rows that are looked at, and changed, at a time.
const BATCH_ROWS: u32 = 2000;

/// Rebuilds the automatic usages of columns that the configuration names.
///
/// What is right already is left alone, `updated_at` and all, so that a second run changes nothing; Django's command writes every
/// row anew. Where a column has a reference, its usage says so, whatever an application had recorded in its place; all other usages
/// that applications record themselves are neither changed nor removed. It works in short transactions, one a
/// batch, so it may run beside everything else, and twice at once.
#[derive(Debug)]
pub struct UsageReconciler {
    database: Database,
    clock: Arc<dyn Clock>,
    batch_rows: u32,
}

/// What a reconciliation did, or would do.
#[derive(Debug, Clone, Copy)]
pub struct Reconciled {
    /// References in the columns.
    pub tracked: u64,
    /// Usages whose content refers to nothing any more.
    pub removed: u64,
    /// All usages and images, afterwards.
    pub totals: UsageTotals,
}

/// How far a reconciliation has come.
#[derive(Debug, Clone, Copy)]
pub struct ReconcileProgress {
    /// Rows of the application that have been looked at.
    pub rows: u64,
    /// Rows of the application in all, as counted at the start.
    pub of: u64,
}

/// Why usages were not reconciled.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The sources do not fit the database; nothing was changed.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// The database failed; what was done before stays done.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// All that is wrong with the sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcesError(Vec<(UsageSource, String)>);

impl fmt::Display for SourcesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<String> = self.0.iter().map(|(source, problem)| format!("{source}: {problem}")).collect();
        f.write_str(&problems.join("; "))
    }
}

impl std::error::Error for SourcesError {}

/// A source that fits, and what has to be known of it.
struct Known<'a> {
    source: &'a UsageSource,
    columns: ResolvedSource,
    /// None in a dry run where no usage of the model can be there.
    content_type: Option<i64>,
}

impl UsageReconciler {
    /// A reconciler of the usages in a database.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock, batch_rows: BATCH_ROWS }
    }

    /// Looks at this many rows at a time; at least 1.
    #[must_use]
    pub fn batch_rows(self, batch_rows: u32) -> Self {
        Self { batch_rows: batch_rows.max(1), ..self }
    }

    /// Brings the usages of the sources up to date, or only tells what it would do.
    ///
    /// Missing and outdated usages are written, stale ones of the same models and fields removed, and all usages linked to their
    /// images where those are recorded by now. `last_referenced_at` of an image changes where it gains or loses a reference.
    ///
    /// # Errors
    /// If a source does not fit the database, or the database fails.
    pub async fn run(
        &self,
        sources: &[UsageSource],
        is_dry_run: bool,
        mut progress: impl FnMut(ReconcileProgress),
    ) -> Result<Reconciled, ReconcileError> {
        let known = self.resolve(sources, is_dry_run).await?;
        let mut so_far = ReconcileProgress { rows: 0, of: 0 };
        for source in &known {
            so_far.of += usage_sources::count_rows(&self.database, &source.columns).await?;
        }
        let (mut tracked, mut removed) = (0, 0);
        for source in &known {
            let mut after = None;
            while let Some(stretch) = self.next_stretch(source, after).await? {
                tracked += self.track(source, &stretch, is_dry_run).await?;
                so_far.rows += stretch.rows;
                progress(so_far);
                after = Some(stretch.last);
            }
            removed += self.remove_stale(source, is_dry_run).await?;
        }
        if !is_dry_run {
            self.link().await?;
        }
        Ok(Reconciled { tracked, removed, totals: usage_sources::totals(&self.database).await? })
    }

    async fn resolve<'a>(
        &self,
        sources: &'a [UsageSource],
        is_dry_run: bool,
    ) -> Result<Vec<Known<'a>>, ReconcileError> {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        let mut fields = HashSet::new();
        for source in sources {
            match usage_sources::resolve(&self.database, source).await? {
                Ok(columns) if fields.insert((&source.content_type, columns.field_name.clone())) => {
                    found.push((source, columns));
                }
                Ok(columns) => {
                    // Each would remove the usages of the other as stale.
                    let problem = format!("the field {} of {} is named twice", columns.field_name, source.content_type);
                    problems.push((source.clone(), problem));
                }
                Err(problem) => problems.push((source.clone(), SourceProblem::to_string(&problem))),
            }
        }
        if !problems.is_empty() {
            return Err(SourcesError(problems).into());
        }
        let mut known = Vec::new();
        for (source, columns) in found {
            let content_type = self.content_type(source, is_dry_run).await?;
            known.push(Known { source, columns, content_type });
        }
        Ok(known)
    }

    async fn content_type(&self, source: &UsageSource, is_dry_run: bool) -> Result<Option<i64>, store::Error> {
        let mut transaction = self.database.begin().await?;
        if is_dry_run {
            return store::content_types::find(&mut transaction, &source.content_type).await;
        }
        let content_type = store::content_types::find_or_insert(&mut transaction, &source.content_type).await?;
        transaction.commit().await?;
        Ok(Some(content_type))
    }

    async fn next_stretch(&self, source: &Known<'_>, after: Option<String>) -> Result<Option<Stretch>, store::Error> {
        usage_sources::next_stretch(&self.database, &source.columns, after, self.batch_rows).await
    }

    /// Writes the usages of a stretch that are missing or outdated; how many references there are.
    async fn track(&self, source: &Known<'_>, stretch: &Stretch, is_dry_run: bool) -> Result<u64, store::Error> {
        let survey = usage_sources::survey(&self.database, &source.columns, stretch, source.content_type).await?;
        if let Some(content_type) = source.content_type
            && survey.outdated > 0
            && !is_dry_run
        {
            retry(store::Error::is_transient, || self.bring_up_to_date(&source.columns, stretch, content_type)).await?;
            tracing::debug!(source = %source.source, rows = survey.outdated, "Brought usages up to date");
        }
        Ok(u64::try_from(survey.tracked).unwrap_or(0))
    }

    async fn bring_up_to_date(
        &self,
        columns: &ResolvedSource,
        stretch: &Stretch,
        content_type: i64,
    ) -> Result<(), store::Error> {
        let mut transaction = self.database.begin().await?;
        usage_sources::lock(&mut transaction).await?;
        let now = self.clock.now();
        usage_sources::bring_up_to_date(&mut transaction, columns, stretch, content_type, now).await?;
        transaction.commit().await
    }

    /// Removes the usages of a source whose content refers to nothing any more; how many there are.
    async fn remove_stale(&self, source: &Known<'_>, is_dry_run: bool) -> Result<u64, store::Error> {
        let Some(content_type) = source.content_type else { return Ok(0) };
        let (database, columns) = (&self.database, &source.columns);
        let (mut removed, mut after) = (0, 0);
        while let Some(stretch) =
            usage_sources::next_usages(database, columns, content_type, after, self.batch_rows).await?
        {
            let stale = usage_sources::count_stale(database, columns, content_type, stretch).await?;
            removed += if is_dry_run || stale == 0 {
                stale
            } else {
                retry(store::Error::is_transient, || self.remove_stale_of(columns, content_type, stretch)).await?
            };
            after = stretch.last;
        }
        Ok(removed)
    }

    async fn remove_stale_of(
        &self,
        columns: &ResolvedSource,
        content_type: i64,
        stretch: UsageStretch,
    ) -> Result<u64, store::Error> {
        let mut transaction = self.database.begin().await?;
        usage_sources::lock(&mut transaction).await?;
        let now = self.clock.now();
        let removed = usage_sources::remove_stale(&mut transaction, columns, content_type, stretch, now).await?;
        transaction.commit().await?;
        Ok(removed)
    }

    /// Links usages, of whatever source, to images that are recorded by now. As with the toolkit, that is no new reference.
    async fn link(&self) -> Result<(), store::Error> {
        let mut after = 0;
        while let Some(stretch) = usage_sources::next_unlinked(&self.database, after, self.batch_rows).await? {
            retry(store::Error::is_transient, || self.link_stretch(stretch)).await?;
            after = stretch.last;
        }
        Ok(())
    }

    async fn link_stretch(&self, stretch: UsageStretch) -> Result<(), store::Error> {
        let mut transaction = self.database.begin().await?;
        usage_sources::lock(&mut transaction).await?;
        usage_sources::link(&mut transaction, stretch).await?;
        transaction.commit().await
    }
}
