// Convolution by matrix products: lay the pixels of every window side by side, multiply, and bring the result home.
//
//     columns[(c, i, j), (n, p, q)] = x[n, c, p*stride_h - pad_h + i*dilation_h, q*stride_w - pad_w + j*dilation_w]
//
// so that y = W @ columns, and the two gradients are products with the same matrix. Channels first in the rows and images
// first in the columns: one two-dimensional product serves the whole batch.

extern "C" __global__ void im2col(const REAL* x__nchw, REAL* columns, INDEX count, INDEX images, INDEX all_channels,
                                  INDEX first_channel, INDEX h, INDEX w, INDEX kh, INDEX kw, INDEX oh, INDEX ow,
                                  INDEX stride_h, INDEX stride_w, INDEX pad_h, INDEX pad_w, INDEX dilation_h,
                                  INDEX dilation_w)
{
    FOR_EACH(at, count) {
        const INDEX q = at % ow, p = at / ow % oh, n = at / (ow * oh) % images, tap = at / (ow * oh * images);
        const INDEX j = tap % kw, i = tap / kw % kh, c = tap / (kw * kh);
        const INDEX row = p * stride_h - pad_h + i * dilation_h, column = q * stride_w - pad_w + j * dilation_w;
        const bool inside = row >= 0 && row < h && column >= 0 && column < w;
        columns[at] = inside ? x__nchw[((n * all_channels + first_channel + c) * h + row) * w + column] : (REAL)0;
    }
}

// The adjoint: a pixel adds up every place of the columns that was copied from it.
extern "C" __global__ void col2im(const REAL* columns, REAL* x__nchw, INDEX count, INDEX images, INDEX channels,
                                  INDEX all_channels, INDEX first_channel, INDEX h, INDEX w, INDEX kh, INDEX kw,
                                  INDEX oh, INDEX ow, INDEX stride_h, INDEX stride_w, INDEX pad_h, INDEX pad_w,
                                  INDEX dilation_h, INDEX dilation_w)
{
    FOR_EACH(at, count) {
        const INDEX column = at % w, row = at / w % h, c = at / (w * h) % channels, n = at / (w * h * channels);
        REAL sum = 0;
        for (INDEX i = 0; i < kh; i++) {
            const INDEX below = row + pad_h - i * dilation_h, p = below / stride_h;
            if (below < 0 || below % stride_h || p >= oh)
                continue;
            for (INDEX j = 0; j < kw; j++) {
                const INDEX right = column + pad_w - j * dilation_w, q = right / stride_w;
                if (right < 0 || right % stride_w || q >= ow)
                    continue;
                sum += columns[((((c * kh + i) * kw + j) * images + n) * oh + p) * ow + q];
            }
        }
        x__nchw[((n * all_channels + first_channel + c) * h + row) * w + column] = sum;
    }
}

// From (outputs, images, pixels), as the product leaves it, to (images, all_outputs, pixels), with the bias.
extern "C" __global__ void bring_home(const REAL* y__onp, const REAL* bias__o, REAL* y__nop, INDEX count, INDEX images,
                                      INDEX outputs, INDEX pixels, INDEX all_outputs, INDEX first_output,
                                      INDEX has_bias)
{
    FOR_EACH(at, count) {
        const INDEX p = at % pixels, o = at / pixels % outputs, n = at / (pixels * outputs);
        const REAL bias = has_bias ? bias__o[first_output + o] : (REAL)0;
        y__nop[(n * all_outputs + first_output + o) * pixels + p] = y__onp[(o * images + n) * pixels + p] + bias;
    }
}
