# exp, tanh, sigmoid, erf and the normal distribution as plain arithmetic without a branch: a loop that calls them vectorises.
#
# float is good to about 2 ulp, double to about 1e-15 relative, denormals, infinities and NaN included.
# Coefficients: minimax polynomials by the Remez algorithm in 40 digits.
#
# The one trick: adding 1.5 * 2**(mantissa bits) to t rounds t to an integer and leaves that integer in
# the low bits of the sum. Shifted into the exponent field it is the float 2**round(t).
# (Constants carry a cast, since a bare 1 or 0.5 would turn a float expression into a double one.)

from libc.math cimport copysign, copysignf, fabs, fabsf
from libc.stdint cimport uint32_t, uint64_t

ctypedef fused real:
    float
    double

cdef union Bits32:
    float f
    uint32_t u

cdef union Bits64:
    double f
    uint64_t u


cdef inline float power_of_two_f(float shifted) noexcept nogil:
    """2**n for the integer n in the low bits of `shifted` = n + 1.5 * 2**23."""
    cdef Bits32 b
    b.f = shifted
    b.u = (b.u + 127) << 23
    return b.f


cdef inline double power_of_two_d(double shifted) noexcept nogil:
    """2**n for the integer n in the low bits of `shifted` = n + 1.5 * 2**52."""
    cdef Bits64 b
    b.f = shifted
    b.u = (b.u + 1023) << 52
    return b.f


cdef inline real absolute(real x) noexcept nogil:
    if real is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline real with_sign(real magnitude, real x) noexcept nogil:
    if real is float:
        return copysignf(magnitude, x)
    else:
        return copysign(magnitude, x)


cdef inline real expm1_poly(real r) noexcept nogil:
    """exp(r) - 1 = r + r**2 P(r) for |r| <= log(2)/2."""
    cdef real p
    if real is float:
        p = 0.001395070173
        p = p * r + <float>0.00836895388
        p = p * r + <float>0.04166620244
        p = p * r + <float>0.166665183
        p = p * r + <float>0.5000000096
    else:
        p = 2.0926961739227604442e-9
        p = p * r + 2.511234807223425409e-8
        p = p * r + 2.7557233283247500871e-7
        p = p * r + 2.7557233931765621215e-6
        p = p * r + 0.00002480158737384445928
        p = p * r + 0.00019841269897357970314
        p = p * r + 0.0013888888888858395823
        p = p * r + 0.0083333333333166207956
        p = p * r + 0.041666666666666724496
        p = p * r + 0.16666666666666683996
        p = p * r + 0.49999999999999999966
    return p * (r * r) + r


cdef inline real exp_near(real x) noexcept nogil:
    """exp(x) where neither x nor the result is extreme (|x| < 80): x = n log(2) + r, exp(x) = 2**n exp(r)."""
    cdef real n, r
    if real is float:
        n = (x * <float>1.4426950408889634 + <float>12582912) - <float>12582912
        r = (x - n * <float>0.693145751953125) - n * <float>1.4286068203094172321e-6
        return (<float>1 + expm1_poly(r)) * power_of_two_f(n + <float>12582912)
    else:
        n = (x * 1.4426950408889634 + 6755399441055744.0) - 6755399441055744.0
        r = (x - n * 0.69314718036912381649) - n * 1.9082149292705877e-10
        return (1 + expm1_poly(r)) * power_of_two_d(n + 6755399441055744.0)


cdef inline real exp(real x) noexcept nogil:
    """exp(x) = 2**n (1 + expm1(r)), x = n log(2) + r, log(2) in two parts so that r is exact.

    2**n is applied as two factors: n may run from -150 (a denormal result) to 129 (infinity).
    """
    cdef real n, half, r, p
    if real is float:
        x = <float>-104 if x < <float>-104 else x        # NaN fails both comparisons and stays
        x = <float>89 if x > <float>89 else x
        n = (x * <float>1.4426950408889634 + <float>12582912) - <float>12582912
        r = (x - n * <float>0.693145751953125) - n * <float>1.4286068203094172321e-6
        half = n * <float>0.5 + <float>12582912
        p = <real>1 + expm1_poly(r)
        return (p * power_of_two_f(half)) * power_of_two_f((n - (half - <float>12582912)) + <float>12582912)
    else:
        x = -746 if x < -746 else x
        x = 710 if x > 710 else x
        n = (x * 1.4426950408889634 + 6755399441055744.0) - 6755399441055744.0
        r = (x - n * 0.69314718036912381649) - n * 1.9082149292705877e-10
        half = n * 0.5 + 6755399441055744.0
        p = <real>1 + expm1_poly(r)
        return (p * power_of_two_d(half)) * power_of_two_d((n - (half - 6755399441055744.0)) + 6755399441055744.0)


cdef inline real exp_below(real x) noexcept nogil:
    """exp(x) for x up to 40, as softmax and sigmoid need it: 2**n is applied as 2**(n + 64) and a constant 2**-64,
    which costs less than two factors that depend on n."""
    cdef real n, r
    if real is float:
        x = <float>-104 if <float>-104 > x else x        # NaN fails the comparison and stays
        n = (x * <float>1.4426950408889634 + <float>12582912) - <float>12582912
        r = (x - n * <float>0.693145751953125) - n * <float>1.4286068203094172321e-6
        return (<real>1 + expm1_poly(r)) * power_of_two_f(n + <float>12582976) * <float>5.421010862427522170e-20
    else:
        x = -746 if -746 > x else x
        n = (x * 1.4426950408889634 + 6755399441055744.0) - 6755399441055744.0
        r = (x - n * 0.69314718036912381649) - n * 1.9082149292705877e-10
        return (<real>1 + expm1_poly(r)) * power_of_two_d(n + 6755399441055808.0) * 5.421010862427522170e-20


