//! Tables of the application beside us whose rows refer to images.
//!
//! Django emulates `ON DELETE` in Python; the constraint in the database refuses to lose what is referred to, often only when the
//! transaction commits. So whoever deletes images has to take care of such rows first, here as there. The database cannot tell
//! which of Django's ways is meant, so columns that may be null are set to null, and rows whose column may not be null forbid the
//! deletion, unless their table is listed: then they are deleted, and the rows that refer to them are looked at in the same way.
//!
//! Names of tables and columns are the application's own and may hold any character, so each is quoted.

use std::collections::VecDeque;

use sqlx::{AssertSqlSafe, FromRow};

use super::database::Engine;
use super::image_set::{Pair, in_set};
use super::{Error, ImageSet, Transaction, on};
use crate::domain::Timestamp;

/// How far references to rows that are deleted are followed. Each step makes the statements about twice as long.
const MAX_DEPTH: usize = 8;

/// Rows that forbid the deletion of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// The table, as the setting names it: with its schema where it is not on the search path.
    pub table: String,
    /// How many of its rows there are.
    pub rows: u64,
}

/// What becomes of the rows that refer to some images when these are deleted.
#[derive(Debug)]
pub struct HostPlan {
    keys: Vec<ForeignKey>,
    /// In an order in which each step comes after those whose rows it refers to.
    steps: Vec<Step>,
    /// What forbids the deletion; nothing must be changed unless this is empty.
    pub blockers: Vec<Blocker>,
}

/// A table of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HostTable {
    schema: String,
    name: String,
    is_on_search_path: bool,
    /// The primary key, where it is a single column.
    key: Option<String>,
}

#[derive(Debug)]
struct ForeignKey {
    table: HostTable,
    parent: ParentTable,
    columns: Vec<KeyColumn>,
    on_delete: OnDelete,
}

#[derive(Debug, PartialEq, Eq)]
enum ParentTable {
    Images,
    Host { schema: String, name: String },
}

#[derive(Debug)]
struct KeyColumn {
    name: String,
    referenced: String,
    is_nullable: bool,
}

/// What the database does with a row when what it refers to is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDelete {
    Cascade,
    SetDefault,
    /// It refuses, or sets null: no more than is done here.
    Other,
}

#[derive(Debug)]
struct Step {
    table: HostTable,
    action: Action,
    /// The condition for its rows; `$1` are the images.
    rows: String,
    depth: usize,
}

#[derive(Debug)]
enum Action {
    SetNull(Vec<String>),
    Delete,
}

impl HostTable {
    fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }

    fn display(&self) -> String {
        if self.is_on_search_path { self.name.clone() } else { format!("{}.{}", self.schema, self.name) }
    }

    /// Whether one of the names is that of the table: `table` or `schema.table`.
    fn is_listed(&self, names: &[String]) -> bool {
        let qualified = format!("{}.{}", self.schema, self.name);
        names.iter().any(|name| *name == qualified || (self.is_on_search_path && *name == self.name))
    }

    /// Whether the rows are looked after elsewhere: by us, or by `ON DELETE CASCADE`.
    fn is_ours(&self) -> bool {
        self.is_on_search_path
            && (matches!(self.name.as_str(), "cloudflare_image_logs" | "cloudflare_image_usages")
                || self.name.starts_with("cfimages_"))
    }
}

impl ForeignKey {
    fn refers_to(&self, parent: Option<&HostTable>) -> bool {
        match (&self.parent, parent) {
            (ParentTable::Images, None) => true,
            (ParentTable::Host { schema, name }, Some(table)) => *schema == table.schema && *name == table.name,
            _ => false,
        }
    }

    /// The condition for the rows that refer to those of the parent, without those that are deleted already.
    fn condition(&self, parent: &str, parent_rows: &str, deleted: &[&str]) -> String {
        let list = |column: fn(&KeyColumn) -> &str| {
            let names: Vec<String> = self.columns.iter().map(|key| quote(column(key))).collect();
            names.join(", ")
        };
        let own = list(|key| &key.name);
        let referenced = list(|key| &key.referenced);
        let left = if self.columns.len() == 1 { own } else { format!("({own})") };
        let mut condition = format!("{left} IN (SELECT {referenced} FROM {parent} WHERE {parent_rows})");
        for rows in deleted {
            condition = format!("{condition} AND ({rows}) IS NOT TRUE");
        }
        condition
    }

