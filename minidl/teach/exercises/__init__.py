"""The exercises, one module a chapter (`chapter_08`), each with a list `exercises`; imported when asked for."""
