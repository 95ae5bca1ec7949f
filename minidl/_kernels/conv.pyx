"""The convolution family: conv2d, its input gradient (also the transposed convolution), its weight gradient.

The first two are sweeps (sweep.pyx); here is what each of them sweeps over. A kernel of a single pixel needs none: it is
a product of matrices (gemm.pyx). Where a kernel is 3x3 and moves by single pixels, Winograd's way (winograd.pyx) takes a
quarter of the multiplications: it is tried first. Where the input gradient would sweep over many zeros, it is a product
and a fold (fold.pyx).
The weight gradient is in wgrad.pyx, that of few outputs in dots.pyx, Winograd's way to it in winograd_grad.pyx.
"""

cimport numpy as cnp

from .arrays cimport PyArray_ZEROS, empty, first, larger, vector
from .dots cimport correlate_dots, suits_dots
from .fold cimport Fold, fold, suits_fold
from .gemm cimport LARGEST, Matrix, Plan, multiply
from .micro cimport ceil_div
from .reduction cimport sum_kept
from .scratch cimport give, take
from .sweep cimport Phase, Sweep, Tap, sweep
from .wgrad cimport Correlation, correlate
from .winograd cimport Winograd, convolve, suits
from .winograd_grad cimport WinogradGrad, correlate_tiles, suits_tiles

from minidl.backends.geometry import conv_output_size
from minidl.errors import DTypeError, OptionError, ShapeError

cnp.import_array()

cdef enum:
    MOST = 1 << 30           # no option is larger: products of two of them do not overflow
    MANY_PIXELS = 1024       # of an image from which, for kernels of 1x1, a sweep is faster than a product (measured)


cdef struct Options:
    Py_ssize_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups
    Py_ssize_t c, h, w       # input channels of a group, input size
    Py_ssize_t o, oh, ow     # output channels of a group, output size
    Py_ssize_t kh, kw


cdef Py_ssize_t windows(Py_ssize_t size, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t pad, Py_ssize_t dilation
                        ) noexcept:
    """How many windows fit along an axis; 0 if none does, or an option is out of range."""
    if kernel < 1 or stride < 1 or pad < 0 or dilation < 1:
        return 0
    cdef Py_ssize_t room = size + 2 * pad - dilation * (kernel - 1) - 1
    return 0 if room < 0 else room // stride + 1


cdef Options check(str where, const cnp.npy_intp* image__chw, const cnp.npy_intp* kernel__ochw, stride, padding, dilation,
                   Py_ssize_t groups) except *:
    """The sizes of a convolution, or an error that explains what does not fit."""
    cdef Options s
    if not 1 <= groups <= MOST or kernel__ochw[0] % groups or image__chw[0] != <double>kernel__ochw[1] * groups:
        raise ShapeError(where, expected=f"groups that divide {kernel__ochw[0]} outputs, and groups * {kernel__ochw[1]}"
                         " input channels", actual=f"groups={groups} and {image__chw[0]} channels",
                         hint="weight is (out_channels, in_channels / groups, KH, KW)")
    s.groups, s.c, s.h, s.w = groups, kernel__ochw[1], image__chw[1], image__chw[2]
    s.o, s.kh, s.kw = kernel__ochw[0] // groups, kernel__ochw[2], kernel__ochw[3]
    try:
        s.stride_h, s.stride_w = stride
        s.pad_h, s.pad_w = padding
        s.dilation_h, s.dilation_w = dilation
        if larger(larger(larger(s.stride_h, s.stride_w), larger(s.pad_h, s.pad_w)), larger(s.dilation_h, s.dilation_w)) \
                > MOST:
            raise OverflowError
    except OverflowError:
        raise OptionError(where, expected="a sensible stride, padding and dilation",
                          actual=f"{stride}, {padding} and {dilation}") from None
    s.oh = windows(s.h, s.kh, s.stride_h, s.pad_h, s.dilation_h)
    s.ow = windows(s.w, s.kw, s.stride_w, s.pad_w, s.dilation_w)
    if s.oh < 1 or s.ow < 1:     # does not fit: this explains what, or knows better
        s.oh, s.ow = conv_output_size(where, (s.h, s.w), (s.kh, s.kw), stride, padding, dilation)
    if s.oh == 1:                # a stride that leads nowhere
        s.stride_h = 1
    if s.ow == 1:
        s.stride_w = 1
    # The padded image, rounded up to whole strides, is what a kernel copies: refused before its size could overflow.
    cdef double staged_h = (s.oh + 1.0) * s.stride_h + (s.kh - 1.0) * s.dilation_h
    cdef double staged_w = (s.ow + 1.0) * s.stride_w + (s.kw - 1.0) * s.dilation_w
    if staged_h * staged_w * larger(larger(s.c, s.o), 1) > LARGEST:
        raise MemoryError(f"{where}: a padded image of {staged_h:.0f} by {staged_w:.0f} pixels is too large")
    return s


