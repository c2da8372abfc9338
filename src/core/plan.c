/* plan.c: prepare once, then a point costs a few integer operations per kind of cache.
 * How weights and caches are dealt to ranks is deal.c's. */
#include "plan.h"
#include "recipe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

size_t oom_plan_bytes(void) { return sizeof(oom_plan); }
size_t oom_notes_bytes(void) { return sizeof(oom_notes); }

/* ---- telling ------------------------------------------------------------------------------ */

static void tell(const oom_listener *l, const char *part, oom_basis basis, uint64_t bytes,
                 const char *formula, const char *source, bool host, const char *numbers,
                 va_list args)
{
    char text[256];
    oom_term term = { .part = part, .formula = formula, .numbers = text, .source = source,
                      .basis = basis, .bytes = bytes, .host = host };

    vsnprintf(text, sizeof text, numbers, args);
    l->tell(l->ctx, &term);
}

void plan_tell(const oom_listener *l, const char *part, oom_basis basis, uint64_t bytes,
               const char *formula, const char *source, const char *numbers, ...)
{
    va_list args;

    va_start(args, numbers);
    tell(l, part, basis, bytes, formula, source, false, numbers, args);
    va_end(args);
}

void plan_tell_host(const oom_listener *l, const char *part, oom_basis basis, uint64_t bytes,
                    const char *formula, const char *source, const char *numbers, ...)
{
    va_list args;

    va_start(args, numbers);
    tell(l, part, basis, bytes, formula, source, true, numbers, args);
    va_end(args);
}

/* ---- caches ---------------------------------------------------------------------------------- */

uint64_t plan_rows(const plan_kind *k, const oom_load *load)
{
    switch (k->kind) {
    case OOM_CACHE_FULL: case OOM_CACHE_MLA: case OOM_CACHE_INDEXER:
        return load->seq;
    case OOM_CACHE_WINDOW: case OOM_CACHE_CHUNK:
        return min_u64(load->seq, k->window);
    case OOM_CACHE_COMPRESSED:
        return div_up(load->seq, k->ratio);
    case OOM_CACHE_CROSS:               /* a fixed number of image tokens, or the encoder's */
        return k->window ? k->window : load->prompt;
    case OOM_CACHE_STATE:
        break;
    }
    return 1;
}

static const char *const kind_words[] = {
    [OOM_CACHE_FULL] = "layers x (K row + V row) x seq x sequences",
    [OOM_CACHE_WINDOW] = "layers x (K row + V row) x min(seq, window) x sequences",
    [OOM_CACHE_CHUNK] = "layers x (K row + V row) x min(seq, chunk) x sequences",
    [OOM_CACHE_MLA] = "layers x latent row x seq x sequences",
    [OOM_CACHE_INDEXER] = "layers x index key row x seq x sequences",
    [OOM_CACHE_COMPRESSED] = "layers x row x seq / ratio x sequences",
    [OOM_CACHE_CROSS] = "layers x (K row + V row) x encoder tokens x sequences",
    [OOM_CACHE_STATE] = "layers x state bytes x sequences",
};

void plan_textbook_caches(const oom_plan *p, const oom_load *load, const plan_class *c,
                          oom_parts *out, const oom_listener *l)
{
    const plan_stage *stage = &p->stages[c->stage];
    uint64_t batch = plan_batch(p, load);

    for (uint32_t i = 0; i < p->n_kinds; i++) {
        const plan_kind *k = &p->kinds[i];
        uint64_t rows = plan_rows(k, load), row = k->k_row_bytes + k->v_row_bytes + k->state_bytes;
        uint64_t bytes = sat_mul(sat_mul(sat_mul(stage->layers[i], row), rows), batch);
        bool fixed = k->kind == OOM_CACHE_STATE || k->kind == OOM_CACHE_CROSS;

        if (fixed)
            out->state = sat_add(out->state, bytes);
        else
            out->kv = sat_add(out->kv, bytes);
        if (l && stage->layers[i])
            plan_tell(l, fixed ? "state" : "kv", OOM_EXACT, bytes, kind_words[k->kind],
                      "arithmetic on the model's configuration",
                      "%u x %llu B x %llu x %llu", stage->layers[i], (ull)row, (ull)rows,
                      (ull)batch);
    }
}

