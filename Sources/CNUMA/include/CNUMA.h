#pragma once

// The types of libnuma's functions, so that Memory can call them through dlopen: the package builds
// and runs with and without libnuma. Never define _GNU_SOURCE here: it changes fd_set, and the importer then
// refuses to mix this module with Dispatch. What glibc hides without it goes through syscall below.

#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct attention_numa_bitmask attention_numa_bitmask;  // libnuma's struct bitmask, never looked into

/// numa_available: negative where the kernel has no NUMA support.
typedef int (*attention_numa_available)(void);
/// numa_get_mems_allowed: the nodes that the cpuset allows; to be freed.
typedef attention_numa_bitmask *(*attention_numa_get_mems_allowed)(void);
/// numa_bitmask_isbitset.
typedef int (*attention_numa_isbitset)(const attention_numa_bitmask *, unsigned int);
/// numa_bitmask_free.
typedef void (*attention_numa_bitmask_free)(attention_numa_bitmask *);
/// mbind(2), as libnuma wraps it.
typedef long (*attention_mbind)(
    void *address, unsigned long length, int mode, const unsigned long *nodes, unsigned long maximum_node,
    unsigned int flags);
/// move_pages(2), as libnuma wraps it; without target nodes it only asks where the pages are.
typedef long (*attention_move_pages)(
    int process, unsigned long count, void **pages, const int *nodes, int *status, int flags);

enum { ATTENTION_MPOL_PREFERRED = 1, ATTENTION_MPOL_BIND = 2 };

/// The CPUs that the calling thread may run on, one bit each: bytes written, or −1 with errno set.
static inline long attention_get_affinity(unsigned long *mask, size_t byte_count) {
  return syscall(SYS_sched_getaffinity, 0, byte_count, mask);
}

/// Confines the calling thread to these CPUs: 0, or −1 with errno set.
static inline long attention_set_affinity(const unsigned long *mask, size_t byte_count) {
  return syscall(SYS_sched_setaffinity, 0, byte_count, mask);
}

/// The CPU that the calling thread is on.
static inline long attention_current_cpu(void) {
  unsigned int cpu = 0;
  return syscall(SYS_getcpu, &cpu, NULL, NULL) < 0 ? -1 : (long)cpu;
}

/// Tells the CPU that this is a loop that waits: the other hardware thread of the core gets on, the bus is spared.
static inline void attention_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

/// Gives what was freed and malloc keeps for later back to the system, all but the top of other threads' arenas; nothing where the C
/// library cannot.
void attention_release_freed(void);

/// From now on threads share the heap of the first: no heap of 64 MiB of address space is mapped for each; nothing where the C library
/// cannot.
void attention_share_heap(void);
