"""A pool that hands the memory of large arrays out again.

Fresh memory from the operating system is slow: each page of 4 KiB is cleared and mapped when it is first touched,
which costs more than many a kernel's arithmetic. A training step asks for the same sizes over and over, so blocks
that arrays give back are kept and handed out again. NumPy calls the functions below through its hook for allocators
(NEP 49); every array remembers who allocated it, so arrays from before, after and without the pool mix freely.

The system is asked for segments. A segment is one block at first; a large free block is cut when less is asked for,
and what was cut is joined again when its neighbours are free, so the 30 MB of one layer serve several smaller arrays of
the next. It is not cut for an eighth or less: a small array that lives on would split it for long (measured: the peak
of a training step fell from 158 to 119 MB). Free blocks are found by size, in bins of which there are eight an octave;
in a bin the block returned last comes first, for it is still in the processor's cache. Requests below SMALLEST go
straight to malloc. Every block starts at a multiple of 64 bytes, with a header of 64 bytes before it:

    raw ... | header, data (64-byte aligned) | header, data | ... end of the segment
              `---------- block -----------' `-- right --'

The system hands out large memory at the start of a page, and a processor finds the lines of its cache by the place in
the page: a kernel that walks down four such arrays at once would have them fight for the same few lines (measured: an
Adam step took 236 in place of 96 microseconds). So each block starts at another place, its colour.

NumPy keeps its allocator in a context variable: a new thread starts with the default one unless it is told, and
gives back what it got from other threads to the pool.
"""

import os
from contextvars import Context

from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_New
from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_release_lock, PyThread_type_lock, WAIT_LOCK,
)
from libc.stdint cimport uint8_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strcpy

cimport numpy as cnp

from . cimport arrays
from .sanitizer cimport allow, forbid

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyDataMemAllocator:
        void* ctx
        void* (*malloc)(void* ctx, size_t size) noexcept nogil
        void* (*calloc)(void* ctx, size_t count, size_t size) noexcept nogil
        void* (*realloc)(void* ctx, void* data, size_t size) noexcept nogil
        void (*free)(void* ctx, void* data, size_t size) noexcept nogil

    ctypedef struct PyDataMem_Handler:
        char name[127]
        uint8_t version
        PyDataMemAllocator allocator

    object PyDataMem_SetHandler(PyObject* handler)           # NULL: the default one
    object PyDataMem_GetHandler()

cdef extern from *:
    """
    #ifdef __linux__
    #include <stdint.h>
    #include <sys/mman.h>
    static void ask_for_huge_pages(void* data, size_t size) {
        uintptr_t start = ((uintptr_t)data + 4095) & ~(uintptr_t)4095, end = (uintptr_t)data + size;
        if (end > start) (void)madvise((void*)start, end - start, MADV_HUGEPAGE);
    }
    #else
    static void ask_for_huge_pages(void* data, size_t size) { (void)data; (void)size; }
    #endif
    """
    void ask_for_huge_pages(void* data, size_t size) noexcept nogil

cdef enum:
    HEADER = 64
    MARGIN = 16                          # bytes after the data that belong to every block: a trap for who writes too far
    SMALLEST_BITS = 14                   # blocks of 16 KiB and more are pooled
    BINS = 8 * 40                        # eight an octave
    WASTE = 2                            # how many bins too large a small free block may be
    CUT = 1 << 18                        # from 256 KiB on blocks are cut, and what is left over is as large, too
    SPLIT = 24                           # how many bins too large a block may be that is cut: eight times
    COLOURS = 16                         # places in a page of 4 KiB where a segment may start
    HUGE_BITS = 22                       # from 4 MiB on the system may map pages of 2 MiB (NumPy asks for them, too)


cdef struct Block:
    size_t capacity                      # bytes of data
    int bin                              # -1: not pooled
    unsigned int freed                   # the era in which it was given back, 0 while it is in use
    Block* next                          # in its bin, while it is free
    Block* previous
    Block* left                          # neighbours in the segment
    Block* right
    void* raw                            # what malloc returned, in the first block of a segment


