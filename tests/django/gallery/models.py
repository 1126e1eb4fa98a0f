"""Models of a site that refer to images in every way the toolkit knows."""

from django.db import models
from django_cloudflareimages_toolkit.fields import CloudflareImageField
from django_cloudflareimages_toolkit.models import CloudflareImage


class Article(models.Model):
    """Goes on without its images."""

    title = models.CharField(max_length=120, db_index=True)
    subtitle = models.CharField(max_length=100, default="")
    hero = CloudflareImageField()
    cover = models.ForeignKey(CloudflareImage, on_delete=models.SET_NULL, null=True, blank=True)

    def __str__(self):
        return self.title


class Badge(models.Model):
    """Ends with its image."""

    label = models.CharField(max_length=50)
    image = models.ForeignKey(CloudflareImage, on_delete=models.CASCADE)

    def __str__(self):
        return self.label
