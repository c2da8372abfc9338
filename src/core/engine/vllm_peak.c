/* vllm_peak.c: what vLLM takes beside weights and pool: the peak of its profile run, memory that
 * torch does not count, CUDA graphs. The constants are fitted to start-up logs; each says to how
 * many and with what error. */
#include "vllm.h"

#include <string.h>

#define MIB ((uint64_t)1 << 20)

/* Defaults of the scheduler are larger on devices of 70 GiB and more that are no A100
 * (engine/arg_utils.py: get_batch_defaults; the values of `vllm serve`). */
vllm_step vllm_limits(const oom_plan *p, const oom_device *d)
{
    bool v1 = vllm_of(p)->version >= VLLM_V1, large = torch_large_device(d);
    vllm_step s = { .seqs = v1 && large ? 1024 : 256, .tokens = !v1 ? 0 : large ? 8192 : 2048,
                    .library = torch_library_bytes(d) };

    s.seqs = p->options.max_seqs ? p->options.max_seqs : s.seqs;
    s.tokens = p->options.chunk ? p->options.chunk : s.tokens;
    return s;
}

/* V0 profiles a prompt of full length, for models that see at least 5120 tokens (4096 in 0.6).
 * Prompts of models longer than 32,768 tokens come in chunks of 2048 (512 in 0.6), but not where
 * there are images or windows (engine/arg_utils.py, config.py: SchedulerConfig). */
static uint64_t v0_tokens(const oom_plan *p, uint64_t seq)
{
    const vllm_own *own = vllm_of(p);
    bool early = own->version <= 6;

    if (seq > 32768 && !own->sees && !own->windowed)
        return early ? 512 : 2048;
    return max_u64(seq, !own->sees ? 2048 : early ? 4096 : 5120);
}

vllm_step vllm_step_of(const oom_plan *p, vllm_step limits, uint64_t batch, uint64_t seq)
{
    vllm_step s = limits;

    s.seqs = max_u64(s.seqs, batch);    /* to run more at once the limit has to be raised */
    s.tokens = s.tokens ? s.tokens : v0_tokens(p, seq);
    s.tokens = min_u64(s.tokens, sat_mul(s.seqs, seq));
    s.seqs = min_u64(s.seqs, s.tokens);
    s.seq = seq;
    return s;
}

/* ---- the profile run ------------------------------------------------------------------------- */

/* Peak of the sampler's dummy run over `seqs` rows of logits, in tenths of a byte for each row and
 * word of the vocabulary, beside the 16-bit logits themselves: sorting, probabilities and masks in
 * fp32. Over the logs of 0.17 to 0.19 (vocabularies of 49 to 262 thousand, 1 to 4 ranks) within
 * 2 %; until 0.16, and in V0, 2.6 times as much, within 2 % on twelve logs. Every rank gathers the
 * whole vocabulary. */
static uint64_t sampler_tenths(uint32_t version) { return version >= 17 ? 126 : 362; }

static uint64_t sampler(const oom_plan *p, const vllm_step *s, const oom_listener *l)
{
    uint64_t v = p->model->shape.vocab_size, d = p->model->shape.hidden_size;
    uint64_t tenths = sampler_tenths(vllm_of(p)->version) + 10 * p->element_bytes;
    uint64_t all = sat_mul(sat_mul(s->seqs, v), tenths), hidden;

    all = all == SAT_TOOLARGE ? all : all / 10;
    hidden = sat_mul(sat_mul(s->tokens, d), p->element_bytes);
    if (l)
        plan_tell(l, "activations", OOM_FITTED, sat_add(all, hidden),
                  "max_num_seqs x vocabulary x bytes of the sampler + step tokens x hidden x bytes",
                  "peak of the profile run's sampler, vLLM start-up logs; within 2 % on 25 of them",
                  "%llu x %llu x %.1f B + %llu x %llu x %llu", (ull)s->seqs, (ull)v,
                  (double)tenths / 10, (ull)s->tokens, (ull)d, (ull)p->element_bytes);
    return sat_add(all, hidden);
}

