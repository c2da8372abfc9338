/* lfm2.c: Liquid's LFM2, dense and mixture: most layers are a gated short convolution, which
 * keeps its last conv_L_cache - 1 inputs; the rest is grouped attention with q and k norms.
 * Source: transformers, models/lfm2 and lfm2_moe. */
#include "family.h"
#include "hybrid.h"

/* block_auto_adjust_ff_dim: two thirds of the stated width (times a factor), rounded up to a
 * multiple. transformers, modeling_lfm2.py: Lfm2MLP. */
static uint64_t adjusted_width(build *b, uint64_t width)
{
    uint64_t multiple = some(b, "block_multiple_of", 256);
    double factor = real(b, "block_ffn_dim_multiplier", 1.0);

    if (!flag(b, "block_auto_adjust_ff_dim", true))
        return width;
    width = 2 * width / 3;
    if (factor > 0 && factor < 1000)
        width = (uint64_t)(factor * (double)width);
    return pad_up(width, multiple);
}

static void short_conv(build *b, uint64_t hidden, uint64_t kernel, bool biased)
{
    mat_bias(b, OOM_ROLE_SHORTCONV_IN, 3 * hidden, hidden, biased);
    mat_bias(b, OOM_ROLE_SHORTCONV_CONV, hidden, kernel, biased);
    mat_bias(b, OOM_ROLE_SHORTCONV_OUT, hidden, hidden, biased);
    cache(b, &(oom_cache){ .kind = OOM_CACHE_STATE, .conv_width = hidden,
                           .conv_kernel = (uint32_t)kernel, .state_bytes_each = 2,
                           .state_heads = (uint32_t)hidden });
}

/* Older files list the attention layers; one that lists nothing has attention everywhere. */
static bool attends(build *b, uint64_t i)
{
    if (has(b, "layer_types"))
        return item_is(b, "layer_types", (size_t)i, "full_attention");
    return !has(b, "full_attn_idxs") || listed(b, "full_attn_idxs", i);
}

static void lfm2(build *b, uint64_t dense_width, uint64_t n_dense, const moe *x)
{
    uint64_t hidden = need(b, "hidden_size"), n = depth(b);
    uint64_t kernel = want(b, "conv_L_cache", 3);
    bool biased = flag(b, "conv_bias", false);
    attention a = read_attention(b, hidden, 0);
    bool tied = flag(b, "tie_embedding", ties(b, true));

    a.qk = QK_HEAD;
    embed(b, need(b, "vocab_size"), hidden, tied);
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        if (attends(b, i))
            attend(b, &a, 0);
        else
            short_conv(b, hidden, kernel, biased);
        vec(b, OOM_ROLE_FFN_NORM, hidden);
        if (i < n_dense)
            mlp(b, hidden, dense_width, MLP_GATED, false);
        else
            mixture(b, x);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

static void lfm2_dense(build *b)
{
    uint64_t width = adjusted_width(b, need(b, "block_ff_dim|intermediate_size"));

    lfm2(b, width, UINT64_MAX, NULL);
}

/* The bias that balances the experts is a buffer of the checkpoint and in no total. */
static void lfm2_moe(build *b)
{
    uint64_t hidden = need(b, "hidden_size");
    moe x = {
        .hidden = hidden, .kind = MLP_GATED,
        .experts = need(b, "num_experts"), .used = need(b, "num_experts_per_tok"),
        .width = need(b, "moe_intermediate_size"),
    };

    lfm2(b, need(b, "intermediate_size"), want(b, "num_dense_layers", 0), &x);
}

const family lfm2_families[] = {
    { "lfm2",     lfm2_dense, "lfm2",    NULL },
    { "lfm2_moe", lfm2_moe,   "lfm2moe", NULL },
    { NULL, NULL, NULL, NULL }
};
