"""Pages in addition to Django's own: launch, compose, actions, live updates and dashboard; and the pages of rows."""
