"""Changes that come by HTTP are those that the toolkit makes."""

from datetime import timedelta

from django.utils import timezone
from django_cloudflareimages_toolkit.models import CloudflareImage, ImageUsage
from gallery.models import Article

from ..checking import check
from ..comparing import true
from ..twins import require_same_effects
from .counting import require_exact_counts
from .written_by_cfimages import METADATA, require_found

BODIES = [
    '{"metadata": %s}' % METADATA,
    '{"metadata": [1.0, "é", {"k": null}], "filename": "Größe ✓", "original_filename": "", "file_size": 2147483647}',
    '{"metadata": "text", "require_signed_urls": false, "content_type": "image/webp"}',
    '{"status": "failed", "cloudflare_id": "other", "user": 2, "variants": [], "upload_url": "x"}',
    '{"file_size": -1, "filename": 17, "require_signed_urls": "maybe", "content_type": null}',
    '{"file_size": null, "require_signed_urls": "off"}',
    "{}",
    "[]",
    "{",
]


def _some_images():
    images = CloudflareImage.objects.filter(user__username="alice").order_by("created_at")
    return [images[number] for number in (2, 7, 8)]


@check("PATCH and PUT of images write what the toolkit writes, and refuse in the same words")
def patching(site):
    keys = [image.pk for image in _some_images()]

    def requests(api):
        bodies = BODIES[:-1]  # What a parser says of nonsense is its own.
        answers = [api.request("PATCH", f"images/{keys[0]}/", body=body.encode()) for body in bodies]
        return answers + [api.request("PUT", f"images/{keys[1]}/", body=body.encode()) for body in bodies]

    require_same_effects(site, requests)
    for key in keys[:2]:
        require_found(CloudflareImage.objects.get(pk=key))
    require_exact_counts(site)


@check("PATCH links references and mends old forms of variants as any save of the toolkit does")
def patching_old_rows(site):
    Article.objects.create(title="Bulk", hero="img-0007")
    ImageUsage.objects.filter(cloudflare_id="img-0007").update(image=None)
    images = CloudflareImage.objects.filter(
        cloudflare_id__in=["img-0007", "img-0060", "img-0061", "img-0062", "img-0063"]
    )
    keys = [image.pk for image in images.order_by("cloudflare_id")]
    require_same_effects(site, lambda api: [api.patch(f"images/{key}/", {"filename": "x"}) for key in keys])


@check("bulk status checks answer and write what the toolkit does")
def bulk_status_check(site):
    images = _some_images()
    site.cloudflare.upload(images[0].cloudflare_id, meta=METADATA, width="8")
    site.cloudflare.upload(images[1].cloudflare_id)
    site.cloudflare.failing[images[2].cloudflare_id] = 500
    others = CloudflareImage.objects.filter(user__username="bob").first()
    bodies = [
        {"image_ids": [str(image.pk) for image in (*images, others)]},
        {"image_ids": []},
        {"image_ids": ["x"]},
        {"image_ids": [str(others.pk)] * 51},
        {},
    ]
    require_same_effects(site, lambda api: [api.post("images/bulk_status_check/", body) for body in bodies])
    require_exact_counts(site)


@check("cleanup-expired/ marks the rows that the toolkit marks, for staff only")
def cleanup_expired(site):
    soon = timezone.now() + timedelta(minutes=5)
    CloudflareImage.objects.filter(cloudflare_id="img-0010").update(status="pending", expires_at=soon)
    require_same_effects(site, lambda api: [api.post("cleanup-expired/") for _ in range(2)], "root")
    true(CloudflareImage.objects.get(cloudflare_id="img-0010").status == "pending", "an image expired before its time")
    site.api("alice").post("cleanup-expired/").expect(403)
    require_exact_counts(site)
