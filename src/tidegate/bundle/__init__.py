"""Bundles: a trained model on disk, verified to the byte."""

from tidegate.bundle.bundle import FORMAT, Bundle, load, save

__all__ = ["FORMAT", "Bundle", "load", "save"]