/* Intermediate results of the experts: rows of T x experts used, one buffer as wide as the larger
 * of hidden and width, one of hidden and twice the width (fused_moe.py:
 * TritonExperts.workspace_shapes). From 0.13 they are kept (v1/worker/workspace.py), before they
 * came and went with the layer. */
static uint64_t expert_buffers(const oom_plan *p, const vllm_step *s)
{
    const oom_shape *m = &p->model->shape;
    uint64_t f = p->options.ep > 1 ? m->expert_width : div_up(m->expert_width, p->options.tp);
    uint64_t d = m->hidden_size;

    if (!m->experts_used || vllm_of(p)->mxfp4)
        return 0;                       /* gpt-oss's kernels do without */
    return sat_mul(sat_mul(sat_mul(s->tokens, m->experts_used), p->element_bytes),
                   max_u64(f, d) + max_u64(2 * f, d));
}

/* Models whose feed-forward is Llama's, which in V0 lets go of gate and up before the output is
 * made (models/llama.py: LlamaMLP); theirs lasts in the others'. Compiled, all are alike. */
bool vllm_lets_go(const oom_plan *p)
{
    static const char *const llama[] = { "llama", "mistral", "phi3", "mllama" };

    for (size_t i = 0; vllm_of(p)->version < VLLM_V1 && i < sizeof llama / sizeof *llama; i++)
        if (p->model->family && strcmp(p->model->family, llama[i]) == 0)
            return true;
    return false;
}

/* Marlin's kernel for GPTQ and AWQ took a copy of its input until 0.8, needed or not
 * (csrc/quantization/gptq_marlin/gptq_marlin.cu: a_tmp). */
bool vllm_copies_input(const oom_plan *p)
{
    return vllm_of(p)->version < VLLM_V1 && (strncmp(p->precision.name, "gptq", 4) == 0
                                             || strncmp(p->precision.name, "awq", 3) == 0);
}

/* The widest point of a layer: gate and up, their product, and rows of hidden size: the output, its
 * input, the residual and the caller's; or of a recurrent layer, where projections, their
 * convolution, queries and keys repeated for every head and the chunks' states take twelve times
 * the convolution's width: 219 kB a token logged of Qwen3.6-35B-A3B (213 by the rule), 278 of
 * Qwen3.6-27B (287). */
static uint64_t layer_step(const oom_plan *p, const vllm_step *s, uint64_t experts,
                           const oom_listener *l)
{
    const oom_shape *m = &p->model->shape;
    uint64_t f = vllm_of(p)->width, conv = vllm_of(p)->convolution;
    uint64_t rows = vllm_of(p)->lets_go ? 3 : 4;
    uint64_t wide = rows == 4 && vllm_of(p)->copies_input ? 4 : 3;
    bool recurrent = sat_mul(12, conv) > sat_mul(wide, f);
    uint64_t inner, bytes;

    if (recurrent) {
        f = conv;
        wide = 12;
    }
    inner = sat_add(sat_mul(wide, f), sat_mul(rows, m->hidden_size));
    bytes = sat_mul(sat_mul(p->element_bytes, s->tokens), inner);
    if (l)
        plan_tell(l, "activations", OOM_FITTED, sat_add(bytes, experts),
                  recurrent ? "bytes x step tokens x (12 x convolution + rows x hidden)"
                            : "bytes x step tokens x (wide rows x width + rows x hidden)",
                  "peak of a layer in the profile run, vLLM start-up logs; within 8 % on 8 of them",
                  "%llu B x %llu x (%llu x %llu + %llu x %llu)%s", (ull)p->element_bytes,
                  (ull)s->tokens, (ull)wide, (ull)f, (ull)rows, (ull)m->hidden_size,
                  experts ? " + rows of the experts" : "");
    return sat_add(bytes, experts);
}

