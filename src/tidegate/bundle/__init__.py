"""Bundles: a trained model on disk, verified to the byte."""

from tidegate.bundle.bundle import FORMAT, Bundle, check_target, load, save

__all__ = ["FORMAT", "Bundle", "check_target", "load", "save"]
