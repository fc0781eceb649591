"""Measurements. Each is a ratio or a rate that is printed, never a test that fails on a slow machine."""
