"""The commands print and do what the toolkit's do."""

import io
from datetime import timedelta

from django.core.management import call_command
from django.utils import timezone
from django_cloudflareimages_toolkit.models import CloudflareImage, ImageUsage
from gallery.models import Article, Badge

from ..checking import check
from ..comparing import equal, true, without
from ..twins import without_now
from .counting import require_exact_counts

SOURCES = (
    "gallery_article:id:hero:gallery.article,gallery_article:id:cover_id:gallery.article:cover,"
    "gallery_badge:id:image_id:gallery.badge:image"
)


def require_same_command(site, ours, theirs, effects, environment=None):
    """Fails unless a command of cfimages and, on a copy, the toolkit's print and do the same; answers the lines."""
    images = {key: dict(image) for key, image in site.cloudflare.images.items()}
    with site.copy() as other:
        site.cfimages("migrate")
        our_lines = site.cfimages(*ours, **(environment or {})).splitlines()
        our_effects = effects(site)
        site.cloudflare.images = images
        with site.django_on(other):
            output = io.StringIO()
            call_command(*theirs, stdout=output, no_color=True)
            their_lines = output.getvalue().splitlines()
            their_effects = effects(site)
    equal(_comparable(our_lines), _comparable(their_lines), f"what {ours} and {theirs} print")
    equal(our_effects, their_effects, f"what {ours} and {theirs} do")
    return our_lines


def _comparable(lines):
    """Of a list that is cut, which ones are shown is not promised."""
    is_cut = any(line.startswith("  ... and ") for line in lines)
    return sorted("  - " if is_cut and line.startswith("  - ") else line for line in lines)


def _rows_and_calls(site):
    calls = sorted(site.cloudflare.calls)
    site.cloudflare.calls.clear()
    return without_now([site.tables(), calls])


def _expire_in_time():
    """The toolkit counts days from the last change, cfimages from the end of the upload URL: makes them the same."""
    for image in CloudflareImage.objects.exclude(status="uploaded"):
        CloudflareImage.objects.filter(pk=image.pk).update(expires_at=image.updated_at)
    now = timezone.now()
    fresh = CloudflareImage.objects.filter(cloudflare_id__in=["img-0010", "img-0011", "img-0014"])
    fresh.update(expires_at=now - timedelta(hours=25), updated_at=now - timedelta(hours=25))
    CloudflareImage.objects.filter(cloudflare_id="img-0015").update(expires_at=now + timedelta(minutes=5))
    Article.objects.create(title="Old", cover=CloudflareImage.objects.get(cloudflare_id="img-0019"))


@check("cleanup-expired marks and deletes what the toolkit's command does, and prints its lines")
def cleanup_expired(site):
    _expire_in_time()
    for more in (["--dry-run"], ["--delete", "--days", "36500"], [], ["--delete", "--days", "7"], ["--dry-run"]):
        if "7" in more:
            # The toolkit deletes nothing unless it has just marked something.
            again = {"status": "pending", "expires_at": timezone.now(), "updated_at": timezone.now()}
            CloudflareImage.objects.filter(cloudflare_id="img-0016").update(**again)
        lines = require_same_command(
            site, ["cleanup-expired", *more], ["cleanup_expired_images", *more], _rows_and_calls
        )
        true(lines, f"cleanup-expired {more} prints nothing")
    statuses = CloudflareImage.objects.filter(cloudflare_id__in=["img-0010", "img-0011", "img-0014"]).values_list(
        "status", flat=True
    )
    equal(list(statuses), ["expired"] * 3, "the states of what expired yesterday")
    equal(CloudflareImage.objects.get(cloudflare_id="img-0015").status, "pending", "the state of what is still good")
    equal(Article.objects.get(title="Old").cover, None, "the cover of the article whose image expired long ago")
    site.start()
    require_exact_counts(site)


@check(
    "cleanup-expired --delete-orphans deletes what the toolkit's command does, and goes on after a failure",
)
def delete_orphans(site):
    orphans = CloudflareImage.objects.filter(status="uploaded", usages=None).order_by("created_at")
    recent, *others = orphans.all()
    CloudflareImage.objects.filter(pk=recent.pk).update(last_referenced_at=timezone.now() - timedelta(days=2))
    for image in others[:-2]:  # The last two are gone from Cloudflare already.
        site.cloudflare.upload(image.cloudflare_id)
    require_same_command(
        site,
        ["cleanup-expired", "--dry-run", "--delete-orphans"],
        ["cleanup_expired_images", "--dry-run", "--delete-orphans"],
        _rows_and_calls,
    )
    require_same_command(
        site,
        ["cleanup-expired", "--delete-orphans", "--orphan-days", "10"],
        ["cleanup_expired_images", "--delete-orphans", "--orphan-days", "10"],
        _rows_and_calls,
    )
    equal(list(orphans.all()), [recent], "the orphans that are left")
    CloudflareImage.objects.filter(pk=recent.pk).update(last_referenced_at=timezone.now() - timedelta(days=20))
    site.cloudflare.failing[recent.cloudflare_id] = 500
    output = site.cfimages("cleanup-expired", "--delete-orphans", "--orphan-days", "10", status=1)
    true("Failed to delete 1 orphaned image(s)" in output, f"the failure is not told: {output}")
    equal(list(orphans.all()), [recent], "the orphans that are left after a failure")


@check("reconcile-usage rebuilds the usages that the toolkit's command does, and prints its lines")
def reconcile_usage(site):
    images = list(CloudflareImage.objects.filter(status="uploaded", user__username="alice").order_by("created_at"))
    Article.objects.bulk_create(
        [Article(title=f"Bulk {n}", hero=f"img-{n:04}" if n % 3 else None) for n in range(7, 30)]
    )
    Article.objects.filter(title="Alpha story").update(hero="not-registered-3", cover=images[4])
    Article.objects.filter(title="Gamma").update(hero=None)
    badge = Badge.objects.get(label="gold")
    Badge.objects.filter(pk=badge.pk)._raw_delete(Badge.objects.db)
    Badge.objects.bulk_create([Badge(label="bulk", image=images[5])])
    ImageUsage.objects.filter(field_name="cover").update(image=None)
    environment = {"CFIMAGES_USAGE_SOURCES": SOURCES}
    for options in (["--dry-run"], [], []):
        lines = require_same_command(
            site, ["reconcile-usage", *options], ["reconcile_image_usage", *options], _usages, environment
        )
        true(len(lines) == 4, f"reconcile-usage prints {lines}")
    site.start()
    require_exact_counts(site)


def _usages(site):
    """Numbers and times of changes are each one's own."""
    rows = [without(row, "id", "updated_at") for row in site.rows("cloudflare_image_usages").values()]
    images = [without(row, "updated_at") for row in site.rows("cloudflare_images").values()]
    return without_now([sorted(rows, key=str), sorted(images, key=str)])
