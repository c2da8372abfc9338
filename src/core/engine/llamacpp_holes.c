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
    lc_look_anew(b);
}

void lc_look_anew(lc_buffer *b)
{
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

/* x.now is not negative: only where x stays so. Divides only where that narrows the range. */
static void only_while(lc_range *r, lc_size x)
{
    if (x.grows < 0 && x.now < (__int128)-x.grows * r->above)
        r->above = x.now / -x.grows;
    else if (x.grows > 0 && x.now < (__int128)x.grows * r->below)
        r->below = x.now / x.grows;
}

static inline bool at_least(lc_range *r, lc_size a, lc_size b)
{
    lc_size x = minus(a, b);
    bool yes = x.now >= 0;

    if (x.grows)
        only_while(r, yes ? x : (lc_size){ -x.now - 1, -x.grows });
    return yes;
}

bool lc_at_least(lc_range *r, lc_size a, lc_size b) { return at_least(r, a, b); }

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
    if (best != end && equal(&b->valid, b->hole[best].bytes, none))
        close_hole(b, best);
    /* whatever the hole: an empty block given back behind the open end hides it, as in ggml */
    if (!at_least(&b->valid, b->peak, plus(at, bytes)))
        b->peak = plus(at, bytes);
    return at;
}

static void merge_with_next(lc_buffer *b, uint32_t i)
{
    lc_hole *h = &b->hole[i];

    if (i + 1 >= b->n || !equal(&b->valid, plus(h->at, h->bytes), h[1].at))
        return;
    h->bytes = plus(h->bytes, h[1].bytes);
    close_hole(b, i + 1);
}

/* A hole of its own. Holes are apart from each other, so it is apart from all as long as it is
 * from its neighbours. */
static void open_hole(lc_buffer *b, lc_size at, lc_size bytes)
{
    uint32_t i = 0;

    if (b->n == LC_MAX_HOLES) {
        b->full = true;
        return;
    }
    while (i < b->n && b->hole[i].at.now < at.now)
        i++;
    if (i > 0)
        (void)equal(&b->valid, plus(b->hole[i - 1].at, b->hole[i - 1].bytes), at);
    if (i < b->n)
        (void)equal(&b->valid, plus(at, bytes), b->hole[i].at);
    memmove(&b->hole[i + 1], &b->hole[i], (b->n - i) * sizeof(lc_hole));
    b->hole[i] = (lc_hole){ at, bytes };
    b->n++;
}

void lc_give(lc_buffer *b, lc_size at, lc_size bytes)
{
    lc_size end = plus(at, bytes);

    for (uint32_t k = 0; k < b->n; k++) {
        lc_hole *h = &b->hole[k];

        if (h->at.now + h->bytes.now == at.now) {
            (void)equal(&b->valid, plus(h->at, h->bytes), at);
            h->bytes = plus(h->bytes, bytes);
            merge_with_next(b, k);
            return;
        }
        if (end.now == h->at.now) {
            (void)equal(&b->valid, end, h->at);
            h->at = at;
            h->bytes = plus(h->bytes, bytes);
            if (k > 0)
                merge_with_next(b, k - 1);
            return;
        }
    }
    open_hole(b, at, bytes);
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
