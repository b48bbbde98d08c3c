"""The names of this package's own tasks, for nodes without a function of the project."""

#: The task of map nodes.
MAP = "django_tasktree.map"
#: The task of nodes that do nothing: those above the nodes of an added tree, and above the members of a group.
FORK = "django_tasktree.fork"
#: The task of nodes that start a run, and wait for it.
START_RUN = "django_tasktree.start_run"
