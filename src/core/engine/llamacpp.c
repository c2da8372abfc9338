/* llamacpp.c: llama.cpp 0.5.0-dev (commit 0ad4a86, September 2026): a point is cells times rows
 * for each kind of cache, plus compute buffers read from a table (docs/engines/llamacpp.md). */
#include "llamacpp_place.h"
#include "recipe.h"

#define STEP_TOKENS 512         /* common.h: n_ubatch */
#define DEVICE_ALIGN 128
#define HOST_ALIGN 32

static const char source[] = "llama.cpp 0.5.0-dev";
static const char replayed[]
    = "replay of ggml's allocator over the step's operations, as llama.cpp "
      "0.5.0-dev's dry run counts them (docs/engines/llamacpp.md)";

static lc_context context(const oom_plan *p, const oom_load *load)
{
    const lc_own *o = lc_of(p);
    uint64_t sequences = max_u64(plan_batch(p, load), 1);

    return lc_context_of(o, sequences, max_u64(load->seq, 1));
}

static uint64_t aligned(uint64_t bytes, bool host)
{
    return host ? pad_up(bytes, HOST_ALIGN) : pad_up(bytes, DEVICE_ALIGN);
}

/* Of each layer and tensor of a kind: cells of all streams, or one state a sequence. */
static uint64_t rows_of(const lc_own *o, const lc_context *c, const lc_kind *k)
{
    if (k->state)
        return c->sequences;
    return sat_mul(k->windowed ? lc_window_cells(o, c, k->window) : c->cells, c->streams);
}

/* Caches of one kind in one buffer: K, V and states, each tensor aligned. */
static uint64_t cache_bytes(const lc_own *o, const lc_kind *k, uint64_t rows, uint32_t buffer)
{
    bool host = buffer == o->n_devices;
    uint64_t k_bytes = aligned(sat_add(sat_mul(k->k_row, rows), host ? 0 : k->k_tail), host);
    uint64_t v_bytes = aligned(sat_add(sat_mul(k->v_row, rows), host ? 0 : k->v_tail), host);

    return sat_mul(k->layers[buffer], sat_add(k_bytes, v_bytes));
}

static void caches(const lc_own *o, const lc_context *c, uint32_t buffer, oom_parts *out,
                   const oom_listener *l)
{
    bool host = buffer == o->n_devices;

    for (uint32_t i = 0; i < o->n_kinds; i++) {
        const lc_kind *k = &o->kinds[i];
        uint64_t rows = rows_of(o, c, k), bytes = cache_bytes(o, k, rows, buffer);

        if (!k->layers[buffer])
            continue;
        if (k->state)
            out->state = sat_add(out->state, bytes);
        else
            out->kv = sat_add(out->kv, bytes);
        if (!l)
            continue;
        (host && o->n_devices ? plan_tell_host : plan_tell)(
            l, k->state ? "state" : "kv", OOM_RULE, bytes,
            k->state      ? "layers x (convolution + state, fp32) x sequences"
            : k->windowed ? "layers x (K row + V row) x cells of the window x streams"
                          : "layers x (K row + V row) x cells x streams",
            source, "%u x (%llu + %llu) B x %llu", k->layers[buffer], (ull)k->k_row, (ull)k->v_row,
            (ull)rows);
    }
}

static void compute(const oom_plan *p, const lc_context *c, uint32_t buffer, oom_parts *out,
                    const oom_listener *l)
{
    const lc_own *o = lc_of(p);
    uint64_t bytes = lc_compute(p, c, buffer);

    out->activations = sat_add(out->activations, bytes);
    if (l)
        (buffer == o->n_devices && o->n_devices ? plan_tell_host : plan_tell)(
            l, "activations", lc_known(p->model) ? OOM_RULE : OOM_FITTED, bytes, "compute buffer",
            replayed,
            "%llu tokens a step, %llu rows of logits, %llu cells x %llu streams, flash attention "
            "%s",
            (ull)c->tokens, (ull)c->outputs, (ull)c->cells, (ull)c->streams,
            o->flash ? "on" : "off");
}

