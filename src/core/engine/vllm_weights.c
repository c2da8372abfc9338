/* vllm_weights.c: what vLLM holds beside a checkpoint's tensors once they are loaded: rotary
 * tables, MLA's absorbed halves, padding for kernels; and how it deals towers to ranks. */
#include "vllm.h"

#include <string.h>

static const oom_value *text_config(const oom_model *m)
{
    const oom_value *inner = m->config ? oom_value_get(m->config, "text_config") : NULL;

    return inner ? inner : m->config;
}

/* Positions of the table of layers that see everything: with linear scaling the context is
 * multiplied (linear_scaling_rope.py), with three-part positions vLLM makes room for four times as
 * many (mrope.py; Qwen's vision models, except 3.5, which turns a quarter of the head instead). */
static uint64_t positions(const oom_plan *p)
{
    const oom_model *m = p->model;
    const oom_value *scaling = m->config ? oom_value_get(text_config(m), "rope_scaling") : NULL;
    const oom_value *type = scaling ? oom_value_get(scaling, "rope_type") : NULL;
    const oom_value *factor = scaling ? oom_value_get(scaling, "factor") : NULL;
    uint64_t times = 1;

    type = type || !scaling ? type : oom_value_get(scaling, "type");
    if (type && type->kind == OOM_STRING && strcmp(type->u.text, "linear") == 0 && factor)
        times = factor->kind == OOM_INT && factor->u.i > 0 ? (uint64_t)factor->u.i
              : factor->kind == OOM_REAL && factor->u.real >= 1 && factor->u.real < 1024
                    ? (uint64_t)factor->u.real : 1;
    if (m->family && strncmp(m->family, "qwen", 4) == 0 && strstr(m->family, "_vl"))
        times = 4;
    return sat_mul(m->shape.context, times);
}

/* cos and sin of every position in the model's type: one table for all layers with the same rotary
 * (rotary_embedding/base.py: _compute_cos_sin_cache), so a second one for layers with a window
 * beside layers without. */
static uint64_t rotary_bytes(const oom_plan *p)
{
    const oom_shape *s = &p->model->shape;
    uint64_t latent = s->kv_lora_rank ? s->rope_dim : 0, full = 0, window = 0;

    for (size_t i = 0; i < p->inventory->n_tensors; i++)
        if (p->inventory->tensors[i].role == OOM_ROLE_POS_EMBED)
            return 0;                   /* positions are learnt */
    for (uint32_t i = 0; i < p->n_kinds; i++) {
        const plan_kind *k = &p->kinds[i];
        uint64_t head = k->kv_heads ? k->k_width / k->kv_heads : 0;

        if (k->kind == OOM_CACHE_FULL)
            full = max_u64(full, s->rope_dim && !s->kv_lora_rank ? s->rope_dim : head);
        else if (k->kind == OOM_CACHE_WINDOW)
            window = max_u64(window, head);
    }
    full = sat_mul(max_u64(full, latent), positions(p));
    window = sat_mul(window, s->context);
    return sat_mul(sat_add(full, window), p->element_bytes);
}

/* What MLA's decode needs beside kv_b: its two halves,
 * absorbed, at 16 bits whatever the weights are
 * (mla/common.py: process_weights_after_loading, W_UV and W_UK_T). */
static uint64_t absorbed_bytes(const oom_plan *p, const oom_tensor *t)
{
    if (t->role != OOM_ROLE_ATTN_KV_B || t->part != OOM_PART_TEXT)
        return 0;
    return div_up(sat_mul(t->params, p->element_bytes), p->options.tp);
}

static bool packed_experts(const oom_plan *p, const oom_tensor *t)
{
    return oom_role_split(t->role) == OOM_SPLIT_EXPERT && t->n_dims >= 3 && vllm_of(p)->mxfp4;
}

static uint32_t capability_of(const oom_plan *p)
{
    return p->has_device ? p->where.group[0].device.capability : 0;
}

/* Marlin needs neither the zeros of a symmetric checkpoint nor the order of its groups
 * (kernels/mixed_precision/marlin.py: process_weights_after_loading; compute capability 7.5 and
 * more): what GPTQ keeps beside codes and scales goes. Hopper's own kernel, which is taken before
 * it, leaves them where they are (machete.py). */