    fn nullable_columns(&self) -> Vec<String> {
        self.columns.iter().filter(|column| column.is_nullable).map(|column| column.name.clone()).collect()
    }
}

/// What becomes of the rows that refer to images. The images must be locked, so that no new ones can come meanwhile; rows that are
/// to be deleted are locked here.
///
/// # Errors
/// If the database fails.
pub async fn plan(
    transaction: &mut Transaction,
    images: &ImageSet,
    delete_tables: &[String],
) -> Result<HostPlan, Error> {
    let mut plan = HostPlan { keys: foreign_keys(transaction).await?, steps: Vec::new(), blockers: Vec::new() };
    let mut parents = VecDeque::from([None]);
    while let Some(parent) = parents.pop_front() {
        for key in 0..plan.keys.len() {
            if plan.follow(transaction, images, delete_tables, parent, key).await? {
                parents.push_back(Some(plan.steps.len() - 1));
            }
        }
    }
    Ok(plan)
}

impl HostPlan {
    /// Looks at the rows that refer by a key to the images or to the rows of a step; whether they are deleted, too.
    async fn follow(
        &mut self,
        transaction: &mut Transaction,
        images: &ImageSet,
        delete_tables: &[String],
        parent: Option<usize>,
        key: usize,
    ) -> Result<bool, Error> {
        let (parent, key) = (parent.map(|step| &self.steps[step]), &self.keys[key]);
        if !key.refers_to(parent.map(|step| &step.table)) || key.on_delete == OnDelete::SetDefault {
            return Ok(false);
        }
        let depth = parent.map_or(1, |step| step.depth + 1);
        let rows = self.rows_of(key, parent, transaction);
        let table = key.table.clone();
        let count = count(transaction, &table, &rows, images).await?;
        if count == 0 {
            return Ok(false);
        }
        let nullable = key.nullable_columns();
        let cascades = key.on_delete == OnDelete::Cascade;
        if !cascades && !nullable.is_empty() {
            self.steps.push(Step { table, action: Action::SetNull(nullable), rows, depth });
            return Ok(false);
        }
        if (cascades || table.is_listed(delete_tables)) && depth <= MAX_DEPTH {
            lock(transaction, &table, &rows, images).await?;
            self.steps.push(Step { table, action: Action::Delete, rows, depth });
            return Ok(true);
        }
        // The database deletes what is deeper still.
        if !cascades {
            self.blockers.push(Blocker { table: table.display(), rows: count });
        }
        Ok(false)
    }

    fn rows_of(&self, key: &ForeignKey, parent: Option<&Step>, transaction: &mut Transaction) -> String {
        let is_deletion = |step: &&Step| matches!(step.action, Action::Delete) && step.table == key.table;
        let deleted: Vec<&str> = self.steps.iter().filter(is_deletion).map(|step| step.rows.as_str()).collect();
        match parent {
            Some(step) => key.condition(&step.table.quoted(), &step.rows, &deleted),
            None => key.condition("cloudflare_images", IMAGES.of(&transaction.connection()), &deleted),
        }
    }

    /// Takes care of the rows, so that nothing refers to the images any more but usages and logs. Rows that are deleted take their
    /// usages with them, and the clock of the images that these named starts anew.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn apply(&self, transaction: &mut Transaction, images: &ImageSet, now: Timestamp) -> Result<(), Error> {
        for step in &self.steps {
            if let Action::SetNull(columns) = &step.action {
                let nulls: Vec<String> = columns.iter().map(|column| format!("{} = NULL", quote(column))).collect();
                let statement = format!("UPDATE {} SET {} WHERE {}", step.table.quoted(), nulls.join(", "), step.rows);
                execute(transaction, statement, images).await?;
            }
        }
        for step in self.steps.iter().rev() {
            if matches!(step.action, Action::Delete) {
                delete_usages(transaction, step, images, now).await?;
                let statement = format!("DELETE FROM {} WHERE {}", step.table.quoted(), step.rows);
                execute(transaction, statement, images).await?;
            }
        }
        delete_usages_by_key(transaction, &self.keys, images).await
    }
}

/// The condition that stands for the images.
const IMAGES: Pair = in_set!("id");

/// An identifier as it stands in a statement.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

// The statements below are made of quoted identifiers and of texts of this file.

