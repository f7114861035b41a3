/* The two inner loops of the window stream: cutting windows out of row-major float32 rows, into a batch, as they are or
 * some columns, scaled, without NaN; and the computed shuffle.
 *
 * Plain C without Python in it, called through ctypes by compiled.py. Where it is not built NumPy does the same, bit
 * for bit, and slower. A window lies anywhere in memory, and a copy waits at the head of each of its pages: first for
 * the page table, so a word of each page is asked for four windows before; then for the memory itself, until the
 * processor has seen where the reading goes, so each line is asked for a kilobyte before it is copied.
 */
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC __attribute__((visibility("default")))
#endif

#if defined(__GNUC__) || defined(__clang__)
#define SOON(address) __builtin_prefetch(address)
#else
#define SOON(address) ((void)0)
#endif

/* One build for every x86-64: the loader of the C library picks the widest version this processor knows. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif

enum { VERSION = 1, NUM_ROUNDS = 8, PAGE_BYTES = 4096, LINE_BYTES = 64, AHEAD_WINDOWS = 4 };
enum { LINE_VALUES = LINE_BYTES / 4, AHEAD_VALUES = 16 * LINE_VALUES };
/* Of what is changed on the way: of a loop over one line compilers make sixteen single steps. */
enum { PIECE_VALUES = 2 * LINE_VALUES };
enum { AS_STORED, FILLED, SCALED };

typedef struct {
    const float *const *sources; /* one a segment: [num_rows, width] */
    const int64_t *num_rows;
    int64_t num_sources;
    int64_t width;
    int64_t length;
    const int64_t *columns; /* 0: all, as they lie */
    int64_t num_columns;
    const float *mean; /* [length * num_columns], or 0: not scaled */
    const float *std;
    float clip;
    int32_t fill_missing; /* NaN becomes 0 */
} Cut;

PUBLIC int64_t seawall_version(void) { return VERSION; }

/* (x - mean) / std, clipped, NaN to 0: the operations of NumPy in NumPy's order, so the same bits. */
static inline float scaled(float value, float mean, float std, float clip) {
    value = (value - mean) / std;
    value = value < -clip ? -clip : value;
    value = value > clip ? clip : value;
    return value == value ? value : 0.0f;
}

static inline float filled(float value) { return value == value ? value : 0.0f; }

/* Three ways to copy values ``at`` .. ``stop`` - 1 of a window. What lies at the same place of ``soon`` is asked for on
 * the way, and what is done to a value is done while memory is waited for. */
WIDEST static void copy(const float *from, const float *soon, float *into, int64_t at, int64_t stop) {
    for (; at + LINE_VALUES <= stop; at += LINE_VALUES) {
        SOON(soon + at);
        memcpy(into + at, from + at, LINE_VALUES * 4);
    }
    memcpy(into + at, from + at, (size_t)(stop - at) * 4);
}

WIDEST static void copy_filled(const float *from, const float *soon, float *into, int64_t at, int64_t stop) {
    for (; at + PIECE_VALUES <= stop; at += PIECE_VALUES) {
        float piece[PIECE_VALUES];
        SOON(soon + at);
        SOON(soon + at + LINE_VALUES);
        for (int64_t i = 0; i < PIECE_VALUES; i++) piece[i] = filled(from[at + i]);
        memcpy(into + at, piece, sizeof piece);
    }
    for (; at < stop; at++) into[at] = filled(from[at]);
}

WIDEST static void copy_scaled(const Cut *how, const float *from, const float *soon, float *into, int64_t at,
                               int64_t stop) {
    const float *mean = how->mean, *std = how->std, clip = how->clip;
    for (; at + PIECE_VALUES <= stop; at += PIECE_VALUES) {
        float piece[PIECE_VALUES];
        SOON(soon + at);
        SOON(soon + at + LINE_VALUES);
        for (int64_t i = 0; i < PIECE_VALUES; i++) piece[i] = scaled(from[at + i], mean[at + i], std[at + i], clip);
        memcpy(into + at, piece, sizeof piece);
    }
    for (; at < stop; at++) into[at] = scaled(from[at], mean[at], std[at], clip);
}

static void copy_as(int kind, const Cut *how, const float *from, const float *soon, float *into, int64_t at,
                    int64_t stop) {
    if (kind == SCALED)
        copy_scaled(how, from, soon, into, at, stop);
    else if (kind == FILLED)
        copy_filled(from, soon, into, at, stop);
    else
        copy(from, soon, into, at, stop);
}

/* Each line is asked for a kilobyte before it is copied, over the end of a window into the one that is cut next. */
static void copy_window(int kind, const Cut *how, const float *from, const float *next, float *into) {
    const int64_t count = how->length * how->num_columns, rest = count > AHEAD_VALUES ? count - AHEAD_VALUES : 0;
    copy_as(kind, how, from, from + (count - rest), into, 0, rest);
    copy_as(kind, how, from, next - rest, into, rest, count);
}

