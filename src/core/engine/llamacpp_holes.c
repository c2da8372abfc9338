/* llamacpp_holes.c: ggml's allocator of one buffer (ggml-alloc.c: ggml_dyn_tallocr). Every size is
 * a constant plus a multiple of the cells, so every comparison holds on one side of some number of
 * cells. What was decided holds for all contexts that no comparison excludes, and there the peak
 * is one straight line. */
#include "llamacpp_holes.h"
#include "num.h"

#include <string.h>

#define OPEN_END (INT64_MAX / 2)

lc_size lc_fixed(uint64_t bytes)
{
    return (lc_size){ (int64_t)min_u64(bytes, (uint64_t)OPEN_END + 1), 0 };
}

void lc_open_buffer(lc_buffer *b)
{
    b->hole[0] = (lc_hole){ { 0, 0 }, { OPEN_END, 0 } };
    b->n = 1;
    b->full = false;
    b->peak = (lc_size){ 0, 0 };
    b->valid = (lc_range){ INT64_MAX, INT64_MAX };
}

static lc_size plus(lc_size a, lc_size b)
{
    return (lc_size){ a.now + b.now, a.grows + b.grows };
}

static lc_size minus(lc_size a, lc_size b)
{
    return (lc_size){ a.now - b.now, a.grows - b.grows };
}

/* x.now is not negative: only where x stays so. */
static void only_while(lc_range *r, lc_size x)
{
    if (x.grows < 0 && x.now / -x.grows < r->above)
        r->above = x.now / -x.grows;
    else if (x.grows > 0 && x.now / x.grows < r->below)
        r->below = x.now / x.grows;
}

static bool at_least(lc_range *r, lc_size a, lc_size b)
{
    lc_size x = minus(a, b);
    bool yes = x.now >= 0;

    if (x.grows)
        only_while(r, yes ? x : (lc_size){ -x.now - 1, -x.grows });
    return yes;
}

static bool equal(lc_range *r, lc_size a, lc_size b)
{
    lc_size x = minus(a, b);

    if (x.grows == 0)
        return x.now == 0;
    if (x.now == 0)
        *r = (lc_range){ 0, 0 };
    else
        only_while(r, x.now > 0 ? (lc_size){ x.now - 1, x.grows }
                                : (lc_size){ -x.now - 1, -x.grows });
    return x.now == 0;
}

static void close_hole(lc_buffer *b, uint32_t i)
{
    memmove(&b->hole[i], &b->hole[i + 1], (b->n - i - 1) * sizeof(lc_hole));
    b->n--;
}

lc_size lc_take(lc_buffer *b, lc_size bytes)
{
    uint32_t end = b->n - 1, best = end;
    lc_size at, none = { 0, 0 };

    for (uint32_t i = 0; i < end; i++)
        if (at_least(&b->valid, b->hole[i].bytes, bytes)
            && (best == end || at_least(&b->valid, b->hole[best].bytes, b->hole[i].bytes)))
            best = i;
    at = b->hole[best].at;
    if (b->hole[best].bytes.now < bytes.now) {
        b->full = true;
        return at;
    }
    b->hole[best].at = plus(at, bytes);
    b->hole[best].bytes = minus(b->hole[best].bytes, bytes);
    if (best == end) {
        if (!at_least(&b->valid, b->peak, b->hole[end].at))
            b->peak = b->hole[end].at;
    } else if (equal(&b->valid, b->hole[best].bytes, none)) {
        close_hole(b, best);
    }
    return at;
}

/* Only its neighbours can touch a block: holes are apart from each other. */
void lc_give(lc_buffer *b, lc_size at, lc_size bytes)
{
    uint32_t i = 0;
    bool before, behind;

    while (i < b->n && b->hole[i].at.now < at.now)
        i++;
    before = i > 0 && equal(&b->valid, plus(b->hole[i - 1].at, b->hole[i - 1].bytes), at);
    behind = i < b->n && equal(&b->valid, plus(at, bytes), b->hole[i].at);
    if (before && behind) {
        b->hole[i - 1].bytes = plus(plus(b->hole[i - 1].bytes, bytes), b->hole[i].bytes);
        close_hole(b, i);
    } else if (before) {
        b->hole[i - 1].bytes = plus(b->hole[i - 1].bytes, bytes);
    } else if (behind) {
        b->hole[i].at = at;
        b->hole[i].bytes = plus(b->hole[i].bytes, bytes);
    } else if (b->n == LC_MAX_HOLES) {
        b->full = true;
    } else {
        memmove(&b->hole[i + 1], &b->hole[i], (b->n - i) * sizeof(lc_hole));
        b->hole[i] = (lc_hole){ at, bytes };
        b->n++;
    }
}

/* Contexts above this one for which the peak stays below what a buffer can be. */
int64_t lc_room_above(const lc_buffer *b)
{
    return b->peak.grows > 0 ? (OPEN_END - b->peak.now) / b->peak.grows : INT64_MAX;
}

void lc_shrink(lc_buffer *b, lc_size at, lc_size had, lc_size needs)
{
    if (!at_least(&b->valid, needs, had))
        lc_give(b, plus(at, needs), minus(had, needs));
}
