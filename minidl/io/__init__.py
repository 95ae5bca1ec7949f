"""Saving and loading: safetensors files, written so that a killed process never leaves half of one."""

from minidl.io.atomic import write_atomically
from minidl.io.checkpoint import load, save

__all__ = ["load", "save", "write_atomically"]
