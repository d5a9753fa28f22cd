// Tells the thread sanitizer what Synchronization.Mutex orders. Its contended paths lie in a library of the toolchain
// that is not instrumented, so that the sanitizer would see two threads in a critical section and no lock
// between them. Nothing is compiled without the thread sanitizer.

#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) && defined(__linux__)

#include <dlfcn.h>
#include <stddef.h>

extern void __tsan_acquire(void *);
extern void __tsan_release(void *);

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *handle

typedef SWIFT void (*lock_function)(uint32_t, SELF);
typedef SWIFT void (*unlock_function)(SELF);

// Synchronization._MutexHandle._lockSlow(_: UInt32)
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
// Synchronization._MutexHandle._unlockSlow()
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

// RTLD_NEXT, which the header only defines for _GNU_SOURCE.
static void *next(const char *name) { return dlsym((void *)-1L, name); }

SWIFT void lock_slowly(uint32_t thread, SELF) __asm__(LOCK);
SWIFT void lock_slowly(uint32_t thread, SELF) {
  static _Atomic(void *) library;
  void *known = library;
  if (known == NULL) {
    library = known = next(LOCK);
  }
  ((lock_function)known)(thread, handle);
  __tsan_acquire(handle);
}

SWIFT void unlock_slowly(SELF) __asm__(UNLOCK);
SWIFT void unlock_slowly(SELF) {
  static _Atomic(void *) library;
  void *known = library;
  if (known == NULL) {
    library = known = next(UNLOCK);
  }
  __tsan_release(handle);
  ((unlock_function)known)(handle);
}

#endif
#endif
