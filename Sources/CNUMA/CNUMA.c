#include "CNUMA.h"

#if __has_include(<numa.h>) && __has_include(<numaif.h>)
#include <numa.h>
#include <numaif.h>

// Where libnuma's own headers are installed they are held against the types that Memory calls through.
static const attention_numa_available check_available __attribute__((unused)) = numa_available;
static const attention_numa_get_mems_allowed check_allowed __attribute__((unused)) =
    (attention_numa_get_mems_allowed)numa_get_mems_allowed;
static const attention_numa_isbitset check_isbitset __attribute__((unused)) =
    (attention_numa_isbitset)numa_bitmask_isbitset;
static const attention_numa_bitmask_free check_free __attribute__((unused)) =
    (attention_numa_bitmask_free)numa_bitmask_free;
static const attention_mbind check_mbind __attribute__((unused)) = mbind;
static const attention_move_pages check_move_pages __attribute__((unused)) = move_pages;
_Static_assert(MPOL_PREFERRED == ATTENTION_MPOL_PREFERRED, "mode of libnuma");
_Static_assert(MPOL_BIND == ATTENTION_MPOL_BIND, "mode of libnuma");
#endif

#include <stdlib.h>

#if defined(__GLIBC__)
#include <malloc.h>
void attention_release_freed(void) {
  malloc_trim(0);
  // What is free at the top of an arena other than the main one goes with a larger block that is freed in it, once it is above a
  // threshold, which has grown with the blocks freed so far.
  mallopt(M_TRIM_THRESHOLD, 0);
  void *volatile block = malloc(100 << 10);
  free(block);
  mallopt(M_TRIM_THRESHOLD, 128 << 10);
}

void attention_share_heap(void) { mallopt(M_ARENA_MAX, 1); }
#else
void attention_release_freed(void) {}
void attention_share_heap(void) {}
#endif
