/* How fast this machine can copy windows at all, on one thread: 7,680 B (60 x 32 float32) at random rows of a mapped
 * 512 MB array, in batches of 512, into three buffers in turn. The plainest loop there is, beside one that asks for the
 * next windows ahead of time; no order, no Python, no allocation. Built and run by `python -m bench loader`.
 *
 * window_limit ARRAY.npy ROUNDS: prints, for each round, windows a second by CPU of memcpy of 256 MiB, of windows, and
 * of windows with prefetch.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

enum { HEADER = 4096, ROW = 128, WINDOW = 60 * ROW, BATCH = 512, BATCHES = 400 };

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static double copied(const char *rows, const uint64_t *starts, char **buffers, int ahead) {
    double started = cpu_seconds();
    for (int batch = 0; batch < BATCHES; batch++) {
        char *into = buffers[batch % 3];
        const uint64_t *window = starts + (size_t)batch * BATCH;
        for (int i = 0; i < BATCH; i++) {
            if (ahead && i + ahead < BATCH) {
                const char *soon = rows + window[i + ahead] * ROW;
                for (int at = 0; at < WINDOW; at += 2048) __builtin_prefetch(soon + at);
                __builtin_prefetch(soon + WINDOW - 1);
            }
            memcpy(into + (size_t)i * WINDOW, rows + window[i] * ROW, WINDOW);
        }
    }
    return BATCHES * (double)BATCH / (cpu_seconds() - started);
}

int main(int count, char **words) {
    if (count != 3) return 2;
    int file = open(words[1], O_RDONLY);
    struct stat info;
    if (file < 0 || fstat(file, &info) || info.st_size < HEADER + 2 * WINDOW) return 2;
    const char *mapped = mmap(0, info.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
    if (mapped == MAP_FAILED) return 2;
    uint64_t num_starts = (info.st_size - HEADER - WINDOW) / ROW, state = 88172645463325252ull;
    uint64_t *starts = malloc(sizeof(uint64_t) * BATCHES * BATCH);
    for (int i = 0; i < BATCHES * BATCH; i++) starts[i] = next_random(&state) % num_starts;
    size_t large = 256u << 20;
    char *buffers[3], *source = malloc(large), *target = malloc(large);
    memset(source, 1, large);
    memset(target, 2, large);
    for (int i = 0; i < 3; i++) memset(buffers[i] = malloc(BATCH * WINDOW), 3, BATCH * WINDOW);
    for (int round = 0; round < atoi(words[2]); round++) {
        double started = cpu_seconds();
        for (int turn = 0; turn < 4; turn++) memcpy(target, source, large);
        double plain = 4.0 * large / WINDOW / (cpu_seconds() - started);
        double windows = copied(mapped + HEADER, starts, buffers, 0);
        printf("%.0f %.0f %.0f\n", plain, windows, copied(mapped + HEADER, starts, buffers, 2));
        fflush(stdout);
    }
    return 0;
}
