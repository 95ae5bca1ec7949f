"""The steps of the optimizers: one call for a whole list of arrays, one pass over the memory of each.

A network has many small tensors, so a step first turns the lists into a table of pieces, raw pointers to at most
PIECE elements, and then runs over the table without Python; threads share out pieces. What is not a plain native
contiguous array is left alone: every function returns the positions it skipped, for the reference to handle.

The order of the arithmetic is PyTorch's, but for Adam's correction, a factor here in place of a division. `sign` is -1 to maximize, else 1.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport fabs, sqrt, sqrtf
from libc.stdlib cimport free, malloc, realloc

from minidl.errors import ShapeError

from .arrays cimport PyArray_CheckExact, PyArray_ISCARRAY_RO, is_real, larger, ready, real, smaller
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    PIECE = 8192                 # elements of one piece
    ARRAYS = 5                   # at most so many arrays belong to one parameter
    LANES = 16                   # running sums side by side


# ---------------------------------------------------------------- the table

cdef struct Piece:
    void* data[ARRAYS]           # parameter, gradient, states; NULL where a list is None
    Py_ssize_t n
    bint single                  # float32


cdef struct Table:
    Piece* pieces
    Py_ssize_t count, room, elements


cdef int add(Table* table, Piece* whole, Py_ssize_t width) except -1:
    """Cut one parameter (`width` bytes an element) into pieces."""
    cdef Py_ssize_t at = 0
    cdef Piece* grown
    cdef Piece* piece
    cdef int k
    while at < whole.n:
        if table.count == table.room:
            grown = <Piece*>realloc(table.pieces, larger(64, 2 * table.room) * sizeof(Piece))
            if grown == NULL:
                raise MemoryError("update")
            table.pieces = grown
            table.room = larger(64, 2 * table.room)
        piece = &table.pieces[table.count]
        for k in range(ARRAYS):
            piece.data[k] = NULL if whole.data[k] == NULL else <char*>whole.data[k] + at * width
        piece.n = smaller(PIECE, whole.n - at)
        piece.single = whole.single
        table.count += 1
        at += PIECE
    table.elements += whole.n
    return 0


cdef inline bint is_plain(object x, cnp.ndarray model, bint written):
    """Whether a raw pointer will do: type and shape of `model`, C-contiguous, aligned, native (and writable)."""
    return (PyArray_CheckExact(x) and cnp.PyArray_TYPE(<cnp.ndarray>x) == cnp.PyArray_TYPE(model)
            and cnp.PyArray_SAMESHAPE(<cnp.ndarray>x, model) and PyArray_ISCARRAY_RO(<cnp.ndarray>x)
            and (not written or cnp.PyArray_ISWRITEABLE(<cnp.ndarray>x)))


cdef list tabulate(Table* table, tuple lists, int written):
    """Fill the table from lists of arrays (or None). Bit k of `written`: list k is changed in place.
    Returns the positions that were skipped."""
    cdef list skipped = []
    cdef Py_ssize_t count = len(lists[0]), i
    cdef int k
    cdef cnp.ndarray model
    cdef object x
    cdef Piece whole
    cdef bint plain
    for one in lists:
        if one is not None and len(one) != count:
            raise ShapeError("update", expected=f"{count} arrays in every list", actual=str(len(one)))
    for i in range(count):
        x = lists[0][i]
        plain = is_real(x)
        if plain:
            model = x
            whole.n = cnp.PyArray_SIZE(model)
            whole.single = cnp.PyArray_TYPE(model) == cnp.NPY_FLOAT
            for k in range(ARRAYS):
                whole.data[k] = NULL
            for k in range(len(lists)):
                if lists[k] is not None:
                    x = lists[k][i]
                    plain = plain and is_plain(x, model, written >> k & 1)
                    whole.data[k] = cnp.PyArray_DATA(<cnp.ndarray>x) if plain else NULL
        if plain:
            add(table, &whole, cnp.PyArray_ITEMSIZE(model))
        else:
            skipped.append(i)
    return skipped


# The numbers of a step, in the order in which the step reads them.
ctypedef double[8] Numbers
ctypedef void (*Step)(Piece* piece, double* numbers) noexcept nogil


cdef list run(Step step, tuple lists, int written, double* numbers, int cost):
    """Take a step on all pieces; `cost` is the nanoseconds for a thousand elements."""
    cdef Table table
    cdef Py_ssize_t i
    cdef int threads
    table.pieces = NULL
    table.count = table.room = table.elements = 0
    try:
        skipped = tabulate(&table, lists, written)
        threads = threads_for(table.elements * cost // 1000)
        for i in prange(table.count, nogil=True, num_threads=threads, schedule="static"):
            step(&table.pieces[i], numbers)
        return skipped
    finally:
        free(table.pieces)


cdef inline real root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


# ---------------------------------------------------------------- stochastic gradient descent

cdef void sgd_loop(real* p, const real* g, real* buffer, Py_ssize_t n, double* k) noexcept nogil:
    cdef real lr = <real>k[0], momentum = <real>k[1], intake = <real>k[2], decay = <real>k[3], sign = <real>k[4]
    cdef real step
    cdef Py_ssize_t i
    if buffer == NULL:
        for i in range(n):
            p[i] -= lr * (sign * g[i] + decay * p[i])
    elif k[5] != 0:                                          # Nesterov: look ahead along the new velocity
        for i in range(n):
            step = sign * g[i] + decay * p[i]
            buffer[i] = buffer[i] * momentum + intake * step
            p[i] -= lr * (step + momentum * buffer[i])
    else:
        for i in range(n):
            step = sign * g[i] + decay * p[i]
            buffer[i] = buffer[i] * momentum + intake * step
            p[i] -= lr * buffer[i]


cdef void sgd_step(Piece* a, double* k) noexcept nogil:
    if a.single:
        sgd_loop(<float*>a.data[0], <float*>a.data[1], <float*>a.data[2], a.n, k)
    else:
        sgd_loop(<double*>a.data[0], <double*>a.data[1], <double*>a.data[2], a.n, k)


def sgd(params, grads, momenta, double lr, double momentum, double dampening, double weight_decay, bint nesterov,
        bint maximize):
    """`momenta`: a buffer for each parameter, or None for a step without momentum."""
    cdef Numbers k = [lr, momentum, 1 - dampening, weight_decay, -1.0 if maximize else 1.0, nesterov, 0, 0]
    return run(sgd_step, (params, grads, momenta), 0b101, k, 400)


# ---------------------------------------------------------------- Adam, AdamW

cdef void adam_loop(real* p, const real* g, real* m, real* v, real* top, Py_ssize_t n, double* k) noexcept nogil:
    """p: parameter, m and v: running means of the gradient and its square, top: largest v so far or NULL."""
    cdef real size = <real>k[0], intake_m = <real>k[1], beta2 = <real>k[2], intake_v = <real>k[3]
    cdef real unbias = <real>k[4], eps = <real>k[5], decay = <real>k[6], shrink = <real>k[7], sign = <real>k[8]
    cdef real q, step
    cdef Py_ssize_t i
    if top == NULL:
        for i in range(n):
            q = p[i] * shrink
            step = sign * g[i] + decay * q
            m[i] += intake_m * (step - m[i])
            v[i] = v[i] * beta2 + intake_v * step * step
            p[i] = q - size * m[i] / (root(v[i]) * unbias + eps)
    else:
        for i in range(n):
            q = p[i] * shrink
            step = sign * g[i] + decay * q
            m[i] += intake_m * (step - m[i])
            v[i] = v[i] * beta2 + intake_v * step * step
            top[i] = top[i] if top[i] > v[i] else v[i]
            p[i] = q - size * m[i] / (root(top[i]) * unbias + eps)


cdef void adam_step(Piece* a, double* k) noexcept nogil:
    if a.single:
        adam_loop(<float*>a.data[0], <float*>a.data[1], <float*>a.data[2], <float*>a.data[3], <float*>a.data[4], a.n, k)
    else:
        adam_loop(<double*>a.data[0], <double*>a.data[1], <double*>a.data[2], <double*>a.data[3], <double*>a.data[4],
                  a.n, k)


def adam(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, step, double lr, double beta1, double beta2, double eps,
         double weight_decay, bint decoupled, bint maximize):
    cdef double bias1 = 1 - beta1 ** <double>step, bias2 = 1 - beta2 ** <double>step
    cdef double[9] k = [lr / bias1, 1 - beta1, beta2, 1 - beta2, 1 / sqrt(bias2), eps, 0 if decoupled else weight_decay,
                        1 - lr * weight_decay if decoupled else 1, -1 if maximize else 1]
    return run(adam_step, (params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs), 0b11101, k, 700)


# ---------------------------------------------------------------- RMSprop

cdef void rmsprop_loop(real* p, const real* g, real* v, real* mean, real* u, Py_ssize_t n, double* k) noexcept nogil:
    """v, mean: running means of the gradient's square and of the gradient (or NULL), u: velocity (or NULL)."""
    cdef real lr = <real>k[0], alpha = <real>k[1], intake = <real>k[2], eps = <real>k[3], decay = <real>k[4]
    cdef real momentum = <real>k[5], sign = <real>k[6], step, spread
    cdef Py_ssize_t i
    for i in range(n):
        step = sign * g[i] + decay * p[i]
        v[i] = v[i] * alpha + intake * step * step
        spread = v[i]
        if mean != NULL:
            mean[i] += intake * (step - mean[i])
            spread -= mean[i] * mean[i]
        step /= root(spread) + eps
        if u != NULL:
            step = u[i] = u[i] * momentum + step
        p[i] -= lr * step


