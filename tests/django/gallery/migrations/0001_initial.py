"""The tables as they were when the toolkit's views still served the site."""

import django.db.models.deletion
import django_cloudflareimages_toolkit.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [("django_cloudflareimages_toolkit", "0008_wrap_string_variants")]

    operations = [
        migrations.CreateModel(
            name="Article",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=100)),
                ("hero", django_cloudflareimages_toolkit.fields.CloudflareImageField()),
                (
                    "cover",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        to="django_cloudflareimages_toolkit.cloudflareimage",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Badge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("label", models.CharField(max_length=50)),
                (
                    "image",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to="django_cloudflareimages_toolkit.cloudflareimage",
                    ),
                ),
            ],
        ),
    ]
