// Pooling: one thread for each result, forward and backward.

// The first of equals wins, NaN beats every number, and the last NaN is the one found.
extern "C" __global__ void max_pool(const REAL* x__nchw, REAL* y, long long* places, INDEX count, INDEX h, INDEX w,
                                    INDEX kh, INDEX kw, INDEX oh, INDEX ow, INDEX stride_h, INDEX stride_w,
                                    INDEX pad_h, INDEX pad_w, INDEX dilation_h, INDEX dilation_w)
{
    FOR_EACH(at, count) {
        const INDEX q = at % ow, p = at / ow % oh, plane = at / (ow * oh);
        REAL best = 0;
        INDEX place = -1;
        for (INDEX i = 0; i < kh; i++) {
            const INDEX row = p * stride_h - pad_h + i * dilation_h;
            if (row < 0 || row >= h)
                continue;
            for (INDEX j = 0; j < kw; j++) {
                const INDEX column = q * stride_w - pad_w + j * dilation_w;
                if (column < 0 || column >= w)
                    continue;
                const REAL value = x__nchw[(plane * h + row) * w + column];
                if (place < 0 || value > best || value != value) {
                    best = value;
                    place = row * w + column;
                }
            }
        }
        y[at] = place < 0 ? -(REAL)INFINITY : best;
        places[at] = place;
    }
}

// A block holds one plane. Every thread owns the pixels that leave its number when divided by THREADS, reads all places in
// order, and adds what falls on its own: two windows may have the same maximum, and no one else writes there.
extern "C" __global__ void max_pool_grad(const REAL* grad, const long long* places, REAL* x_grad, INDEX planes,
                                         INDEX windows, INDEX pixels)
{
    __shared__ REAL values[THREADS];
    __shared__ long long targets[THREADS];
    for (INDEX plane = blockIdx.x; plane < planes; plane += gridDim.x) {
        REAL* mine = x_grad + plane * pixels;
        FOR_MINE(pixel, pixels)
            mine[pixel] = 0;
        for (INDEX first = 0; first < windows; first += THREADS) {
            const INDEX loaded = windows - first < THREADS ? windows - first : THREADS;
            __syncthreads();                   // everyone has read the batch before
            if ((INDEX)threadIdx.x < loaded) {
                values[threadIdx.x] = grad[plane * windows + first + threadIdx.x];
                targets[threadIdx.x] = places[plane * windows + first + threadIdx.x];
            }
            __syncthreads();
            for (INDEX k = 0; k < loaded; k++)
                if (targets[k] >= 0 && targets[k] % THREADS == (long long)threadIdx.x)
                    mine[targets[k]] += values[k];
        }
    }
}

// How many pixels a window counts: inside the padded image, or inside the image alone.
__device__ inline INDEX counted(INDEX window, INDEX size, INDEX k, INDEX stride, INDEX pad, INDEX include_pad)
{
    const INDEX start = window * stride - pad, first = include_pad ? -pad : 0, last = include_pad ? size + pad : size;
    const INDEX from = start > first ? start : first, to = start + k < last ? start + k : last;
    return to - from;
}

extern "C" __global__ void avg_pool(const REAL* x__nchw, REAL* y, INDEX count, INDEX h, INDEX w, INDEX kh, INDEX kw,
                                    INDEX oh, INDEX ow, INDEX stride_h, INDEX stride_w, INDEX pad_h, INDEX pad_w,
                                    INDEX include_pad)
{
    FOR_EACH(at, count) {
        const INDEX q = at % ow, p = at / ow % oh, plane = at / (ow * oh);
        REAL sum = 0;
        for (INDEX i = 0; i < kh; i++) {
            const INDEX row = p * stride_h - pad_h + i;
            if (row < 0 || row >= h)
                continue;
            for (INDEX j = 0; j < kw; j++) {
                const INDEX column = q * stride_w - pad_w + j;
                if (column >= 0 && column < w)
                    sum += x__nchw[(plane * h + row) * w + column];
            }
        }
        y[at] = sum / (REAL)(counted(p, h, kh, stride_h, pad_h, include_pad)
                             * counted(q, w, kw, stride_w, pad_w, include_pad));
    }
}

