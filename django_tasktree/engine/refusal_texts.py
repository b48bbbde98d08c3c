"""Why runs refuse what is asked of them, in sentences that both the actions and their previews need."""

from django.utils.translation import gettext_noop as _

NO_DRAFT = _("run %(run)s is %(state)s: only a draft can be launched")
NOT_GOING = _("run %(run)s is %(state)s: only a run that is going can be paused")
NOT_PAUSED = _("run %(run)s is %(state)s: only a paused run can be resumed")
HAS_ENDED = _("run %(run)s has ended already: its state is %(state)s")
