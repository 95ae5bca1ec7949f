"""Saving and loading: safetensors files, written so that a killed process never leaves half of one."""

from minidl.io.atomic import write_atomically
from minidl.io.checkpoint import load, save
from minidl.io.npz import load_npz

__all__ = ["load", "load_npz", "save", "write_atomically"]
