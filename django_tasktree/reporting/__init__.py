"""Read-only views of the data: progress, statistics, workers; and texts of numbers, durations, calls and errors."""