uint64_t vllm_activations(const oom_plan *p, const plan_class *c, const vllm_step *s,
                          const oom_listener *l)
{
    const oom_shape *m = &p->model->shape;
    uint64_t rows = sat_mul(sat_mul(s->tokens, m->hidden_size), p->element_bytes);
    uint64_t experts = expert_buffers(p, s), kept = vllm_of(p)->version >= 13 ? experts : 0;
    uint64_t step = layer_step(p, s, experts - kept, NULL);
    bool samples = c->stage + 1 == p->n_stages && !m->encoder_only;
    uint64_t last = samples ? sampler(p, s, NULL) : 0;
    uint64_t handed = p->n_stages > 1 ? sat_mul(2, rows) : 0;
    bool looks = vllm_of(p)->looks;
    uint64_t seen = looks ? vllm_seen_states(p, s->seqs, NULL) : vllm_seen_images(p, c, s, NULL);
    uint64_t tower = looks ? vllm_tower_peak(p, s->seqs, NULL) : vllm_encoder_peak(p, c, s, NULL);

    if (tower > sat_add(max_u64(step, last), seen))     /* the text's layers run after it */
        step = tower, last = seen = kept = 0;
    if (l) {
        if (last > step)
            sampler(p, s, l);
        else if (step == tower && looks)
            vllm_tower_peak(p, s->seqs, l);
        else if (step == tower)
            vllm_encoder_peak(p, c, s, l);
        else
            layer_step(p, s, experts - kept, l);
        if (s->library)
            plan_tell(l, "activations", OOM_RULE, s->library, "scratch of the matrix library",
                      "torch: CublasHandlePool.cpp, by the device's generation", "%s",
                      p->has_device ? vllm_device(p, c)->name : "no device");
        if (kept)
            plan_tell(l, "activations", OOM_RULE, kept, "step tokens x experts used x bytes x "
                      "(max(width, hidden) + max(2 x width, hidden))",
                      "vLLM 0.19, fused_moe.py: TritonExperts.workspace_shapes",
                      "%llu x %u x %llu B, width %llu, hidden %llu", (ull)s->tokens,
                      m->experts_used, (ull)p->element_bytes, (ull)m->expert_width,
                      (ull)m->hidden_size);
        if (handed)
            plan_tell(l, "activations", OOM_RULE, handed, "2 x step tokens x hidden x bytes",
                      "stream and residual handed from stage to stage (IntermediateTensors)",
                      "2 x %llu x %llu x %llu B", (ull)s->tokens, (ull)m->hidden_size,
                      (ull)p->element_bytes);
        if (seen && looks)
            vllm_seen_states(p, s->seqs, l);
        else if (seen)
            vllm_seen_images(p, c, s, l);
    }
    return sat_add(sat_add(sat_add(max_u64(step, last), s->library), kept), sat_add(handed, seen));
}

/* ---- memory torch does not count ------------------------------------------------------------- */

/* Until 0.6.4, and again in 0.8, everything of the device that torch did not allocate, the
 * runtime's own context too; other processes' memory as well, which is `reserve`
 * (worker/worker.py, v1/worker/gpu_worker.py: non_torch_allocations). Otherwise what is added after
 * the engine has looked at the device for the first time (utils: memory_profiling). */
static bool counts_context(const oom_plan *p)
{
    return vllm_of(p)->version <= 6 || vllm_of(p)->version == VLLM_V1;
}

/* Logs of one rank: 0.16 GiB (four of V0) and 0.13 on H100, 0.02 to 0.11 on smaller cards until
 * 0.17; 0.24 to 0.26 from 0.18 on. Several ranks on H100 0.55 until 0.16, 2.06 and 2.07 with two,
 * 2.13 to 2.17 with four in 0.19; 0.07 for stages of one rank each. Other cards 0.09 (four), 0.21
 * (eight L40S) and 0.20 (sixteen RTX 3090) before 0.18; since then not seen: one rank's and NCCL's
 * buffers (0.34 GiB with two, 0.38 with more, aiconfigurator). */
