// What every C program here shares: the driver's protocol, the clock and the statistics.
//
// A program sets its work up, prints "READY", then reads lines "decode SECONDS" or "prefill SECONDS" from standard input. For each
// it measures for about that long and prints one record; it ends with its input. So the driver can set several engines up at once
// and time them in turns.
#ifndef STREAMING_ATTENTION_PEERS_WORKER_H
#define STREAMING_ATTENTION_PEERS_WORKER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { maximum_repetitions = 512 };

struct timing {
    double median, minimum;  // milliseconds
};

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

/// Runs `step` for about `seconds`: three times at least, unless that takes 40 seconds.
static struct timing measure(void (*step)(void *), void *state, double seconds) {
    static double milliseconds[maximum_repetitions];
    int count = 0;
    double began = seconds_now(), elapsed = 0;
    while (count == 0 || (count < 3 && elapsed < 40) || (count < maximum_repetitions && elapsed < seconds)) {
        double start = seconds_now();
        step(state);
        double end = seconds_now();
        milliseconds[count++] = (end - start) * 1e3;
        elapsed = end - began;
    }
    qsort(milliseconds, count, sizeof *milliseconds, by_size);
    return (struct timing){milliseconds[count / 2], milliseconds[0]};
}

/// Reads the next "OPERATION SECONDS"; false at the end of the input.
static int next_request(char operation[16], double *seconds) {
    return scanf("%15s %lf", operation, seconds) == 2;
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    __builtin_va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

#endif
