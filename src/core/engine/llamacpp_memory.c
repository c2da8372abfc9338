/* llamacpp_memory.c: half of the bytes hold scripts one behind the other, half a table of lines. A
 * line has one of eight places that its key leads to; one that is short, of eight that the key and
 * its part of the cells lead to, so that many short ones do not push each other out. */
#include "llamacpp_memory.h"

#define WAYS 8
#define PART 16                 /* units */

/* ---- lines ----------------------------------------------------------------------------------- */

static lc_line *places(lc_memory m, uint64_t key, uint64_t part)
{
    uint64_t n = m.n / 2 / sizeof(lc_line);
    lc_line *all = (lc_line *)(void *)(m.bytes + m.n / 2);
    uint64_t h = (key ^ part * 0xd1b54a32d192ed03u) * 0x9e3779b97f4a7c15u;

    return all + ((h >> 32) * (n - WAYS + 1) >> 32);
}

/* 0: for long ones. */
static uint64_t part_of(const lc_line *x)
{
    return x->first / PART == x->last / PART ? x->first / PART + 1 : 0;
}

static const lc_line *among(const lc_line *list, uint64_t key, uint32_t unit)
{
    for (const lc_line *x = list; x < list + WAYS; x++)
        if (x->key == key && unit >= x->first && unit <= x->last)
            return x;
    return NULL;
}

const lc_line *lc_find_line(lc_memory m, uint64_t key, uint32_t unit)
{
    const lc_line *x = among(places(m, key, 0), key, unit);

    return x ? x : among(places(m, key, unit / PART + 1), key, unit);
}

void lc_keep_line(lc_memory m, const lc_line *x)
{
    lc_line *list = places(m, x->key, part_of(x)), *at = list + x->first % WAYS;

    for (lc_line *free = list; free < list + WAYS; free++)
        if (free->key == 0) {
            at = free;
            break;
        }
    *at = *x;
}

/* ---- scripts --------------------------------------------------------------------------------- */

#define HEAD 16                 /* before the first script: the bytes used behind it */

static uint64_t *used(lc_memory m) { return (uint64_t *)(void *)m.bytes; }

const lc_script *lc_find_script(lc_memory m, uint64_t key)
{
    for (uint64_t at = 0; at < *used(m);) {
        const lc_script *s = (const lc_script *)(const void *)(m.bytes + HEAD + at);

        if (s->key == key)
            return s;
        at += s->bytes;
    }
    return NULL;
}

lc_script *lc_script_room(lc_memory m, uint64_t *bytes)
{
    *bytes = m.n / 2 - HEAD - *used(m);
    return (lc_script *)(void *)(m.bytes + HEAD + *used(m));
}

const lc_script *lc_keep_script(lc_memory m, lc_script *written, uint64_t key)
{
    written->key = key;
    *used(m) += written->bytes;
    return written;
}

void lc_forget_scripts(lc_memory m) { *used(m) = 0; }
