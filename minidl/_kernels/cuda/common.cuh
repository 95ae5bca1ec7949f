// What every kernel here is compiled with. REAL is the element type (float or double), INDEX the type of sizes and
// places: int where every array has fewer than 2^31 elements, which divides several times faster, else long long.
// Kernels gather: a thread computes one result and reads what belongs to it. So nothing is ever added from two threads,
// no atomics are needed, and the same call gives the same bits.
#ifndef THREADS  // threads of a block, a power of two
#define THREADS 256
#endif

#ifndef INFINITY  // NVRTC comes without the header that defines them
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif

// Each result i of `count` once, whatever the size of the grid.
#define FOR_EACH(i, count) \
    for (INDEX i = (INDEX)blockIdx.x * (INDEX)blockDim.x + (INDEX)threadIdx.x; i < (count); \
         i += (INDEX)blockDim.x * (INDEX)gridDim.x)

// The elements first, first + step, ... of a row that belong to this thread of a block.
#define FOR_MINE(i, count) for (INDEX i = (INDEX)threadIdx.x; i < (count); i += (INDEX)blockDim.x)

__device__ inline REAL larger(REAL a, REAL b) { return a > b || a != a ? a : b; }  // NaN wins

// The sum over the threads of a block, in every thread; by halves, so always in the same order. `room` is shared.
__device__ inline REAL sum_of_block(REAL value, REAL* room)
{
    const int me = threadIdx.x;
    __syncthreads();                       // the room may still be read by those who used it before
    room[me] = value;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (me < half)
            room[me] += room[me + half];
        __syncthreads();
    }
    return room[0];
}

__device__ inline REAL largest_of_block(REAL value, REAL* room)
{
    const int me = threadIdx.x;
    __syncthreads();
    room[me] = value;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (me < half)
            room[me] = larger(room[me], room[me + half]);
        __syncthreads();
    }
    return room[0];
}
