"""Which of the instruction-set variants this processor (and operating system) can run."""

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    static int minidl_cpu_level(void) {
        __builtin_cpu_init();
        if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi")
              && __builtin_cpu_supports("bmi2")))
            return 1;
        if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
              && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
              && __builtin_cpu_supports("avx512vl")))
            return 3;
        return 4;
    }
    #elif defined(_M_X64)
    #include <intrin.h>
    static int minidl_cpu_level(void) {
        const unsigned v3 = (1u << 3) | (1u << 5) | (1u << 8);       /* BMI, AVX2, BMI2 in EBX of leaf 7 */
        const unsigned v4 = (1u << 16) | (1u << 17) | (1u << 28) | (1u << 30) | (1u << 31); /* F DQ CD BW VL */
        int leaf1[4], leaf7[4];
        unsigned long long saved;
        __cpuid(leaf1, 0);
        if (leaf1[0] < 7) return 1;
        __cpuid(leaf1, 1);
        if (!(leaf1[2] & (1 << 12)) || !(leaf1[2] & (1 << 27))) return 1;  /* FMA, and XGETBV allowed */
        __cpuidex(leaf7, 7, 0);
        saved = _xgetbv(0);                                           /* registers the system saves */
        if ((saved & 0x06) != 0x06 || ((unsigned)leaf7[1] & v3) != v3) return 1;
        if ((saved & 0xe6) != 0xe6 || ((unsigned)leaf7[1] & v4) != v4) return 3;
        return 4;
    }
    #else
    static int minidl_cpu_level(void) { return 1; }
    #endif
    """
    int minidl_cpu_level()


def variants():
    """Names of the variants that run here, the fastest first."""
    level = minidl_cpu_level()
    return [name for needed, name in ((4, "v4"), (3, "v3"), (1, "baseline")) if level >= needed]
