/* fuzz.h: what the harnesses share: an allocator that gives 64 MiB and then no more, so that a
 * reader that wants too much is told so and must give back what it has. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef struct { size_t held_bytes; } fuzz_memory;

static inline void *fuzz_resize(void *ctx, void *p, size_t old_bytes, size_t new_bytes)
{
    fuzz_memory *m = ctx;
    void *bigger;

    if (new_bytes == 0) {
        m->held_bytes -= old_bytes;
        free(p);
        return NULL;
    }
    if (m->held_bytes - old_bytes + new_bytes > (size_t)64 << 20)
        return NULL;
    bigger = realloc(p, new_bytes);
    if (bigger)
        m->held_bytes += new_bytes - old_bytes;
    return bigger;
}

/* A failing reader says why, in one line; a succeeding one says nothing. */
static inline void fuzz_check(oom_status status, const oom_error *err)
{
    if (status == OOM_OK)
        return;
    if (!err->msg[0] || strchr(err->msg, '\n') || err->status != status)
        abort();
}

/* Whether it fits, as the plan says; parts that do not add up are a fault. */
static inline bool fuzz_fits(const oom_plan *p, uint64_t batch, uint64_t seq)
{
    oom_load load = { .batch = batch, .seq = seq };
    oom_memory is;
    oom_error err = { 0 };
    oom_status status = oom_plan_memory(p, &load, &is, NULL, &err);
    const oom_parts *d = &is.device;

    fuzz_check(status, &err);
    if (status != OOM_OK)
        return false;
    if (d->total > OOM_MAX_BYTES ||
        d->total != d->weights + d->kv + d->state + d->activations + d->overhead)
        abort();
    return is.fits;
}

/* An engine's plan on two devices of 24 GiB: the largest batch is the last that fits. */
static inline void fuzz_plan(oom_model *m, oom_precision precision, const oom_engine *engine)
{
    enum { SEQ = 512 };
    oom_options o = { .gpu_layers = -1 };
    oom_deployment where = { .n = 2, .n_groups = 1, .group[0].count = 2 };
    oom_device *d = &where.group[0].device;
    oom_plan *p = malloc(oom_plan_bytes());
    oom_error err = { 0 };
    uint64_t batch = 0;
    oom_status status;

    if (!p)
        abort();
    *d = (oom_device){ .id = "fuzz", .vendor = "nvidia", .capability = 89, .dies = 1,
                       .memory_bytes = (uint64_t)24 << 30, .usable_bytes = (uint64_t)24 << 30 };
    oom_engine_precision(engine, &precision);
    status = oom_plan_make(p, m, &precision, &where, engine, &o, &err);
    fuzz_check(status, &err);
    if (status == OOM_OK) {
        status = oom_solve_batch(p, SEQ, 0, &batch, &err);
        fuzz_check(status, &err);
    }
    if (status == OOM_OK && ((batch > 0 && !fuzz_fits(p, batch, SEQ)) ||
                             (batch < OOM_NO_LIMIT && fuzz_fits(p, batch + 1, SEQ))))
        abort();
    free(p);
}

/* What can be asked of every model that was read; the input's length says which plan is made. */
static inline void fuzz_model(oom_model *m, size_t n)
{
    static const char *const names[] = { "stored", "fp16", "int4", "q4_k_m", "awq", "nf4", "fp8-block" };
    enum { NAMES = sizeof names / sizeof *names };
    oom_param_counts counts;
    char name[64];
    size_t engines = 0;

    while (oom_engine_at(engines))
        engines++;
    for (size_t i = 0; i < m->n_tensors && i < 50; i++)
        oom_tensor_name(&m->tensors[i], name, sizeof name);
    oom_model_kv_bytes_per_token(m);
    oom_model_count(m, &counts, NULL);
    for (size_t i = 0; i < NAMES; i++) {
        oom_precision p;
        const oom_model *inventory;
        oom_error err = { 0 };
        uint64_t total = 0;
        oom_status status;

        if (oom_precision_parse(names[i], &p, NULL) != OOM_OK)
            abort();
        status = oom_precision_inventory(m, &p, &inventory, &err);
        if (status == OOM_OK)
            status = oom_precision_weigh(inventory, &p, NULL, &total, &err);
        fuzz_check(status, &err);
        if (total > OOM_MAX_BYTES)
            abort();
        if (i == n % NAMES)
            fuzz_plan(m, p, oom_engine_at(n / NAMES % engines));
    }
}

#endif