cdef void rmsprop_step(Piece* a, double* k) noexcept nogil:
    if a.single:
        rmsprop_loop(<float*>a.data[0], <float*>a.data[1], <float*>a.data[2], <float*>a.data[3], <float*>a.data[4],
                     a.n, k)
    else:
        rmsprop_loop(<double*>a.data[0], <double*>a.data[1], <double*>a.data[2], <double*>a.data[3],
                     <double*>a.data[4], a.n, k)


def rmsprop(params, grads, square_avgs, grad_avgs, momenta, double lr, double alpha, double eps, double weight_decay,
            double momentum, bint maximize):
    cdef Numbers k = [lr, alpha, 1 - alpha, eps, weight_decay, momentum, -1 if maximize else 1, 0]
    return run(rmsprop_step, (params, grads, square_avgs, grad_avgs, momenta), 0b11101, k, 700)


# ---------------------------------------------------------------- Adagrad

cdef void adagrad_loop(real* p, const real* g, real* s, Py_ssize_t n, double* k) noexcept nogil:
    cdef real rate = <real>k[0], decay = <real>k[1], eps = <real>k[2], sign = <real>k[3], step
    cdef Py_ssize_t i
    for i in range(n):
        step = sign * g[i] + decay * p[i]
        s[i] += step * step
        p[i] -= rate * step / (root(s[i]) + eps)


