"""Rows that Django wrote are answered by cfimages as the toolkit's own views answer them."""

from django_cloudflareimages_toolkit.models import CloudflareImage, ImageUsage

from ..checking import check
from ..comparing import equal, parse, true, without
from ..seeds import USERS, password_of

# What cfimages adds to the toolkit's answers.
ADDED = {
    "total_uploads",
    "successful_uploads",
    "failed_uploads",
    "pending_uploads",
    "success_rate",
    "signed_public_url",
    "signed_thumbnail_url",
    "signed_until",
}
EVERYBODY = [*USERS, None]


def require_same_answers(site, paths, users=("alice",), **headers):
    """Fails unless both servers answer the same to GET, but for what cfimages adds on purpose."""
    for user in users:
        for path in paths:
            ours, theirs = (api.get(path) for api in (site.api(user, **headers), site.toolkit(user, **headers)))
            equal(ours.status, theirs.status, f"the status of {path} for {user}: {ours.text[:300]}")
            # The names of host objects are Python's, and null in ours.
            expected = without(theirs.json, "content_object")
            equal(without(ours.json, "content_object", *ADDED), expected, f"the answer to {path} for {user}")


def image_paths(user):
    """The paths of a user's images, of some of somebody else's, and of none."""
    own = CloudflareImage.objects.filter(user__username=user)
    others = CloudflareImage.objects.exclude(user__username=user)[:2]
    return [f"images/{image.pk}/" for image in (*own, *others)] + ["images/nonsense/"]


@check("every image that Django wrote is answered as the toolkit's serializer renders it")
def details(site):
    site.serve()
    for user in ("alice", "bob", "root", "erin"):
        require_same_answers(site, image_paths(user), [user])
    true(
        CloudflareImage.objects.filter(user__username="alice", status="uploaded").count() > 5,
        "too few images to compare",
    )


@check("lists and their links are those of the toolkit, page by page, for everybody")
def lists(site):
    site.serve()
    require_same_answers(site, ["images/"], EVERYBODY)
    paths = [f"images/?page_size=7&page={page}" for page in range(1, 9)]
    require_same_answers(site, [*paths, "images/?page=last", "images/?page_size=100", "images/?page_size=0"])


@check("logs that Django wrote are answered as the toolkit answers them")
def logs(site):
    site.serve()
    require_same_answers(site, [f"{path}logs/" for path in image_paths("alice")])
    true(CloudflareImage.objects.filter(user__username="alice", logs__isnull=False).exists(), "no logs to compare")


@check("figures are those that the toolkit's own view counts")
def stats(site):
    site.serve()
    require_same_answers(site, ["stats/"], EVERYBODY)
    true(ImageUsage.objects.filter(image__user__username="alice").count() > 3, "too few usages to count")


@check("tokens are taken and refused as Django REST framework does, in the same words")
def tokens(site):
    site.serve()
    require_same_answers(site, ["images/", "stats/"], EVERYBODY)
    for value in ("Token nonsense", "Token", "Token a b", "Bearer x", "tOKEN  " + "0" * 40, "Token \xff"):
        require_same_answers(site, ["images/"], [None], Authorization=value)


@check("passwords in every form that Django writes are understood")
def passwords(site):
    site.cfimages("migrate")
    for user, (hasher, fields) in USERS.items():
        is_right = 0 if hasher and fields.get("is_active", True) else 1
        site.cfimages(
            "user", "check-password", user, "--password-stdin", stdin=password_of(user) + "\n", status=is_right
        )
        site.cfimages("user", "check-password", user, "--password-stdin", stdin="wrong\n", status=1)


@check("filters, search and ordering choose the rows that the toolkit chooses")
def filters(site):
    site.serve()
    queries = [
        "status=uploaded",
        "status=draft&require_signed_urls=true",
        "uploaded_after=2024-03-02T00:00:00.000001Z",
        "uploaded_before=2024-03-02T00:00:00Z&ordering=uploaded_at",
        "has_variants=true",
        "has_variants=false",
        "filename=PHOTO",
        "filename=%E2%9C%93",
        "creator=%C3%9Cn%C3%AFcode%20%E2%9C%93",
        "search=img%20alice",
        "search=%C3%BCn",
        "ordering=-expires_at,created_at",
        "metadata__name=Zo%C3%AB%20%E2%9C%93%20%F0%9F%A6%80",
        "metadata__id=42",
        "metadata__tags__0=x",
        "metadata__big=1",
        "metadata__big__gt=1",
        "orphaned=true",
        "orphaned=true&status=uploaded&page_size=3&page=2",
        "page=999",
    ]
    if not site.is_sqlite:
        # There, the toolkit takes what has no value for the least; cfimages does as on PostgreSQL.
        queries += ["ordering=file_size,created_at", "ordering=-uploaded_at,created_at"]
    require_same_answers(site, [f"images/?{query}" for query in queries], ["alice", "bob"])


@check("images are found by their ids at Cloudflare as the toolkit finds them")
def by_cloudflare_id(site):
    from urllib.parse import quote

    site.serve()
    ids = CloudflareImage.objects.order_by("pk").values_list("cloudflare_id", flat=True)
    require_same_answers(
        site, [f"images/by-cloudflare-id/{quote(cloudflare_id)}/" for cloudflare_id in ids], ["alice", "bob"]
    )


@check("orphans are those that the toolkit lists")
def orphans(site):
    site.serve()
    require_same_answers(
        site, ["images/orphans/", "images/orphans/?page_size=5&page=2&ordering=created_at"], ["alice", "bob", "erin"]
    )


@check("usages that Django maintains are answered as the toolkit answers them")
def usages(site):
    site.serve()
    require_same_answers(site, [f"{path}usages/" for path in image_paths("alice")])
    queries = [
        "",
        "?content_type=gallery.article",
        "?content_type=auth.user",
        "?field_name=hero",
        "?unregistered=true",
        "?search=img",
    ]
    queries += [
        "?ordering=created_at&page_size=2",
        "?content_type=nonsense",
        "?search=not-registered&ordering=-created_at",
    ]
    require_same_answers(site, [f"usages/{query}" for query in queries], EVERYBODY)
    require_same_answers(site, [f"usages/{usage.pk}/" for usage in ImageUsage.objects.all()], EVERYBODY)


@check("OPTIONS describes what the toolkit's views describe")
def options(site):
    site.serve()
    image = CloudflareImage.objects.filter(user__username="alice").first()
    usage = ImageUsage.objects.filter(image__user__username="alice").first()
    details = [f"images/{image.pk}/", f"images/{image.pk}/logs/", f"usages/{usage.pk}/"]
    for path in ("images/", *details, "stats/", "upload-url/"):
        ours, theirs = (api.request("OPTIONS", path) for api in (site.api("alice"), site.toolkit("alice")))
        equal([ours.status, ours.headers.get("allow")], [theirs.status, theirs.headers.get("allow")], f"OPTIONS {path}")
        # On SQLite the toolkit takes numbers that no other engine takes.
        expected = parse(theirs.text.replace("9223372036854775807", "2147483647"))
        equal(ours.json, expected, f"the answer to OPTIONS {path}")
