"""Start-up of the Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TaskTreeConfig(AppConfig):
    """Connects the layers that know each other only at run time, and finds the projects' tree definitions."""

    name = "django_tasktree"
    verbose_name = _("Task trees")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen to Celery, and import each installed app's ``trees`` module."""
        from django_tasktree import checks, copying, registry, result, sweeping, tree
        from django_tasktree.worker import bootstep, forking, keeper, open_transactions, receivers, task

        task.launch_callbacks = tree.launch_callbacks
        result.copy_run = copying.copy_run
        receivers.connect()
        open_transactions.connect()
        forking.connect()
        bootstep.connect()
        keeper.sweep_if_due = sweeping.sweep_if_due
        checks.connect()
        registry.autodiscover()
