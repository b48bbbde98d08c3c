"""The URLs of the test project, and those of the theme grappelli."""

from django.conf import settings
from django.urls import include, path

from testproject.urls import urlpatterns as project_urls

urlpatterns = [*project_urls]
if settings.THEME == "grappelli":
    urlpatterns.append(path("grappelli/", include("grappelli.urls")))