cdef cnp.ndarray second(object x, cnp.ndarray model, str where):
    """The other array of a product: four dimensions too, and the same type."""
    cdef cnp.ndarray array = first(x, 4, where)
    if cnp.PyArray_TYPE(array) != cnp.PyArray_TYPE(model):
        raise DTypeError(where, expected="two float32 or two float64 arrays",
                         actual=f"{(<object>model).dtype} and {x.dtype}", hint="convert one of them with .astype()")
    return array


cdef void run(Sweep* s, int typenum) except *:
    if typenum == cnp.NPY_FLOAT:
        sweep(s, <const float*>NULL)
    else:
        sweep(s, <const double*>NULL)


cdef bint three_by_three(Options* p) noexcept:
    return (p.kh == 3 and p.kw == 3 and p.stride_h == 1 and p.stride_w == 1 and p.dilation_h == 1 and p.dilation_w == 1
            and p.groups == 1)


cdef bint minimal(Options* p, Py_ssize_t images, cnp.ndarray source, cnp.ndarray weight__ochw, void* bias,
                  cnp.ndarray result, bint gradient) except -1:
    """Try Winograd's way (winograd.pyx). Returns whether it suits these sizes and gave finite numbers."""
    cdef Winograd s
    if not three_by_three(p):
        return False
    s.images, s.flipped = images, gradient
    s.x.data, s.result = cnp.PyArray_DATA(source), cnp.PyArray_DATA(result)
    s.weight, s.bias = cnp.PyArray_DATA(weight__ochw), bias
    if gradient:
        s.x.channels, s.x.height, s.x.width, s.outputs, s.rows, s.columns = p.o, p.oh, p.ow, p.c, p.h, p.w
        s.x.top, s.x.left = p.pad_h - 2, p.pad_w - 2
        s.weight_output, s.weight_channel = 9, 9 * p.c
    else:
        s.x.channels, s.x.height, s.x.width, s.outputs, s.rows, s.columns = p.c, p.h, p.w, p.o, p.oh, p.ow
        s.x.top, s.x.left = -p.pad_h, -p.pad_w
        s.weight_output, s.weight_channel = 9 * p.c, 9
    if cnp.PyArray_TYPE(source) == cnp.NPY_FLOAT:
        return suits(&s, <const float*>NULL) and convolve(&s, <const float*>NULL)
    return suits(&s, <const double*>NULL) and convolve(&s, <const double*>NULL)


