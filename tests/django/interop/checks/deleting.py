"""Deleting what the other one wrote, and what host rows refer to."""

import json

from django_cloudflareimages_toolkit.models import CloudflareImage, ImageUploadLog, ImageUsage
from django_cloudflareimages_toolkit.registry import register_usage
from gallery.models import Article, Badge

from ..checking import check
from ..comparing import equal, true
from ..twins import require_same_effects
from .counting import require_exact_counts

UNUSED = ["img-0022", "img-0027", "img-0032", "img-0037"]


@check("Django deletes images that cfimages wrote, with everything that refers to them")
def by_django(site):
    site.serve()
    keys = [
        site.api("alice").post("upload-url/", {"custom_id": f"doomed-{n}"}).expect(201).json["id"] for n in range(4)
    ]
    for key in keys[:2]:
        site.cloudflare.upload(f"doomed-{keys.index(key)}")
        site.api("alice").post(f"images/{key}/check_status/").expect(200)
    covered, badged, named, plain = (CloudflareImage.objects.get(pk=key) for key in keys)
    article = Article.objects.create(title="Host", hero=named.cloudflare_id, cover=covered)
    Badge.objects.create(label="Host", image=badged)
    register_usage(article, badged.cloudflare_id, "body")
    true(ImageUsage.objects.filter(image__in=keys).count() == 4, "there are not four usages")
    require_exact_counts(site)
    covered.delete()
    article.refresh_from_db()
    equal(article.cover_id, None, "the article's cover")
    CloudflareImage.objects.filter(pk__in=keys).delete()
    true(not Badge.objects.filter(label="Host").exists(), "the badge outlived its image")
    true(not ImageUploadLog.objects.filter(image__in=keys).exists(), "the logs outlived their images")
    left = list(ImageUsage.objects.filter(cloudflare_id__startswith="doomed").values_list("field_name", "image"))
    equal(sorted(left), [("body", None), ("hero", None)], "the usages that are left")
    for key in keys:
        site.api("alice").get(f"images/{key}/").expect(404)
    site.api("alice").post(f"images/{plain.pk}/check_status/").expect(404)
    site.webhook('{"id": "doomed-3", "uploaded": "2024-05-05T05:05:05Z"}').expect(404)
    require_exact_counts(site)
    true(site.cloudflare.images.keys() >= {"doomed-0"}, "Cloudflare lost an image that only Django deleted")


def _key(cloudflare_id):
    return CloudflareImage.objects.get(cloudflare_id=cloudflare_id).pk


def _upload_to_cloudflare(site):
    for image in CloudflareImage.objects.filter(user__username="alice").exclude(cloudflare_id__in=UNUSED[1:2]):
        site.cloudflare.upload(image.cloudflare_id)


@check(
    "an image that is used is not deleted: the same refusal as the toolkit's, and nothing changed",
)
def used(site):
    _upload_to_cloudflare(site)
    used = list(CloudflareImage.objects.filter(user__username="alice", usages__isnull=False).distinct())
    true(len(used) > 2, "too few images are used")
    require_same_effects(site, lambda api: [api.delete(f"images/{image.pk}/") for image in used])


@check(
    "unused images are deleted as by the toolkit: known and unknown to Cloudflare, or refused by it",
)
def unused(site):
    _upload_to_cloudflare(site)
    site.cloudflare.failing[UNUSED[2]] = 500
    keys = [_key(cloudflare_id) for cloudflare_id in UNUSED]
    others = CloudflareImage.objects.filter(user__username="bob").first().pk

    def requests(api):
        answers = [api.delete(f"images/{key}/") for key in keys[:3]]
        answers.append(api.delete(f"images/{keys[3]}/delete_from_cloudflare/"))
        return answers + [api.delete(f"images/{key}/") for key in (keys[0], others)]

    require_same_effects(site, requests)
    true(not CloudflareImage.objects.filter(cloudflare_id=UNUSED[0]).exists(), "the image is still there")
    require_exact_counts(site)


@check(
    "images that host rows refer to are deleted by force as the toolkit does: columns emptied, rows and usages gone",
)
def by_force(site):
    _upload_to_cloudflare(site)
    used = list(
        CloudflareImage.objects.filter(user__username="alice", usages__isnull=False).distinct().order_by("created_at")
    )
    environment = {"CFIMAGES_HOST_DELETE_TABLES": "gallery_badge"}
    require_same_effects(
        site, lambda api: [api.delete(f"images/{image.pk}/?force=true") for image in used], environment=environment
    )
    true(not Badge.objects.exists(), "the badges outlived their image")
    equal(list(Article.objects.exclude(cover=None)), [], "the articles with a cover")
    require_exact_counts(site)


@check(
    "a host row that needs its image forbids the deletion before Cloudflare is asked",
)
def required(site):
    _upload_to_cloudflare(site)
    image = Badge.objects.first().image
    site.serve()
    before = site.tables()
    answer = site.api("alice").delete(f"images/{image.pk}/?force=true").expect(409)
    true("gallery_badge" in answer.text, f"the refusal does not name the table: {answer.text}")
    equal(site.cloudflare.calls, [], "the calls to Cloudflare")
    equal(site.tables(), before, "the rows after the refusal")


@check("bulk deletes answer and do what the toolkit does, image by image")
def in_bulk(site):
    _upload_to_cloudflare(site)
    site.cloudflare.failing[UNUSED[2]] = 500
    used = (
        CloudflareImage.objects.filter(user__username="alice", usages__isnull=False)
        .exclude(badge__isnull=False)
        .first()
    )
    ids = [str(_key(UNUSED[0])), str(_key(UNUSED[2])), str(used.pk), str(_key("img-0042")), "0" * 32]
    bodies = [
        {"ids": ids, "cloudflare_ids": [UNUSED[1], "nonsense", "img-0042"]},
        {"ids": [], "cloudflare_ids": [used.cloudflare_id], "force": True},
        {},
        {"ids": ["x"], "force": "y"},
    ]
    require_same_effects(
        site, lambda api: [api.post("images/bulk_delete/", body=json.dumps(body).encode()) for body in bodies]
    )
    require_exact_counts(site)
