/* failing.h: an allocator whose n-th request fails, for every n. */
#ifndef FAILING_H
#define FAILING_H

#include <stdlib.h>

#include "oom.h"

typedef struct {
    size_t fails_at, asked;     /* requests, counted from 1 */
    bool once;                  /* that one alone; otherwise all that follow it, too */
    size_t held_bytes;
} failing;

static inline void *failing_resize(void *ctx, void *p, size_t old_bytes, size_t new_bytes)
{
    failing *f = ctx;
    void *bigger;

    if (new_bytes == 0) {
        f->held_bytes -= old_bytes;
        free(p);
        return NULL;
    }
    f->asked++;
    if (f->asked == f->fails_at || (f->asked > f->fails_at && !f->once))
        return NULL;
    bigger = realloc(p, new_bytes);
    f->held_bytes += new_bytes - old_bytes;
    return bigger;
}

/* Runs `work` with the first, the second … request failing until it succeeds: that request alone,
 * then that one and all after it. Every failure must be OOM_NOMEM, and everything must be given
 * back each time. Returns how many requests were failed. `work` frees what it made. */
static inline size_t fail_each_allocation(oom_status (*work)(const oom_alloc *a, void *ctx), void *ctx)
{
    size_t n = 0;

    for (int once = 0; once < 2; once++)
        for (n = 1;; n++) {
            failing f = { .fails_at = n, .once = once };
            oom_alloc a = { failing_resize, &f };
            oom_status status = work(&a, ctx);

            assert_int_equal(f.held_bytes, 0);
            if (f.asked < n) {
                assert_int_equal(status, OOM_OK);
                break;
            }
            assert_int_equal(status, OOM_NOMEM);
        }
    return n - 1;
}

#endif
