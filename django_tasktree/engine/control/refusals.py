"""Messages of refused actions that both the actions and their previews use."""

from django.utils.translation import gettext_noop as _

NO_DRAFT = _("run %(run)s is %(state)s: only a draft can be launched")
NOT_GOING = _("run %(run)s is %(state)s: only a started run can be paused")
NOT_PAUSED = _("run %(run)s is %(state)s: only a paused run can be resumed")
HAS_ENDED = _("run %(run)s has ended already: its state is %(state)s")
ABORTED = _(
    "the action on run %(run)s was aborted: the run was ended or deleted meanwhile, or the process took too long"
)
