"""What the admins of rows have in common that only the engine may write."""

# ruff: noqa: ARG002  Django's signatures

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from django_tasktree.admin.bounded_paginator import BoundedPaginator

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[Any]
else:
    # Django's own class takes no type argument at run time.
    Admin = admin.ModelAdmin


class ReadOnlyAdmin(Admin):
    """Lists and shows rows; their number may be very large."""

    list_per_page = 50
    # "Show all" would load as many rows as a page of a list should never have.
    list_max_show_all = 0
    show_full_result_count = False
    paginator = BoundedPaginator

    class Media:
        """The style sheet."""

        css = {"all": ["django_tasktree/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: rows come from launches."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: the engine writes them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False