cdef inline real bell(real x) noexcept nogil:
    """exp(-x**2 / 2), to a few units of the seventh digit in float: 2**n 2**f with a polynomial for 2**f."""
    cdef real y, shifted, f, p
    if real is float:
        y = x * x * <float>-0.72134752044448170368
        shifted = y + <float>12582912
        f = y - (shifted - <float>12582912)
        p = 0.00132647272
        p = p * f + <float>0.00967151264
        p = p * f + <float>0.0555073374
        p = p * f + <float>0.240222421
        p = p * f + <float>0.693146978
        p = (p * f + <float>1) * power_of_two_f(shifted)
        return <float>0 if y < <float>-126 else p        # NaN fails the comparison and stays
    else:
        return exp(<double>-0.5 * x * x)


cdef inline real normal_cdf(real x) noexcept nogil:
    """The normal distribution's Phi(x), a polynomial times bell(x) for its lower half in float.

    So the lower tail keeps its digits, where 1 + erf(x / sqrt(2)) would lose them all.
    """
    cdef real a, p, tail
    if real is float:
        a = absolute(x)
        a = <float>4.5 if <float>4.5 < a else a
        p = -2.46037331e-07
        p = p * a + <float>6.30394516e-06
        p = p * a - <float>7.27590523e-05
        p = p * a + <float>0.000506809854
        p = p * a - <float>0.00242660032
        p = p * a + <float>0.00870847236
        p = p * a - <float>0.0251373556
        p = p * a + <float>0.0616945177
        p = p * a - <float>0.13271758
        p = p * a + <float>0.249956459
        p = p * a - <float>0.398939729
        tail = (p * a + <float>0.5) * bell(x)
        return tail if x < 0 else <float>1 - tail
    else:
        return 0.5 * (1 + erf(x * 0.70710678118654752440))


cdef inline real tanh(real x) noexcept nogil:
    """tanh(x) = e / (e + 2) with e = exp(2|x|) - 1, which keeps all digits near zero."""
    cdef real t = <real>2 * absolute(x), n, r, scale, e
    if real is float:
        t = <float>40 if t > <float>40 else t
        n = (t * <float>1.4426950408889634 + <float>12582912) - <float>12582912
        r = (t - n * <float>0.693145751953125) - n * <float>1.4286068203094172321e-6
        scale = power_of_two_f(n + <float>12582912)
    else:
        t = 80 if t > 80 else t
        n = (t * 1.4426950408889634 + 6755399441055744.0) - 6755399441055744.0
        r = (t - n * 0.69314718036912381649) - n * 1.9082149292705877e-10
        scale = power_of_two_d(n + 6755399441055744.0)
    e = scale * expm1_poly(r) + (scale - <real>1)
    return with_sign(e / (e + <real>2), x)


cdef inline real sigmoid(real x) noexcept nogil:
    """1 / (1 + exp(-x)), written with exp(-|x|) so that nothing overflows and small results keep their digits."""
    cdef real e = exp_below(-absolute(x))
    cdef real numerator = e if x < 0 else <real>1
    return numerator / (<real>1 + e)


cdef inline real erf(real x) noexcept nogil:
    """The error function: an odd polynomial for |x| < 1, one minus erfc beyond."""
    cdef real z = absolute(x), u = x * x, near, far, t, q
    if real is float:
        near = 7.889119157e-5
        near = near * u - <float>0.0008020845698
        near = near * u + <float>0.005189536462
        near = near * u - <float>0.02685444558
        near = near * u + <float>0.1128360021
        near = near * u - <float>0.3761262714
        near = near * u + <float>1.128379166
        # erfc(z) = exp(q(z)); from 4 on it is below half an ulp of one
        t = <float>4 if z > <float>4 else z
        q = 0.0001867767303
        q = q * t - <float>0.002951875384
        q = q * t + <float>0.0218563104
        q = q * t - <float>0.1031479735
        q = q * t - <float>0.6380935531
        q = q * t - <float>1.12712251
        q = q * t - <float>0.0003326859255
        far = <real>1 - exp_near(q)
    else:
        near = -7.8011888740977515657e-10
        near = near * u + 1.372297626592450327e-8
        near = near * u - 1.6209175911748695663e-7
        near = near * u + 1.6447517677871873706e-6
        near = near * u - 0.000014924744663335489733
        near = near * u + 0.00012055295320494294236
        near = near * u - 0.00085483259896967580333
        near = near * u + 0.0052239776074234678405
        near = near * u - 0.026866170643276218303
        near = near * u + 0.11283791670945253232
        near = near * u - 0.37612638903183546628
        near = near * u + 1.1283791670955125668
        # erfc(z) = exp(-z**2) q(t), t = (z - 3)/(z + 3); from 6 on it is below half an ulp of one
        z = 6 if z > 6 else z
        t = (z - 3) / (z + 3)
        q = 1.2645800702706620209e-6
        q = q * t + 2.0069065299762699211e-6
        q = q * t - 8.0070017630301230056e-6
        q = q * t - 0.00001284294096814251968
        q = q * t + 0.000064062658938081376085
        q = q * t + 0.000045253900992318560119
        q = q * t - 0.00059706251411142709575
        q = q * t + 0.00070774650052702359045
        q = q * t + 0.0042691363589503170968
        q = q * t - 0.024392499320201169275
        q = q * t + 0.071665837197409538376
        q = q * t - 0.15011593650075741091
        q = q * t + 0.24560380171233547752
        q = q * t - 0.32623356004303731797
        q = q * t + 0.1790011511813899445
        far = 1 - exp_near(-z * z) * q
    return near * x if u < 1 else with_sign(far, x)
