#pragma once

#include <stdbool.h>
#include <stdint.h>

/// Whether the heap is counted in this build: glibc, and no sanitizer that brings a heap of its own.
bool allocation_counting_is_available(void);

/// Heap allocations of the calling thread since it began.
uint64_t allocation_count_of_this_thread(void);

/// Heap allocations of the whole process since it began.
uint64_t allocation_count_of_process(void);

/// Calls of free by the calling thread, of pointers other than null, since it began.
uint64_t deallocation_count_of_this_thread(void);

/// Whether retains are counted in this build: x86-64 with glibc, and no sanitizer.
bool retain_counting_is_available(void);

/// Calls of swift_retain, swift_retain_n and swift_bridgeObjectRetain by the calling thread.
uint64_t retain_count_of_this_thread(void);
