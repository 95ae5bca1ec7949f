# What AddressSanitizer cannot know by itself: of memory that is kept, or rounded up, only what was asked for may be
# used. In an ordinary build both are empty.

cdef extern from *:
    """
    #if defined(__has_feature)
    #if __has_feature(address_sanitizer)
    #define MINIDL_ASAN
    #endif
    #elif defined(__SANITIZE_ADDRESS__)
    #define MINIDL_ASAN
    #endif
    #ifdef MINIDL_ASAN
    #include <sanitizer/asan_interface.h>
    #define minidl_forbid(start, bytes) __asan_poison_memory_region(start, bytes)
    #define minidl_allow(start, bytes) __asan_unpoison_memory_region(start, bytes)
    #else
    #define minidl_forbid(start, bytes) ((void)(start), (void)(bytes))
    #define minidl_allow(start, bytes) ((void)(start), (void)(bytes))
    #endif
    """
    void forbid "minidl_forbid"(void* start, size_t bytes) noexcept nogil
    void allow "minidl_allow"(void* start, size_t bytes) noexcept nogil