async fn count(transaction: &mut Transaction, table: &HostTable, rows: &str, images: &ImageSet) -> Result<u64, Error> {
    let statement = AssertSqlSafe(format!("SELECT count(*) FROM {} WHERE {rows}", table.quoted()));
    let count: i64 = on!(transaction.connection(), connection => {
        sqlx::query_scalar(statement).bind(images).fetch_one(connection).await
    })?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Keeps others from referring to the rows anew. The transaction of SQLite is the only writer anyway.
async fn lock(transaction: &mut Transaction, table: &HostTable, rows: &str, images: &ImageSet) -> Result<(), Error> {
    if let Engine::Postgres(connection) = transaction.connection() {
        let statement = format!("SELECT 1 FROM {} WHERE {rows} FOR UPDATE", table.quoted());
        sqlx::query(AssertSqlSafe(statement)).bind(images).execute(connection).await?;
    }
    Ok(())
}

async fn execute(transaction: &mut Transaction, statement: String, images: &ImageSet) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(AssertSqlSafe(statement)).bind(images).execute(connection).await.map(drop)
    })?;
    Ok(())
}

/// Usages name tables by Django's default, `app_label` and `model` with an underscore between, and rows by `str()` of their key. On
/// SQLite, a UUID has hyphens there and none in its own table.
async fn delete_usages(
    transaction: &mut Transaction,
    step: &Step,
    images: &ImageSet,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(key) = &step.table.key else { return Ok(()) };
    let keys = format!("SELECT CAST({} AS text) FROM {} WHERE {}", quote(key), step.table.quoted(), step.rows);
    let of_rows = match transaction.connection() {
        Engine::Postgres(_) => format!("object_id IN ({keys})"),
        Engine::Sqlite(_) => {
            format!("(object_id IN ({keys}) OR length(object_id) = 36 AND replace(object_id, '-', '') IN ({keys}))")
        }
    };
    let usages = format!(
        "content_type_id IN (SELECT id FROM django_content_type WHERE app_label || '_' || model = $2) AND {of_rows}"
    );
    let referenced = format!(
        "UPDATE cloudflare_images SET last_referenced_at = $3 \
         WHERE id IN (SELECT image_id FROM cloudflare_image_usages WHERE {usages})"
    );
    on!(transaction.connection(), connection => sqlx::query(AssertSqlSafe(referenced))
        .bind(images)
        .bind(&step.table.name)
        .bind(now)
        .execute(connection)
        .await
        .map(drop))?;
    let delete = format!("DELETE FROM cloudflare_image_usages WHERE {usages}");
    on!(transaction.connection(), connection => sqlx::query(AssertSqlSafe(delete))
        .bind(images)
        .bind(&step.table.name)
        .execute(connection)
        .await
        .map(drop))?;
    Ok(())
}

#[derive(FromRow)]
struct UsageRow {
    id: i64,
    table_name: String,
    field_name: String,
}

const LIST_AUTOMATIC_USAGES: Pair = in_set!(
    "
    SELECT usages.id, types.app_label || '_' || types.model AS table_name, usages.field_name
    FROM cloudflare_image_usages AS usages
    JOIN django_content_type AS types ON types.id = usages.content_type_id
    JOIN cloudflare_images AS images ON images.cloudflare_id = usages.cloudflare_id
    WHERE usages.source <> 'manual' AND images.id"
);
const DELETE_USAGE: &str = "DELETE FROM cloudflare_image_usages WHERE id = $1";

/// Django drops what its registry noted of a foreign key when the image is gone. It keeps what fields that hold an id at Cloudflare
/// noted, and what the application noted itself.
async fn delete_usages_by_key(
    transaction: &mut Transaction,
    keys: &[ForeignKey],
    images: &ImageSet,
) -> Result<(), Error> {
    let connection = transaction.connection();
    let statement = LIST_AUTOMATIC_USAGES.of(&connection);
    let usages: Vec<UsageRow> =
        on!(connection, connection => sqlx::query_as(statement).bind(images).fetch_all(connection).await)?;
    for usage in usages.iter().filter(|usage| keys.iter().any(|key| key.is_noted_as(usage))) {
        on!(transaction.connection(), connection => {
            sqlx::query(DELETE_USAGE).bind(usage.id).execute(connection).await.map(drop)
        })?;
    }
    Ok(())
}

