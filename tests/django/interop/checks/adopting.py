"""cfimages takes over what Django made, and Django goes on as if nothing had happened."""

from django.db.models import F
from django_cloudflareimages_toolkit.models import CloudflareImage

from ..checking import check
from ..comparing import equal, true
from ..site import migrate
from .counting import require_exact_counts


@check("a database that Django made is adopted without a change to its tables and rows, as often as one likes")
def adopts(site):
    schema, tables = site.schema(), site.tables()
    first = site.cfimages("migrate")
    true("applied" in first, f"`migrate` says nothing of what it applied: {first}")
    for time in ("the first", "the second"):
        equal(site.schema(), schema, f"the schema after {time} `migrate`")
        equal(site.tables(), tables, f"the rows after {time} `migrate`")
        again = site.cfimages("migrate")
        true("applied" not in again, f"`migrate` applied something again: {again}")


@check("Django sees no migration to make or to apply after cfimages adopted the database")
def nothing_to_migrate(site):
    site.cfimages("migrate")
    site.manage("migrate", "--check")
    site.manage("makemigrations", "--check", "--dry-run")
    site.manage("check", "--database", "default")


@check("later migrations of Django apply with our triggers there, also those that rebuild the table of images", "early")
def later_migrations(site):
    site.serve()
    failed, migrated = (
        CloudflareImage.objects.filter(status="failed"),
        CloudflareImage.objects.filter(creator="migrated"),
    )
    true(failed.exists() and not migrated.exists(), "the rows to migrate are not there")
    site.manage("migrate")
    true(not failed.exists() and migrated.exists(), "the migration of the rows did nothing")
    site.manage("migrate", "--check")
    if site.is_sqlite:
        answer = site.api().get("/readyz").expect(503)
        true('"objects":"missing"' in answer.text, f"/readyz does not tell that triggers are missing: {answer.text}")
        # What Django writes meanwhile is counted when the triggers are put back.
        CloudflareImage.objects.filter(status="uploaded").first().delete()
        true("put back" in site.cfimages("migrate"), "`migrate` does not tell what it put back")
    site.api().get("/readyz").expect(200)
    require_exact_counts(site)
    CloudflareImage.objects.filter(status="uploaded").update(status="expired", file_size=F("width"))
    require_exact_counts(site)


@check("the tables that cfimages makes are those that Django's migrations make", "empty")
def same_tables(site):
    site.cfimages("migrate")
    ours = site.schema()
    tables = {line["table"] for line in ours}
    true("cloudflare_images" in tables, f"`migrate` made no table of images, only {tables}")
    with site.another_database():
        for app in ("auth", "authtoken", "contenttypes", "sessions", "django_cloudflareimages_toolkit"):
            migrate(app)
        theirs = [line for line in site.schema() if line["table"] in tables]
    equal(ours, theirs, "the schema of the tables that cfimages makes")


@check("the tables of earlier releases of the toolkit are refused, and left as they are", "empty")
def earlier_releases(site):
    for state in ("0001", "0002", "0003", "0004", "0005", "0006"):
        migrate("django_cloudflareimages_toolkit", state)
        schema = site.schema()
        refusal = site.cfimages("migrate", status=1)
        true("toolkit" in refusal, f"the refusal does not tell why: {refusal}")
        equal(site.schema(), schema, f"the schema at {state} after the refusal")
    migrate("django_cloudflareimages_toolkit")
    site.cfimages("migrate")
