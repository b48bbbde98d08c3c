"""A Django project with django-qraft, as its documentation configures it, with two workers."""

import os

import dj_database_url

SECRET_KEY = "only-for-benchmarks"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_q", "qraft"]
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=None)}
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
Q_CLUSTER = {
    "name": "default",
    "workers": int(os.environ["BENCH_CONCURRENCY"]),
    "timeout": 60,
    "retry": 90,
    "orm": "default",
    "broker_class": "qraft.brokers.QraftOrmBroker",
}
