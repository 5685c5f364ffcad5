#include "alloc_fail.h"
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <execinfo.h>
#include <new>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"

/* The allocator below: the sanitizer's, or the C library's. */
#ifdef ALLOC_FAIL_BELOW_SANITIZER
#define BELOW(name) __interceptor_##name
#else
#define BELOW(name) __libc_##name
#endif

extern "C" {
void *BELOW(malloc)(size_t bytes);
void *BELOW(calloc)(size_t n, size_t bytes);
void *BELOW(realloc)(void *p, size_t bytes);
void BELOW(free)(void *p);
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));
}

namespace
{

enum mode { OFF, COUNT_ALL, COUNT_OWN, RECORD };

enum {
    FRAMES = 16,
    SITES_MAX = 1 << 14,      /* a power of two */
    MEM_FUNCTION_BYTES = 192, /* of each function of base/mem, no less */
};

std::atomic<int> mode;
std::atomic<uint64_t> count, fail_at, in_a_row{1};
std::atomic<bool> happened;
std::atomic<int64_t> held;

/* ---- the sites ---- */

uint64_t site_hashes[SITES_MAX], site_first[SITES_MAX];
unsigned n_sites;
std::atomic_flag sites_busy = ATOMIC_FLAG_INIT;
thread_local bool inside; /* what looks at the stack may allocate */

bool lies_in(const void *at, const void *function)
{
    const char *p = static_cast<const char *>(at), *f = static_cast<const char *>(function);
    return p > f && p < f + MEM_FUNCTION_BYTES;
}

bool is_own(const void *caller)
{
    return lies_in(caller, reinterpret_cast<const void *>(mem_alloc)) ||
           lies_in(caller, reinterpret_cast<const void *>(mem_zalloc)) ||
           lies_in(caller, reinterpret_cast<const void *>(mem_realloc));
}

uint64_t hash_in(uint64_t h, const void *p) /* FNV-1a */
{
    return (h ^ reinterpret_cast<uintptr_t>(p)) * 1099511628211u;
}

const char *end_of_stack()
{
    pthread_attr_t attr;
    void *low;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &low, &bytes);
        pthread_attr_destroy(&attr);
    }
    return bytes ? static_cast<char *>(low) + bytes : nullptr;
}

/* Our own code keeps frame pointers. Where a library's does not the walk ends, or goes astray
 * within the stack, always in the same way. */
uint64_t hash_of_frames(void *const *frame)
{
    static thread_local const char *end = end_of_stack();
    uint64_t h = 14695981039346656037u;
    for (int i = 0; i < FRAMES; i++) {
        h = hash_in(h, frame[1]);
        auto next = static_cast<void *const *>(frame[0]);
        if (next <= frame || reinterpret_cast<const char *>(next + 2) > end ||
            reinterpret_cast<uintptr_t>(next) % sizeof(void *))
            break;
        frame = next;
    }
    return h;
}

/* Slower; by the tables for exceptions, which every library has. */
uint64_t hash_of_backtrace()
{
    void *frames[FRAMES];
    int n = backtrace(frames, FRAMES);
    uint64_t h = 14695981039346656037u;
    for (int i = 0; i < n; i++)
        h = hash_in(h, frames[i]);
    return h;
}

void record(uint64_t nth, bool by_new)
{
    if (inside)
        return;
    inside = true;
    uint64_t h = by_new ? hash_of_backtrace()
                        : hash_of_frames(static_cast<void *const *>(__builtin_frame_address(0)));
    h += !h;
    while (sites_busy.test_and_set())
        ;
    unsigned place = h % SITES_MAX;
    while (site_hashes[place] && site_hashes[place] != h)
        place = (place + 1) % SITES_MAX;
    if (!site_hashes[place] && n_sites < SITES_MAX / 2) {
        site_hashes[place] = h;
        site_first[place] = nth;
        n_sites++;
    }
    sites_busy.clear();
    inside = false;
}

