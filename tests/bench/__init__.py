"""Benchmarks, each as a ratio to something plain in the same run."""
