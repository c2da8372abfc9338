/* vllm.c: vLLM's budget. It may take a share of the device; weights, the peak of a profile run and
 * what torch does not count come off, what is left is the pool of cache blocks. memory() counts the
 * blocks that `batch` requests of `seq` tokens take of it, so that they fit when the pool holds
 * them; capacity() is the pool itself, as the engine prints it. docs/engines/vllm.md. */
#include "vllm.h"

#include <string.h>

/* Its kernels want compute capability 7.0 (docs: installation, requirements), and nothing of it
 * runs on Apple's GPUs: on a Mac it is a processor's engine. */
static bool runs_on(const oom_device *d)
{
    return strcmp(d->vendor, "Apple") != 0 && (d->capability == 0 || d->capability >= 70);
}

static oom_status check_devices(const oom_plan *p, oom_error *err)
{
    for (uint32_t i = 0; p->has_device && i < p->where.n_groups; i++)
        if (!runs_on(&p->where.group[i].device))
            return oom_fail(err, OOM_BADVALUE, "vllm does not run on %s: it takes CUDA from "
                            "compute capability 7.0 on, ROCm, XPU, TPU and processors",
                            p->where.group[i].device.id);
    return OOM_OK;
}

/* Experts are spread over all ranks of a replica's layers or not at all
 * (--enable-expert-parallel; fused_moe/config.py: FusedMoEParallelConfig.make). */
static oom_status check_experts(const oom_plan *p, oom_error *err)
{
    uint64_t ranks = (uint64_t)p->options.tp * p->options.dp;

    if (p->options.ep == 1 || p->options.ep == ranks)
        return OOM_OK;
    return oom_fail(err, OOM_BADVALUE, "ep=%u: vllm spreads experts over all tp x dp = %llu ranks, "
                    "or over none", p->options.ep, (ull)ranks);
}

#define VERSION 19                      /* what is meant when no version is named */

/* Llama 3.2 Vision, whose text looks at the image: it never ran on V1, and went with V0
 * (model_executor/models/registry.py: last in 0.10.2). V0's rules last changed with 0.7. */
#define LOOKS_LAST 10

static bool has_mxfp4(const oom_plan *p)
{
    const char *stored = p->precision.kind == OOM_PRECISION_STORED ? p->model->stored_precision
        : NULL;

    return strncmp(stored ? stored : p->precision.name, "mxfp4", 5) == 0;
}

/* What names decide is settled first, once: a point compares no words. */
static oom_status place(oom_plan *p, const uint64_t *tensor_bytes,
                        const oom_format *const *formats, oom_error *err)
{
    vllm_own *own = (vllm_own *)p->own.bytes;

    own->looks = p->model->family && strcmp(p->model->family, "mllama") == 0;
    own->version = p->options.version ? p->options.version : VERSION;
    if (own->looks)
        own->version = (uint32_t)min_u64(own->version, VLLM_V1 - 1);
    own->mxfp4 = has_mxfp4(p);
    own->lets_go = vllm_lets_go(p);
    own->copies_input = vllm_copies_input(p);
    return vllm_place(p, tensor_bytes, formats, err);
}

static oom_status vllm_prepare(oom_plan *p, oom_error *err)
{
    vllm_own *own = (vllm_own *)p->own.bytes;
    uint64_t block = p->options.block_size;

    if (check_devices(p, err) != OOM_OK || check_experts(p, err) != OOM_OK)
        return OOM_BADVALUE;
    if (own->looks && p->options.version > LOOKS_LAST)
        return oom_fail(err, OOM_BADVALUE, "vllm 0.%u does not run %s: 0.%u was the last that did",
                        p->options.version, p->model->id, LOOKS_LAST);
    if (p->options.kv_k->block > 1 || p->options.kv_v->block > 1)
        return oom_fail(err, OOM_BADVALUE, "vllm has no %s cache, expected auto, fp8, int8, fp16, "
                        "bf16 or fp32", p->options.kv_k->block > 1 ? p->options.kv_k->name
                                                                  : p->options.kv_v->name);
    /* vllm/config/cache.py: BlockSize */
    if (block > 1 && (block % 8 || block > 256 || block & (block - 1)))
        return oom_fail(err, OOM_BADVALUE, "block_size is %llu, vllm takes 1, 8, 16, 32, 64, 128 "
                        "or 256", (ull)block);
    own->width = div_up(max_u64(p->model->shape.intermediate_size, p->model->shape.shared_width),
                        p->options.tp);
    own->windows = own->version > VLLM_V1;   /* before, sliding layers kept every token */
    for (size_t i = 0; i < p->model->n_tensors; i++)
        own->sees = own->sees || p->model->tensors[i].part == OOM_PART_VISION;
    for (uint32_t i = 0; i < p->n_kinds; i++)
        own->windowed = own->windowed || p->kinds[i].kind == OOM_CACHE_WINDOW
                     || p->kinds[i].kind == OOM_CACHE_CHUNK;
    for (size_t i = 0; i < p->model->n_caches; i++)
        if (p->model->caches[i].kind == OOM_CACHE_STATE)
            own->convolution = max_u64(own->convolution,
                                       div_up(p->model->caches[i].conv_width, p->options.tp));
    vllm_encoder_prepare(p, own);
    vllm_pool_prepare(p, own);
    return OOM_OK;
}

