"""The URLs of the demo."""

from django.urls import path

from testproject.thumbnails.views import Album, NewAlbum

app_name = "thumbnails"
urlpatterns = [
    path("", NewAlbum.as_view(), name="new"),
    path("albums/<uuid:pk>/", Album.as_view(), name="album"),
]
