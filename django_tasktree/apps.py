"""The configuration of the Django app."""

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _


class TaskTreeConfig(AppConfig):
    """Connect the app to Celery, and import the tree definitions of the project, when Django starts."""

    name = "django_tasktree"
    verbose_name = _("Task trees")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect signals and checks, and import the ``trees`` module of each installed app.

        Raises:
            ImproperlyConfigured: a subclass has another label.
        """
        if self.label != self.name:
            raise ImproperlyConfigured(
                f"{type(self).__qualname__}.label is {self.label!r}: the label of {self.name} can't be changed, "
                "because tables, permissions and URLs contain it"
            )
        from django_tasktree import checks
        from django_tasktree.definitions import registry
        from django_tasktree.dispatch import open_transactions
        from django_tasktree.recovery import bootstep
        from django_tasktree.worker import fork_safety, receivers

        receivers.connect()
        open_transactions.connect()
        fork_safety.connect()
        bootstep.connect()
        checks.connect()
        registry.autodiscover()