cdef void adagrad_step(Piece* a, double* k) noexcept nogil:
    if a.single:
        adagrad_loop(<float*>a.data[0], <float*>a.data[1], <float*>a.data[2], a.n, k)
    else:
        adagrad_loop(<double*>a.data[0], <double*>a.data[1], <double*>a.data[2], a.n, k)


def adagrad(params, grads, state_sums, step, double lr, double lr_decay, double weight_decay, double eps,
            bint maximize):
    cdef Numbers k = [lr / (1 + (step - 1) * lr_decay), weight_decay, eps, -1 if maximize else 1, 0, 0, 0, 0]
    return run(adagrad_step, (params, grads, state_sums), 0b101, k, 600)


# ---------------------------------------------------------------- scaling, and the norm of a gradient

cdef void scale_step(Piece* a, double* k) noexcept nogil:
    cdef Py_ssize_t i
    cdef float by = <float>k[0]
    cdef float* x = <float*>a.data[0]
    cdef double* y = <double*>a.data[0]
    if a.single:
        for i in range(a.n):
            x[i] *= by
    else:
        for i in range(a.n):
            y[i] *= k[0]


def scale(arrays, double by):
    return run(scale_step, (arrays,), 0b1, &by, 100)


cdef inline double larger_or_nan(double a, double b) noexcept nogil:
    return a if (a >= b) | (a != a) else b


cdef inline double measure(const real* x, Py_ssize_t n, int power) noexcept nogil:
    """sum |x|**power of one piece for power 1 and 2, max |x| for 0, in double precision."""
    cdef double lane[LANES]
    cdef double rest[LANES]
    cdef double v
    cdef Py_ssize_t block, j
    for j in range(LANES):
        lane[j] = 0
    if power == 2:
        for block in range(n // LANES):
            for j in range(LANES):
                lane[j] += <double>x[j] * <double>x[j]
            x += LANES
    elif power == 1:
        for block in range(n // LANES):
            for j in range(LANES):
                lane[j] += fabs(<double>x[j])
            x += LANES
    else:
        for block in range(n // LANES):
            for j in range(LANES):
                lane[j] = larger_or_nan(lane[j], fabs(<double>x[j]))
            x += LANES
    for j in range(LANES):
        rest[j] = lane[j]
    for j in range(n % LANES):
        v = fabs(<double>x[j])
        if power == 2:
            rest[j] += v * v
        elif power == 1:
            rest[j] += v
        else:
            rest[j] = larger_or_nan(rest[j], v)
    v = 0
    for j in range(LANES):
        v = larger_or_nan(v, rest[j]) if power == 0 else v + rest[j]
    return v


def norm(arrays, double norm_type):
    """The total norm for norm_type 1, 2 and infinity; pieces are added in order, in double precision."""
    cdef int power = 0 if norm_type > 2 else <int>norm_type
    cdef Table table
    cdef Py_ssize_t i
    cdef double* part
    cdef double result = 0
    cdef int threads
    cdef list plain = [ready(x, cnp.PyArray_TYPE(x)) for x in arrays]
    table.pieces = NULL
    table.count = table.room = table.elements = 0
    part = NULL
    try:
        tabulate(&table, (plain,), 0)
        part = <double*>malloc(larger(1, table.count) * sizeof(double))
        if part == NULL:
            raise MemoryError("grad_norm")
        threads = threads_for(table.elements * 150 // 1000)
        for i in prange(table.count, nogil=True, num_threads=threads, schedule="static"):
            if table.pieces[i].single:
                part[i] = measure(<float*>table.pieces[i].data[0], table.pieces[i].n, power)
            else:
                part[i] = measure(<double*>table.pieces[i].data[0], table.pieces[i].n, power)
        for i in range(table.count):
            if power == 0:
                result = larger_or_nan(result, part[i])
            else:
                result += part[i]
        return sqrt(result) if power == 2 else result
    finally:
        free(table.pieces)
        free(part)
