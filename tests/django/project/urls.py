"""The toolkit where a site has it."""

from django.urls import include, path

urlpatterns = [path("cloudflare-images/", include("django_cloudflareimages_toolkit.urls"))]