static uint64_t added_outside(const oom_plan *p, const oom_device *d)
{
    bool late = vllm_of(p)->version >= 18, large = torch_large_device(d);
    uint32_t tp = p->options.tp;
    uint64_t one = late ? 256 * MIB : !large ? 64 * MIB
                 : vllm_of(p)->version < VLLM_V1 ? 164 * MIB : 133 * MIB;

    if (tp > 1 && large)
        return !late ? 563 * MIB : tp == 2 ? 2120 * MIB : 2202 * MIB;
    if (tp > 1)
        return !late ? 205 * MIB : one + (tp == 2 ? 342 * MIB : 392 * MIB);
    return p->options.pp > 1 ? 72 * MIB : one;
}

uint64_t vllm_non_torch(const oom_plan *p, const oom_device *d, const oom_listener *l)
{
    uint64_t context = d && counts_context(p) ? d->context_bytes : 0;
    uint64_t bytes = context && p->options.tp == 1 ? 0 : added_outside(p, d);

    if (l && context)
        plan_tell(l, "overhead", OOM_FITTED, context, "the runtime's context",
                  "counted until 0.6.4 and in 0.8; measured contexts by generation",
                  "vLLM 0.%u, %s", vllm_of(p)->version, d->name);
    if (l && bytes)
        plan_tell(l, "overhead", OOM_FITTED, bytes, "memory taken outside torch",
                  "vLLM start-up logs by version and ranks; within 0.1 GiB, fewer logs off H100",
                  "vLLM 0.%u, tp %u", vllm_of(p)->version, p->options.tp);
    return sat_add(context, bytes);
}

/* ---- CUDA graphs ----------------------------------------------------------------------------- */

/* Sizes captured up to `most`: 1, 2, 4, every 8 to 256, every 16 to 512 (config/vllm.py). */
static uint64_t sizes(uint64_t most)
{
    uint64_t low = min_u64(most, 256), high = most > 256 ? min_u64(most, 512) - 256 : 0;

    uint64_t small = most >= 4 ? 3 : min_u64(most, 2);

    return small + low / 8 + high / 16;
}

/* Piecewise graphs to twice max_num_seqs, full ones to max_num_seqs. The first of each mode takes
 * 100 to 200 MiB, the others 4 to 20 MiB; 0.3 to 1.1 GiB in all on one device. */
uint64_t vllm_graphs(const oom_plan *p, const oom_device *d, const oom_listener *l)
{
    uint64_t seqs = vllm_limits(p, d).seqs;
    uint64_t n = sizes(min_u64(2 * seqs, 512)) + sizes(min_u64(seqs, 512));
    bool none = p->options.eager == OOM_YES || (d && d->kind == OOM_DEVICE_CPU)
             || (d && d->kind == OOM_DEVICE_ACCELERATOR);
    uint64_t bytes = none ? 0 : 200 * MIB + n * (9 * MIB / 2);
    bool inside = vllm_graphs_in_budget(p);

    if (l)
        plan_tell(l, "overhead", OOM_FITTED, inside ? bytes : 0,
                  inside ? "2 x 100 MiB + graphs x 4.5 MiB"
                         : "CUDA graphs: taken beyond the utilization, not from it",
                  "vLLM start-up logs: 0.3 to 1.1 GiB on one device; within 0.4 GiB",
                  "%llu graphs, %llu MiB", (ull)n, (ull)(bytes / MIB));
    return bytes;
}

/* The estimate is taken from the budget since 0.20 (gpu_worker.py, "default since v0.21.0"). */
bool vllm_graphs_in_budget(const oom_plan *p) { return vllm_of(p)->version >= 20; }

/* After the pool is made the sampler warms up with fp32 logits: a start has died of 786 MiB (1024 x
 * 201,088 x 4) that a utilization of 0.95 had not left. */
uint64_t vllm_warm_up(const oom_plan *p, const oom_device *d)
{
    uint64_t context = p->model->shape.context ? p->model->shape.context : 8192;
    vllm_step s = vllm_step_of(p, vllm_limits(p, d), 1, context);

    return p->model->shape.encoder_only ? 0 : sat_mul(sat_mul(s.seqs, p->model->shape.vocab_size),
                                                      4);
}
