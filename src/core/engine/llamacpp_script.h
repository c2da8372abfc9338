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
    bool every_kind;                    /* of step: it matters not which numbers are 1 */
} lc_script;

/* The steps from which sizes are learned: the same graph is written down for each of them. */
enum {
    LC_SMALL, LC_MORE_TOKENS, LC_MORE_OUTPUTS,
    LC_MORE_SEQUENCES, LC_MORE_OF_BOTH,         /* told apart by recurrent layers alone, */
    LC_A_CELL, LC_A_CELL_MORE_TOKENS,
    LC_A_WINDOW, LC_A_WINDOW_MORE_TOKENS,       /* and these by windows */
    LC_LESSONS
};
typedef struct { uint64_t bytes, scratch; } lc_lesson;
lc_step lc_lesson_step(uint32_t i, const lc_step *like, bool unified);

/* Writes into `room` the walk that `g` has just made for the step `at`. lesson[i]: bytes of each
 * tensor in lesson i. False: it does not fit, or the walk is none of this kind; then it must be
 * made each time. */
bool lc_write_script(const lc_graph *g, const lc_step *at, lc_lesson *const lesson[LC_LESSONS],
                     bool unified, const lc_repeat *repeats, uint32_t n_repeats, lc_script *room,
                     uint64_t bytes, oom_arena *arena);

/* A run up to where the cells begin to matter: other contexts of the same key go on from there. */
#define LC_HALFWAY_SIZES 120
typedef struct {
    uint64_t key;               /* 0: nothing here */
    uint32_t unit, loops;       /* the cells it was run for, and how far */
    uint32_t n_holes[LC_MAX_DEVICES + 1];
    lc_size sizes[LC_HALFWAY_SIZES];
} lc_halfway;

/* A context: its measures, and those with 256 cells more; the key of all that it shares with others
 * but the cells; the cells, in units of 256. */
typedef struct { lc_sum now, next; uint64_t key; uint32_t unit; } lc_point;

/* Runs a script. buffers: n_buffers of them. False: too large, or no memory. */
bool lc_run_script(const lc_script *s, const lc_point *c, lc_halfway *halfway, lc_buffer *buffers,
                   oom_arena *arena);

#endif
