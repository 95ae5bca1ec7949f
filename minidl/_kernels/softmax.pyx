"""Softmax, its logarithm, and cross-entropy fused with both.

An axis of length L splits an array into (outer, L, inner). Along the last axis (inner = 1) the kernels take whole
rows; several short rows are joined so that `exp` always runs over a long stretch of memory. Along another axis they
take a tile of neighbouring columns and walk down it.

The largest element is subtracted first, so nothing overflows. A row of -inf alone (a fully masked row of attention)
has none to subtract: softmax gives zeros there, and its logarithm -inf.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport isinf, log

from minidl.errors import ShapeError

from .arrays cimport PyArray_CheckExact, PyArray_ISCARRAY_RO, empty, empty_like, first, indices, larger, like, real, smaller, vector
from .reduce cimport HALF, PRODUCT, fold_rows, largest, spread, total
from .reduction cimport sum_kept
from .threads cimport threads_for
from .vecmath cimport exp_below

cnp.import_array()

cdef enum:
    BLOCK = 2048                 # elements worked on at a time: they stay in the first-level cache
    SHORT = 64                   # rows that do not fill vector registers well
    ROWS = 2                     # rows whose sums are folded together; more would wait longer for memory
    TILE = 256                   # columns worked on at a time
    COST = 800                   # nanoseconds for a thousand elements


cdef inline real peak(const real* x, Py_ssize_t n) noexcept nogil:
    """What to subtract from a row: its largest element, or 0 if that is -inf."""
    cdef real m, v
    cdef Py_ssize_t j
    if n >= SHORT:
        m = largest(x, n)
    else:
        m = <real>-1e999
        for j in range(n):
            m = x[j] if x[j] > m else m
    return <real>0 if (m < 0 and isinf(m)) else m


cdef inline real short_total(const real* x, Py_ssize_t n) noexcept nogil:
    cdef real s = 0
    cdef Py_ssize_t j
    if n >= SHORT:
        return total(x, n)
    for j in range(n):
        s += x[j]
    return s


cdef inline real short_dot(const real* a, const real* b, Py_ssize_t n) noexcept nogil:
    cdef real s = 0
    cdef Py_ssize_t j
    for j in range(n):
        s += a[j] * b[j]
    return s


cdef inline double log_or_zero(double total_) noexcept nogil:
    return log(total_) if total_ != 0 else 0.0               # zero: a row of -inf alone


cdef inline void exp_all(const real* x, real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        y[j] = exp_below(x[j])


cdef inline double exp_total(const real* x, real shift, Py_ssize_t n) noexcept nogil:
    """sum exp_below(x[j] - shift) of a row of any length, through a small buffer."""
    cdef real e[BLOCK]
    cdef Py_ssize_t start = 0, j, m
    cdef double s = 0
    while start < n:
        m = smaller(BLOCK, n - start)
        for j in range(m):
            e[j] = exp_below(x[start + j] - shift)
        s += short_total(e, m)
        start += BLOCK
    return s


# ---------------------------------------------------------------- rows: `count` rows of `length` elements

cdef void softmax_rows(const real* x, real* y, Py_ssize_t count, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t r, j
    cdef real m, s
    for r in range(count):
        m = peak(x + r * length, length)
        if length < SHORT:
            for j in range(length):
                y[r * length + j] = x[r * length + j] - m
        else:
            for j in range(length):
                y[r * length + j] = exp_below(x[r * length + j] - m)
    if length < SHORT:                                       # short rows: one long loop over all of them
        exp_all(y, y, count * length)
    for r in range(count):
        s = short_total(y, length)
        s = <real>1 / s if s != 0 else <real>0               # the masked row: zeros
        for j in range(length):
            y[j] *= s
        y += length


cdef void log_softmax_rows(const real* x, real* y, Py_ssize_t count, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t r, j
    cdef real m, s
    for r in range(count):
        m = peak(x, length)
        s = <real>log_or_zero(exp_total(x, m, length))
        for j in range(length):
            y[j] = (x[j] - m) - s
        x += length
        y += length


cdef void softmax_grad_rows(const real* g, const real* y, real* dx, Py_ssize_t count, Py_ssize_t length) noexcept nogil:
    """dx = y (g - sum g y)"""
    cdef real lane[ROWS * HALF]
    cdef real s[ROWS]
    cdef Py_ssize_t rows, r, j
    while count > 0:
        rows = smaller(ROWS, count)
        if length < SHORT:
            for r in range(rows):
                s[r] = short_dot(g + r * length, y + r * length, length)
        else:
            for r in range(rows):
                spread(PRODUCT, g + r * length, y + r * length, <real>0, length, lane + r * HALF)
            fold_rows(lane, HALF, s, rows)
        for r in range(rows):
            for j in range(length):
                dx[j] = y[j] * (g[j] - s[r])
            g += length
            y += length
            dx += length
        count -= rows


cdef void log_softmax_grad_rows(const real* g, const real* y, real* dx, Py_ssize_t count,
                                Py_ssize_t length) noexcept nogil:
    """dx = g - exp(y) sum g"""
    cdef Py_ssize_t r, j
    cdef real s
    exp_all(y, dx, count * length)
    for r in range(count):
        s = short_total(g, length)
        for j in range(length):
            dx[j] = g[j] - dx[j] * s
        g += length
        dx += length


# ---------------------------------------------------------------- columns: `width` neighbours, rows `stride` apart

cdef void softmax_columns(const real* x, real* y, Py_ssize_t length, Py_ssize_t stride,
                          Py_ssize_t width) noexcept nogil:
    cdef real m[TILE]
    cdef real s[TILE]
    cdef Py_ssize_t i, j
    column_peaks(x, m, length, stride, width)
    for j in range(width):
        s[j] = 0
    for i in range(length):
        for j in range(width):
            y[i * stride + j] = exp_below(x[i * stride + j] - m[j])
            s[j] += y[i * stride + j]
    for j in range(width):
        s[j] = <real>1 / s[j] if s[j] != 0 else <real>0
    for i in range(length):
        for j in range(width):
            y[i * stride + j] *= s[j]


cdef void log_softmax_columns(const real* x, real* y, Py_ssize_t length, Py_ssize_t stride,
                              Py_ssize_t width) noexcept nogil:
    cdef real m[TILE]
    cdef real s[TILE]
    cdef Py_ssize_t i, j
    column_peaks(x, m, length, stride, width)
    for j in range(width):
        s[j] = 0
    for i in range(length):
        for j in range(width):
            s[j] += exp_below(x[i * stride + j] - m[j])
    for j in range(width):
        s[j] = <real>log_or_zero(s[j])
    for i in range(length):
        for j in range(width):
            y[i * stride + j] = (x[i * stride + j] - m[j]) - s[j]


cdef inline void column_peaks(const real* x, real* m, Py_ssize_t length, Py_ssize_t stride,
                              Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t i, j
    for j in range(width):
        m[j] = <real>-1e999
    for i in range(length):
        for j in range(width):
            m[j] = x[i * stride + j] if x[i * stride + j] > m[j] else m[j]
    for j in range(width):
        m[j] = <real>0 if m[j] == <real>-1e999 else m[j]


cdef void softmax_grad_columns(const real* g, const real* y, real* dx,
                               Py_ssize_t length, Py_ssize_t stride, Py_ssize_t width) noexcept nogil:
    cdef real s[TILE]
    cdef Py_ssize_t i, j
    for j in range(width):
        s[j] = 0
    for i in range(length):
        for j in range(width):
            s[j] += g[i * stride + j] * y[i * stride + j]
    for i in range(length):
        for j in range(width):
            dx[i * stride + j] = y[i * stride + j] * (g[i * stride + j] - s[j])


cdef void log_softmax_grad_columns(const real* g, const real* y, real* dx,
                                   Py_ssize_t length, Py_ssize_t stride, Py_ssize_t width) noexcept nogil:
    cdef real s[TILE]
    cdef Py_ssize_t i, j
    for j in range(width):
        s[j] = 0
    for i in range(length):
        for j in range(width):
            s[j] += g[i * stride + j]
    for i in range(length):
        for j in range(width):
            dx[i * stride + j] = g[i * stride + j] - exp_below(y[i * stride + j]) * s[j]


# ---------------------------------------------------------------- sharing out the work

cdef enum Kind:
    SOFTMAX
    LOG_SOFTMAX


cdef struct Split:
    Py_ssize_t outer, length, inner
    Py_ssize_t per_task          # rows of a task (inner = 1)
    Py_ssize_t tiles             # tiles of columns for each outer index (inner > 1)
    Py_ssize_t tasks
    int threads


cdef int split(cnp.ndarray x, Py_ssize_t axis, Split* s, str where) except -1:
    cdef int ndim = cnp.PyArray_NDIM(x), d
    if axis < 0:
        axis += ndim
    if axis < 0 or axis >= ndim:
        raise ShapeError(where, expected=f"an axis of {(<object>x).shape}", actual=str(axis), hint="count axes from 0")
    s.outer = s.inner = 1
    s.length = cnp.PyArray_DIM(x, <int>axis)
    for d in range(ndim):
        if d < axis:
            s.outer *= cnp.PyArray_DIM(x, d)
        elif d > axis:
            s.inner *= cnp.PyArray_DIM(x, d)
    s.per_task = larger(1, BLOCK // larger(1, s.length))
    s.tiles = (s.inner + TILE - 1) // TILE
    if cnp.PyArray_SIZE(x) == 0:
        s.tasks = 0
    elif s.inner == 1:
        s.tasks = (s.outer + s.per_task - 1) // s.per_task
    else:
        s.tasks = s.outer * s.tiles
    s.threads = threads_for(cnp.PyArray_SIZE(x) * COST // 1000)
    return 0


cdef void forward_task(const real* x, real* y, Split s, Py_ssize_t task, Kind kind) noexcept nogil:
    cdef Py_ssize_t at, size
    if s.inner == 1:
        at = task * s.per_task
        size = smaller(s.per_task, s.outer - at)
        at *= s.length
        if kind == SOFTMAX:
            softmax_rows(x + at, y + at, size, s.length)
        else:
            log_softmax_rows(x + at, y + at, size, s.length)
    else:
        at = (task % s.tiles) * TILE
        size = smaller(TILE, s.inner - at)
        at += (task // s.tiles) * s.length * s.inner
        if kind == SOFTMAX:
            softmax_columns(x + at, y + at, s.length, s.inner, size)
        else:
            log_softmax_columns(x + at, y + at, s.length, s.inner, size)


cdef void grad_task(const real* g, const real* y, real* dx, Split s, Py_ssize_t task, Kind kind) noexcept nogil:
    cdef Py_ssize_t at, size
    if s.inner == 1:
        at = task * s.per_task
        size = smaller(s.per_task, s.outer - at)
        at *= s.length
        if kind == SOFTMAX:
            softmax_grad_rows(g + at, y + at, dx + at, size, s.length)
        else:
            log_softmax_grad_rows(g + at, y + at, dx + at, size, s.length)
    else:
        at = (task % s.tiles) * TILE
        size = smaller(TILE, s.inner - at)
        at += (task // s.tiles) * s.length * s.inner
        if kind == SOFTMAX:
            softmax_grad_columns(g + at, y + at, dx + at, s.length, s.inner, size)
        else:
            log_softmax_grad_columns(g + at, y + at, dx + at, s.length, s.inner, size)


cdef cnp.ndarray forward(object source, Py_ssize_t axis, Kind kind, str where):
    cdef cnp.ndarray x = first(source, -1, where), y = empty_like(x)
    cdef void* xp = cnp.PyArray_DATA(x)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef Py_ssize_t task
    cdef Split s
    split(x, axis, &s, where)
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
        for task in prange(s.tasks, nogil=True, num_threads=s.threads, schedule="static"):
            forward_task(<float*>xp, <float*>yp, s, task, kind)
    else:
        for task in prange(s.tasks, nogil=True, num_threads=s.threads, schedule="static"):
            forward_task(<double*>xp, <double*>yp, s, task, kind)
    return y


cdef cnp.ndarray backward(object grad, object output, Py_ssize_t axis, Kind kind, str where):
    cdef cnp.ndarray g = first(grad, -1, where), y = like(output, g, where), dx = empty_like(g)
    cdef void* gp = cnp.PyArray_DATA(g)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef void* dxp = cnp.PyArray_DATA(dx)
    cdef Py_ssize_t task
    cdef Split s
    split(g, axis, &s, where)
    if cnp.PyArray_TYPE(g) == cnp.NPY_FLOAT:
        for task in prange(s.tasks, nogil=True, num_threads=s.threads, schedule="static"):
            grad_task(<float*>gp, <float*>yp, <float*>dxp, s, task, kind)
    else:
        for task in prange(s.tasks, nogil=True, num_threads=s.threads, schedule="static"):
            grad_task(<double*>gp, <double*>yp, <double*>dxp, s, task, kind)
    return dx


def softmax(x, axis):
    return forward(x, axis, SOFTMAX, "softmax")


def softmax_grad(grad, y, axis):
    return backward(grad, y, axis, SOFTMAX, "softmax_grad")


def log_softmax(x, axis):
    return forward(x, axis, LOG_SOFTMAX, "log_softmax")


def log_softmax_grad(grad, y, axis):
    return backward(grad, y, axis, LOG_SOFTMAX, "log_softmax_grad")


# ---------------------------------------------------------------- cross-entropy

cdef void losses_of(const real* x, const cnp.int64_t* label, real* loss, Py_ssize_t count, Py_ssize_t classes,
                    cnp.int64_t ignored) noexcept nogil:
    """loss = log(sum exp(x - m)) - (x[label] - m)"""
    cdef Py_ssize_t r
    cdef real m
    for r in range(count):
        if label[r] == ignored:
            loss[r] = 0
        else:
            m = peak(x, classes)
            loss[r] = <real>log_or_zero(exp_total(x, m, classes)) - (x[label[r]] - m)
        x += classes


cdef void losses_grad(const real* g, real share, const real* x, const cnp.int64_t* label, real* dx, Py_ssize_t count,
                      Py_ssize_t classes, cnp.int64_t ignored) noexcept nogil:
    """dx = g (softmax(x) - onehot(label)), where g is the same for all rows (NULL): share"""
    cdef Py_ssize_t r, j
    cdef real scale
    softmax_rows(x, dx, count, classes)
    for r in range(count):
        scale = <real>0 if label[r] == ignored else share if g == NULL else g[r]
        if scale == 0:
            for j in range(classes):
                dx[j] = 0
        else:
            for j in range(classes):
                dx[j] *= scale
            dx[label[r]] -= scale
        dx += classes


cdef int check_labels(cnp.ndarray label, Py_ssize_t count, Py_ssize_t classes, cnp.int64_t ignored,
                      str where) except -1:
    """Every label that is not ignored names a class: after this the kernels may use it as an index."""
    if cnp.PyArray_NDIM(label) != 1 or cnp.PyArray_DIM(label, 0) != count:
        raise ShapeError(where, expected=f"labels of shape ({count},)", actual=str((<object>label).shape),
                         hint="one class index for each row of logits")
    cdef const cnp.int64_t* labels = <const cnp.int64_t*>cnp.PyArray_DATA(label)
    cdef Py_ssize_t i, wrong = -1
    for i in range(count):
        if (labels[i] < 0 or labels[i] >= classes) and labels[i] != ignored:
            wrong = i
    if wrong >= 0:
        raise IndexError(f"{where}: label {labels[wrong]} at position {wrong} is not one of the {classes} classes")
    return 0


def count_labels(labels, Py_ssize_t classes, cnp.int64_t ignored):
    """How many labels are not `ignored`; -1 if one of them is not from 0 to classes - 1; None if labels are not int64."""
    if not PyArray_CheckExact(labels) or cnp.PyArray_TYPE(<cnp.ndarray>labels) != cnp.NPY_INT64 \
            or not PyArray_ISCARRAY_RO(<cnp.ndarray>labels):
        return None
    cdef const cnp.int64_t* label = <const cnp.int64_t*>cnp.PyArray_DATA(<cnp.ndarray>labels)
    cdef Py_ssize_t size = cnp.PyArray_SIZE(<cnp.ndarray>labels), i, count = 0, wrong = 0
    with nogil:
        for i in range(size):
            count += label[i] != ignored
            wrong += label[i] != ignored and (label[i] < 0 or label[i] >= classes)
    return -1 if wrong else count


def cross_entropy(logits, labels, ignore_index, share):
    """The loss of each row, or with a share the sum of them times this number."""
    cdef cnp.ndarray x = first(logits, 2, "cross_entropy"), label = indices(labels, "cross_entropy")
    cdef Py_ssize_t count = cnp.PyArray_DIM(x, 0), classes = cnp.PyArray_DIM(x, 1), start
    cdef cnp.int64_t ignored = ignore_index
    check_labels(label, count, classes, ignored, "cross_entropy")
    cdef cnp.ndarray loss = empty(1, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))
    cdef void* xp = cnp.PyArray_DATA(x)
    cdef void* lossp = cnp.PyArray_DATA(loss)
    cdef cnp.int64_t* labelp = <cnp.int64_t*>cnp.PyArray_DATA(label)
    cdef Py_ssize_t rows = larger(1, BLOCK // larger(1, classes))
    cdef int threads = threads_for(count * classes * COST // 1000)
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
        for start in prange(0, count, rows, nogil=True, num_threads=threads, schedule="static"):
            losses_of(<float*>xp + start * classes, labelp + start, <float*>lossp + start,
                      smaller(rows, count - start), classes, ignored)
    else:
        for start in prange(0, count, rows, nogil=True, num_threads=threads, schedule="static"):
            losses_of(<double*>xp + start * classes, labelp + start, <double*>lossp + start,
                      smaller(rows, count - start), classes, ignored)
    if share is None:
        return loss
    cdef cnp.ndarray scaled = sum_kept(loss, 0, 0)
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
        (<float*>cnp.PyArray_DATA(scaled))[0] *= <float>share
    else:
        (<double*>cnp.PyArray_DATA(scaled))[0] *= <double>share
    return scaled


def cross_entropy_grad(grad, logits, labels, ignore_index, share):
    """The gradient in the logits for a gradient of each loss, or with a share for the one of their sum, a number."""
    if share is not None and cnp.PyArray_Check(grad) and cnp.PyArray_NDIM(<cnp.ndarray>grad):
        raise ShapeError("cross_entropy_grad", expected="one number with a share", actual=f"shape {grad.shape}",
                         hint="share=None takes a gradient for each row")
    cdef cnp.ndarray x = first(logits, 2, "cross_entropy_grad"), label = indices(labels, "cross_entropy_grad")
    cdef Py_ssize_t count = cnp.PyArray_DIM(x, 0), classes = cnp.PyArray_DIM(x, 1), start
    cdef cnp.ndarray g = None if share is not None else vector(grad, x, count, "cross_entropy_grad"), dx = empty_like(x)
    cdef cnp.int64_t ignored = ignore_index
    check_labels(label, count, classes, ignored, "cross_entropy_grad")
    cdef double one = 0 if share is None else <double>grad * <double>share     # NumPy's product takes a microsecond
    cdef void* gp = NULL if g is None else cnp.PyArray_DATA(g)
    cdef void* xp = cnp.PyArray_DATA(x)
    cdef void* dxp = cnp.PyArray_DATA(dx)
    cdef cnp.int64_t* labelp = <cnp.int64_t*>cnp.PyArray_DATA(label)
    cdef Py_ssize_t rows = larger(1, BLOCK // larger(1, classes))
    cdef int threads = threads_for(count * classes * COST // 1000)
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT:
        for start in prange(0, count, rows, nogil=True, num_threads=threads, schedule="static"):
            losses_grad(<float*>gp + start if gp != NULL else <float*>NULL, <float>one, <float*>xp + start * classes,
                        labelp + start, <float*>dxp + start * classes, smaller(rows, count - start), classes, ignored)
    else:
        for start in prange(0, count, rows, nogil=True, num_threads=threads, schedule="static"):
            losses_grad(<double*>gp + start if gp != NULL else <double*>NULL, one, <double*>xp + start * classes, labelp + start,
                        <double*>dxp + start * classes, smaller(rows, count - start), classes, ignored)
    return dx
