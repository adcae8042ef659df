"""Lesson 20: fractional orders."""
