// Defines the allocation functions in the test binary itself, where they precede glibc's for every
// library of the process, and counts each call before handing it to glibc's own entry points.
// The counters are plain thread locals of the executable, so that reading them allocates nothing.
// Retains are counted in the same way where the Swift runtime takes them by the C convention.

#define _GNU_SOURCE
#include "CAllocationCount.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HEAP_IS_SANITIZED 1
#endif
#endif

#if defined(__GLIBC__) && !defined(HEAP_IS_SANITIZED)

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static _Thread_local uint64_t thread_allocations __attribute__((tls_model("initial-exec")));
static _Thread_local uint64_t thread_deallocations __attribute__((tls_model("initial-exec")));
static _Atomic uint64_t process_allocations;

static void note_allocation(void) {
  thread_allocations += 1;
  atomic_fetch_add_explicit(&process_allocations, 1, memory_order_relaxed);
}

void *malloc(size_t size) {
  note_allocation();
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  note_allocation();
  return __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size) {
  note_allocation();
  return __libc_realloc(pointer, size);
}

void *memalign(size_t alignment, size_t size) {
  note_allocation();
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  note_allocation();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) {
    return EINVAL;
  }
  note_allocation();
  void *pointer = __libc_memalign(alignment, size);
  if (pointer == NULL) {
    return ENOMEM;
  }
  *result = pointer;
  return 0;
}

void free(void *pointer) {
  if (pointer != NULL) {
    thread_deallocations += 1;
  }
  __libc_free(pointer);
}

bool allocation_counting_is_available(void) { return true; }
uint64_t allocation_count_of_this_thread(void) { return thread_allocations; }
uint64_t allocation_count_of_process(void) {
  return atomic_load_explicit(&process_allocations, memory_order_relaxed);
}
uint64_t deallocation_count_of_this_thread(void) { return thread_deallocations; }

#else

bool allocation_counting_is_available(void) { return false; }
uint64_t allocation_count_of_this_thread(void) { return 0; }
uint64_t allocation_count_of_process(void) { return 0; }
uint64_t deallocation_count_of_this_thread(void) { return 0; }

#endif

#if defined(__GLIBC__) && defined(__x86_64__) && !defined(HEAP_IS_SANITIZED)

static _Thread_local uint64_t thread_retains __attribute__((tls_model("initial-exec")));
static void *(*runtime_retain)(void *);
static void *(*runtime_retain_n)(void *, uint32_t);
static void *(*runtime_bridge_retain)(void *);

void *swift_retain(void *object) {
  thread_retains += 1;
  if (runtime_retain == NULL) {
    runtime_retain = (void *(*)(void *))dlsym(RTLD_NEXT, "swift_retain");
  }
  return runtime_retain(object);
}

void *swift_retain_n(void *object, uint32_t count) {
  thread_retains += 1;
  if (runtime_retain_n == NULL) {
    runtime_retain_n = (void *(*)(void *, uint32_t))dlsym(RTLD_NEXT, "swift_retain_n");
  }
  return runtime_retain_n(object, count);
}

void *swift_bridgeObjectRetain(void *object) {
  thread_retains += 1;
  if (runtime_bridge_retain == NULL) {
    runtime_bridge_retain = (void *(*)(void *))dlsym(RTLD_NEXT, "swift_bridgeObjectRetain");
  }
  return runtime_bridge_retain(object);
}

bool retain_counting_is_available(void) { return true; }
uint64_t retain_count_of_this_thread(void) { return thread_retains; }

#else

bool retain_counting_is_available(void) { return false; }
uint64_t retain_count_of_this_thread(void) { return 0; }

#endif
