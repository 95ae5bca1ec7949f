"""Working memory that outlives a call. Fresh pages cost more than the arithmetic done on them.

A few blocks are kept; `take` hands out a free one that is large enough, or makes a new one. Both `take` and `give`
run with the GIL held, so calls from several Python threads cannot meet in here.
"""

from libc.stdlib cimport free, malloc

from .sanitizer cimport allow, forbid

cdef enum:
    SLOTS = 4
    LINE = 64                   # a cache line; also the alignment of the blocks

cdef size_t KEEP = 256 << 20    # larger blocks go back to the system at once


cdef struct Slot:
    void* raw                   # as malloc gave it
    void* block                 # the first aligned byte in it
    size_t bytes
    bint taken

cdef Slot slots[SLOTS]


cdef void* aligned(void* raw) noexcept:
    """The first cache line after `raw` that leaves room for a pointer before it."""
    return <void*>((<size_t>raw + sizeof(void*) + LINE - 1) & ~<size_t>(LINE - 1))


cdef void* take(size_t bytes) except NULL:
    """An uninitialised block of at least so many bytes, aligned to a cache line."""
    cdef int i, unused = -1
    for i in range(SLOTS):
        if not slots[i].taken:
            if slots[i].bytes >= bytes and slots[i].raw != NULL:
                slots[i].taken = True
                allow(slots[i].block, bytes)
                return slots[i].block
            unused = i
    cdef void* raw = malloc(bytes + 2 * LINE)
    if raw == NULL:
        raise MemoryError(f"no {bytes} bytes of working memory for a kernel")
    if unused < 0 or bytes > KEEP:
        (<void**>aligned(raw) - 1)[0] = raw
        forbid(<char*>aligned(raw) + bytes, LINE)
        return aligned(raw)
    free(slots[unused].raw)
    slots[unused] = Slot(raw=raw, block=aligned(raw), bytes=bytes, taken=True)
    forbid(<char*>slots[unused].block + bytes, LINE)
    return slots[unused].block


cdef void give(void* block) noexcept:
    """Return what `take` handed out."""
    cdef int i
    for i in range(SLOTS):
        if slots[i].taken and slots[i].block == block:
            slots[i].taken = False
            forbid(block, slots[i].bytes)
            return
    free((<void**>block - 1)[0])


def held():
    """Bytes kept for the next call."""
    cdef int i
    cdef size_t total = 0
    for i in range(SLOTS):
        total += slots[i].bytes
    return total


def empty():
    """Give the blocks that no kernel is using back to the system."""
    cdef int i
    for i in range(SLOTS):
        if not slots[i].taken:
            free(slots[i].raw)
            slots[i] = Slot(raw=NULL, block=NULL, bytes=0, taken=False)
