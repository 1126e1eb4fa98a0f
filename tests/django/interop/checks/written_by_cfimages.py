"""Rows that cfimages wrote are Django's own to read, to filter and to save."""

import json
from datetime import datetime, timezone

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db.models import DateTimeField
from django.test import Client
from django.utils.dateparse import parse_datetime
from django_cloudflareimages_toolkit.models import CloudflareImage, ImageUploadLog, ImageUsage
from django_cloudflareimages_toolkit.registry import register_usage, unregister_usage
from django_cloudflareimages_toolkit.serializers import CloudflareImageSerializer, ImageUploadLogSerializer
from gallery.models import Article
from rest_framework.authtoken.models import Token
from rest_framework.renderers import JSONRenderer

from ..checking import check
from ..comparing import equal, parse, true, without
from ..twins import without_now

METADATA = (
    '{"big": 12345678901234567890, "float": 1.0, "tenth": 0.1, "negative": -3, "name": "Zoë ✓ 🦀",'
    ' "quote": "a\\"b\\\\c", "escaped": "\\u00e9\\ud83e\\udd80\\u2028", "deep": {"a": {"b": [1, null, true]}},'
    ' "empty": {}, "flag": false, "nothing": null}'
)
# What SQLite's text and PostgreSQL's microseconds have to hold to the end.
TIMES = {
    "2024-05-05T05:05:05Z": datetime(2024, 5, 5, 5, 5, 5, tzinfo=timezone.utc),
    "2024-05-05T05:05:05.000001Z": datetime(2024, 5, 5, 5, 5, 5, 1, tzinfo=timezone.utc),
    "2024-05-05T05:05:05.026Z": datetime(2024, 5, 5, 5, 5, 5, 26_000, tzinfo=timezone.utc),
    "2024-05-05T05:05:05.999999Z": datetime(2024, 5, 5, 5, 5, 5, 999_999, tzinfo=timezone.utc),
    "2024-05-05T07:05:05.500000+02:00": datetime(2024, 5, 5, 5, 5, 5, 500_000, tzinfo=timezone.utc),
    "1999-12-31T23:59:59.1Z": datetime(1999, 12, 31, 23, 59, 59, 100_000, tzinfo=timezone.utc),
}


def rendered(serializer):
    """What the toolkit's serializer makes of rows, as JSON."""
    return parse(JSONRenderer().render(serializer.data).decode())


def request_upload(site, body, user="alice"):
    """Gets an upload URL by a body of JSON, and answers what came back and the row."""
    answer = site.api(user).post("upload-url/", body=body.encode()).expect(201).json
    return answer, CloudflareImage.objects.get(pk=answer["id"])


def require_same_in_both(site, image, user="alice"):
    """Fails unless the API answers an image and its log as the toolkit's serializers render the rows."""
    answer = site.api(user).get(f"images/{image.pk}/").expect(200).json
    image.refresh_from_db()
    theirs = rendered(CloudflareImageSerializer(image))
    equal({key: answer.get(key) for key in theirs}, theirs, f"the image {image.cloudflare_id}")
    logs = site.api(user).get(f"images/{image.pk}/logs/").expect(200).json
    equal(logs, rendered(ImageUploadLogSerializer(image.logs.all(), many=True)), f"the log of {image.cloudflare_id}")
    true(image.logs.exists(), f"{image.cloudflare_id} has no log")


@check("an upload URL with every field is a row that Django reads, validates and filters")
def upload_url(site):
    site.serve()
    body = (
        '{"custom_id": "products/✓/1", "metadata": %s, "require_signed_urls": false, "expiry_minutes": 77,'
        ' "filename": "Größe ✓.jpg", "creator": "Zoë"}' % METADATA
    )
    answer, image = request_upload(site, body)
    equal(image.cloudflare_id, answer["cloudflare_id"], "cloudflare_id")
    equal(image.upload_url, answer["upload_url"], "upload_url")
    equal(image.expires_at, parse_datetime(answer["expires_at"]), "expires_at")
    equal(image.status, answer["status"], "status")
    equal(image.metadata, parse(METADATA), "metadata")
    equal(image.user, User.objects.get(username="alice"), "user")
    equal(
        [image.original_filename, image.filename, image.creator, image.require_signed_urls, image.uploaded_at],
        ["Größe ✓.jpg", "", "Zoë", False, None],
        "the fields of the request",
    )
    equal([image.variants, image.cloudflare_metadata, image.last_referenced_at], [[], {}, None], "the empty fields")
    image.full_clean()
    require_same_in_both(site, image)
    require_found(image)


