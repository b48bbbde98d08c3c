"""Conversions between Python values and their stored form: IDs, times, texts, JSON, errors, references."""