cdef struct Pool:
    Block* bins[BINS]
    size_t last_use[BINS]                # a running number: which sizes have not been asked for lately
    size_t clock
    unsigned int era                     # the process and its forks: a child does not touch what its parent kept
    size_t live, cached, peak, hits, misses, limit

cdef Pool pool
pool.era = 1
cdef size_t colour = 0
cdef PyThread_type_lock lock = NULL
cdef PyDataMem_Handler handler
cdef object capsule = None


# ---------------------------------------------------------------- blocks

cdef inline Block* header_of(void* data) noexcept nogil:
    return <Block*>(<char*>data - HEADER)


cdef inline void* data_of(Block* block) noexcept nogil:
    return <char*>block + HEADER


cdef int bin_of(size_t capacity) noexcept nogil:
    """The bin of a free block, or -1 if it is too small to pool."""
    cdef int bits = SMALLEST_BITS
    if capacity < (<size_t>1 << SMALLEST_BITS):
        return -1
    while (capacity >> bits) > 1:
        bits += 1
    return (bits - SMALLEST_BITS) * 8 + <int>((capacity >> (bits - 3)) & 7)


cdef Block* fresh(size_t capacity, bint cleared) noexcept nogil:
    """A block that is a segment of its own, from the system."""
    global colour
    cdef size_t shift = 0, whole
    cdef void* raw
    cdef Block* block
    if capacity >= (<size_t>COLOURS << 12):                  # at most a sixteenth is wasted
        colour += 5                                          # (threads may meet here; any colour is as good)
        shift = (colour % COLOURS) * (4096 // COLOURS)
    whole = capacity + 2 * HEADER + shift
    raw = calloc(1, whole) if cleared else malloc(whole)
    if raw == NULL:
        return NULL
    block = <Block*>(((<uintptr_t>raw + HEADER - 1) & ~<uintptr_t>(HEADER - 1)) + shift)
    block.capacity = capacity
    block.bin = bin_of(capacity)
    block.freed = 0
    block.left = block.right = NULL
    block.raw = raw
    if capacity >> HUGE_BITS:
        ask_for_huge_pages(data_of(block), capacity)
    return block


# Below, whoever calls holds the lock.

cdef void put(Block* block) noexcept nogil:
    """Into its bin."""
    block.bin = bin_of(block.capacity)
    block.freed = pool.era
    block.previous = NULL
    block.next = pool.bins[block.bin]
    if block.next != NULL:
        block.next.previous = block
    pool.bins[block.bin] = block
    pool.cached += block.capacity


cdef void take_out(Block* block) noexcept nogil:
    """Out of its bin."""
    if block.previous != NULL:
        block.previous.next = block.next
    else:
        pool.bins[block.bin] = block.next
    if block.next != NULL:
        block.next.previous = block.previous
    block.freed = 0
    pool.cached -= block.capacity


cdef Block* find(size_t capacity) noexcept nogil:
    """The free block that fits best, NULL if there is none that is not too large."""
    cdef int first = bin_of(capacity), bin
    cdef int last = first + (SPLIT if capacity >= CUT else WASTE) + 1
    cdef Block* block
    for bin in range(first, last if last < BINS else BINS):
        block = pool.bins[bin]
        while block != NULL:                                 # the first bin holds smaller ones, too
            if block.capacity >= capacity:
                return block
            block = block.next
    return NULL


cdef void cut(Block* block, size_t capacity) noexcept nogil:
    """Give back what a block holds beyond `capacity`, if both parts are large."""
    cdef Block* rest
    if capacity < CUT or block.capacity < capacity + HEADER + CUT:
        return
    rest = <Block*>(<char*>data_of(block) + capacity)
    allow(rest, HEADER)
    rest.capacity = block.capacity - capacity - HEADER
    rest.raw = NULL
    rest.left = block
    rest.right = block.right
    if rest.right != NULL:
        rest.right.left = rest
    block.right = rest
    block.capacity = capacity
    put(rest)


cdef void swallow(Block* block) noexcept nogil:
    """Make a block and its right neighbour one."""
    cdef Block* gone = block.right
    block.capacity += HEADER + gone.capacity
    block.right = gone.right
    if block.right != NULL:
        block.right.left = block


cdef Block* join(Block* block) noexcept nogil:
    """Make one of a block and its free neighbours."""
    if block.right != NULL and block.right.freed == pool.era:
        take_out(block.right)
        swallow(block)
    if block.left != NULL and block.left.freed == pool.era:
        block = block.left
        take_out(block)
        swallow(block)
    return block


cdef Block* unlink_until(size_t bytes_) noexcept nogil:
    """Take out whole free segments until at most `bytes_` are cached, the sizes not used for longest first."""
    cdef Block* gone = NULL
    cdef Block* block
    cdef Block* oldest
    cdef int bin
    while pool.cached > bytes_:
        oldest = NULL
        for bin in range(BINS):
            block = pool.bins[bin]
            while block != NULL and (block.left != NULL or block.right != NULL):
                block = block.next
            if block != NULL and (oldest == NULL or pool.last_use[bin] < pool.last_use[oldest.bin]):
                oldest = block
        if oldest == NULL:
            break
        take_out(oldest)
        oldest.next = gone
        gone = oldest
    return gone


cdef Block* take_all() noexcept nogil:
    cdef Block* gone
    PyThread_acquire_lock(lock, WAIT_LOCK)
    gone = unlink_until(0)
    PyThread_release_lock(lock)
    return gone


cdef void release(Block* block) noexcept nogil:
    """Give a chain of segments back to the system (not locked: this may take its time)."""
    cdef Block* following
    while block != NULL:
        following = block.next
        free(block.raw)
        block = following


# ---------------------------------------------------------------- what NumPy calls

cdef void* hand_out(Block* block, size_t size) noexcept nogil:
    """The data of a block, of which `size` bytes were asked for."""
    allow(data_of(block), size)
    forbid(<char*>data_of(block) + size, block.capacity - size)
    return data_of(block)


cdef void* obtain(size_t size, bint cleared) noexcept nogil:
    cdef size_t capacity
    cdef Block* block = NULL
    if size > (<size_t>1 << 47):                             # more than any machine has; keeps the sums below honest
        return NULL
    capacity = (size + MARGIN + HEADER - 1) & ~<size_t>(HEADER - 1)
    if bin_of(capacity) < 0:
        block = fresh(capacity, cleared)
        return NULL if block == NULL else hand_out(block, size)
    PyThread_acquire_lock(lock, WAIT_LOCK)
    pool.clock += 1
    pool.last_use[bin_of(capacity)] = pool.clock
    block = find(capacity)
    if block != NULL:
        take_out(block)
        cut(block, capacity)
        capacity = block.capacity
        pool.hits += 1
    else:
        pool.misses += 1
    pool.live += capacity
    pool.peak = pool.live if pool.live > pool.peak else pool.peak
    PyThread_release_lock(lock)
    if block != NULL:
        hand_out(block, size)
        if cleared:
            memset(data_of(block), 0, size)
        return data_of(block)
    block = fresh(capacity, cleared)
    if block == NULL:                                        # out of memory: what the pool holds may be enough
        release(take_all())
        block = fresh(capacity, cleared)
    if block == NULL:
        PyThread_acquire_lock(lock, WAIT_LOCK)
        pool.live -= capacity
        PyThread_release_lock(lock)
        return NULL
    return hand_out(block, size)


cdef void* pool_malloc(void* ctx, size_t size) noexcept nogil:
    return obtain(size, False)


cdef void* pool_calloc(void* ctx, size_t count, size_t size) noexcept nogil:
    if size != 0 and count > (<size_t>1 << 47) // size:
        return NULL
    return obtain(count * size, True)


cdef void pool_free(void* ctx, void* data, size_t size) noexcept nogil:
    # `size` is what NumPy believes; the header knows.
    cdef Block* block
    cdef Block* gone
    if data == NULL:
        return
    block = header_of(data)
    if block.bin < 0:
        free(block.raw)
        return
    forbid(data, block.capacity)
    PyThread_acquire_lock(lock, WAIT_LOCK)
    pool.live -= block.capacity
    pool.clock += 1
    pool.last_use[block.bin] = pool.clock
    block = join(block)
    forbid(data_of(block), block.capacity)
    put(block)
    gone = unlink_until(pool.limit)
    PyThread_release_lock(lock)
    release(gone)


cdef void* pool_realloc(void* ctx, void* data, size_t size) noexcept nogil:
    cdef Block* block
    cdef void* moved
    if data == NULL:
        return obtain(size, False)
    block = header_of(data)
    if size + MARGIN <= block.capacity:
        return hand_out(block, size)
    moved = obtain(size, False)
    if moved != NULL:
        allow(data, block.capacity)
        memcpy(moved, data, block.capacity if block.capacity < size else size)
        pool_free(ctx, data, 0)
    return moved


# ---------------------------------------------------------------- what Python calls

def _start_over_in_child():
    """After a fork: another thread of the parent may have held the lock, or been halfway through a stack."""
    global lock
    lock = PyThread_allocate_lock()
    memset(pool.bins, 0, sizeof(pool.bins))
    pool.cached = 0
    pool.era += 1


cdef create():
    """Make the handle that NumPy knows the pool by, once."""
    global capsule, lock
    if capsule is not None:
        return
    lock = PyThread_allocate_lock()
    if lock == NULL:
        raise MemoryError("memory: no lock")
    strcpy(handler.name, b"minidl_pool")
    handler.version = 1
    handler.allocator.ctx = NULL
    handler.allocator.malloc = pool_malloc
    handler.allocator.calloc = pool_calloc
    handler.allocator.realloc = pool_realloc
    handler.allocator.free = pool_free
    # Neither the structure nor the lock is ever given up: arrays may outlive everything, this module included.
    capsule = PyCapsule_New(&handler, "mem_handler", NULL)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_start_over_in_child)