extern "C" __global__ void avg_pool_grad(const REAL* grad, REAL* x_grad, INDEX count, INDEX h, INDEX w, INDEX kh,
                                         INDEX kw, INDEX oh, INDEX ow, INDEX stride_h, INDEX stride_w, INDEX pad_h,
                                         INDEX pad_w, INDEX include_pad)
{
    FOR_EACH(at, count) {
        const INDEX column = at % w, row = at / w % h, plane = at / (w * h);
        REAL sum = 0;
        for (INDEX i = 0; i < kh; i++) {
            const INDEX below = row + pad_h - i, p = below / stride_h;
            if (below < 0 || below % stride_h || p >= oh)
                continue;
            for (INDEX j = 0; j < kw; j++) {
                const INDEX right = column + pad_w - j, q = right / stride_w;
                if (right < 0 || right % stride_w || q >= ow)
                    continue;
                sum += grad[(plane * oh + p) * ow + q]
                       / (REAL)(counted(p, h, kh, stride_h, pad_h, include_pad)
                                * counted(q, w, kw, stride_w, pad_w, include_pad));
            }
        }
        x_grad[at] = sum;
    }
}

// Window number i of an adaptive pooling covers the pixels from floor(i*size/count) to ceil((i + 1)*size/count).
__device__ inline INDEX begins(INDEX i, INDEX size, INDEX count) { return (INDEX)((long long)i * size / count); }
__device__ inline INDEX ends(INDEX i, INDEX size, INDEX count)
{
    return (INDEX)(((long long)(i + 1) * size + count - 1) / count);
}

extern "C" __global__ void adaptive_avg_pool(const REAL* x__nchw, REAL* y, INDEX count, INDEX h, INDEX w, INDEX oh,
                                             INDEX ow)
{
    FOR_EACH(at, count) {
        const INDEX q = at % ow, p = at / ow % oh, plane = at / (ow * oh);
        const INDEX top = begins(p, h, oh), bottom = ends(p, h, oh), left = begins(q, w, ow), right = ends(q, w, ow);
        REAL sum = 0;
        for (INDEX row = top; row < bottom; row++)
            for (INDEX column = left; column < right; column++)
                sum += x__nchw[(plane * h + row) * w + column];
        y[at] = sum / (REAL)((bottom - top) * (right - left));
    }
}

extern "C" __global__ void adaptive_avg_pool_grad(const REAL* grad, REAL* x_grad, INDEX count, INDEX h, INDEX w,
                                                  INDEX oh, INDEX ow)
{
    FOR_EACH(at, count) {
        const INDEX column = at % w, row = at / w % h, plane = at / (w * h);
        REAL sum = 0;
        // Windows are in order, so those that hold a pixel are neighbours: start at the first that can.
        for (INDEX p = begins(row, oh, h); p < oh && begins(p, h, oh) <= row; p++) {
            if (ends(p, h, oh) <= row)
                continue;
            for (INDEX q = begins(column, ow, w); q < ow && begins(q, w, ow) <= column; q++)
                if (ends(q, w, ow) > column)
                    sum += grad[(plane * oh + p) * ow + q]
                           / (REAL)((ends(p, h, oh) - begins(p, h, oh)) * (ends(q, w, ow) - begins(q, w, ow)));
        }
        x_grad[at] = sum;
    }
}

extern "C" __global__ void adaptive_max_pool(const REAL* x__nchw, REAL* y, long long* places, INDEX count, INDEX h,
                                             INDEX w, INDEX oh, INDEX ow)
{
    FOR_EACH(at, count) {
        const INDEX q = at % ow, p = at / ow % oh, plane = at / (ow * oh);
        REAL best = 0;
        INDEX place = -1;
        for (INDEX row = begins(p, h, oh); row < ends(p, h, oh); row++)
            for (INDEX column = begins(q, w, ow); column < ends(q, w, ow); column++) {
                const REAL value = x__nchw[(plane * h + row) * w + column];
                if (place < 0 || value > best || value != value) {
                    best = value;
                    place = row * w + column;
                }
            }
        y[at] = best;
        places[at] = place;
    }
}