/* ---- devices --------------------------------------------------------------------------------- */

static uint64_t memory_of(const oom_plan *p, const oom_device *d)
{
    return p->engine->whole_device ? d->memory_bytes : d->usable_bytes;
}

/* The share of it that is asked for; 1 where neither the user nor the engine says one. */
static double share_of(const oom_plan *p)
{
    return p->options.utilization > 0 ? p->options.utilization : 1;
}

static uint64_t asked_of(const oom_plan *p, const oom_device *d)
{
    uint64_t all = memory_of(p, d);
    double share = share_of(p);

    return share < 1 ? (uint64_t)(share * (double)all) : all;
}

uint64_t plan_available(const oom_plan *p, const oom_device *d)
{
    uint64_t bytes = p->engine->available ? p->engine->available(p, d) : asked_of(p, d);

    return bytes - min_u64(bytes, p->options.reserve);
}

/* What was learned of this device under the plan's engine. */
static uint64_t learned(const oom_plan *p, const oom_device *d)
{
    size_t i = 0;

    while (oom_engine_at(i) != p->engine)
        i++;
    return d->learned_bytes[i];
}

static uint32_t find_class(const oom_plan *p, uint32_t stage, uint32_t group)
{
    for (uint32_t i = 0; i < p->n_classes; i++)
        if (p->classes[i].stage == stage && p->classes[i].group == group)
            return i;
    return p->n_classes;
}

/* One class for all ranks with the same stage and the same kind of device. */
static void deal_ranks(oom_plan *p)
{
    uint32_t per_replica = p->options.tp * p->options.pp, group = 0, end = p->where.group[0].count;

    p->n_ranks = p->has_device ? p->where.n : per_replica;
    for (uint32_t rank = 0; rank < p->n_ranks; rank++) {
        uint32_t stage = rank % per_replica / p->options.tp, known;

        if (p->has_device && rank == end)
            end += p->where.group[++group].count;
        known = find_class(p, stage, group);
        p->class_of[rank] = (uint8_t)known;
        if (known < p->n_classes)
            continue;
        p->classes[p->n_classes++] = (plan_class){ .stage = stage, .group = group, .rank = rank };
    }
}

/* Last: what an engine leaves others may go by its own numbers. */
static void look_at_devices(oom_plan *p)
{
    for (uint32_t i = 0; p->has_device && i < p->n_classes; i++) {
        const oom_device *d = &p->where.group[p->classes[i].group].device;

        p->classes[i].available = plan_available(p, d);
        p->classes[i].learned = learned(p, d);
    }
}

/* The degree that was not told: the rest of n devices, 1 where the others do not divide them. */
static uint32_t left_over(uint32_t n, uint32_t one, uint32_t other)
{
    uint64_t told = (uint64_t)one * other;

    return told && n % told == 0 ? (uint32_t)(n / told) : 1;
}

static oom_status check_degrees(oom_plan *p, oom_error *err)
{
    oom_options *o = &p->options;
    const oom_shape *s = &p->model->shape;
    uint32_t n = p->has_device ? p->where.n : 0;
    uint64_t all;

    o->dp = o->dp ? o->dp : 1;
    if (n && !o->tp && !o->pp)      /* all devices, the engine's usual way */
        *(p->engine->splits_layers ? &o->pp : &o->tp) = left_over(n, o->dp, 1);
    else if (n && !o->tp)
        o->tp = left_over(n, o->dp, o->pp);
    else if (n && !o->pp)
        o->pp = left_over(n, o->dp, o->tp);
    o->tp = o->tp ? o->tp : 1;
    o->pp = o->pp ? o->pp : 1;
    o->ep = o->ep ? o->ep : 1;
    all = (uint64_t)o->tp * o->pp * o->dp;
    if (all > OOM_MAX_DEVICES)
        return oom_fail(err, OOM_BADVALUE, "tp=%u x pp=%u x dp=%u: at most %d devices", o->tp,
                        o->pp, o->dp, OOM_MAX_DEVICES);
    if (n && all != n)
        return oom_fail(err, OOM_BADVALUE, "tp=%u x pp=%u x dp=%u is %llu devices, device has %u",
                        o->tp, o->pp, o->dp, (ull)all, n);
    if (s->heads && o->tp > 1 && s->heads % o->tp)
        return oom_fail(err, OOM_BADVALUE, "tp=%u does not divide the %u attention heads of %s",
                        o->tp, s->heads, p->model->id);
    if (o->pp > 1 && o->pp > s->n_layers)
        return oom_fail(err, OOM_BADVALUE, "pp=%u is more than the %u layers of %s", o->pp,
                        s->n_layers, p->model->id);
    if (o->ep > 1 && !s->experts)
        return oom_fail(err, OOM_BADVALUE, "ep=%u: %s has no experts", o->ep, p->model->id);
    if (n && o->ep > n)
        return oom_fail(err, OOM_BADVALUE, "ep=%u is more than the %u device%s", o->ep, n,
                        n == 1 ? "" : "s");
    return OOM_OK;
}

