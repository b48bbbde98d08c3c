"""Conversions between Python values and their stored form: keys, times, texts, JSON, errors, references."""