/* Logits the caller reads, one row a sequence (llama-context.cpp: output_reserve). */
static uint64_t output_bytes(const lc_own *o, const lc_context *c)
{
    return sat_mul(sat_mul(4, o->vocabulary), c->sequences);
}

static void outputs(const lc_own *o, const lc_context *c, oom_parts *out, const oom_listener *l)
{
    uint64_t bytes = output_bytes(o, c);

    out->activations = sat_add(out->activations, bytes);
    if (l)
        (o->n_devices ? plan_tell_host : plan_tell)(
            l, "activations", OOM_RULE, bytes, "output buffer: 4 B x vocabulary x sequences",
            source, "4 x %llu x %llu", (ull)o->vocabulary, (ull)c->sequences);
}

static uint32_t buffer_of(const lc_own *o, const plan_class *cl)
{
    return o->n_devices ? cl->stage : 0;
}

static uint64_t runtime_bytes(const oom_plan *p, const plan_class *cl)
{
    return p->has_device ? p->where.group[cl->group].device.context_bytes : 0;
}

static void parts(const oom_plan *p, const oom_load *load, const plan_class *cl, oom_parts *out,
                  const oom_listener *l)
{
    const lc_own *o = lc_of(p);
    lc_context c = context(p, load);
    uint32_t buffer = buffer_of(o, cl);

    caches(o, &c, buffer, out, l);
    compute(p, &c, buffer, out, l);
    if (o->n_devices == 0)
        outputs(o, &c, out, l);
    out->overhead = runtime_bytes(p, cl);
    if (l)
        plan_tell(l, "overhead", OOM_FITTED, out->overhead, "runtime context of the device",
                  "measured contexts by generation (docs/devices.md)", "%s",
                  p->has_device ? p->where.group[cl->group].device.name : "no device");
}

static void host(const oom_plan *p, const oom_load *load, oom_parts *out, const oom_listener *l)
{
    const lc_own *o = lc_of(p);
    lc_context c = context(p, load);

    if (o->n_devices == 0)
        return;                         /* the device is the host */
    out->weights = o->host_weights;
    if (l)
        plan_tell_host(l, "weights", OOM_RULE, out->weights,
                       "token embedding, and layers not offloaded", source, "%llu B",
                       (ull)out->weights);
    caches(o, &c, o->n_devices, out, l);
    compute(p, &c, o->n_devices, out, l);
    outputs(o, &c, out, l);
}

static void row(const oom_plan *p, const plan_class *cl, uint64_t seq, uint64_t prompt,
                const uint64_t *batches, size_t n, uint64_t *totals)
{
    const lc_own *o = lc_of(p);
    uint32_t buffer = buffer_of(o, cl);
    uint64_t fixed = sat_add(p->stages[cl->stage].weights, runtime_bytes(p, cl));

    for (size_t i = 0; i < n; i++) {
        lc_context c = context(p, &(oom_load){ batches[i], seq, prompt });

        totals[i] = SAT_TOOLARGE;
        if (c.sequences > LC_MAX_SEQUENCES)
            continue;
        totals[i] = sat_add(fixed, lc_compute(p, &c, buffer));
        for (const lc_kind *k = o->kinds; k < o->kinds + o->n_kinds; k++)
            totals[i] = sat_add(totals[i], cache_bytes(o, k, rows_of(o, &c, k), buffer));
        if (o->n_devices == 0)
            totals[i] = sat_add(totals[i], output_bytes(o, &c));
    }
}

static oom_status prepare(oom_plan *p, oom_error *err)
{
    const oom_model *view;
    oom_status st = gguf_view(p->model, &view, err);

    if (st != OOM_OK)
        return st;
    lc_gather_kinds(p, view);
    return lc_prepare_compute(p, view, err);
}

const oom_engine oom_engine_llamacpp = {
    .name = "llama.cpp",
    .summary = "llama.cpp 0.5.0-dev: its files, caches and compute buffers",
    .splits_layers = true,
    .chunk = STEP_TOKENS,
    .max_sequences = LC_MAX_SEQUENCES,
    .takes_notes = true,
    .ggml_files = true,
    .place = lc_place,
    .prepare = prepare,
    .parts = parts,
    .host = host,
    .row = row,
};