static void ask_for(const float *values, int64_t num_bytes, int64_t step) {
    const char *bytes = (const char *)values;
    for (int64_t at = 0; at < num_bytes; at += step) SOON(bytes + at);
    if (num_bytes) SOON(bytes + num_bytes - 1);
}

static void choose(const Cut *how, const float *from, const float *next, float *into) {
    const int64_t row_bytes = how->width * (int64_t)sizeof(float);
    for (int64_t row = 0; row < how->length; row++, from += how->width, next += how->width) {
        ask_for(next, row_bytes, LINE_BYTES);
        for (int64_t column = 0; column < how->num_columns; column++) *into++ = from[how->columns[column]];
    }
}

WIDEST static void mark(const float *values, uint8_t *mask, int64_t count) {
    for (int64_t i = 0; i < count; i++) mask[i] = values[i] == values[i];
}

/* What has been chosen, or must be marked before it is changed, is finished where it was copied to. */
static void cut_one(const Cut *how, const float *from, const float *next, float *into, uint8_t *mask) {
    const int kind = how->mean ? SCALED : how->fill_missing ? FILLED : AS_STORED;
    if (how->columns)
        choose(how, from, next, into);
    else
        copy_window(mask ? AS_STORED : kind, how, from, next, into);
    if (mask) mark(into, mask, how->length * how->num_columns);
    if ((how->columns || mask) && kind != AS_STORED) copy_window(kind, how, into, into, into);
}

/* Where a window begins; 0 of a window that is left to the caller. */
static const float *window_at(const Cut *how, const int64_t *segments, const int64_t *starts, int64_t window) {
    const int64_t segment = segments ? segments[window] : 0;
    return segment < 0 ? 0 : how->sources[segment] + starts[window] * how->width;
}

/* The first window that is not within its segment, or -1. A segment of -1 is of a window that is left to the caller. */
static int64_t first_outside(const Cut *how, int64_t count, const int64_t *segments, const int64_t *starts) {
    for (int64_t window = 0; window < count; window++) {
        int64_t segment = segments ? segments[window] : 0;
        if (segment == -1) continue;
        if (segment < 0 || segment >= how->num_sources) return window;
        if (starts[window] < 0 || starts[window] > how->num_rows[segment] - how->length) return window;
    }
    return -1;
}

/* Cut ``count`` windows into ``windows`` [count, length, num_columns], and ``mask`` of the same shape unless it is 0:
 * 1 where a value is stored, 0 where it is NaN. Gives -1, or the number of a window that is not within the rows of its
 * segment; then nothing has been written. */
PUBLIC int64_t seawall_cut(const Cut *how, int64_t count, const int64_t *segments, const int64_t *starts,
                           float *windows, uint8_t *mask) {
    const int64_t num_values = how->length * how->num_columns, num_bytes = how->length * how->width * 4;
    const int64_t outside = first_outside(how, count, segments, starts);
    if (outside >= 0) return outside;
    for (int64_t window = 0; window < count; window++) {
        const int64_t place = window * num_values;
        const float *from = window_at(how, segments, starts, window);
        const float *next = window + 1 < count ? window_at(how, segments, starts, window + 1) : 0;
        if (window + AHEAD_WINDOWS < count)
            ask_for(window_at(how, segments, starts, window + AHEAD_WINDOWS), num_bytes, PAGE_BYTES);
        if (from) cut_one(how, from, next ? next : from, windows + place, mask ? mask + place : 0);
    }
    return -1;
}

/* One walk of the network of order.py over ``bits`` bits: ``low`` and ``high`` are changed by turns, by the other. */
static inline uint64_t network(uint64_t value, const uint64_t *keys, int64_t low_bits, uint64_t low_mask,
                               uint64_t high_mask) {
    uint64_t halves[2] = {value & low_mask, value >> low_bits};
    const uint64_t masks[2] = {low_mask, high_mask};
    for (int round = 0; round < NUM_ROUNDS; round++) {
        uint64_t mixed = (halves[1 - round % 2] + keys[round]) * 0xBF58476D1CE4E5B9u;
        mixed = (mixed ^ mixed >> 29) * 0x94D049BB133111EBu;
        halves[round % 2] ^= mixed >> 32 & masks[round % 2];
    }
    return halves[1] << low_bits | halves[0];
}

/* Map positions of a shuffled order of ``n`` to positions of the plain one, as ``permute`` of order.py does. */
WIDEST PUBLIC void seawall_permute(uint64_t n, int64_t bits, const uint64_t *keys, int64_t count,
                                   const uint64_t *positions, uint64_t *places) {
    const int64_t low_bits = bits / 2;
    const uint64_t low_mask = ((uint64_t)1 << low_bits) - 1, high_mask = ((uint64_t)1 << (bits - low_bits)) - 1;
    for (int64_t i = 0; i < count; i++) places[i] = network(positions[i], keys, low_bits, low_mask, high_mask);
    for (int64_t i = 0; i < count; i++)
        while (places[i] >= n) places[i] = network(places[i], keys, low_bits, low_mask, high_mask);
}
