"""The counts that cfimages keeps are exact, whoever writes."""

import random
import threading

from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Sum
from django_cloudflareimages_toolkit.models import CloudflareImage, ImageUsage

from ..checking import check
from ..comparing import Difference, equal
from ..site import query

STATUSES = ["pending", "draft", "uploaded", "failed", "expired"]
OWNERS = ["alice", "bob", "root", "erin", None]
ROUNDS = 3
WRITERS = 3
WRITES = 25


def counts_by_django(user):
    """The figures of a user, counted one by one."""
    images = CloudflareImage.objects.filter(user=user)
    return {
        "total_images": images.count(),
        **{f"{status}_images": images.filter(status=status).count() for status in STATUSES},
        "total_file_size": images.aggregate(sum=Sum("file_size"))["sum"] or 0,
        "images_with_signed_urls": images.filter(require_signed_urls=True).count(),
        "total_usages": ImageUsage.objects.filter(image__user=user).count(),
        "orphaned_images": images.filter(usages__isnull=True).count(),
    }


def require_exact_counts(site):
    """Fails unless every user's figures are those that Django counts, and counting anew changes nothing."""
    for user in User.objects.filter(is_active=True):
        counted = counts_by_django(user)
        answered = site.api(user.username).get("stats/").expect(200).json
        equal({key: answered.get(key) for key in counted}, counted, f"the figures of {user.username}")
        count = site.api(user.username).get("images/?page_size=1").expect(200).json["count"]
        equal(count, counted["total_images"], f"the number of images in the list of {user.username}")
    kept = _kept_counts()
    site.cfimages("migrate", "--recount")
    equal(kept, _kept_counts(), "the counts before and after counting anew")


@check("the figures are exact after Django and cfimages wrote at the same time, rollbacks included")
def mixed_writes(site):
    _write_in_rounds(site, ["create", "create", "notify", "check", "change"])


@check("the figures are exact after Django and cfimages wrote and deleted at the same time")
def mixed_writes_and_deletes(site):
    _write_in_rounds(site, ["create", "create", "create", "notify", "change", "delete"])


@check("the figures are exact after Django emptied the table of images, and deleted a user with images")
def emptied(site):
    site.serve()
    User.objects.get(username="bob").delete()
    require_exact_counts(site)
    CloudflareImage.objects.all().delete()
    require_exact_counts(site)
    CloudflareImage.objects.create(
        cloudflare_id="new", user=User.objects.get(username="alice"), expires_at="2030-01-01T00:00Z"
    )
    require_exact_counts(site)


def _kept_counts():
    """Slots are an implementation's; their sums are what is kept."""
    return query(
        """
        SELECT user_key, status, require_signed_urls,
            CAST(sum(images) AS bigint) AS images, CAST(sum(bytes) AS bigint) AS bytes
        FROM cfimages_image_counts GROUP BY 1, 2, 3 HAVING sum(images) <> 0 OR sum(bytes) <> 0 ORDER BY 1, 2, 3"""
    )


def _write_in_rounds(site, actions):
    site.serve()
    for round_number in range(ROUNDS):
        _write_all_at_once(site, actions, round_number)
        require_exact_counts(site)