static bool runs_in_fp32(const oom_plan *p)
{
    const char *stored = p->model->stored_precision;

    if (p->precision.kind == OOM_PRECISION_WIDTH)
        return p->precision.bits > 16;
    return p->precision.kind == OOM_PRECISION_STORED && stored && strcmp(stored, "fp32") == 0;
}

static oom_status weigh_and_place(oom_plan *p, oom_error *err)
{
    const oom_alloc *a = oom_arena_alloc(p->model->arena);
    size_t n = p->inventory->n_tensors + 1, bytes = n * (sizeof(uint64_t) + sizeof(oom_format *));
    uint64_t *each = a->resize(a->ctx, NULL, 0, bytes), total = 0;
    const oom_format **formats;
    oom_status st;

    if (!each)
        return oom_fail(err, OOM_NOMEM, "out of memory");
    formats = (const oom_format **)(void *)(each + n);
    st = precision_weigh(p->inventory, &p->precision, each, p->engine->place ? formats : NULL,
                         &total, err);
    if (st == OOM_OK)
        st = p->engine->place ? p->engine->place(p, each, formats, err) : plan_place(p, each, err);
    a->resize(a->ctx, each, bytes, 0);
    if (st != OOM_OK)
        return st;
    /* A pure width is rounded once over the whole sum, not per tensor. */
    if (p->precision.kind == OOM_PRECISION_WIDTH && !p->engine->place && p->n_stages == 1
        && p->options.tp == 1 && p->options.ep == 1)
        p->stages[0].weights = total;
    return OOM_OK;
}

oom_status oom_plan_make(oom_plan *p, oom_model *m, const oom_precision *precision,
                         const oom_deployment *where, const oom_engine *engine,
                         const oom_options *options, oom_error *err)
{
    return oom_plan_make_noting(p, NULL, m, precision, where, engine, options, err);
}

oom_status oom_plan_make_noting(oom_plan *p, oom_notes *notes, oom_model *m,
                                const oom_precision *precision, const oom_deployment *where,
                                const oom_engine *engine, const oom_options *options,
                                oom_error *err)
{
    const oom_format *automatic;
    oom_status st;

    memset(p, 0, offsetof(oom_plan, own) + PLAN_OWN_ZERO);
    p->model = m;
    p->notes = notes;
    p->engine = engine;
    p->precision = *precision;
    oom_engine_precision(engine, &p->precision);
    p->options = *options;
    p->has_device = where != NULL;
    if (where)
        p->where = *where;
    if (m->shape_unknown)
        return oom_fail(err, OOM_BADVALUE, "%s: only params is known; caches and activations need "
                        "hidden_size and num_hidden_layers, too", m->id);
    if (!p->options.chunk)
        p->options.chunk = engine->chunk;
    if (p->options.utilization <= 0 && engine->utilization)
        p->options.utilization = engine->utilization(options->version);
    p->element_bytes = runs_in_fp32(p) ? 4 : 2;
    automatic = oom_format_find(p->element_bytes == 4 && !engine->ggml_files ? "fp32" : "fp16");
    p->options.kv_k = p->options.kv_k ? p->options.kv_k : automatic;
    p->options.kv_v = p->options.kv_v ? p->options.kv_v : automatic;
    st = oom_engine_check_version(engine, options->version, err);
    if (st == OOM_OK)
        st = check_degrees(p, err);
    if (st == OOM_OK)
        st = oom_precision_inventory(m, &p->precision, &p->inventory, err);
    if (st != OOM_OK)
        return st;
    p->n_stages = p->options.pp;
    plan_cut_stages(p, p->inventory->shape.n_layers);
    deal_ranks(p);
    st = plan_gather_kinds(p, err);
    if (st == OOM_OK)
        st = weigh_and_place(p, err);
    if (st == OOM_OK && engine->prepare)
        st = engine->prepare(p, err);
    if (st == OOM_OK)
        look_at_devices(p);
    return st;
}

