"""The test project's pages; the theme grappelli brings some of its own."""

from django.conf import settings
from django.urls import include, path

from testproject.urls import urlpatterns as project_urls

urlpatterns = [*project_urls]
if settings.THEME == "grappelli":
    urlpatterns.append(path("grappelli/", include("grappelli.urls")))
