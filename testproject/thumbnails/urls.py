"""The URLs of the demo."""

from django.urls import path

from testproject.thumbnails.views import Album, NewAlbum, Pictures

app_name = "thumbnails"
urlpatterns = [
    path("", NewAlbum.as_view(), name="new"),
    path("albums/<uuid:pk>/", Album.as_view(), name="album"),
    path("albums/<uuid:pk>/pictures/", Pictures.as_view(), name="pictures"),
]
