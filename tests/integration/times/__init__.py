"""Times mean the same in each setting of Django's and Celery's time zones; each setting needs a process of its own."""
