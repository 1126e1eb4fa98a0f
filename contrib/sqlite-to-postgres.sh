#!/usr/bin/env bash
# Copies all rows of a SQLite database of cfimages into a PostgreSQL database whose tables `cfimages migrate` has just made.
#
# usage: sqlite-to-postgres.sh cfimages.db
#
# The database is the one that a bare `psql` opens: PGHOST, PGDATABASE, PGUSER and PGPASSFILE say which. Needs psql and sqlite3. No server
# of cfimages may run on either. All is copied or nothing.
set -euo pipefail

source=${1:?usage: sqlite-to-postgres.sh cfimages.db}
[ -f "$source" ] || { echo "$source is no file" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT

# Django's, in the order of their foreign keys. Those of cfimages follow, which refer to these only.
tables="django_content_type auth_user authtoken_token django_session cloudflare_images cloudflare_image_logs cloudflare_image_usages"
# PostgreSQL has these from `cfimages migrate`, and from the triggers that count.
left_out="'cfimages_migrations', 'cfimages_image_counts'"

from_sqlite() {
    sqlite3 -batch -noheader "$folder/source.db" "$@"
}

to_postgres() {
    PGOPTIONS='-c client_min_messages=warning -c timezone=UTC' psql -X --quiet --no-align --tuples-only -v ON_ERROR_STOP=1 "$@"
}

# The columns of a table for SQLite's SELECT, with bytes in the form that PostgreSQL reads.
selected_columns() {
    from_sqlite "SELECT group_concat(CASE WHEN lower(type) = 'blob' THEN '''\x'' || hex(\"' || name || '\")' ELSE '\"' || name || '\"' END)
        FROM pragma_table_info('$1')"
}

columns() {
    from_sqlite "SELECT group_concat('\"' || name || '\"') FROM pragma_table_info('$1')"
}

sqlite3 -batch "$source" ".backup '$folder/source.db'"
applied="SELECT version FROM cfimages_migrations ORDER BY version"
if [ "$(from_sqlite "$applied")" != "$(to_postgres -c "$applied")" ]; then
    echo "The databases have had different migrations: run \`cfimages migrate\` on both first." >&2
    exit 1
fi

# One script in one transaction: the rows, then the numbers that new rows go on from.
for table in $tables $(from_sqlite "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'cfimages\_%' ESCAPE '\' AND name NOT IN ($left_out)"); do
    from_sqlite -csv "SELECT $(selected_columns "$table") FROM \"$table\"" >"$folder/$table.csv"
    rows=$(from_sqlite "SELECT count(*) FROM \"$table\"")
    cat <<END
DO \$\$ BEGIN IF EXISTS (SELECT FROM $table) THEN RAISE 'the table $table is not empty'; END IF; END \$\$;
\\copy $table ($(columns "$table")) FROM '$folder/$table.csv' WITH (FORMAT csv)
DO \$\$ BEGIN IF (SELECT count(*) FROM $table) <> $rows THEN RAISE 'not all rows of $table arrived'; END IF; END \$\$;
\\echo '$table: $rows'
END
done >"$folder/copy.sql"
cat >>"$folder/copy.sql" <<'SQL'
DO $$
DECLARE
    of record;
BEGIN
    FOR of IN
        SELECT table_name, column_name, pg_get_serial_sequence(quote_ident(table_name), column_name) AS sequence
        FROM information_schema.columns
        WHERE table_schema = current_schema() AND pg_get_serial_sequence(quote_ident(table_name), column_name) IS NOT NULL
    LOOP
        EXECUTE format('SELECT setval(%L, (SELECT coalesce(max(%I), 0) + 1 FROM %I), false)', of.sequence, of.column_name, of.table_name);
    END LOOP;
END
$$;
SQL
to_postgres --single-transaction --file "$folder/copy.sql"
