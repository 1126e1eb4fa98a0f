"""Made after cfimages took the images over: columns are added and widened, which on SQLite rebuilds the table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gallery", "0001_initial")]

    operations = [
        migrations.AddField("article", "subtitle", models.CharField(default="", max_length=100)),
        migrations.AlterField("article", "title", models.CharField(db_index=True, max_length=120)),
    ]