def _write_all_at_once(site, actions, seed):
    failures = []

    def guard(function, number):
        try:
            function(site, actions, random.Random(f"{seed} {number}"), f"{seed}-{number}")
        except Exception as error:  # Anything a thread stumbles over fails the check.
            failures.append(error)
        finally:
            connection.close()

    functions = [_write_with_django] * WRITERS + [_write_with_cfimages] * WRITERS
    threads = [threading.Thread(target=guard, args=pair[::-1]) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _write_with_django(_site, _actions, dice, name):
    writer = DjangoWriter(dice, name)
    for _ in range(WRITES):
        _again_after_collisions(dice.choice(writer.writes))


def _again_after_collisions(write):
    """Where two update the same rows in another order, or one deletes an image while the other logs something about it,
    PostgreSQL rolls one back, with or without cfimages."""
    for _ in range(20):
        try:
            with transaction.atomic():
                write()
            return
        except IntegrityError:
            pass
        except OperationalError as error:
            if "deadlock" not in str(error):
                raise
    raise Difference("writers collided time and again")


class DjangoWriter:
    """Everything that the ORM does to images, by chance."""

    def __init__(self, dice, name):
        self.dice = dice
        self.name = name
        self.number = 0
        self.owners = {user.username: user for user in User.objects.all()} | {None: None}
        self.writes = [
            self.create,
            self.create_many,
            self.update_some,
            self.save_one,
            self.update_many,
            self.give_away,
            self.delete_one,
            self.delete_some,
            self.roll_back,
            self.roll_back_in_part,
        ]

    def new(self):
        """An image that is not saved."""
        self.number += 1
        return CloudflareImage(
            cloudflare_id=f"django-{self.name}-{self.number}",
            user=self.owners[self.dice.choice(OWNERS)],
            status=self.dice.choice(STATUSES),
            file_size=self.dice.choice([None, 0, self.dice.randrange(2**31)]),
            require_signed_urls=self.dice.choice([True, False]),
            expires_at="2030-01-01T00:00:00Z",
        )

    def some(self, most=4):
        """A few images that are there."""
        keys = sorted(CloudflareImage.objects.values_list("pk", flat=True))
        return CloudflareImage.objects.filter(pk__in=self.dice.sample(keys, min(len(keys), self.dice.randint(1, most))))

    def create(self):
        self.new().save()

    def create_many(self):
        CloudflareImage.objects.bulk_create([self.new() for _ in range(5)])

    def update_some(self):
        self.some().update(status=self.dice.choice(STATUSES), file_size=self.dice.randrange(1000))

    def save_one(self):
        for image in self.some(1).select_for_update():
            image.status = self.dice.choice(STATUSES)
            image.require_signed_urls = not image.require_signed_urls
            image.save(update_fields=["status", "require_signed_urls"])

    def update_many(self):
        images = list(self.some())
        for image in images:
            image.file_size = self.dice.choice([None, self.dice.randrange(1000)])
            image.status = self.dice.choice(STATUSES)
        CloudflareImage.objects.bulk_update(images, ["file_size", "status"])

    def give_away(self):
        self.some().update(user=self.owners[self.dice.choice(OWNERS)])

    def delete_one(self):
        for image in self.some(1):
            image.delete()

    def delete_some(self):
        self.some(3).delete()

    def roll_back(self):
        with transaction.atomic():
            self.create_many()
            self.update_some()
            self.delete_some()
            transaction.set_rollback(True)

    def roll_back_in_part(self):
        self.create()
        with transaction.atomic():
            self.delete_some()
            transaction.set_rollback(True)
        self.update_some()


def _write_with_cfimages(site, actions, dice, name):
    writer = CfimagesWriter(site, dice, name)
    for _ in range(WRITES):
        getattr(writer, dice.choice(actions) if writer.images else "create")()


class CfimagesWriter:
    """What clients do to images, by chance. Django may delete any of them meanwhile, or give it to somebody else."""

    def __init__(self, site, dice, name):
        self.site = site
        self.dice = dice
        self.name = name
        self.images = []
        self.api = {user: site.api(user) for user in ("alice", "bob", "root")}

    def create(self):
        cloudflare_id = f"http-{self.name}-{len(self.images)}"
        body = {"custom_id": cloudflare_id, "require_signed_urls": self.dice.choice([True, False])}
        api = self.dice.choice(list(self.api.values()))
        self.images.append((api, cloudflare_id, api.post("upload-url/", body).expect(201).json["id"]))

    def notify(self):
        _, cloudflare_id, _ = self.dice.choice(self.images)
        _expect_one_of(self.site.webhook(f'{{"id": "{cloudflare_id}", "uploaded": "2024-05-05T05:05:05Z"}}'), 200, 404)

    def check(self):
        api, cloudflare_id, key = self.dice.choice(self.images)
        if self.dice.choice([True, False]):
            self.site.cloudflare.upload(cloudflare_id)
        # Where it was deleted at Cloudflare, the answer is 400.
        _expect_one_of(api.post(f"images/{key}/check_status/"), 200, 400, 404)

    def change(self):
        api, _, key = self.dice.choice(self.images)
        body = {"file_size": self.dice.choice([None, self.dice.randrange(2**31)]), "require_signed_urls": False}
        _expect_one_of(api.patch(f"images/{key}/", body), 200, 404)

    def delete(self):
        api, _, key = self.dice.choice(self.images)
        _expect_one_of(api.delete(f"images/{key}/"), 204, 404)


def _expect_one_of(answer, *statuses):
    if answer.status not in statuses:
        raise Difference(f"the answer is {answer.status}: {answer.text[:500]}")
