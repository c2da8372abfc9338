/* llamacpp_memory.h: what plans remember of walks: scripts, the trails that runs of them leave, and
 * straight lines read off them. It lies in bytes whose head is zero at first and that need no
 * freeing; what is lost is only made again. */
#ifndef LLAMACPP_MEMORY_H
#define LLAMACPP_MEMORY_H

#include "llamacpp_trail.h"

typedef struct { unsigned char *bytes; uint64_t n; } lc_memory;

/* A compute buffer is a straight line from one number of cells to another: `at` without any, and
 * `grows` per unit of 256 cells (modulo 2^64, as the line may begin below zero). */
typedef struct {
    uint64_t key;               /* 0: nothing here */
    uint32_t first, last;       /* units */
    uint64_t at, grows;
} lc_line;

/* NULL: not remembered. What is found stays until something is kept. A line is kept for a unit
 * unless there is one for it. */
const lc_line *lc_find_line(lc_memory m, uint64_t key, uint32_t unit);
void lc_keep_line(lc_memory m, const lc_line *x, uint32_t unit);

lc_trail lc_trail_of(lc_memory m);

const lc_script *lc_find_script(lc_memory m, uint64_t key);
/* Where the next script may be written, and how much room there is. */
lc_script *lc_script_room(lc_memory m, uint64_t *bytes);
const lc_script *lc_keep_script(lc_memory m, lc_script *written, uint64_t key);
void lc_forget_scripts(lc_memory m);

#endif