static uint64_t weights(const oom_plan *p, const plan_class *c)
{
    return sat_add(p->stages[c->stage].weights, vllm_added(p, c->stage, NULL));
}

/* ---- a point --------------------------------------------------------------------------------- */

static const char *kind_words(oom_cache_kind kind)
{
    switch (kind) {
    case OOM_CACHE_WINDOW: return "requests x groups x (blocks of min(window - 1 + step, seq) + 1) "
        "x block bytes";
    case OOM_CACHE_CHUNK: return "requests x groups x blocks of min(chunk + step, seq) x block "
        "bytes";
    case OOM_CACHE_CROSS: return "requests x groups x blocks of the encoder's tokens x block bytes";
    case OOM_CACHE_STATE: return "requests x groups x blocks of a state x block bytes";
    default: return "requests x groups x blocks of seq x block bytes";
    }
}

static void caches(const oom_plan *p, const oom_load *load, const plan_class *c, uint64_t flight,
                   oom_parts *out, const oom_listener *l)
{
    vllm_pool pool = vllm_pool_of(p, c->stage);
    uint64_t batch = plan_batch(p, load);

    if (vllm_of(p)->one_group) {
        uint64_t blocks = vllm_request_blocks(p, &pool, load, flight);

        out->kv = sat_mul(sat_mul(batch, blocks), pool.block_bytes);
        if (l)
            plan_tell(l, "kv", OOM_RULE, out->kv, "requests x blocks of seq x block bytes",
                      "vLLM: kv_cache_utils.py; every block a whole one",
                      "%llu x ceil(%llu / %llu) x %llu B", (ull)batch, (ull)load->seq,
                      (ull)vllm_of(p)->printed_block, (ull)pool.block_bytes);
        return;
    }
    for (uint32_t i = 0; i < p->n_kinds; i++) {
        oom_cache_kind kind = p->kinds[i].kind;
        bool fixed = kind == OOM_CACHE_STATE || kind == OOM_CACHE_CROSS;
        uint64_t blocks, bytes;

        if (!pool.groups[i])
            continue;
        blocks = sat_mul(pool.groups[i], vllm_blocks(p, i, load, flight));
        bytes = sat_mul(sat_mul(batch, blocks), pool.block_bytes);
        if (fixed)
            out->state = sat_add(out->state, bytes);
        else
            out->kv = sat_add(out->kv, bytes);
        if (l)
            plan_tell(l, fixed ? "state" : "kv", OOM_RULE, bytes, kind_words(kind),
                      "vLLM: kv_cache_utils.py; layers in groups of equal pages",
                      "%llu x %u x %llu x %llu B (%llu layers, %llu tokens a block)", (ull)batch,
                      pool.groups[i], (ull)(blocks / pool.groups[i]), (ull)pool.block_bytes,
                      (ull)pool.group_layers, (ull)vllm_of(p)->block_tokens[i]);
    }
}

static uint64_t overhead(const oom_plan *p, const oom_device *d, const oom_listener *l)
{
    uint64_t graphs = vllm_graphs(p, d, l);

    return sat_add(vllm_non_torch(p, d, l), vllm_graphs_in_budget(p) ? graphs : 0);
}

static void vllm_parts(const oom_plan *p, const oom_load *load, const plan_class *c, oom_parts *out,
                       const oom_listener *l)
{
    const oom_device *d = vllm_device(p, c);
    vllm_step step = vllm_step_of(p, vllm_limits(p, d), plan_batch(p, load), load->seq);

    out->weights = vllm_added(p, c->stage, l);
    caches(p, load, c, step.tokens, out, l);
    out->activations = vllm_activations(p, c, &step, l);
    out->overhead = overhead(p, d, l);
}

/* Requests of one length are alike: a multiplication. Steps are alike until more run at once than
 * the scheduler was meant for. */