def set_limit(limit):
    """Keep at most `limit` bytes of free blocks."""
    if limit < 0:
        raise ValueError(f"memory: expected a limit of at least 0 bytes; got {limit}")
    create()
    PyThread_acquire_lock(lock, WAIT_LOCK)
    pool.limit = min(limit, 2 ** 62)
    gone = unlink_until(pool.limit)
    PyThread_release_lock(lock)
    release(gone)


def serve_kernels(limit=2 ** 30):
    """Let the kernels take the memory of their results from the pool, in all threads."""
    context = Context()
    context.run(install, limit)
    arrays.pool = context


def install(limit=2 ** 30):
    """Let NumPy, too, allocate from the pool in this thread; keep at most `limit` bytes of free blocks."""
    set_limit(limit)
    PyDataMem_SetHandler(<PyObject*>capsule)


def uninstall():
    """Let NumPy allocate as before in this thread. Arrays from the pool live on, and still return to it."""
    if installed():
        PyDataMem_SetHandler(NULL)


def installed():
    """Whether NumPy allocates from the pool in this thread."""
    return capsule is not None and PyDataMem_GetHandler() is capsule


def empty_cache():
    """Give all segments that are free as a whole back to the operating system; returns how many bytes that were."""
    if capsule is None:
        return 0
    cdef size_t before = pool.cached
    release(take_all())
    return before - pool.cached


def stats():
    """Bytes in arrays (`live`, its highest value `peak`) and in free blocks (`cached`, at most `limit`); how many
    requests found a free block (`hits`) and how many did not (`misses`). Blocks below 16 KiB are not counted."""
    return {"live": pool.live, "cached": pool.cached, "peak": pool.peak, "hits": pool.hits, "misses": pool.misses,
            "limit": pool.limit}


def reset_peak():
    """Measure the peak from here on."""
    pool.peak = pool.live
