//! Whether the role of the server may do what the server has to do, on PostgreSQL.

use super::database::Engine;
use super::{Database, Error};

const READ: &[&str] = &["SELECT"];
const WRITE: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

/// What every server needs, beside the table of users. The tables of the admin site and of single commands are left out, as not
/// everybody has a use for them.
const NEEDED: &[(&str, &[&str])] = &[
    ("cloudflare_images", WRITE),
    ("cloudflare_image_logs", WRITE),
    ("cloudflare_image_usages", WRITE),
    ("cfimages_pending_deletions", WRITE),
    ("cfimages_polls", WRITE),
    ("cfimages_sign_in_failures", WRITE),
    ("cfimages_webhook_deliveries", WRITE),
    ("cfimages_image_counts", READ),
    ("cfimages_migrations", READ),
    ("authtoken_token", READ),
    ("django_session", READ),
    ("django_content_type", &["SELECT", "INSERT"]),
];

/// The statements that give the rights that are missing. Rights on some columns count as rights on the table, as which of them matter
/// is for the owner to know; a table that is not there needs none.
const MISSING: &str = r"
    SELECT format('GRANT %s ON %s TO %I', string_agg(privilege, ', ' ORDER BY position), to_regclass(name), current_user)
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS needed (name, privilege, position)
    WHERE NOT CASE privilege
        WHEN 'DELETE' THEN has_table_privilege(to_regclass(name), privilege)
        ELSE has_any_column_privilege(to_regclass(name), privilege)
    END
    GROUP BY name
    ORDER BY min(position)";

/// Makes sure that the role has the rights.
///
/// # Errors
/// [`Error::MissingRights`] if not.
pub(super) async fn check(database: &Database) -> Result<(), Error> {
    let Engine::Postgres(pool) = database.reader() else { return Ok(()) };
    let users = database.user_table_name().to_sql();
    let needed = NEEDED.iter().map(|(table, privileges)| (*table, *privileges)).chain([(users.as_str(), READ)]);
    let (tables, privileges): (Vec<&str>, Vec<&str>) =
        needed.flat_map(|(table, privileges)| privileges.iter().map(move |privilege| (table, *privilege))).unzip();
    let grants: Vec<String> = sqlx::query_scalar(MISSING).bind(tables).bind(privileges).fetch_all(pool).await?;
    if grants.is_empty() { Ok(()) } else { Err(Error::MissingRights(grants.join("; "))) }
}