static void vllm_row(const oom_plan *p, const plan_class *c, uint64_t seq, uint64_t prompt,
                     const uint64_t *batches, size_t n, uint64_t *totals)
{
    const oom_device *d = vllm_device(p, c);
    const vllm_step limits = vllm_limits(p, d);
    const vllm_pool pool = vllm_pool_of(p, c->stage);
    uint64_t rest = sat_add(weights(p, c), overhead(p, d, NULL)), fixed = 0, each = 0;
    const oom_load one = { .batch = 1, .seq = seq, .prompt = prompt };
    uint64_t at_once = 0, flight = 0;

    for (size_t i = 0; i < n; i++) {
        if (max_u64(limits.seqs, batches[i]) != at_once) {
            const vllm_step step = vllm_step_of(p, limits, batches[i], seq);

            at_once = max_u64(limits.seqs, batches[i]);
            if (step.tokens != flight)
                each = sat_mul(vllm_request_blocks(p, &pool, &one, step.tokens), pool.block_bytes);
            flight = step.tokens;
            fixed = sat_add(rest, vllm_activations(p, c, &step, NULL));
        }
        totals[i] = sat_add(fixed, sat_mul(each, batches[i]));
    }
}

/* ---- devices --------------------------------------------------------------------------------- */

/* gpu_memory_utilization where it is not told (config/cache.py: 0.9 in 0.16, 0.92 in 0.25): more
 * since the graphs come out of it. */
static double vllm_utilization(uint32_t version) { return version > 20 ? 0.92 : 0.90; }

/* The share of the total memory that was asked for. */
static uint64_t budget(const oom_plan *p, const oom_device *d)
{
    return (uint64_t)(p->options.utilization * (double)d->usable_bytes);
}

/* The budget, and outside of it room for what comes after the pool. */
static uint64_t vllm_available(const oom_plan *p, const oom_device *d)
{
    uint64_t outside = vllm_graphs_in_budget(p) ? 0 : vllm_graphs(p, d, NULL);

    outside = sat_add(outside, vllm_warm_up(p, d));
    return min_u64(budget(p, d), d->usable_bytes > outside ? d->usable_bytes - outside : 0);
}

static bool vllm_alike(const oom_device *a, const oom_device *b)
{
    return torch_large_device(a) == torch_large_device(b) && runs_on(a) == runs_on(b)
        && torch_library_bytes(a) == torch_library_bytes(b) && a->context_bytes == b->context_bytes;
}

/* ---- the pool as printed --------------------------------------------------------------------- */

/* The rank with the fewest blocks decides for all. */
static oom_status vllm_capacity(const oom_plan *p, const oom_load *load, oom_capacity *out,
                                oom_error *err)
{
    const vllm_own *own = vllm_of(p);
    bool first = true;

    for (uint32_t i = 0; i < p->n_classes; i++) {
        const plan_class *c = &p->classes[i];
        const oom_device *d = &p->where.group[c->group].device;     /* never called without */
        vllm_pool pool = vllm_pool_of(p, c->stage);
        vllm_step step = vllm_step_of(p, vllm_limits(p, d), plan_batch(p, load), load->seq);
        uint64_t request = vllm_request_blocks(p, &pool, load, step.tokens), taken;
        oom_capacity x = { .weights = weights(p, c), .available = budget(p, d),
                           .overhead = sat_add(overhead(p, d, NULL), c->learned) };

        x.available = x.available > p->options.reserve ? x.available - p->options.reserve : 0;
        x.activations = vllm_activations(p, c, &step, NULL);
        taken = sat_add(sat_add(x.weights, x.activations), x.overhead);
        if (taken == SAT_TOOLARGE || request == SAT_TOOLARGE)
            return oom_fail(err, OOM_TOOLARGE, "batch %llu x seq %llu: too large",
                            (ull)load->batch, (ull)load->seq);
        x.kv_bytes = x.available > taken ? x.available - taken : 0;
        x.blocks = pool.block_bytes ? x.kv_bytes / pool.block_bytes : 0;
        x.max_concurrency = request ? (double)x.blocks / (double)request : 0;
        /* until 0.20 the blocks of one group were printed, since then what the requests hold */
        x.kv_tokens = own->version > 20 ? (uint64_t)(x.max_concurrency * (double)load->seq)
                    : pool.n_groups ? sat_mul(x.blocks / pool.n_groups, own->printed_block) : 0;
        if (first || x.blocks < out->blocks)
            *out = x;
        first = false;
    }
    return OOM_OK;
}

const oom_engine oom_engine_vllm = {
    .name = "vllm",
    .summary = "vLLM: blocks of a pool beside weights, the peak of its profile run and its runtime",
    .versions = "0.6 to 0.26",
    .newest = 999,                      /* later ones of 0.x by the last rules known */
    .utilization = vllm_utilization,
    .place = place,
    .prepare = vllm_prepare,
    .parts = vllm_parts,
    .row = vllm_row,
    .alike = vllm_alike,
    .capacity = vllm_capacity,
    .available = vllm_available,
};
