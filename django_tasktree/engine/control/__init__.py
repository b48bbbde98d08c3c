"""What a person or program asks of a run: pause, resume, retry, rerun, complete, add; and what that would do."""