@check("an upload URL without any field is a row with the same defaults as the toolkit's own")
def upload_url_defaults(site):
    site.serve()
    _, ours = request_upload(site, "{}")
    answer = site.toolkit("alice").post("upload-url/", {}).expect(201).json
    theirs = CloudflareImage.objects.get(pk=answer["id"])
    own = ("id", "cloudflare_id", "upload_url", "created_at", "updated_at", "expires_at")
    rows = site.rows("cloudflare_images")
    pair = [
        without(next(row for row in rows.values() if image.cloudflare_id in row["cloudflare_id"]), *own)
        for image in (ours, theirs)
    ]
    equal(*pair, "the row of cfimages and that of the toolkit")
    log_of = {
        image: without(rendered(ImageUploadLogSerializer(image.logs.get())), "id", "timestamp", "data")
        for image in (ours, theirs)
    }
    equal(log_of[ours], log_of[theirs], "the log of cfimages and that of the toolkit")


def require_found(image):
    """Fails unless the ORM finds an image by the exact values that it read from it."""
    images = CloudflareImage.objects
    for field in CloudflareImage._meta.concrete_fields:
        value = getattr(image, field.attname)
        if value is None:
            found = images.filter(pk=image.pk, **{f"{field.attname}__isnull": True})
        else:
            found = images.filter(pk=image.pk, **{field.attname: value})
        true(found.count() == 1, f"no image found by {field.attname} = {value!r}")
        if isinstance(field, DateTimeField) and value:
            around = images.filter(pk=image.pk, **{f"{field.attname}__gte": value, f"{field.attname}__lte": value})
            true(around.count() == 1, f"no image found by {field.attname} between {value!r} and itself")
            true(images.filter(pk=image.pk, **{f"{field.attname}__gt": value}).count() == 0, f"{value!r} > itself")
            true(
                images.filter(pk=image.pk, **{f"{field.attname}__date": value.date()}).count() == 1, f"{value!r} by day"
            )
            true(
                images.filter(pk=image.pk, **{f"{field.attname}__year": value.year}).count() == 1, f"{value!r} by year"
            )


@check("times that cfimages wrote are exact to the microsecond, and found by equality")
def times(site):
    site.serve()
    for number, (text, time) in enumerate(TIMES.items()):
        cloudflare_id = f"time-{number}"
        _, image = request_upload(site, json.dumps({"custom_id": cloudflare_id}))
        payload = {"id": cloudflare_id, "uploaded": text, "variants": ["https://imagedelivery.net/hash-0001/t/public"]}
        site.webhook(json.dumps(payload)).expect(200)
        image.refresh_from_db()
        equal([image.status, image.uploaded_at], ["uploaded", time], f"status and time after {text}")
        require_found(image)
        require_same_in_both(site, image)
        for log in image.logs.all():
            true(
                ImageUploadLog.objects.filter(timestamp=log.timestamp, pk=log.pk).exists(),
                f"no log at {log.timestamp!r}",
            )
    in_order = CloudflareImage.objects.filter(cloudflare_id__startswith="time-").order_by("uploaded_at")
    equal([image.uploaded_at for image in in_order], sorted(TIMES.values()), "the images in the order of their times")


@check("what a status check wrote is what the toolkit's own would have written")
def status_check(site):
    site.serve()
    members = {
        "meta": METADATA,
        "filename": '"Größe ✓.jpg"',
        "width": "800",
        "height": "600",
        "format": '"webp"',
        "creator": '"Zoë"',
        "requireSignedURLs": "true",
    }
    images = []
    for cloudflare_id in ("checked-by-cfimages", "checked-by-toolkit"):
        _, image = request_upload(site, json.dumps({"custom_id": cloudflare_id, "metadata": {"k": 1}}))
        site.cloudflare.upload(cloudflare_id, "2024-05-05T05:05:05.123Z", **members)
        images.append(image)
    answers = [
        api.post(f"images/{image.pk}/check_status/").expect(200).json
        for api, image in zip((site.api("alice"), site.toolkit("alice")), images)
    ]
    own = ("id", "cloudflare_id", "variants", "public_url", "thumbnail_url")
    equal(without(answers[0], *own), without(answers[1], *own), "the two answers")
    for image in images:
        require_same_in_both(site, image)
    read = [
        without(
            rendered(CloudflareImageSerializer(image)), *own, "upload_url", "created_at", "updated_at", "expires_at"
        )
        for image in images
    ]
    equal(*read, "the two rows")
    equal(images[0].cloudflare_metadata, parse(METADATA), "the metadata as Cloudflare has it")
    equal(
        [image.width for image in images] + [image.format for image in images],
        [800, 800, "webp", "webp"],
        "width and format",
    )
    for image in images:
        image.full_clean()
        require_found(image)


