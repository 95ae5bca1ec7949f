// The steps of the optimizers: all tensors of a network in one launch. A table holds for each tensor the addresses of its
// arrays, `ends` where it ends if all were laid end to end; a thread finds its tensor by halving.

#define TENSOR(column) ((REAL*)table[tensor * columns + (column)] + at)

__device__ inline INDEX find(const long long* ends, INDEX tensors, INDEX i)
{
    INDEX low = 0, high = tensors - 1;
    while (low < high) {
        const INDEX middle = (low + high) / 2;
        if (ends[middle] <= i)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#define EVERY_ELEMENT \
    FOR_EACH(i, count) { \
        const INDEX tensor = find(ends, tensors, i); \
        const INDEX at = i - (tensor ? (INDEX)ends[tensor - 1] : 0);

__device__ inline REAL direction(REAL param, REAL grad, REAL weight_decay, INDEX maximize)
{
    return (maximize ? -grad : grad) + weight_decay * param;
}

// Columns: parameter, gradient, momentum.
extern "C" __global__ void sgd(const long long* table, const long long* ends, INDEX tensors, INDEX columns, INDEX count,
                               double lr, double momentum, double dampening, double weight_decay, INDEX nesterov,
                               INDEX maximize)
{
    EVERY_ELEMENT
        REAL* param = TENSOR(0);
        REAL step = direction(*param, *TENSOR(1), (REAL)weight_decay, maximize);
        if (momentum != 0 && columns > 2) {
            REAL* buffer = TENSOR(2);
            *buffer = (REAL)momentum * *buffer + (REAL)(1 - dampening) * step;
            step = nesterov ? step + (REAL)momentum * *buffer : *buffer;
        }
        *param -= (REAL)lr * step;
    }
}

// Columns: parameter, gradient, mean, mean square, and for AMSGrad the largest mean square.
extern "C" __global__ void adam(const long long* table, const long long* ends, INDEX tensors, INDEX columns, INDEX count,
                                double step_size, double correction, double beta1, double beta2, double eps,
                                double shrink, double weight_decay, INDEX maximize)
{
    EVERY_ELEMENT
        REAL* param = TENSOR(0);
        *param *= (REAL)shrink;
        const REAL g = direction(*param, *TENSOR(1), (REAL)weight_decay, maximize);
        REAL *m = TENSOR(2), *v = TENSOR(3);
        *m += (REAL)(1 - beta1) * (g - *m);
        *v = (REAL)beta2 * *v + (REAL)(1 - beta2) * g * g;
        REAL square = *v;
        if (columns > 4)
            square = *TENSOR(4) = larger(*TENSOR(4), square);
        *param -= (REAL)step_size * *m / (sqrt(square) / (REAL)correction + (REAL)eps);
    }
}

// Columns: parameter, gradient, mean square, then the mean gradient if centred, then the momentum if there is one.
extern "C" __global__ void rmsprop(const long long* table, const long long* ends, INDEX tensors, INDEX columns,
                                   INDEX count, double lr, double alpha, double eps, double weight_decay,
                                   double momentum, INDEX centred, INDEX has_momentum, INDEX maximize)
{
    EVERY_ELEMENT
        REAL* param = TENSOR(0);
        const REAL g = direction(*param, *TENSOR(1), (REAL)weight_decay, maximize);
        REAL* v = TENSOR(2);
        *v = (REAL)alpha * *v + (REAL)(1 - alpha) * g * g;
        REAL square = *v;
        if (centred) {
            REAL* mean = TENSOR(3);
            *mean += (REAL)(1 - alpha) * (g - *mean);
            square -= *mean * *mean;
        }
        REAL step = g / (sqrt(square) + (REAL)eps);
        if (has_momentum) {
            REAL* buffer = TENSOR(3 + (centred ? 1 : 0));
            step = *buffer = (REAL)momentum * *buffer + step;
        }
        *param -= (REAL)lr * step;
    }
}

// Columns: parameter, gradient, sum of squares.
extern "C" __global__ void adagrad(const long long* table, const long long* ends, INDEX tensors, INDEX columns,
                                   INDEX count, double rate, double weight_decay, double eps, INDEX maximize)
{
    EVERY_ELEMENT
        REAL *param = TENSOR(0), *total = TENSOR(2);
        const REAL g = direction(*param, *TENSOR(1), (REAL)weight_decay, maximize);
        *total += g * g;
        *param -= (REAL)rate * g / (sqrt(*total) + (REAL)eps);
    }
}

// Columns: the array.
extern "C" __global__ void scale(const long long* table, const long long* ends, INDEX tensors, INDEX columns, INDEX count,
                                 const REAL* factor)
{
    EVERY_ELEMENT
        *TENSOR(0) *= *factor;
    }
}
