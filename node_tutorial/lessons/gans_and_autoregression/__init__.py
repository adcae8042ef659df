"""Lesson 18: GANs and autoregressive models."""
