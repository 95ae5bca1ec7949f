// CUDA's blocks and threads on one thread of a CPU: the kernels' own source, compiled by g++, is compared with the
// reference where there is no GPU. Each CUDA thread of a kernel with shared memory is a fiber (ucontext) with a stack of
// its own. It runs until it reaches __syncthreads() and then hands over to the next one, so a missing barrier shows: the
// first thread has run to the end before the second has begun. In every other block the last thread goes first, for a
// barrier may be missed in one order alone. A block in which some threads wait at a barrier and others
// have ended is an error, and shared memory is filled with NaN before each block.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __shared__ static __attribute__((section("block_shared")))

struct dim3 {
    unsigned int x, y, z;
};
static dim3 blockIdx, blockDim, gridDim, threadIdx;

__attribute__((weak)) extern char __start_block_shared[];
__attribute__((weak)) extern char __stop_block_shared[];

namespace emulation {
const size_t STACK = 256 * 1024;
const unsigned int MOST = 1024;
static struct Fiber {
    ucontext_t context;
    char* stack;
    bool done;
} fibers[MOST];
static ucontext_t scheduler;
static unsigned int current;
static void (*body)(void**);
static void** arguments;

static void enter()
{
    body(arguments);
    fibers[current].done = true;
}

// All threads of a block, from barrier to barrier. Returns false where some threads stay behind at one.
static bool run_fibers(unsigned int threads)
{
    if (__start_block_shared)
        memset(__start_block_shared, 0xFF, __stop_block_shared - __start_block_shared);
    for (unsigned int i = 0; i < threads; i++) {
        Fiber& fiber = fibers[i];
        if (!fiber.stack)
            fiber.stack = (char*)malloc(STACK);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack;
        fiber.context.uc_stack.ss_size = STACK;
        fiber.context.uc_link = &scheduler;
        fiber.done = false;
        makecontext(&fiber.context, enter, 0);
    }
    unsigned int left = threads;
    while (left) {
        for (unsigned int n = 0; n < threads; n++) {
            const unsigned int i = blockIdx.x % 2 ? threads - 1 - n : n;
            current = threadIdx.x = i;
            swapcontext(&scheduler, &fibers[i].context);
            left -= fibers[i].done;
        }
        if (left && left != threads)
            return false;
    }
    return true;
}

static int launch(void (*kernel)(void**), void** given, bool cooperates, unsigned int blocks, unsigned int threads)
{
    body = kernel;
    arguments = given;
    gridDim.x = blocks;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) {
        if (cooperates) {
            if (!run_fibers(threads))
                return 1;
            continue;
        }
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++)
            body(arguments);
    }
    return 0;
}
}  // namespace emulation

static inline void __syncthreads()
{
    swapcontext(&emulation::fibers[emulation::current].context, &emulation::scheduler);
}
