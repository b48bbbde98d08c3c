"""The field type of all references to users in this app's tables."""

from typing import TYPE_CHECKING, Any

from django.db import models, router
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor


def set_null_across_databases(collector: Any, field: Any, rows: Any, _using: str) -> None:
    """Set references to NULL when a user is deleted; a value for ``on_delete``.

    Unlike Django's ``SET_NULL`` it looks for the rows in their own database, not in that of the user.

    Args:
        collector: see ``django.db.models.deletion.SET_NULL``, as for the other arguments.
        field: the foreign key.
        rows: the queryset of the rows that refer to the user.
    """
    collector.add_field_update(field, None, rows.using(router.db_for_write(field.model)))


# With this, Django does not evaluate the rows itself, in the database of the user.
set_null_across_databases.lazy_sub_objs = True  # type: ignore[attr-defined]


class UserOfAnotherDatabase(ForwardManyToOneDescriptor):  # type: ignore[type-arg]
    """Reads the user from the database that has the project's users; None if the user does not exist any more."""

    def get_queryset(self, **options: Any) -> Any:
        """Return the users in the database that the routers name without a hint.

        With the row as a hint, Django would use the row's database by default.
        """
        queryset = super().get_queryset(**options)
        return queryset.using(router.db_for_read(queryset.model))

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        """Return the user; None if it does not exist, which no constraint of the database prevents."""
        try:
            return super().__get__(instance, cls)
        except self.field.related_model.DoesNotExist:
            return None


if TYPE_CHECKING:
    # Django's stubs only know the types of the attribute for Django's own class.
    UserKey = models.ForeignKey
else:

    class UserKey(models.ForeignKey):
        """A ``ForeignKey`` to a user that may be in another database than the row.

        Pass ``db_constraint=False`` and ``on_delete=set_null_across_databases``. Queries can't join the two tables.
        """

        forward_related_accessor_class = UserOfAnotherDatabase
