"""Encoders by name, heads, and the frame preprocessing that goes into every exported graph."""

from usssl.models import encoders

__all__ = ["encoders"]
