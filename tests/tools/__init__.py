"""Tried with real tools: what people open, copy and upload job files with, on the spool of a running gate."""
