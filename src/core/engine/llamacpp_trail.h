/* llamacpp_trail.h: runs of scripts. What a layer does depends only on the holes and places that it
 * finds, each a straight line over the contexts. A run leaves a trail of what layers found and what
 * they left; later runs follow it, and play only what is new to them. */
#ifndef LLAMACPP_TRAIL_H
#define LLAMACPP_TRAIL_H

#include "llamacpp_script.h"

/* Where trails are kept. What is lost is only played again. */
typedef struct { unsigned char *bytes; uint64_t n; } lc_trail;

/* Empties it; bytes need no other beginning. */
void lc_forget_trail(lc_trail t);

/* A context: its measures, and those with 256 cells more; the key of all that it shares with others
 * but the cells; the cells, in units of 256. */
typedef struct { lc_sum now, next; uint64_t key; uint32_t unit; } lc_point;

/* What a run finds for each buffer: its peak, and for which contexts it is that line. */
typedef struct { lc_size peak; lc_range valid; } lc_found;

/* found: of n_buffers. False: too large, or no memory. */
bool lc_run_script(const lc_script *s, const lc_point *c, lc_trail t, lc_found *found,
                   oom_arena *arena);

#endif
