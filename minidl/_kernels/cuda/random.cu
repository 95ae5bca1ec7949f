// Dropout on the counter-based generator Philox4x32-10: the mask follows from seed and position, as on the CPU.
// Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011.

__device__ inline void philox(unsigned long long counter, unsigned long long seed, unsigned int word[4])
{
    unsigned int key[2] = {(unsigned int)seed, (unsigned int)(seed >> 32)};
    word[0] = (unsigned int)counter;
    word[1] = (unsigned int)(counter >> 32);
    word[2] = word[3] = 0;
    for (int round = 0; round < 10; round++) {
        const unsigned long long even = 0xD2511F53ULL * word[0], odd = 0xCD9E8D57ULL * word[2];
        const unsigned int one = word[1], three = word[3];
        word[0] = (unsigned int)(odd >> 32) ^ one ^ key[0];
        word[1] = (unsigned int)odd;
        word[2] = (unsigned int)(even >> 32) ^ three ^ key[1];
        word[3] = (unsigned int)even;
        key[0] += 0x9E3779B9U;
        key[1] += 0xBB67AE85U;
    }
}

// Element i is decided by word i % 4 of block offset + i / 4; it is kept if that is at least `threshold`.
extern "C" __global__ void dropout(const REAL* x, REAL* y, INDEX count, unsigned long long seed,
                                   unsigned long long offset, unsigned long long threshold, double scale)
{
    const INDEX blocks = (count + 3) / 4;
    FOR_EACH(block, blocks) {
        unsigned int word[4];
        philox(offset + (unsigned long long)block, seed, word);
        for (int i = 0; i < 4 && block * 4 + i < count; i++)
            y[block * 4 + i] = word[i] >= threshold ? x[block * 4 + i] * (REAL)scale : (REAL)0;
    }
}
