/* solve.c: the largest batch or sequence that fits, under the very function memory() uses.
 * Total memory seldom falls when batch or seq grows: only under llama.cpp, where a larger block may
 * leave a hole that others fit into, and by less than the compute buffer. So n fits and n + 1 does
 * not, but there a larger n may fit again. Secant steps guess (most engines are linear almost
 * everywhere), bisection bounds the worst case. */
#include "plan.h"

typedef struct {
    const oom_plan *plan;
    oom_load load;
    bool by_seq, ran_out;       /* of memory: then there is no answer */
} question;

/* Free space at n: available - total of the fullest device; INT64_MIN past 2^63. */
static bool fits_at(question *q, uint64_t n, int64_t *left)
{
    oom_memory m;
    oom_status st;

    if (q->by_seq)
        q->load.seq = n;
    else
        q->load.batch = n;
    st = oom_plan_memory(q->plan, &q->load, &m, NULL, NULL);
    q->ran_out = q->ran_out || st == OOM_NOMEM;
    if (st != OOM_OK) {
        *left = INT64_MIN;
        return false;
    }
    *left = (int64_t)m.available - (int64_t)m.device.total;
    return m.fits;
}

static uint64_t between(uint64_t low, uint64_t high, int64_t low_left, int64_t high_left, int turn)
{
    uint64_t middle = low + (high - low) / 2;

    /* Every third step halves the bracket for certain. */
    if (turn % 3 == 2 || high_left == INT64_MIN)
        return middle;
    double share = (double)low_left / ((double)low_left - (double)high_left);
    uint64_t guess = low + (uint64_t)(share * (double)(high - low));

    return max_u64(low + 1, min_u64(guess, high - 1));
}

static uint64_t largest(question *q)
{
    uint64_t low = 1, high;
    int64_t low_left, high_left, left;

    if (!fits_at(q, 1, &low_left))
        return 0;
    if (!fits_at(q, 2, &left))
        return 1;
    /* Guess the end from the slope of the first step, then widen until it no longer fits. */
    high = left < low_left ? sat_add(3, (uint64_t)left / (uint64_t)(low_left - left)) : 4;
    low = 2;
    low_left = left;
    high = min_u64(high, OOM_MAX_BYTES);
    while (fits_at(q, high, &left)) {
        low = high;
        low_left = left;
        if (high == OOM_MAX_BYTES)
            return OOM_NO_LIMIT;
        high = high > OOM_MAX_BYTES / 4 ? OOM_MAX_BYTES : high * 4;
    }
    high_left = left;
    for (int turn = 0; high - low > 1; turn++) {
        uint64_t n = between(low, high, low_left, high_left, turn);

        if (fits_at(q, n, &left)) {
            low = n;
            low_left = left;
        } else {
            high = n;
            high_left = left;
        }
    }
    return low;
}

static oom_status answer(question *q, uint64_t *n, oom_error *err)
{
    if (!q->plan->has_device)
        return oom_fail(err, OOM_BADVALUE, "the largest %s needs a device",
                        q->by_seq ? "seq" : "batch");
    *n = largest(q);
    return q->ran_out ? oom_fail(err, OOM_NOMEM, "out of memory") : OOM_OK;
}

oom_status oom_solve_batch(const oom_plan *plan, uint64_t seq, uint64_t prompt, uint64_t *batch,
                           oom_error *err)
{
    question q = { .plan = plan, .load = { .seq = seq, .prompt = prompt } };

    return answer(&q, batch, err);
}

oom_status oom_solve_seq(const oom_plan *plan, uint64_t batch, uint64_t prompt, uint64_t *seq,
                         oom_error *err)
{
    question q = { .plan = plan, .load = { .batch = batch, .prompt = prompt }, .by_seq = true };

    return answer(&q, seq, err);
}