cdef bint pointwise(Options* p, Py_ssize_t images, cnp.ndarray source, cnp.ndarray weight__oc, void* bias,
                    cnp.ndarray result, bint gradient) except -1:
    """Try a product of matrices: result[n] = W source[n], or W' source[n]; (C, pixels) is an image. A kernel of 1x1 that
    sees every pixel."""
    cdef Py_ssize_t plane = p.h * p.w, n
    cdef Plan plan
    if p.kh != 1 or p.kw != 1 or p.oh != p.h or p.ow != p.w or p.pad_h or p.pad_w or p.groups != 1:
        return False
    if plane > MANY_PIXELS and images > 1:
        return False             # the sweep reads long planes in longer runs
    plan.rows, plan.depth, plan.columns = p.o, p.c, plane
    cdef Py_ssize_t count = images
    cdef Py_ssize_t* starts = <Py_ssize_t*>take(3 * count * sizeof(Py_ssize_t))
    for n in range(count):
        starts[n] = 0
        starts[count + n] = n * (p.o if gradient else p.c) * plane
        starts[2 * count + n] = n * (p.c if gradient else p.o) * plane
    plan.a = Matrix(cnp.PyArray_DATA(weight__oc), starts, p.c, 1)
    plan.b = Matrix(cnp.PyArray_DATA(source), starts + count, plane, 1)
    plan.c = Matrix(cnp.PyArray_DATA(result), starts + 2 * count, plane, 1)
    plan.bias, plan.bias_i, plan.bias_j = bias, 1, 0
    if gradient:
        plan.rows, plan.depth, plan.a.step_i, plan.a.step_j = p.c, p.o, 1, p.c
    if plane == 1:               # all images are one matrix, with a column for each
        count, plan.columns = 1, images
        plan.b.step_j, plan.c.step_j = plan.depth, plan.rows
    try:
        if cnp.PyArray_TYPE(source) == cnp.NPY_FLOAT:
            multiply(&plan, count, <const float*>NULL)
        else:
            multiply(&plan, count, <const double*>NULL)
    finally:
        give(starts)
    return True


cdef bint folded(const Options* p, Py_ssize_t images, cnp.ndarray grad__nohw, cnp.ndarray weight__ochw, cnp.ndarray dx__nchw
                 ) except -1:
    """Try the input gradient's way for small images without padding (fold.pyx). Returns whether it suits these sizes."""
    cdef Fold s
    if p.stride_h != 1 or p.stride_w != 1 or p.pad_h or p.pad_w:
        return False
    s.images, s.groups = images, p.groups
    s.grad, s.outputs, s.grad_h, s.grad_w = cnp.PyArray_DATA(grad__nohw), p.o, p.oh, p.ow
    s.weight, s.channels, s.kernel_h, s.kernel_w = cnp.PyArray_DATA(weight__ochw), p.c, p.kh, p.kw
    s.dilation_h, s.dilation_w = p.dilation_h, p.dilation_w
    s.result, s.height, s.width = cnp.PyArray_DATA(dx__nchw), p.h, p.w
    if not suits_fold(&s):
        return False
    if cnp.PyArray_TYPE(grad__nohw) == cnp.NPY_FLOAT:
        fold(&s, <const float*>NULL)
    else:
        fold(&s, <const double*>NULL)
    return True


cdef bint minimal_weight_grad(Options* p, cnp.ndarray grad__nohw, cnp.ndarray x__nchw, cnp.ndarray dw__ochw) except -1:
    """Try Winograd's way to the weight gradient (winograd_grad.pyx); leaves zeros where it returns False."""
    cdef WinogradGrad s
    cdef bint done
    if not three_by_three(p):
        return False
    s.images, s.result = cnp.PyArray_DIM(x__nchw, 0), cnp.PyArray_DATA(dw__ochw)
    s.x.data, s.x.channels, s.x.height, s.x.width = cnp.PyArray_DATA(x__nchw), p.c, p.h, p.w
    s.x.top, s.x.left = -p.pad_h, -p.pad_w
    s.grad.data, s.grad.channels, s.grad.height, s.grad.width = cnp.PyArray_DATA(grad__nohw), p.o, p.oh, p.ow
    s.grad.top = s.grad.left = 0
    if cnp.PyArray_TYPE(x__nchw) == cnp.NPY_FLOAT:
        done = suits_tiles(&s, <const float*>NULL) and correlate_tiles(&s, <const float*>NULL)
    else:
        done = suits_tiles(&s, <const double*>NULL) and correlate_tiles(&s, <const double*>NULL)
    if not done:
        dw__ochw[...] = 0
    return done


