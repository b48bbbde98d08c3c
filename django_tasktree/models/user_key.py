"""The type of all references to users in this app's tables."""

from typing import TYPE_CHECKING, Any

from django.db import models, router
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor


def set_null_across_databases(collector: Any, field: Any, rows: Any, _using: str) -> None:
    """Set references to null when a user is deleted, as ``SET_NULL`` does, in the database that has these rows.

    An ``on_delete`` of Django's; Django's own looks for the rows in the database of the user.
    """
    collector.add_field_update(field, None, rows.using(router.db_for_write(field.model)))


# Django must not look for the rows either.
set_null_across_databases.lazy_sub_objs = True  # type: ignore[attr-defined]


class UserOfAnotherDatabase(ForwardManyToOneDescriptor):  # type: ignore[type-arg]
    """Reads the user from where the project keeps users; None where there is no such user any more."""

    def get_queryset(self, **options: Any) -> Any:
        """Ask the routers for the user's database without a hint at the row, whose database is Django's default."""
        queryset = super().get_queryset(**options)
        return queryset.using(router.db_for_read(queryset.model))

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        """Read the user: no constraint of the database keeps it there."""
        try:
            return super().__get__(instance, cls)
        except self.field.related_model.DoesNotExist:
            return None


if TYPE_CHECKING:
    # The stubs of Django know what a row gives and takes for its own class.
    UserKey = models.ForeignKey
else:

    class UserKey(models.ForeignKey):
        """A ``ForeignKey`` to a user that may be kept in another database than this row.

        Give it ``db_constraint=False`` and ``on_delete=set_null_across_databases``. Queries can't join the two tables.
        """

        forward_related_accessor_class = UserOfAnotherDatabase
