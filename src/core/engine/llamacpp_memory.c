/* llamacpp_memory.c: a quarter of the bytes holds scripts one behind the other, a quarter a table
 * of lines, half the trails of runs. The table begins small and doubles, as most plans need few
 * lines. A line has one of eight places that its key leads to; a short one, of eight that
 * the key and each part of the cells it touches lead to: many do not push each other out. */
#include "llamacpp_memory.h"

#include <string.h>

#define WAYS 8
#define PART 8                  /* units */
#define SHORT 8                 /* parts */
#define FIRST_SETS 128          /* less where there is no room for them */

typedef struct { uint64_t script_bytes; uint32_t n_sets, n_lines; } head;

/* splitmix64: keys are close together, and so are parts */
static uint64_t place_of(uint64_t key, uint64_t part)
{
    uint64_t x = key + (part << 32);

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* ---- what lies where ------------------------------------------------------------------------- */

static lc_line *lines_of(lc_memory m) { return (lc_line *)(void *)(m.bytes + m.n / 4); }
lc_trail lc_trail_of(lc_memory m) { return (lc_trail){ m.bytes + m.n / 2, m.n / 2 }; }

static uint64_t bytes_of_sets(uint64_t n) { return n * WAYS * sizeof(lc_line); }

/* Opened with its first use: only the head was zero. */
static head *head_of(lc_memory m)
{
    head *h = (head *)(void *)m.bytes;

    if (h->n_sets == 0) {
        h->n_sets = FIRST_SETS;
        while (bytes_of_sets(h->n_sets) > m.n / 4)
            h->n_sets /= 2;
        memset(lines_of(m), 0, bytes_of_sets(h->n_sets));
        lc_forget_trail(lc_trail_of(m));
    }
    return h;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static lc_line *places(lc_memory m, uint64_t key, uint64_t part)
{
    return lines_of(m) + (place_of(key, part) & (head_of(m)->n_sets - 1)) * WAYS;
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

static void put(lc_memory m, const lc_line *x, uint64_t part)
{
    lc_line *list = places(m, x->key, part), *at = list + head_of(m)->n_lines % WAYS;

    for (lc_line *free = list; free < list + WAYS; free++)
        if (free->key == 0) {
            at = free;
            break;
        }
    *at = *x;
}

/* Into the place of its key, or those of every part of the cells that it touches. */
static void put_everywhere(lc_memory m, const lc_line *x)
{
    uint64_t first = x->first / PART, last = x->last / PART;

    if (last - first >= SHORT)
        put(m, x, 0);
    else
        for (uint64_t part = first; part <= last; part++)
            put(m, x, part + 1);
}

/* Whether what led a line to set i of `half` leads it to the one above, now that there are twice as
 * many. */
static bool moves_up(const lc_line *x, uint64_t i, uint64_t half)
{
    uint64_t first = x->first / PART, last = x->last / PART, h;

    if (last - first >= SHORT)
        return place_of(x->key, 0) & half;
    do
        h = place_of(x->key, ++first);
    while ((h & (half - 1)) != i && first <= last);
    return h & half;
}

/* Twice the sets: a line stays where it is, or goes to the same place of the set `half` above. */
static void grow(lc_memory m)
{
    uint64_t half = head_of(m)->n_sets;
    lc_line *x = lines_of(m), *above = x + half * WAYS;

    head_of(m)->n_sets *= 2;
    memset(above, 0, bytes_of_sets(half));
    for (uint64_t i = 0; i < half * WAYS; i++)
        if (x[i].key && moves_up(&x[i], i / WAYS, half)) {
            above[i] = x[i];
            x[i].key = 0;
        }
}

void lc_keep_line(lc_memory m, const lc_line *x, uint32_t unit)
{
    head *h = head_of(m);

    if (lc_find_line(m, x->key, unit))
        return;                         /* another buffer's line was asked for */
    if (++h->n_lines > h->n_sets * (WAYS / 4)
        && bytes_of_sets((uint64_t)h->n_sets * 2) <= m.n / 4)
        grow(m);
    put_everywhere(m, x);
}

/* ---- scripts --------------------------------------------------------------------------------- */

static unsigned char *scripts_of(lc_memory m) { return m.bytes + sizeof(head); }

const lc_script *lc_find_script(lc_memory m, uint64_t key)
{
    for (uint64_t at = 0; at < head_of(m)->script_bytes;) {
        const lc_script *s = (const lc_script *)(const void *)(scripts_of(m) + at);

        if (s->key == key)
            return s;
        at += s->bytes;
    }
    return NULL;
}

lc_script *lc_script_room(lc_memory m, uint64_t *bytes)
{
    *bytes = m.n / 4 - sizeof(head) - head_of(m)->script_bytes;
    return (lc_script *)(void *)(scripts_of(m) + head_of(m)->script_bytes);
}

const lc_script *lc_keep_script(lc_memory m, lc_script *written, uint64_t key)
{
    written->key = key;
    head_of(m)->script_bytes += written->bytes;
    return written;
}

void lc_forget_scripts(lc_memory m) { head_of(m)->script_bytes = 0; }