impl ForeignKey {
    /// Whether a usage is that of this key: by default, Django names the column after the field.
    fn is_noted_as(&self, usage: &UsageRow) -> bool {
        let field = usage.field_name.as_str();
        let is_column_of = |column: &str| column == field || column.strip_suffix("_id") == Some(field);
        self.parent == ParentTable::Images
            && self.table.name == usage.table_name
            && self.columns.iter().any(|column| is_column_of(&column.name))
    }
}

/// A column of a foreign key.
#[derive(FromRow)]
struct KeyRow {
    constraint_key: String,
    schema_name: String,
    table_name: String,
    is_on_search_path: bool,
    table_key: Option<String>,
    parent_schema: String,
    parent_table: String,
    is_parent_images: bool,
    on_delete: String,
    column_name: String,
    referenced_column: String,
    is_nullable: bool,
}

/// All foreign keys by which `cloudflare_images` can be reached, a row for each column, the columns of one after the other. Those of
/// partitions are left out: that of the whole table stands for them.
const FOREIGN_KEYS_POSTGRES: &str = r"
    WITH RECURSIVE reached AS (
        SELECT CAST(to_regclass('cloudflare_images') AS oid) AS table_oid
        UNION
        SELECT keys.conrelid
        FROM reached
        JOIN pg_constraint AS keys ON keys.confrelid = reached.table_oid AND keys.contype = 'f' AND keys.conparentid = 0
    )
    SELECT
        CAST(keys.oid AS text) AS constraint_key,
        CAST(schemas.nspname AS text) AS schema_name,
        CAST(tables.relname AS text) AS table_name,
        pg_table_is_visible(tables.oid) AS is_on_search_path,
        (
            SELECT CAST(attname AS text)
            FROM pg_index
            JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
            WHERE indrelid = tables.oid AND indisprimary AND indnkeyatts = 1
        ) AS table_key,
        CAST(parent_schemas.nspname AS text) AS parent_schema,
        CAST(parents.relname AS text) AS parent_table,
        parents.oid = to_regclass('cloudflare_images') AS is_parent_images,
        CASE keys.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'd' THEN 'SET DEFAULT' ELSE '' END AS on_delete,
        CAST(columns.attname AS text) AS column_name,
        CAST(referenced.attname AS text) AS referenced_column,
        NOT columns.attnotnull AS is_nullable
    FROM reached
    JOIN pg_constraint AS keys ON keys.confrelid = reached.table_oid AND keys.contype = 'f' AND keys.conparentid = 0
    JOIN pg_class AS tables ON tables.oid = keys.conrelid
    JOIN pg_namespace AS schemas ON schemas.oid = tables.relnamespace
    JOIN pg_class AS parents ON parents.oid = keys.confrelid
    JOIN pg_namespace AS parent_schemas ON parent_schemas.oid = parents.relnamespace
    CROSS JOIN LATERAL unnest(keys.conkey, keys.confkey) WITH ORDINALITY AS pairs (own, other, position)
    JOIN pg_attribute AS columns ON columns.attrelid = keys.conrelid AND columns.attnum = pairs.own
    JOIN pg_attribute AS referenced ON referenced.attrelid = keys.confrelid AND referenced.attnum = pairs.other
    ORDER BY schema_name, table_name, keys.conname, keys.oid, pairs.position";

/// All foreign keys of the database. A column of the primary key holds no null, whatever its declaration says; a key that does not
/// say which columns it refers to means the primary key.
///
/// Each table is asked once and the answers are kept aside: asking anew for every key takes many times as long.
const FOREIGN_KEYS_SQLITE: &str = r#"
    WITH
    tables AS MATERIALIZED (SELECT name FROM sqlite_master WHERE type = 'table'),
    columns AS MATERIALIZED (
        SELECT
            tables.name AS table_name, info.name, info.pk, info."notnull" = 0 AND info.pk = 0 AS is_nullable,
            sum(info.pk > 0) OVER (PARTITION BY tables.name) AS key_columns
        FROM tables
        JOIN pragma_table_info(tables.name) AS info
    )
    SELECT
        tables.name || ' ' || keys.id AS constraint_key,
        'main' AS schema_name,
        tables.name AS table_name,
        true AS is_on_search_path,
        (
            SELECT own.name FROM columns AS own
            WHERE own.table_name = tables.name AND own.pk > 0 AND own.key_columns = 1
        ) AS table_key,
        'main' AS parent_schema,
        parents.name AS parent_table,
        parents.name = 'cloudflare_images' AS is_parent_images,
        keys.on_delete,
        columns.name AS column_name,
        coalesce(
            keys."to",
            (SELECT other.name FROM columns AS other WHERE other.table_name = parents.name AND other.pk = keys.seq + 1)
        ) AS referenced_column,
        columns.is_nullable
    FROM tables
    CROSS JOIN pragma_foreign_key_list(tables.name) AS keys
    CROSS JOIN tables AS parents ON parents.name = keys."table" COLLATE NOCASE
    CROSS JOIN columns ON columns.table_name = tables.name AND columns.name = keys."from" COLLATE NOCASE
    ORDER BY tables.name, keys.id, keys.seq"#;

