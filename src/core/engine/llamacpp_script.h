/* llamacpp_script.h: a walk of the allocator without its sizes: which places are taken, given back
 * and taken over, in which order. It is the same for every context, so it is written once; run
 * with the sizes of a context, it tells the peaks of all contexts around it. */
#ifndef LLAMACPP_SCRIPT_H
#define LLAMACPP_SCRIPT_H

#include "llamacpp_layers.h"

/* What the sizes of a step are made of: each is a sum of so many of these. */
enum {
    LC_ONE, LC_TOKENS, LC_OUTPUTS, LC_SEQUENCES,
    LC_TOKENS_EACH,                     /* of one sequence */
    LC_MASK, LC_WINDOW_MASK,            /* cells x tokens */
    LC_ROWS_OF_CACHE, LC_ROWS_OF_WINDOW,        /* cells x streams */
    LC_MEASURES
};
typedef struct { int64_t of[LC_MEASURES]; } lc_sum;

/* False: larger than any that sizes are worked out for. */
bool lc_measure(const lc_step *s, lc_sum *out);

/* Groups of layers that stand for several: blocks [begin, end) run `times` times. */
typedef struct { uint32_t begin, end, times; } lc_repeat;

typedef struct {
    uint64_t key;
    uint32_t bytes;                     /* of all of it, what follows included */
    uint32_t n_sizes, n_moves, n_loops, n_acts;
    uint32_t n_slots, n_buffers;
    uint32_t uses;                      /* bits of the measures that some size depends on */
} lc_script;

/* The steps from which sizes are learned: the same graph is written down for each of them. */
#define LC_LESSONS 10
typedef struct { uint64_t bytes, scratch; } lc_lesson;
lc_step lc_lesson_step(uint32_t i, const lc_step *like, bool unified);

/* Writes the walk that `g` has just made into `room`. lesson[i]: bytes of each tensor in lesson i.
 * False: it does not fit, or the walk is none of this kind; then it must be made each time. */
bool lc_write_script(const lc_graph *g, lc_lesson *const lesson[LC_LESSONS], bool unified,
                     const lc_repeat *repeats, uint32_t n_repeats, lc_script *room, uint64_t bytes,
                     oom_arena *arena);

/* Runs a script: `now` the measures of a context, `next` those with 256 cells more. buffers:
 * n_buffers of them. False: too large, or no memory. */
bool lc_run_script(const lc_script *s, const lc_sum *now, const lc_sum *next, lc_buffer *buffers,
                   oom_arena *arena);

#endif
