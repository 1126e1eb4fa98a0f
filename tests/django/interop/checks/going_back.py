"""The site goes back to the toolkit: nothing of cfimages is left, and nothing is lost."""

from django.contrib.auth.models import User
from django_cloudflareimages_toolkit.models import CloudflareImage

from ..checking import check
from ..comparing import equal, true, without
from ..site import query
from .counting import require_exact_counts
from .written_by_cfimages import METADATA
from .written_by_django import ADDED, EVERYBODY, image_paths

OURS = {
    "sqlite": r"SELECT name FROM sqlite_master WHERE name LIKE '%cfimages\_%' ESCAPE '\'",
    "postgres": r"""
        SELECT relname::text AS name FROM pg_class WHERE relname LIKE 'cfimages\_%'
        UNION ALL SELECT proname::text FROM pg_proc WHERE proname LIKE 'cfimages\_%'
        UNION ALL SELECT tgname::text FROM pg_trigger WHERE tgname LIKE 'cfimages\_%'
        UNION ALL SELECT typname::text FROM pg_type WHERE typname LIKE 'cfimages\_%'""",
}


@check("after `migrate --remove` the toolkit's views answer the same for the same rows, and nothing of ours is left")
def back_to_the_toolkit(site):
    schema = site.schema()
    site.serve()
    for number in range(3):
        body = '{"custom_id": "way-back-%d", "metadata": %s, "creator": "c"}' % (number, METADATA)
        key = site.api("alice").post("upload-url/", body=body.encode()).expect(201).json["id"]
    site.cloudflare.upload("way-back-2", meta=METADATA, filename='"✓.jpg"')
    site.api("alice").post(f"images/{key}/check_status/").expect(200)
    site.webhook('{"id": "way-back-1", "uploaded": "2024-05-05T05:05:05.026Z"}').expect(200)
    paths = {user: ["images/", "stats/", "images/?page_size=5&page=3"] for user in EVERYBODY}
    for user in ("alice", "bob"):
        paths[user] += [f"{path}{more}" for path in image_paths(user) for more in ("", "logs/")]
    before = {(user, path): site.api(user).get(path) for user in paths for path in paths[user]}
    rows = site.tables()
    # The server has to be stopped only now: its host is the one in the links of the answers.
    site.cfimages("migrate", "--remove")
    equal(query(OURS[site.engine.name]), [], "what is left of ours")
    equal(site.schema(), schema, "the schema")
    equal(site.tables(), rows, "the rows")
    for (user, path), answer in before.items():
        theirs = site.toolkit(user).get(path)
        equal(answer.status, theirs.status, f"the status of {path} for {user}")
        equal(without(answer.json, *ADDED), theirs.json, f"the answer to {path} for {user}")
    site.stop()
    site.manage("migrate", "--check")
    _require_that_the_toolkit_works(site)


def _require_that_the_toolkit_works(site):
    api = site.toolkit("alice")
    created = api.post("upload-url/", {"custom_id": "back-again"}).expect(201).json
    site.cloudflare.upload("back-again")
    equal(api.post(f"images/{created['id']}/check_status/").expect(200).json["status"], "uploaded", "the status")
    api.delete(f"images/{created['id']}/").expect(204)
    image = CloudflareImage.objects.get(cloudflare_id="way-back-0")
    api.delete(f"images/{image.pk}/").expect(204)
    User.objects.get(username="alice").delete()
    true(
        not CloudflareImage.objects.filter(cloudflare_id__startswith="way-back").exists(), "images outlived their user"
    )


@check("a site that went back can come again, and its figures are exact")
def and_again(site):
    site.serve()
    site.stop()
    site.cfimages("migrate", "--remove")
    CloudflareImage.objects.filter(status="draft").update(status="failed", file_size=5)
    site.serve()
    require_exact_counts(site)