/* ---- points ---------------------------------------------------------------------------------- */

static oom_load clipped(const oom_load *load)
{
    oom_load l = *load;

    if (l.prompt == 0 || l.prompt > l.seq)
        l.prompt = l.seq;
    return l;
}

static void sum_up(oom_parts *x)
{
    x->total = sat_add(sat_add(sat_add(x->weights, x->kv), sat_add(x->state, x->activations)),
                       x->overhead);
}

static bool too_many(const oom_plan *p, const oom_load *load)
{
    return p->engine->max_sequences && plan_batch(p, load) > p->engine->max_sequences;
}

bool plan_ran_out(const oom_plan *p)
{
    bool ran_out = p->ran_out;

    if (ran_out)                        /* beside what it remembers all that changes in a plan */
        ((oom_plan *)(uintptr_t)p)->ran_out = false;
    return ran_out;
}

static oom_status too_large(const oom_plan *p, const oom_load *load, oom_error *err)
{
    if (plan_ran_out(p))
        return oom_fail(err, OOM_NOMEM, "out of memory");
    if (too_many(p, load))
        return oom_fail(err, OOM_TOOLARGE, "batch %llu: %s serves at most %llu sequences at once",
                        (ull)load->batch, p->engine->name, (ull)p->engine->max_sequences);
    return oom_fail(err, OOM_TOOLARGE, "batch %llu x seq %llu: too large", (ull)load->batch,
                    (ull)load->seq);
}

static void class_parts(const oom_plan *p, const oom_load *load, const plan_class *c,
                        oom_parts *out, const oom_listener *l)
{
    *out = (oom_parts){ 0 };
    if (too_many(p, load)) {
        out->total = SAT_TOOLARGE;
        return;
    }
    p->engine->parts(p, load, c, out, l);
    out->weights = sat_add(out->weights, p->stages[c->stage].weights);
    out->overhead = sat_add(out->overhead, c->learned);
    if (l && c->learned)
        plan_tell(l, "overhead", OOM_FITTED, c->learned, "what a start took beyond the rules",
                  "learned from a log of this device and engine: check(log, {learn=true})",
                  "%llu B", (ull)c->learned);
    sum_up(out);
}

void plan_totals(const oom_plan *p, uint64_t seq, uint64_t prompt, const uint64_t *batches,
                 size_t n, uint64_t *totals)
{
    const plan_class *c = &p->classes[0];
    oom_load load = clipped(&(oom_load){ .seq = seq, .prompt = prompt });

    if (p->engine->row && p->options.dp == 1) {
        p->engine->row(p, c, seq, load.prompt, batches, n, totals);
        for (size_t i = 0; c->learned && i < n; i++)
            totals[i] = sat_add(totals[i], c->learned);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        oom_parts parts;

        load.batch = batches[i];
        class_parts(p, &load, c, &parts, NULL);
        totals[i] = parts.total;
    }
}

static void tell_weights(const oom_plan *p, const plan_class *c, const oom_listener *l)
{
    plan_tell(l, "weights", OOM_EXACT, p->stages[c->stage].weights,
              "sum over the tensors of one rank of elements x format",
              "the model's inventory", "%zu tensors in %s, tp %u, stage %u of %u",
              p->inventory->n_tensors, p->precision.name, p->options.tp, c->stage + 1, p->n_stages);
}