@check("look-ups by keys of JSON find what cfimages wrote")
def json_lookups(site):
    site.serve()
    _, image = request_upload(site, '{"metadata": %s}' % METADATA)
    cases = {
        "metadata__name": "Zoë ✓ 🦀",
        "metadata__quote": 'a"b\\c',
        "metadata__escaped": "é🦀\u2028",
        "metadata__negative": -3,
        "metadata__negative__lt": 0,
        "metadata__float": 1.0,
        "metadata__tenth": 0.1,
        "metadata__flag": False,
        "metadata__nothing": None,
        "metadata__deep__a": {"b": [1, None, True]},
        "metadata__deep__a__b__0": 1,
        "metadata__deep__a__b__2": True,
        "metadata__has_key": "empty",
        "metadata__has_keys": ["big", "name"],
        "metadata__name__icontains": "zoë",
        "metadata__empty": {},
    }
    if site.is_sqlite:
        # SQLite knows no numbers of this size, and no capitals beyond ASCII: neither does Django there.
        cases["metadata__name__icontains"] = "Zoë"
    else:
        cases |= {"metadata__big": 12345678901234567890, "metadata__contains": {"flag": False, "deep": {"a": {}}}}
    for lookup, value in cases.items():
        found = CloudflareImage.objects.filter(pk=image.pk, **{lookup: value})
        true(found.count() == 1, f"no image found by {lookup} = {value!r}")
    log = ImageUploadLog.objects.filter(image=image, data__response__id=image.cloudflare_id)
    true(log.count() == 1, "no log found by the id in its data")


@check("Django saves rows that cfimages wrote without changing them")
def saving(site):
    site.serve()
    _, image = request_upload(site, '{"metadata": %s, "filename": "Größe.jpg", "creator": "c"}' % METADATA)
    site.cloudflare.upload(image.cloudflare_id, meta='{"kéy": [1.0, "✓", 12345678901234567890]}')
    site.api("alice").post(f"images/{image.pk}/check_status/").expect(200)
    before = {table: site.rows(table) for table in ("cloudflare_images", "cloudflare_image_logs")}
    for written in (CloudflareImage.objects.get(pk=image.pk), *image.logs.all()):
        written.save()
    after = {table: site.rows(table) for table in before}
    changed_by_saving = ("updated_at",)
    equal(
        {table: without(rows, *changed_by_saving) for table, rows in after.items()},
        {table: without(rows, *changed_by_saving) for table, rows in before.items()},
        "the rows before and after they were saved",
    )
    require_same_in_both(site, image)


@check("a reference that Django recorded first is linked when cfimages records the image")
def linking(site):
    site.serve()
    article = Article.objects.create(title="Early", hero="early-1")
    usage = ImageUsage.objects.get(object_id=str(article.pk), field_name="hero")
    true(usage.is_unregistered, "the usage is linked already")
    _, image = request_upload(site, '{"custom_id": "early-1"}')
    usage.refresh_from_db()
    image.refresh_from_db()
    equal(usage.image_id, image.pk, "the image that the usage is linked to")
    true(image.last_referenced_at is not None, "last_referenced_at is empty")
    require_found(image)
    equal(Article.objects.get(pk=article.pk).hero.cloudflare_image, image, "the image of the article's field")
    equal(list(CloudflareImage.objects.filter(usages__field_name="hero", cloudflare_id="early-1")), [image], "the join")


@check("users and tokens that cfimages made sign in to Django, and Django's to cfimages")
def users(site):
    site.serve()
    site.cfimages(
        "user", "create", "gina", "--email", "gina@example.com", "--staff", "--password-stdin", stdin="geheim ✓ 42\n"
    )
    key = site.cfimages("token", "create", "gina").strip()
    gina = User.objects.get(username="gina")
    flags = [gina.is_staff, gina.is_superuser, gina.is_active]
    equal([gina.email, *flags], ["gina@example.com", True, False, True], "the user")
    gina.full_clean()
    equal(authenticate(username="gina", password="geheim ✓ 42"), gina, "the user that signs in with the password")
    true(Client().login(username="gina", password="geheim ✓ 42"), "the user cannot sign in to the site")
    equal(Token.objects.get(user=gina).key, key, "the token")
    true(User.objects.filter(date_joined=gina.date_joined).exists(), "no user found by date_joined")
    headers = {"Authorization": f"Token {key}"}
    for api in (site.api(**headers), site.toolkit(**headers)):
        api.get("images/").expect(200)
    Token.objects.filter(user=gina).delete()
    token = Token.objects.create(user=gina)
    site.api(Authorization=f"Token {token.key}").get("images/").expect(200)
    equal(site.cfimages("token", "create", "gina").strip(), token.key, "the token that Django made")
    gina.delete()
    site.api(Authorization=f"Token {token.key}").get("images/").expect(403)


