"""Template tags: the progress of a run on pages of your own site, and parts of the admin pages."""
