"""Teaching: what the chapters in `tutorials/` use, and exercises that check themselves.

A chapter begins with ``chapter = teach.Chapter("08_convolution", "Convolution three ways")`` and ends with
``chapter.report(...)``. In between, ``teach.check("08.2", function)`` judges what the reader wrote.
"""

from minidl.teach.chapter import Chapter
from minidl.teach.check import check, hint
from minidl.teach.exercise import Exercise, Wrong

__all__ = ["Chapter", "Exercise", "Wrong", "check", "hint"]
