/* llamacpp_holes.h: where the blocks of one buffer lie, as ggml-alloc.c finds them places. Sizes
 * may grow with the context: then every answer comes with the contexts for which it holds. */
#ifndef LLAMACPP_HOLES_H
#define LLAMACPP_HOLES_H

#include <stdbool.h>
#include <stdint.h>

#define LC_MAX_HOLES 256        /* ggml-alloc.c: MAX_FREE_BLOCKS */

/* A size and what it grows by from one context to the next (256 cells more). */
typedef struct { int64_t now, grows; } lc_size;
/* How many contexts below and above this one everything is placed the same way. */
typedef struct { int64_t below, above; } lc_range;
typedef struct { lc_size at, bytes; } lc_hole;

typedef struct {
    lc_hole hole[LC_MAX_HOLES];         /* in order; the last one is the open end */
    uint32_t n;
    bool full;
    lc_size peak;
    lc_range valid;
} lc_buffer;

/* A size that does not grow; past what a buffer holds for SAT_TOOLARGE. */
lc_size lc_fixed(uint64_t bytes);
/* An empty buffer, looked at anew. */
void lc_open_buffer(lc_buffer *b);
/* From here on: no peak yet, and `valid` without bounds. */
void lc_look_anew(lc_buffer *b);
/* Whether a >= b; r becomes what is left of it while the answer stays the same. */
bool lc_at_least(lc_range *r, lc_size a, lc_size b);
/* The smallest hole that holds the block, of equal ones the last; full: there was none. */
lc_size lc_take(lc_buffer *b, lc_size bytes);
void lc_give(lc_buffer *b, lc_size at, lc_size bytes);
/* How many contexts above this one the peak stays what a buffer can be. */
int64_t lc_room_above(const lc_buffer *b);
/* Another block takes over the place: what it does not need is given back. */
void lc_shrink(lc_buffer *b, lc_size at, lc_size had, lc_size needs);

#endif