static uint64_t dropped_bytes(const oom_plan *p, const oom_tensor *t, uint64_t whole, uint64_t here)
{
    uint32_t capability = capability_of(p);
    uint64_t zeros, gone;

    if (strncmp(p->precision.name, "gptq", 4) != 0 || t->part != OOM_PART_TEXT || t->n_dims != 2
        || whole / 2 >= t->params || (capability && capability < 75) || capability / 10 == 9)
        return 0;
    zeros = p->precision.group ? (uint64_t)((double)t->params * p->precision.bits / 8)
                                 / p->precision.group : 0;
    gone = sat_add(zeros, 4 * t->dims[1]);
    return (uint64_t)((double)gone * (double)here / (double)whole);
}

/* A matrix of an expert on one rank: `out` x `in`, one of which is the expert's width (or twice
 * it); and with codes and scales padded. */
typedef struct { uint64_t out, in, codes, scales; } expert_matrix;

/* Hopper's kernels are Triton's: width to whole 64s, then tiles of 64 bytes by 256 for codes, of
 * 256 for scales (quantization/mxfp4.py; triton_kernels: HopperMXValueLayout, HopperMXScaleLayout).
 * Others pad hidden size to 256 and the width to 128 (Marlin) or 256 (Blackwell's). */
static expert_matrix padded_expert(const oom_plan *p, const oom_tensor *t)
{
    bool down = t->role == OOM_ROLE_EXP_DOWN;
    uint64_t generation = capability_of(p) / 10, ranks = p->options.ep > 1 ? 1 : p->options.tp;
    bool large = torch_large_device(p->has_device ? &p->where.group[0].device : NULL);
    bool hopper = generation == 9 || (generation == 0 && large);
    uint64_t step = hopper ? 64 : generation == 10 ? 256 : 128;
    expert_matrix m = { .out = div_up(t->dims[1], down ? 1 : ranks),
                        .in = div_up(t->dims[2], down ? ranks : 1) };
    uint64_t out = pad_up(m.out, down ? 256 : 2 * step), in = pad_up(m.in, down ? step : 256);

    m.scales = m.codes = sat_mul(out, in);
    if (hopper) {
        out = pad_up(down ? m.out : out, 256);
        in = down ? in : m.in;
        m.scales = sat_mul(out, in);
        m.codes = sat_mul(out, pad_up(in, 128));
    }
    return m;
}

/* What padding adds to 4-bit experts: their codes, of 17 bytes for 32 elements 16, and scales.
 * gpt-oss-20b: 13.42 GiB on H100 and 13.70 on A100, 13.47 and 13.72 logged; two H100: 6.96 and
 * 7.01. Hopper's biases are turned to fp32. */
static uint64_t padded_bytes(const oom_plan *p, const oom_tensor *t, uint64_t bytes)
{
    expert_matrix m;
    double plain;

    if (oom_role_split(t->role) != OOM_SPLIT_EXPERT || !vllm_of(p)->mxfp4)
        return 0;
    if (!packed_experts(p, t))
        return capability_of(p) / 10 == 9 ? bytes : 0;
    m = padded_expert(p, t);
    plain = (double)m.out * (double)m.in;
    return (uint64_t)((double)bytes * ((16 * (double)m.codes + (double)m.scales) / (17 * plain)
                                       - 1));
}

/* Matrices that vLLM joins in one (linear.py: QKVParallelLinear, MergedColumnParallelLinear;
 * fused_moe/layer.py: w13_weight): the number of a pile, -1 for those that stay alone. */
enum { PILES = 4 };

static int pile_of(oom_role role)
{
    switch (role) {
    case OOM_ROLE_ATTN_Q: case OOM_ROLE_ATTN_K: case OOM_ROLE_ATTN_V: return 0;
    case OOM_ROLE_FFN_GATE: case OOM_ROLE_FFN_UP: return 1;
    case OOM_ROLE_SHEXP_GATE: case OOM_ROLE_SHEXP_UP: return 2;
    case OOM_ROLE_EXP_GATE: case OOM_ROLE_EXP_UP: return 3;
    default: return -1;
    }
}

