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
    uint32_t n_sizes, n_moves, n_loops, n_deeds;
    uint32_t n_layers, n_slots, n_buffers;
    uint32_t uses;                      /* bits of the measures that some size depends on */
    bool every_kind;                    /* of step: it matters not which numbers are 1 */
} lc_script;

/* Behind it lie sizes, loops, where each layer begins, deeds and moves. The first layer is what
 * is done before those of the model. */
typedef struct { int64_t of[LC_MEASURES]; uint32_t align, padding; } lc_amount;
#define LC_MAX_LIVE 128                 /* blocks alive between two layers */

/* Layers [begin, end) happen `times` times. After each time blocks move to other slots. */
typedef struct { uint32_t begin, end, times, first_move, n_moves; } lc_loop;
/* on: the buffer; slot: where the place is noted; size, had: numbers of sizes, now and before. */
typedef struct { uint8_t act, on; uint16_t slot, size, had; } lc_deed;
typedef struct { uint16_t from, to; } lc_move;

static inline lc_amount *lc_amounts(const lc_script *s) { return (lc_amount *)(uintptr_t)(s + 1); }
static inline lc_loop *lc_loops(const lc_script *s)
{
    return (lc_loop *)(void *)(lc_amounts(s) + s->n_sizes);
}
static inline uint32_t *lc_layers(const lc_script *s)      /* n_layers + 1 */
{
    return (uint32_t *)(void *)(lc_loops(s) + s->n_loops);
}
static inline lc_deed *lc_deeds(const lc_script *s)
{
    return (lc_deed *)(void *)(lc_layers(s) + s->n_layers + 1);
}
static inline lc_move *lc_moves(const lc_script *s)
{
    return (lc_move *)(void *)(lc_deeds(s) + s->n_deeds);
}

/* A size in a context, and what it grows by until the next. False: larger than is worked with. */
bool lc_amount_in(const lc_amount *x, const lc_sum *now, const lc_sum *next, lc_size *out);

/* The steps from which sizes are learned: the same graph is written down for each of them. */
enum {
    LC_SMALL, LC_MORE_TOKENS, LC_MORE_OUTPUTS,
    LC_MORE_SEQUENCES, LC_MORE_OF_BOTH,         /* told apart by recurrent layers alone, */
    LC_A_CELL, LC_A_CELL_MORE_TOKENS,
    LC_A_WINDOW, LC_A_WINDOW_MORE_TOKENS,       /* and these by windows */
    LC_LESSONS
};
typedef struct { uint64_t bytes, scratch[2]; } lc_lesson;
lc_step lc_lesson_step(uint32_t i, const lc_step *like, bool unified);

/* Writes into `room` the walk that `g` has just made for the step `at`. lesson[i]: bytes of each
 * tensor in lesson i. False: it does not fit, or the walk is none of this kind; then it must be
 * made each time. */
bool lc_write_script(const lc_graph *g, const lc_step *at, lc_lesson *const lesson[LC_LESSONS],
                     bool unified, const lc_repeat *repeats, uint32_t n_repeats, lc_script *room,
                     uint64_t bytes, oom_arena *arena);

#endif
