// Batch norm: a block holds one channel of (images, channels, pixels). Layer norm: a block holds one row.

#define CHANNEL(k) (((k) / pixels * channels + c) * pixels + (k) % pixels)

extern "C" __global__ void batch_norm_statistics(const REAL* x__ncp, REAL* mean__c, REAL* var__c, INDEX channels,
                                                 INDEX pixels, INDEX length)
{
    __shared__ REAL room[THREADS];
    for (INDEX c = blockIdx.x; c < channels; c += gridDim.x) {
        REAL sum = 0, squares = 0;
        FOR_MINE(k, length)
            sum += x__ncp[CHANNEL(k)];
        const REAL mean = sum_of_block(sum, room) / (REAL)length;
        FOR_MINE(k, length) {
            const REAL centred = x__ncp[CHANNEL(k)] - mean;
            squares += centred * centred;
        }
        squares = sum_of_block(squares, room);
        if (threadIdx.x == 0) {
            mean__c[c] = mean;
            var__c[c] = squares / (REAL)length;
        }
    }
}

extern "C" __global__ void batch_norm_apply(const REAL* x__ncp, const REAL* mean__c, const REAL* var__c,
                                            const REAL* weight__c, const REAL* bias__c, REAL* y__ncp, INDEX count,
                                            INDEX channels, INDEX pixels, INDEX has_weight, INDEX has_bias, double eps)
{
    FOR_EACH(at, count) {
        const INDEX c = at / pixels % channels;
        const REAL scale = (has_weight ? weight__c[c] : (REAL)1) / sqrt(var__c[c] + (REAL)eps);
        y__ncp[at] = (x__ncp[at] - mean__c[c]) * scale + (has_bias ? bias__c[c] : (REAL)0);
    }
}

extern "C" __global__ void batch_norm_grad(const REAL* grad, const REAL* x__ncp, const REAL* weight__c,
                                           const REAL* mean__c, const REAL* var__c, REAL* x_grad, REAL* weight_grad,
                                           REAL* bias_grad, INDEX channels, INDEX pixels, INDEX length,
                                           INDEX has_weight, double eps)
{
    __shared__ REAL room[THREADS];
    for (INDEX c = blockIdx.x; c < channels; c += gridDim.x) {
        const REAL mean = mean__c[c], rstd = 1 / sqrt(var__c[c] + (REAL)eps);
        REAL sum = 0, weighted = 0;
        FOR_MINE(k, length) {
            sum += grad[CHANNEL(k)];
            weighted += grad[CHANNEL(k)] * (x__ncp[CHANNEL(k)] - mean) * rstd;
        }
        sum = sum_of_block(sum, room);
        weighted = sum_of_block(weighted, room);
        const REAL scale = has_weight ? rstd * weight__c[c] : rstd;
        FOR_MINE(k, length) {
            const REAL normalised = (x__ncp[CHANNEL(k)] - mean) * rstd;
            x_grad[CHANNEL(k)] =
                (grad[CHANNEL(k)] - sum / (REAL)length - normalised * (weighted / (REAL)length)) * scale;
        }
        if (threadIdx.x == 0) {
            weight_grad[c] = weighted;
            bias_grad[c] = sum;
        }
    }
}

extern "C" __global__ void layer_norm(const REAL* x__md, const REAL* weight__d, const REAL* bias__d, REAL* y__md,
                                      REAL* mean__m, REAL* rstd__m, INDEX rows, INDEX length, INDEX has_weight,
                                      INDEX has_bias, double eps)
{
    __shared__ REAL room[THREADS];
    for (INDEX m = blockIdx.x; m < rows; m += gridDim.x) {
        const REAL* x = x__md + m * length;
        REAL sum = 0, squares = 0;
        FOR_MINE(k, length)
            sum += x[k];
        const REAL mean = sum_of_block(sum, room) / (REAL)length;
        FOR_MINE(k, length)
            squares += (x[k] - mean) * (x[k] - mean);
        const REAL rstd = 1 / sqrt(sum_of_block(squares, room) / (REAL)length + (REAL)eps);
        FOR_MINE(k, length)
            y__md[m * length + k] = (x[k] - mean) * rstd * (has_weight ? weight__d[k] : (REAL)1)
                                    + (has_bias ? bias__d[k] : (REAL)0);
        if (threadIdx.x == 0) {
            mean__m[m] = mean;
            rstd__m[m] = rstd;
        }
    }
}

extern "C" __global__ void layer_norm_grad(const REAL* grad, const REAL* x__md, const REAL* weight__d,
                                           const REAL* mean__m, const REAL* rstd__m, REAL* x_grad, INDEX rows,
                                           INDEX length, INDEX has_weight)
{
    __shared__ REAL room[THREADS];
    for (INDEX m = blockIdx.x; m < rows; m += gridDim.x) {
        const REAL *g = grad + m * length, *x = x__md + m * length;
        const REAL mean = mean__m[m], rstd = rstd__m[m];
        REAL sum = 0, weighted = 0;
        FOR_MINE(k, length) {
            const REAL scaled = has_weight ? g[k] * weight__d[k] : g[k];
            sum += scaled;
            weighted += scaled * (x[k] - mean) * rstd;
        }
        sum = sum_of_block(sum, room) / (REAL)length;
        weighted = sum_of_block(weighted, room) / (REAL)length;
        FOR_MINE(k, length) {
            const REAL scaled = has_weight ? g[k] * weight__d[k] : g[k];
            x_grad[m * length + k] = (scaled - sum - (x[k] - mean) * rstd * weighted) * rstd;
        }
    }
}

// The gradients of weight and bias: a thread adds up one column. Neighbouring threads read neighbouring numbers.
extern "C" __global__ void layer_norm_parameter_grad(const REAL* grad, const REAL* x__md, const REAL* mean__m,
                                                     const REAL* rstd__m, REAL* weight_grad, REAL* bias_grad,
                                                     INDEX rows, INDEX length)
{
    FOR_EACH(k, length) {
        REAL weighted = 0, sum = 0;
        for (INDEX m = 0; m < rows; m++) {
            sum += grad[m * length + k];
            weighted += grad[m * length + k] * (x__md[m * length + k] - mean__m[m]) * rstd__m[m];
        }
        weight_grad[k] = weighted;
        bias_grad[k] = sum;
    }
}