async fn foreign_keys(transaction: &mut Transaction) -> Result<Vec<ForeignKey>, Error> {
    let rows: Vec<KeyRow> = match transaction.connection() {
        Engine::Postgres(connection) => sqlx::query_as(FOREIGN_KEYS_POSTGRES).fetch_all(connection).await?,
        Engine::Sqlite(connection) => sqlx::query_as(FOREIGN_KEYS_SQLITE).fetch_all(connection).await?,
    };
    let keys = rows.chunk_by(|one, other| one.constraint_key == other.constraint_key).filter_map(ForeignKey::of);
    Ok(keys.filter(|key| !(key.parent == ParentTable::Images && key.table.is_ours())).collect())
}

impl ForeignKey {
    fn of(rows: &[KeyRow]) -> Option<Self> {
        let first = rows.first()?;
        let column = |row: &KeyRow| KeyColumn {
            name: row.column_name.clone(),
            referenced: row.referenced_column.clone(),
            is_nullable: row.is_nullable,
        };
        Some(Self {
            table: HostTable {
                schema: first.schema_name.clone(),
                name: first.table_name.clone(),
                is_on_search_path: first.is_on_search_path,
                key: first.table_key.clone(),
            },
            parent: if first.is_parent_images {
                ParentTable::Images
            } else {
                ParentTable::Host { schema: first.parent_schema.clone(), name: first.parent_table.clone() }
            },
            columns: rows.iter().map(column).collect(),
            on_delete: match first.on_delete.as_str() {
                "CASCADE" => OnDelete::Cascade,
                "SET DEFAULT" => OnDelete::SetDefault,
                _ => OnDelete::Other,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(schema: &str, name: &str, is_on_search_path: bool) -> HostTable {
        HostTable { schema: schema.to_owned(), name: name.to_owned(), is_on_search_path, key: None }
    }

    #[test]
    fn identifiers_cannot_end_before_they_do() {
        assert_eq!(quote("cover_id"), r#""cover_id""#);
        assert_eq!(quote(r#"a"; DROP TABLE b; --"#), r#""a""; DROP TABLE b; --""#);
        assert_eq!(table("Other Shop", r#"x"."y"#, false).quoted(), r#""Other Shop"."x"".""y""#);
    }

    #[test]
    fn a_bare_name_means_no_table_of_another_schema() {
        let names = ["badge".to_owned(), "shop.pin".to_owned()];
        for (schema, name, is_on_search_path, is_listed) in [
            ("public", "badge", true, true),
            ("shop", "badge", false, false),
            ("shop", "pin", false, true),
            ("public", "pin", true, false),
            ("public", "Badge", true, false),
        ] {
            let table = table(schema, name, is_on_search_path);
            assert_eq!(table.is_listed(&names), is_listed, "{schema}.{name}");
        }
    }

    #[test]
    fn a_usage_names_a_column_with_or_without_its_suffix() {
        let key = |column: &str| ForeignKey {
            table: table("public", "shop_product", true),
            parent: ParentTable::Images,
            columns: vec![KeyColumn { name: column.to_owned(), referenced: "id".to_owned(), is_nullable: true }],
            on_delete: OnDelete::Other,
        };
        let usage =
            |table: &str, field: &str| UsageRow { id: 1, table_name: table.to_owned(), field_name: field.to_owned() };
        assert!(key("hero_id").is_noted_as(&usage("shop_product", "hero")));
        assert!(key("hero").is_noted_as(&usage("shop_product", "hero")));
        assert!(!key("hero_id").is_noted_as(&usage("shop_product", "her")));
        assert!(!key("hero_id").is_noted_as(&usage("shop_item", "hero")));
    }
}