@check("usages that applications record by HTTP are those that register_usage() records")
def recorded_usages(site):
    article, image = Article.objects.get(title="Gamma"), CloudflareImage.objects.get(cloudflare_id="img-0022")
    slots = [
        ("text", image.cloudflare_id),
        ("manual", "products/123/hero"),
        ("text", "img-0027"),
        ("later", "not-there-yet"),
    ]
    with site.copy() as other:
        site.serve()
        api = site.api("root")
        for field_name, cloudflare_id in slots:
            body = {"content_type": "gallery.article", "object_id": str(article.pk), "field_name": field_name}
            api.request("PUT", "usages/", body | {"cloudflare_id": cloudflare_id})
        ours = _usages_of(article)
        for usage in ours:
            true(usage.content_object == article, f"{usage} does not lead to its article")
            usage.full_clean()
        api.delete(f"usages/?content_type=gallery.article&object_id={article.pk}&field_name=text").expect(204)
        ours = without_now([_rows_of(ours), _references()])
        with site.django_on(other):
            for field_name, cloudflare_id in slots:
                register_usage(article, cloudflare_id, field_name)
            theirs = _usages_of(article)
            unregister_usage(article, "text")
            theirs = without_now([_rows_of(theirs), _references()])
    equal(ours, theirs, "the usages and the images' last_referenced_at")
    article.delete()
    true(not _usages_of(article), "the usages outlived their article")


def _usages_of(article):
    return list(
        ImageUsage.objects.filter(object_id=str(article.pk), content_type__model="article").order_by("field_name")
    )


def _rows_of(usages):
    return [
        [usage.field_name, usage.cloudflare_id, usage.source, str(usage.image_id), str(usage.updated_at)]
        for usage in usages
    ]


def _references():
    return {
        image.cloudflare_id: str(image.last_referenced_at)
        for image in CloudflareImage.objects.order_by("cloudflare_id")
    }


@check("images that cfimages registers are those that register_uploaded() registers")
def registering(site):
    alice = User.objects.get(username="alice")
    for cloudflare_id in ("registered-1", "img-0000"):
        members = {"meta": METADATA, "filename": '"Größe.jpg"', "creator": '"alice"', "requireSignedURLs": "false"}
        site.cloudflare.upload(cloudflare_id, **members)
    with site.copy() as other:
        site.serve()
        first = site.api("alice").post("images/register/", {"cloudflare_id": "registered-1"}).expect(201).json
        again = {"cloudflare_id": "registered-1", "expected_creator": "alice"}
        site.api("alice").post("images/register/", again).expect(200)
        require_same_in_both(site, CloudflareImage.objects.get(pk=first["id"]))
        ours = _registered()
        with site.django_on(other):
            CloudflareImage.objects.register_uploaded("registered-1", user=alice)
            CloudflareImage.objects.register_uploaded("registered-1", user=alice, expected_creator="alice")
            theirs = _registered()
    equal(ours, theirs, "the registered image and its log")


def _registered():
    image = CloudflareImage.objects.get(cloudflare_id="registered-1")
    image.full_clean(exclude=["upload_url"])
    row = without(rendered(CloudflareImageSerializer(image)), "id")
    logs = without(rendered(ImageUploadLogSerializer(image.logs.order_by("pk"), many=True)), "id")
    return without_now([row, str(image.user), image.creator, logs])


@check("what is changed at Cloudflare by HTTP is changed in the row that Django reads")
def remote_changes(site):
    site.serve()
    _, image = request_upload(site, '{"custom_id": "remote-1", "require_signed_urls": false}')
    site.cloudflare.upload("remote-1")
    body = '{"metadata": %s, "creator": "Zoë", "require_signed_urls": false}' % METADATA
    site.api("alice").request("PATCH", f"images/{image.pk}/remote/", body=body.encode()).expect(200)
    image.refresh_from_db()
    equal([image.metadata, image.creator, image.require_signed_urls], [parse(METADATA), "Zoë", False], "the row")
    require_same_in_both(site, image)
    require_found(image)
