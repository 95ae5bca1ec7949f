// Softmax and its family: a block computes one row. Element k of row r lies at (r / inner * length + k) * inner + r % inner:
// the axis may stand anywhere, `inner` is the product of the sizes behind it.

#define AT(k) base[(k) * inner]

// The largest element of a row (0 if that is -infinity, so that nothing becomes NaN) and the sum of exponentials below it.
__device__ inline REAL shift_of(const REAL* base, INDEX inner, INDEX length, REAL* room)
{
    REAL largest = -(REAL)INFINITY;
    FOR_MINE(k, length)
        largest = larger(AT(k), largest);
    largest = largest_of_block(largest, room);
    return largest == -(REAL)INFINITY ? (REAL)0 : largest;
}

__device__ inline REAL total_of(const REAL* base, INDEX inner, INDEX length, REAL shift, REAL* room)
{
    REAL total = 0;
    FOR_MINE(k, length)
        total += exp(AT(k) - shift);
    total = sum_of_block(total, room);
    return total == 0 ? (REAL)1 : total;       // a row masked entirely
}

extern "C" __global__ void softmax(const REAL* x, REAL* y, INDEX rows, INDEX length, INDEX inner, INDEX logarithm)
{
    __shared__ REAL room[THREADS];
    for (INDEX row = blockIdx.x; row < rows; row += gridDim.x) {
        const INDEX first = row / inner * length * inner + row % inner;
        const REAL* base = x + first;
        const REAL shift = shift_of(base, inner, length, room), total = total_of(base, inner, length, shift, room);
        FOR_MINE(k, length)
            y[first + k * inner] = logarithm ? AT(k) - shift - log(total) : exp(AT(k) - shift) / total;
    }
}

// y (g - sum g y), or for the logarithm g - exp(y) sum g.
extern "C" __global__ void softmax_grad(const REAL* grad, const REAL* y, REAL* x_grad, INDEX rows, INDEX length,
                                        INDEX inner, INDEX logarithm)
{
    __shared__ REAL room[THREADS];
    for (INDEX row = blockIdx.x; row < rows; row += gridDim.x) {
        const INDEX first = row / inner * length * inner + row % inner;
        REAL sum = 0;
        FOR_MINE(k, length)
            sum += logarithm ? grad[first + k * inner] : grad[first + k * inner] * y[first + k * inner];
        sum = sum_of_block(sum, room);
        FOR_MINE(k, length) {
            const REAL g = grad[first + k * inner], value = y[first + k * inner];
            x_grad[first + k * inner] = logarithm ? g - exp(value) * sum : value * (g - sum);
        }
    }
}

extern "C" __global__ void cross_entropy(const REAL* logits, const long long* labels, REAL* losses, INDEX rows,
                                         INDEX length, long long ignored)
{
    __shared__ REAL room[THREADS];
    for (INDEX row = blockIdx.x; row < rows; row += gridDim.x) {
        const REAL* base = logits + row * length;
        const REAL shift = shift_of(base, 1, length, room), total = total_of(base, 1, length, shift, room);
        if (threadIdx.x == 0) {
            const long long label = labels[row];
            if (label == ignored)
                losses[row] = 0;
            else                               // a label that is no class reads nothing: it gives NaN
                losses[row] = label >= 0 && label < length ? log(total) - (base[label] - shift) : (REAL)NAN;
        }
    }
}

extern "C" __global__ void cross_entropy_grad(const REAL* grad, const REAL* logits, const long long* labels,
                                              REAL* logits_grad, INDEX rows, INDEX length, long long ignored)
{
    __shared__ REAL room[THREADS];
    for (INDEX row = blockIdx.x; row < rows; row += gridDim.x) {
        const REAL* base = logits + row * length;
        const REAL shift = shift_of(base, 1, length, room), total = total_of(base, 1, length, shift, room);
        FOR_MINE(k, length) {
            const REAL p = exp(base[k] - shift) / total - (REAL)(k == labels[row]);
            logits_grad[row * length + k] = labels[row] == ignored ? (REAL)0 : grad[row] * p;
        }
    }
}