def conv2d(x, weight, bias, stride, padding, dilation, Py_ssize_t groups):
    """(N, C, H, W), (O, C/groups, KH, KW), (O,) or None -> (N, O, OH, OW)."""
    cdef cnp.ndarray x__nchw = first(x, 4, "conv2d"), weight__ochw = second(weight, x__nchw, "conv2d"), bias__o = None
    cdef Options p = check("conv2d", cnp.PyArray_DIMS(x__nchw) + 1, cnp.PyArray_DIMS(weight__ochw), stride, padding,
                           dilation, groups)
    cdef void* bias_data = NULL
    if bias is not None:
        bias__o = vector(bias, weight__ochw, p.o * p.groups, "conv2d")
        bias_data = cnp.PyArray_DATA(bias__o)
    cdef cnp.npy_intp shape[4]
    shape[0], shape[1], shape[2], shape[3] = cnp.PyArray_DIM(x__nchw, 0), p.o * p.groups, p.oh, p.ow
    cdef cnp.ndarray y__nohw = empty(4, shape, cnp.PyArray_TYPE(x__nchw))
    if cnp.PyArray_SIZE(y__nohw) == 0:
        return y__nohw
    if p.c == 0:                 # sums of nothing
        y__nohw[...] = 0 if bias is None else bias__o.reshape(-1, 1, 1)
        return y__nohw
    if pointwise(&p, shape[0], x__nchw, weight__ochw, bias_data, y__nohw, False):
        return y__nohw
    if minimal(&p, shape[0], x__nchw, weight__ochw, bias_data, y__nohw, False):
        return y__nohw
    cdef Tap* taps = <Tap*>take(p.kh * p.kw * sizeof(Tap))
    cdef Phase phase
    phase.taps, phase.tap_count, phase.rows, phase.columns, phase.start = taps, p.kh * p.kw, p.oh, p.ow, 0
    cdef Py_ssize_t i, j, at_h, at_w
    for i in range(p.kh):
        for j in range(p.kw):
            # Tap (i, j) sees row oh*stride + i*dilation: row oh + i*dilation//stride of plane i*dilation % stride.
            at_h, at_w = i * p.dilation_h, j * p.dilation_w
            taps[i * p.kw + j] = Tap(plane=at_h % p.stride_h * p.stride_w + at_w % p.stride_w,
                                     shift_h=at_h // p.stride_h, shift_w=at_w // p.stride_w, weight=i * p.kw + j)
    cdef Sweep s
    s.images = shape[0]
    s.groups = p.groups
    s.source = cnp.PyArray_DATA(x__nchw)
    s.channels = p.c
    s.height = p.h
    s.width = p.w
    s.top = -p.pad_h
    s.left = -p.pad_w
    s.step_h = p.stride_h
    s.step_w = p.stride_w
    s.reach_h = (p.kh - 1) * p.dilation_h // p.stride_h
    s.reach_w = (p.kw - 1) * p.dilation_w // p.stride_w
    s.result = cnp.PyArray_DATA(y__nohw)
    s.outputs = p.o
    s.plane = p.oh * p.ow
    s.row_step = p.ow
    s.column_step = 1
    s.bias = bias_data
    s.weight = cnp.PyArray_DATA(weight__ochw)
    s.weight_group = p.o * p.c * p.kh * p.kw
    s.weight_output = p.c * p.kh * p.kw
    s.weight_channel = p.kh * p.kw
    s.phases = &phase
    s.phase_count = 1
    s.rows = p.oh
    s.columns = p.ow
    try:
        run(&s, cnp.PyArray_TYPE(x__nchw))
    finally:
        give(taps)
    return y__nohw


def conv2d_input_grad(grad, weight, input_size, stride, padding, dilation, Py_ssize_t groups):
    """(N, O, OH, OW), (O, C/groups, KH, KW) -> (N, C, H, W) with (H, W) = input_size."""
    cdef cnp.ndarray grad__nohw = first(grad, 4, "conv2d_input_grad")
    cdef cnp.ndarray weight__ochw = second(weight, grad__nohw, "conv2d_input_grad")
    cdef Py_ssize_t channels = cnp.PyArray_DIM(weight__ochw, 1)
    cdef cnp.npy_intp[3] image = [channels * groups if 1 <= groups <= MOST and channels <= MOST else 0, input_size[0],
                                  input_size[1]]
    cdef Options p = check("conv2d_input_grad", image, cnp.PyArray_DIMS(weight__ochw), stride, padding, dilation, groups)
    if cnp.PyArray_DIM(grad__nohw, 1) != p.o * p.groups or cnp.PyArray_DIM(grad__nohw, 2) != p.oh \
            or cnp.PyArray_DIM(grad__nohw, 3) != p.ow:
        raise ShapeError("conv2d_input_grad", expected=f"a gradient (N, {p.o * p.groups}, {p.oh}, {p.ow})",
                         actual=str(grad.shape), hint="it has the shape of conv2d's result")
    cdef cnp.npy_intp shape[4]
    shape[0], shape[1], shape[2], shape[3] = cnp.PyArray_DIM(grad__nohw, 0), p.c * p.groups, p.h, p.w
    cdef cnp.ndarray dx__nchw = empty(4, shape, cnp.PyArray_TYPE(grad__nohw))
    if cnp.PyArray_SIZE(dx__nchw) == 0:
        return dx__nchw
    if p.o == 0:                 # sums of nothing
        dx__nchw[...] = 0
        return dx__nchw
    if pointwise(&p, shape[0], grad__nohw, weight__ochw, NULL, dx__nchw, True):
        return dx__nchw
    if minimal(&p, shape[0], grad__nohw, weight__ochw, NULL, dx__nchw, True):
        return dx__nchw
    if folded(&p, shape[0], grad__nohw, weight__ochw, dx__nchw):
        return dx__nchw
    cdef Py_ssize_t count = p.stride_h * p.stride_w, a, b, i, j, at_h, at_w, low_h, low_w, high_h, high_w, used = 0
    # Pixel (a + s*t, b + s*u) of dx gets w[i, j] * grad[t + e_h, u + e_w] where e = (a + pad - i*dilation) / stride is whole.
    cdef Phase* phases = <Phase*>take(count * sizeof(Phase) + p.kh * p.kw * sizeof(Tap))
    cdef Tap* taps = <Tap*>(phases + count)
    cdef Phase* phase
    low_h, high_h = floor_div(p.pad_h - (p.kh - 1) * p.dilation_h, p.stride_h), (p.stride_h - 1 + p.pad_h) // p.stride_h
    low_w, high_w = floor_div(p.pad_w - (p.kw - 1) * p.dilation_w, p.stride_w), (p.stride_w - 1 + p.pad_w) // p.stride_w
    for a in range(p.stride_h):
        for b in range(p.stride_w):
            phase = &phases[a * p.stride_w + b]
            phase.taps, phase.tap_count, phase.start = taps + used, 0, a * p.w + b
            phase.rows = ceil_div(larger(p.h - a, 0), p.stride_h)
            phase.columns = ceil_div(larger(p.w - b, 0), p.stride_w)
            for i in range(p.kh):
                at_h = a + p.pad_h - i * p.dilation_h
                if at_h % p.stride_h:
                    continue
                for j in range(p.kw):
                    at_w = b + p.pad_w - j * p.dilation_w
                    if at_w % p.stride_w:
                        continue
                    taps[used] = Tap(plane=0, shift_h=floor_div(at_h, p.stride_h) - low_h,
                                     shift_w=floor_div(at_w, p.stride_w) - low_w, weight=i * p.kw + j)
                    used += 1
                    phase.tap_count += 1
    cdef Sweep s
    s.images = shape[0]
    s.groups = p.groups
    s.source = cnp.PyArray_DATA(grad__nohw)
    s.channels = p.o
    s.height = p.oh
    s.width = p.ow
    s.top = low_h
    s.left = low_w
    s.step_h = 1
    s.step_w = 1
    s.reach_h = high_h - low_h
    s.reach_w = high_w - low_w
    s.result = cnp.PyArray_DATA(dx__nchw)
    s.outputs = p.c
    s.plane = p.h * p.w
    s.row_step = p.stride_h * p.w
    s.column_step = p.stride_w
    s.bias = NULL
    s.weight = cnp.PyArray_DATA(weight__ochw)
    s.weight_group = p.o * p.c * p.kh * p.kw
    s.weight_output = p.kh * p.kw
    s.weight_channel = p.c * p.kh * p.kw
    s.phases = phases
    s.phase_count = count
    s.rows = ceil_div(p.h, p.stride_h)
    s.columns = ceil_div(p.w, p.stride_w)
    try:
        run(&s, cnp.PyArray_TYPE(grad__nohw))
    finally:
        give(phases)
    return dx__nchw


def conv2d_weight_grad(grad, x, kernel_size, stride, padding, dilation, Py_ssize_t groups):
    """(N, O, OH, OW), (N, C, H, W) -> (O, C/groups, KH, KW) with (KH, KW) = kernel_size."""
    return weight_grad(first(grad, 4, "conv2d_weight_grad"), x, kernel_size, stride, padding, dilation, groups)


def conv2d_parameter_grads(grad, x, kernel_size, stride, padding, dilation, Py_ssize_t groups):
    """(N, O, OH, OW), (N, C, H, W) -> (O, C/groups, KH, KW) and (O,)."""
    cdef cnp.ndarray grad__nohw = first(grad, 4, "conv2d_parameter_grads")
    return weight_grad(grad__nohw, x, kernel_size, stride, padding, dilation, groups), sum_kept(grad__nohw, 1, 2)


cdef cnp.ndarray weight_grad(cnp.ndarray grad__nohw, x, kernel_size, stride, padding, dilation, Py_ssize_t groups):
    cdef cnp.ndarray x__nchw = second(x, grad__nohw, "conv2d_weight_grad")
    cdef cnp.npy_intp[4] kernel = [cnp.PyArray_DIM(grad__nohw, 1), cnp.PyArray_DIM(x__nchw, 1) // larger(groups, 1),
                                   kernel_size[0], kernel_size[1]]
    cdef Options p = check("conv2d_weight_grad", cnp.PyArray_DIMS(x__nchw) + 1, kernel, stride, padding, dilation, groups)
    if cnp.PyArray_DIM(grad__nohw, 0) != cnp.PyArray_DIM(x__nchw, 0) or cnp.PyArray_DIM(grad__nohw, 2) != p.oh \
            or cnp.PyArray_DIM(grad__nohw, 3) != p.ow:
        raise ShapeError("conv2d_weight_grad", expected=f"a gradient ({len(x)}, {p.o * p.groups}, {p.oh}, {p.ow})",
                         actual=str((<object>grad__nohw).shape), hint="it has the shape of conv2d's result")
    cdef cnp.npy_intp shape[4]
    shape[0], shape[1], shape[2], shape[3] = p.o * p.groups, p.c, p.kh, p.kw
    cdef cnp.ndarray dw__ochw = PyArray_ZEROS(4, shape, cnp.PyArray_TYPE(grad__nohw), 0)
    if cnp.PyArray_SIZE(dw__ochw) == 0 or cnp.PyArray_SIZE(grad__nohw) == 0:
        return dw__ochw
    if minimal_weight_grad(&p, grad__nohw, x__nchw, dw__ochw):
        return dw__ochw
    cdef Correlation s
    s.images, s.groups = cnp.PyArray_DIM(x__nchw, 0), p.groups
    s.grad, s.outputs, s.grad_h, s.grad_w = cnp.PyArray_DATA(grad__nohw), p.o, p.oh, p.ow
    s.source, s.channels, s.height, s.width = cnp.PyArray_DATA(x__nchw), p.c, p.h, p.w
    s.result, s.kernel_h, s.kernel_w = cnp.PyArray_DATA(dw__ochw), p.kh, p.kw
    s.stride_h, s.stride_w, s.pad_h, s.pad_w = p.stride_h, p.stride_w, p.pad_h, p.pad_w
    s.dilation_h, s.dilation_w = p.dilation_h, p.dilation_w
    if cnp.PyArray_TYPE(x__nchw) == cnp.NPY_FLOAT:
        if suits_dots(&s, <const float*>NULL):
            correlate_dots(&s, <const float*>NULL)
        else:
            correlate(&s, <const float*>NULL)
    elif suits_dots(&s, <const double*>NULL):
        correlate_dots(&s, <const double*>NULL)
    else:
        correlate(&s, <const double*>NULL)
    return dw__ochw


cdef inline Py_ssize_t floor_div(Py_ssize_t a, Py_ssize_t b) noexcept:
    """Rounded down also for a negative a (b > 0)."""
    return a // b if a >= 0 else -ceil_div(-a, b)
