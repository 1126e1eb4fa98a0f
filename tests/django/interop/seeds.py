"""The rows that a site has before cfimages comes to it, all written by Django."""

from datetime import datetime, timedelta, timezone

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import JSONField, Value
from django_cloudflareimages_toolkit.models import CloudflareImage, ImageUploadLog
from django_cloudflareimages_toolkit.registry import register_usage
from gallery.models import Article, Badge
from rest_framework.authtoken.models import Token

from .site import token_of

# A password of each form that Django writes by default or recommends, and what is special about the user.
USERS = {
    "alice": ("pbkdf2_sha256", {"first_name": "Alice", "last_name": "Ångström"}),
    "bob": ("argon2", {}),
    "root": ("bcrypt_sha256", {"is_staff": True, "is_superuser": True}),
    "dave": ("scrypt", {"is_staff": True}),
    "carol": ("pbkdf2_sha1", {"is_active": False}),
    "erin": ("bcrypt", {}),
    "frank": (None, {}),
}
# Fractions of a second in which drivers have been wrong.
FRACTIONS = [0, 1, 26_000, 999_999, 123_450, 500_000]
START = datetime(2024, 3, 1, 12, 0, tzinfo=timezone.utc)
STATUSES = ["pending", "draft", "uploaded", "failed", "expired"]
METADATA = [
    {},
    {"big": 12345678901234567890, "float": 1.0, "huge": 1e100, "tiny": 5e-324, "third": 0.1, "negative": -7},
    {"name": "Zoë ✓ 🦀", "html": "<b>&'\"</b>", "lines": "a\nb\u2028c\ttab\\", "": "no key", "a.b": 1, "a b": 2},
    {"deep": {"er": [{"est": None}, True, False, [], {}, ""]}, "id": "42", "tags": ["x", "y"], "flag": True},
    ["a", "list"],
    "a text",
    17,
    False,
]
IDS = ["products/123/hero", "with space & percent%25", "ünï-✓", "a'b\"c", "plus+and?query#hash"]


def password_of(user):
    """The password of a user of the template."""
    return f"{user}-pass-✓"


def add_users():
    """Makes the users and their tokens."""
    for name, (hasher, fields) in USERS.items():
        password = make_password(password_of(name) if hasher else None, hasher=hasher or "default")
        user = User.objects.create(username=name, email=f"{name}@example.com", password=password, **fields)
        Token.objects.create(user=user, key=token_of(name))


def add_images():
    """Makes images in every state, of several users and of nobody."""
    owners = {user.username: user for user in User.objects.all()} | {None: None}
    for number in range(40):
        status = STATUSES[number % 5]
        add_image(number, owners["alice"], status)
    for number in range(40, 52):
        add_image(number, owners["bob"], STATUSES[number % 5])
    add_image(52, owners["root"], "uploaded")
    add_image(53, owners["carol"], "uploaded")
    add_image(54, owners[None], "uploaded")
    add_old_forms(owners["alice"])
    for image in CloudflareImage.objects.order_by("created_at")[:8]:
        for data in METADATA:
            event = ImageUploadLog.objects.create(
                image=image, event_type="seeded", message="✓", data={"response": data}
            )
            ImageUploadLog.objects.filter(pk=event.pk).update(timestamp=moment(event.pk))


def add_image(number, owner, status):
    """Makes an image whose every field says something."""
    cloudflare_id = IDS[number] if number < len(IDS) else f"img-{number:04}"
    is_uploaded = status == "uploaded"
    base = f"https://imagedelivery.net/hash-0001/{cloudflare_id}"
    image = CloudflareImage.objects.create(
        cloudflare_id=cloudflare_id,
        user=owner,
        filename=f"photo {number} ✓.jpg" if is_uploaded else "",
        original_filename=f"IMG_{number}.JPG" if number % 3 else "",
        content_type="image/jpeg" if is_uploaded else "",
        file_size=[None, 0, 2_147_483_647, number * 1000][number % 4],
        upload_url=f"https://upload.imagedelivery.net/hash-0001/{number}" if number % 7 else "",
        status=status,
        require_signed_urls=number % 2 == 0,
        metadata=METADATA[number % len(METADATA)],
        creator=["", "alice", "Ünïcode ✓"][number % 3],
        uploaded_at=moment(number) if is_uploaded else None,
        expires_at=moment(number) + timedelta(days=0 if number % 3 else 36500),
        width=800 if is_uploaded else None,
        height=600 if is_uploaded else None,
        format="jpeg" if is_uploaded else "",
        variants=[f"{base}/public", f"{base}/thumbnail"] if is_uploaded else [],
        cloudflare_metadata=METADATA[(number + 1) % len(METADATA)],
        last_referenced_at=moment(number) if number % 5 == 1 else None,
    )
    times = {"created_at": moment(number), "updated_at": moment(number + 1)}
    CloudflareImage.objects.filter(pk=image.pk).update(**times)


def add_old_forms(owner):
    """Makes rows as older releases left them, or as only an update can write them."""
    variants = ["https://imagedelivery.net/hash-0001/old/public", "", {"public": "https://example.com/p"}, {}]
    for number, value in enumerate(variants, start=60):
        add_image(number, owner, "uploaded")
        CloudflareImage.objects.filter(cloudflare_id=f"img-{number:04}").update(variants=value)
    if connection.vendor == "sqlite":
        # It keeps numbers that no other engine takes.
        CloudflareImage.objects.filter(cloudflare_id="img-0060").update(file_size=5_000_000_000)
    add_image(64, owner, "uploaded")
    CloudflareImage.objects.filter(cloudflare_id="img-0064").update(metadata=Value(None, JSONField()))


def moment(number):
    """A time of its own for each number, with one of the fractions."""
    return START + timedelta(hours=number, microseconds=FRACTIONS[number % len(FRACTIONS)])


def add_usages():
    """Lets content refer to images in every way."""
    uploaded = list(CloudflareImage.objects.filter(user__username="alice", status="uploaded").order_by("created_at"))
    bobs = CloudflareImage.objects.filter(user__username="bob", status="uploaded").first()
    Article.objects.create(title="Alpha story", hero=uploaded[0].cloudflare_id, cover=uploaded[1])
    Article.objects.create(title="Beta ✓ story", hero="not-registered-1", cover=uploaded[1])
    gamma = Article.objects.create(title="Gamma", hero=bobs.cloudflare_id)
    Badge.objects.create(label="gold", image=uploaded[2])
    Badge.objects.create(label="silver", image=uploaded[2])
    register_usage(gamma, uploaded[3].cloudflare_id, "body")
    register_usage(User.objects.get(username="alice"), "not-registered-2", "portrait")
    register_usage(User.objects.get(username="bob"), uploaded[0].cloudflare_id)