/* What torch's allocator does not split off behind the matrices of the text. */
static void add_slack(oom_plan *p, const uint64_t *tensor_bytes)
{
    const oom_model *inv = p->inventory;
    vllm_own *own = (vllm_own *)p->own.bytes;
    uint64_t piles[PILES] = { 0 };

    for (size_t i = 0; i < inv->n_tensors; i++) {
        const oom_tensor *t = &inv->tensors[i];
        uint64_t *slack = &own->slack[plan_stage_of(p, t)];
        uint64_t here = torch_codes(t, tensor_bytes[i], plan_rank_bytes(p, t, tensor_bytes[i]));
        bool last = i + 1 == inv->n_tensors || inv->tensors[i + 1].layer != t->layer;
        int pile = pile_of(t->role);

        if (packed_experts(p, t))
            here = 0;                   /* their layout is the kernel's own */
        if (t->part == OOM_PART_TEXT && t->n_dims > 1 && pile < 0)
            *slack = sat_add(*slack, torch_slack(here));
        else if (t->part == OOM_PART_TEXT && t->n_dims > 1)
            piles[pile] = sat_add(piles[pile], here);
        for (int k = 0; last && k < PILES; k++) {
            *slack = sat_add(*slack, torch_slack(piles[k]));
            piles[k] = 0;
        }
    }
}

/* As everywhere, but towers are cut like the text: their matrices; vLLM runs the encoder tensor
 * parallel unless told otherwise. What loading adds to a stage is noted. */
oom_status vllm_place(oom_plan *p, const uint64_t *tensor_bytes, const oom_format *const *formats,
                      oom_error *err)
{
    const oom_model *inv = p->inventory;
    vllm_own *own = (vllm_own *)p->own.bytes;
    uint64_t tp = p->options.tp;
    oom_status st = plan_place(p, tensor_bytes, err);

    (void)formats;
    for (size_t i = 0; i < inv->n_tensors; i++) {
        const oom_tensor *t = &inv->tensors[i];
        uint64_t here = plan_rank_bytes(p, t, tensor_bytes[i]);
        uint64_t more = sat_add(absorbed_bytes(p, t), padded_bytes(p, t, here));
        uint32_t s = plan_stage_of(p, t);

        if (t->part == OOM_PART_TEXT)
            own->added[s] = sat_add(own->added[s], more);
        p->stages[s].weights -= dropped_bytes(p, t, tensor_bytes[i], here);
        if (t->part == OOM_PART_VISION && t->layer >= 0 && t->n_dims > 1 && tp > 1)
            p->stages[0].weights -= tensor_bytes[i] - div_up(tensor_bytes[i], tp);
    }
    own->rotary = rotary_bytes(p);
    add_slack(p, tensor_bytes);
    return st;
}

uint64_t vllm_added(const oom_plan *p, uint32_t stage, const oom_listener *l)
{
    const vllm_own *own = vllm_of(p);

    if (l && own->rotary)
        plan_tell(l, "weights", OOM_RULE, own->rotary, "positions x rotary sizes x bytes",
                  "cos and sin of every position; vLLM: rotary_embedding/base.py",
                  "%llu positions, %llu B an element", (ull)positions(p), (ull)p->element_bytes);
    if (l && own->added[stage])
        plan_tell(l, "weights", OOM_RULE, own->added[stage],
                  p->model->shape.kv_lora_rank ? "kv_b absorbed, at 16 bits"
                                               : "padding that the experts' kernels want",
                  p->model->shape.kv_lora_rank ? "vLLM: mla/common.py, W_UV and W_UK_T"
                                               : "vLLM: quantization/mxfp4.py",
                  "stage %u, tp %u", stage + 1, p->options.tp);
    if (l && own->slack[stage])
        plan_tell(l, "weights", OOM_RULE, own->slack[stage], "up to 1 MiB behind each large matrix",
                  "what torch's allocator does not split off (CUDACachingAllocator.cpp)",
                  "stage %u, tp %u", stage + 1, p->options.tp);
    return sat_add(own->rotary, sat_add(own->added[stage], own->slack[stage]));
}