static void tell_available(const oom_plan *p, const plan_class *c, const oom_listener *l)
{
    const oom_device *d = &p->where.group[c->group].device;
    uint64_t kept = asked_of(p, d) - min_u64(asked_of(p, d), c->available);
    const char *source = p->engine->whole_device ? "the device's record"
                       : d->usable_known ? "what a process can get of it, as logs of it say" : NULL;

    plan_tell(l, "available", source ? OOM_EXACT : OOM_RULE, c->available,
              kept > p->options.reserve
                  ? "share x memory of the device - reserve - room for what follows the pool"
                  : "share x memory of the device - reserve",
              source ? source : "rule of what a driver keeps (docs/devices.md)",
              "%.4g x %llu B - %llu B, %s", share_of(p), (ull)memory_of(p, d), (ull)kept, d->name);
}

oom_status oom_plan_memory(const oom_plan *p, const oom_load *asked, oom_memory *out,
                           const oom_listener *listener, oom_error *err)
{
    oom_load load = clipped(asked);
    oom_memory best = { .fits = true };
    const plan_class *fullest = p->classes;

    for (uint32_t i = 0; i < p->n_classes; i++) {
        const plan_class *c = &p->classes[i];
        oom_parts parts;
        bool worse;

        class_parts(p, &load, c, &parts, NULL);
        if (parts.total == SAT_TOOLARGE)
            return too_large(p, &load, err);
        if (p->has_device && parts.total > c->available)
            best.fits = false;
        /* least left, comparing free space that may be negative */
        worse = i == 0 || (int64_t)(c->available - parts.total)
                       < (int64_t)(best.available - best.device.total);
        if (worse) {
            best.device = parts;
            best.available = c->available;
            best.rank = c->rank;
            fullest = c;
        }
    }
    if (p->engine->host) {
        p->engine->host(p, &load, &best.host, listener);
        sum_up(&best.host);
        if (best.host.total == SAT_TOOLARGE)
            return too_large(p, &load, err);
    }
    if (listener) {
        oom_parts again;

        tell_weights(p, fullest, listener);
        class_parts(p, &load, fullest, &again, listener);
        if (p->has_device)
            tell_available(p, fullest, listener);
    }
    *out = best;
    return OOM_OK;
}

uint32_t oom_plan_ranks(const oom_plan *p) { return p->n_ranks; }

oom_status oom_plan_rank(const oom_plan *p, const oom_load *asked, uint32_t rank, oom_parts *out,
                         uint64_t *available, oom_error *err)
{
    oom_load load = clipped(asked);
    const plan_class *c;
    oom_parts parts;

    if (rank >= p->n_ranks)
        return oom_fail(err, OOM_BADVALUE, "rank %u of %u", rank, p->n_ranks);
    c = &p->classes[p->class_of[rank]];
    class_parts(p, &load, c, &parts, NULL);
    if (parts.total == SAT_TOOLARGE)
        return too_large(p, &load, err);
    *out = parts;
    *available = c->available;
    return OOM_OK;
}

oom_status oom_plan_capacity(const oom_plan *p, const oom_load *asked, oom_capacity *out,
                             oom_error *err)
{
    oom_load load = clipped(asked);
    oom_load one = { .batch = 1, .seq = load.seq, .prompt = load.prompt };
    oom_memory m = { 0 }, single = { 0 };
    oom_status st;
    uint64_t rest, per_seq;

    if (!p->has_device)
        return oom_fail(err, OOM_BADVALUE, "capacity needs a device");
    if (p->engine->capacity)
        return p->engine->capacity(p, &load, out, err);
    /* Without a pool of its own an engine can fill what the other parts leave. */
    st = oom_plan_memory(p, &load, &m, NULL, err);
    if (st == OOM_OK)
        st = oom_plan_memory(p, &one, &single, NULL, err);
    if (st != OOM_OK)
        return st;
    rest = m.device.weights + m.device.activations + m.device.overhead;
    per_seq = single.device.kv + single.device.state;
    *out = (oom_capacity){
        .kv_bytes = m.available - min_u64(m.available, rest),
        .weights = m.device.weights, .activations = m.device.activations,
        .overhead = m.device.overhead, .available = m.available };
    if (per_seq) {
        out->max_concurrency = (double)out->kv_bytes / (double)per_seq;
        out->kv_tokens = (uint64_t)(out->max_concurrency * (double)load.seq);
    }
    return OOM_OK;
}