void write_sites()
{
    mode = OFF;
    FILE *f = fopen(getenv("ALLOC_FAIL_SITES"), "we");
    if (!f)
        _exit(3);
    for (unsigned i = 0; i < SITES_MAX; i++) {
        if (site_hashes[i])
            fprintf(f, "%llu\n", static_cast<unsigned long long>(site_first[i]));
    }
    fclose(f);
}

/* Said at the end: a run in which nothing failed has shown nothing. */
void tell()
{
    mode = OFF;
    if (happened)
        fputs("alloc_fail: one has failed\n", stderr);
}

__attribute__((constructor)) void begin()
{
    const char *at = getenv("ALLOC_FAIL_AT");
    if (getenv("ALLOC_FAIL_SITES")) {
        /* Loads what it needs. The loader's own memory would look lost, as we stand between. */
        void *frame;
        if (__lsan_disable)
            __lsan_disable();
        backtrace(&frame, 1);
        if (__lsan_enable)
            __lsan_enable();
        atexit(write_sites);
        mode = RECORD;
    } else if (at) {
        if (!mem_keep_reserve())
            _exit(3);
        fail_at = strtoull(at, nullptr, 10);
        atexit(tell);
        mode = COUNT_OWN;
    }
}

/* Whether this allocation is the one. */
bool fails(const void *caller, bool by_new)
{
    int now = mode.load(std::memory_order_relaxed);
    if (now == OFF || (now != COUNT_ALL && !by_new && !is_own(caller)))
        return false;
    uint64_t nth = ++count;
    if (now == RECORD)
        record(nth, by_new);
    if (now == RECORD || !fail_at || nth < fail_at || nth >= fail_at + in_a_row)
        return false;
    happened = true;
    errno = ENOMEM;
    return true;
}

void *counted(void *p)
{
    if (p)
        held++;
    return p;
}

void *allocated_by_new(size_t bytes)
{
    for (;;) {
        void *p = fails(nullptr, true) ? nullptr : counted(BELOW(malloc)(bytes ? bytes : 1));
        if (p)
            return p;
        std::new_handler handler = std::get_new_handler();
        if (!handler)
            throw std::bad_alloc();
        handler();
    }
}

} // namespace

void alloc_fail_begin(uint64_t n)
{
    count = 0;
    happened = false;
    fail_at = n;
    mode = COUNT_ALL;
}

void alloc_fail_in_a_row(uint64_t many)
{
    in_a_row = many;
}

uint64_t alloc_fail_end()
{
    mode = OFF;
    in_a_row = 1;
    return count;
}

bool alloc_fail_happened()
{
    return happened;
}

int64_t alloc_fail_held()
{
    return held;
}

/* ---- what everybody calls ---- */

extern "C" {

void *malloc(size_t bytes) noexcept
{
    return fails(__builtin_return_address(0), false) ? nullptr : counted(BELOW(malloc)(bytes));
}

void *calloc(size_t n, size_t bytes) noexcept
{
    return fails(__builtin_return_address(0), false) ? nullptr : counted(BELOW(calloc)(n, bytes));
}

void *realloc(void *p, size_t bytes) noexcept
{
    if (fails(__builtin_return_address(0), false))
        return nullptr;
    void *q = BELOW(realloc)(p, bytes);
    if (!p)
        counted(q);
    else if (!bytes && !q)
        held--;
    return q;
}

void free(void *p) noexcept
{
    if (p)
        held--;
    BELOW(free)(p);
}
}

void *operator new(size_t bytes)
{
    return allocated_by_new(bytes);
}

void *operator new[](size_t bytes)
{
    return allocated_by_new(bytes);
}

void operator delete(void *p) noexcept
{
    free(p);
}

void operator delete[](void *p) noexcept
{
    free(p);
}

void operator delete(void *p, size_t) noexcept
{
    free(p);
}

void operator delete[](void *p, size_t) noexcept
{
    free(p);
}
