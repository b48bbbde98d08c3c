"""The demo that imports orders from CSV files, which runs without anybody watching."""
