/* ssm.c: Mamba, Mamba-2 and the hybrids made of them: Falcon-Mamba, Jamba, Granite 4 H,
 * Falcon-H1, Bamba, Zamba 2. A mixer keeps (conv_kernel - 1) inputs of its convolution and one
 * state matrix; neither grows with the context.
 *
 * Sources: transformers, models/mamba, mamba2, jamba, granitemoehybrid, falcon_h1, bamba,
 * zamba2. */
#include "family.h"
#include "hybrid.h"

/* ---- the two mixers ---- */

typedef struct {
    uint64_t hidden, inner, state, kernel, rank;    /* rank: of the time step's projection */
    bool conv_bias, proj_bias, inner_norms;         /* inner_norms: on dt, B and C (Jamba) */
    uint32_t state_bytes_each;
} mamba;

static void mamba_mixer(build *b, const mamba *m)
{
    mat_bias(b, OOM_ROLE_SSM_IN, sat_mul(2, m->inner), m->hidden, m->proj_bias);
    mat_bias(b, OOM_ROLE_SSM_CONV, m->inner, m->kernel, m->conv_bias);
    mat(b, OOM_ROLE_SSM_X, m->rank + 2 * m->state, m->inner);
    if (m->inner_norms) {
        vec(b, OOM_ROLE_SSM_DT_NORM, m->rank);
        vec(b, OOM_ROLE_SSM_B_NORM, m->state);
        vec(b, OOM_ROLE_SSM_C_NORM, m->state);
    }
    mat_bias(b, OOM_ROLE_SSM_DT, m->inner, m->rank, true);
    mat(b, OOM_ROLE_SSM_A, m->inner, m->state);
    vec_bare(b, OOM_ROLE_SSM_D, m->inner);
    mat_bias(b, OOM_ROLE_SSM_OUT, m->hidden, m->inner, m->proj_bias);
    cache(b, &(oom_cache){
        .kind = OOM_CACHE_STATE, .conv_width = m->inner, .conv_kernel = (uint32_t)m->kernel,
        .state_elements = sat_mul(m->inner, m->state), .state_bytes_each = m->state_bytes_each,
        .state_heads = (uint32_t)m->inner,              /* every channel is its own */
    });
}

void mamba2_mixer(build *b, const mamba2 *m)
{
    uint64_t conv = sat_add(m->inner, sat_mul(2, sat_mul(m->groups, m->state)));
    uint64_t in = sat_add(m->inner, sat_add(conv, m->heads));

    mat_bias(b, OOM_ROLE_SSM_IN, in, m->hidden, m->proj_bias);
    mat_bias(b, OOM_ROLE_SSM_CONV, conv, m->kernel, m->conv_bias);
    bias(b, OOM_ROLE_SSM_DT, m->heads);
    vec_bare(b, OOM_ROLE_SSM_A, m->heads);
    vec_bare(b, OOM_ROLE_SSM_D, m->heads);
    if (m->norm)
        vec(b, OOM_ROLE_SSM_NORM, m->inner);
    mat_bias(b, OOM_ROLE_SSM_OUT, m->hidden, m->inner, m->proj_bias);
    cache(b, &(oom_cache){
        .kind = OOM_CACHE_STATE, .conv_width = conv, .conv_kernel = (uint32_t)m->kernel,
        .state_elements = sat_mul(m->inner, m->state), .state_bytes_each = m->state_bytes_each,
        .state_heads = (uint32_t)m->heads,
    });
}

/* ---- pure ---- */

static mamba read_mamba(build *b, uint64_t hidden)
{
    mamba m = {
        .hidden = hidden,
        .inner = want(b, "intermediate_size", sat_mul(want(b, "expand", 2), hidden)),
        .state = want(b, "state_size", 16), .kernel = want(b, "conv_kernel", 4),
        .rank = want_number(b, "time_step_rank", (hidden + 15) / 16),   /* "auto" */
        .conv_bias = flag(b, "use_conv_bias", true), .proj_bias = flag(b, "use_bias", false),
        .state_bytes_each = state_bytes(b, 4),
    };
    return m;
}

/* Falcon-Mamba normalises dt, B and C without weights, so its tensors are Mamba's. */
static void pure_mamba(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), n = depth(b);
    mamba m = read_mamba(b, hidden);

    embed(b, need(b, "vocab_size"), hidden, ties(b, true));
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        mamba_mixer(b, &m);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

static void pure_mamba2(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), n = depth(b);
    mamba2 m = {
        .hidden = hidden, .inner = sat_mul(want(b, "expand", 2), hidden),
        .heads = need(b, "num_heads"), .state = want(b, "state_size", 128),
        .groups = want(b, "n_groups", 8), .kernel = want(b, "conv_kernel", 4),
        .conv_bias = flag(b, "use_conv_bias", true), .proj_bias = flag(b, "use_bias", false),
        .norm = flag(b, "rms_norm", true), .state_bytes_each = state_bytes(b, 4),
    };

    embed(b, need(b, "vocab_size"), hidden, ties(b, false));
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        mamba2_mixer(b, &m);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* ---- hybrids ---- */

static void jamba(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), width = need(b, "intermediate_size"), n = depth(b);
    uint64_t attn_period = some(b, "attn_layer_period", 8);
    uint64_t attn_at = want(b, "attn_layer_offset", 4);
    uint64_t moe_period = some(b, "expert_layer_period", 2);
    uint64_t moe_at = want(b, "expert_layer_offset", 1);
    attention a = read_attention(b, hidden, 0);
    mamba m = {
        .hidden = hidden, .inner = sat_mul(want(b, "mamba_expand", 2), hidden),
        .state = want(b, "mamba_d_state", 16), .kernel = want(b, "mamba_d_conv", 4),
        .rank = want_number(b, "mamba_dt_rank", (hidden + 15) / 16),
        .conv_bias = flag(b, "mamba_conv_bias", true),
        .proj_bias = flag(b, "mamba_proj_bias", false),
        .inner_norms = true, .state_bytes_each = state_bytes(b, 4),
    };
    moe x = { .hidden = hidden, .width = width, .kind = MLP_GATED,
              .experts = want(b, "num_experts", 16), .used = want(b, "num_experts_per_tok", 2) };

    embed(b, need(b, "vocab_size"), hidden, ties(b, false));
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        if (i % attn_period == attn_at)
            attend(b, &a, 0);
        else
            mamba_mixer(b, &m);
        vec(b, OOM_ROLE_FFN_NORM, hidden);
        if (x.experts > 1 && i % moe_period == moe_at)
            mixture(b, &x);
        else
            mlp(b, hidden, width, MLP_GATED, false);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* The keys "mamba_…" of Granite, Falcon-H1 and Bamba. */
static mamba2 read_mamba2(build *b, uint64_t hidden, bool norm)
{
    mamba2 m = {
        .hidden = hidden, .heads = want(b, "mamba_n_heads", 128),
        .inner = want(b, "mamba_d_ssm", sat_mul(want(b, "mamba_expand", 2), hidden)),
        .state = want(b, "mamba_d_state", 256), .groups = want(b, "mamba_n_groups", 1),
        .kernel = want(b, "mamba_d_conv", 4),
        .conv_bias = flag(b, "mamba_conv_bias", true),
        .proj_bias = flag(b, "mamba_proj_bias", false),
        .norm = norm, .state_bytes_each = state_bytes(b, 4),
    };
    return m;
}

static void granitemoehybrid(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), n = depth(b);
    uint64_t shared = want(b, "shared_intermediate_size", 1024);
    attention a = read_attention(b, hidden, 0);
    mamba2 m = read_mamba2(b, hidden, true);
    moe x = {
        .hidden = hidden, .kind = MLP_GATED, .shared_width = shared,
        .experts = want(b, "num_local_experts", 0), .used = want(b, "num_experts_per_tok", 0),
        .width = want(b, "intermediate_size", 0),
    };
    bool any_mamba = false;

    embed(b, need(b, "vocab_size"), hidden, ties(b, true));
    for (uint64_t i = 0; i < n; i++) {
        bool recurrent = !item_is(b, "layer_types|layers_block_type", (size_t)i, "attention");

        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        if (recurrent)
            mamba2_mixer(b, &m);
        else
            attend(b, &a, 0);
        any_mamba |= recurrent;
        vec(b, OOM_ROLE_FFN_NORM, hidden);
        if (x.experts)
            mixture(b, &x);
        else
            mlp(b, hidden, shared, MLP_GATED, false);
    }
    if (!any_mamba)
        b->m->ggml_arch = "granite";        /* the converter names Granite 4 Micro so */
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* Bamba: attention in the layers of attn_layer_indices, Mamba-2 in the others. */
static void bamba(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), width = need(b, "intermediate_size"), n = depth(b);
    attention a = read_attention(b, hidden, 0);
    mamba2 m = read_mamba2(b, hidden, true);

    embed(b, need(b, "vocab_size"), hidden, ties(b, false));
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        if (listed(b, "attn_layer_indices", i))
            attend(b, &a, 0);
        else
            mamba2_mixer(b, &m);
        vec(b, OOM_ROLE_FFN_NORM, hidden);
        mlp(b, hidden, width, MLP_GATED, false);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* ---- Zamba 2: Mamba-2 throughout; some layers put one of a few shared attention blocks first,
 * each time with low-rank adapters of their own. The block reads the layer's input beside the
 * embedding, hence twice the width. ---- */

typedef struct {
    uint64_t hidden, width, rank;
    attention a;
    bool attention_adapter, mlp_adapter;
} zamba_block;

static void low_rank(build *b, uint64_t out, uint64_t in, uint64_t rank)
{
    mat(b, OOM_ROLE_ADAPTER, rank, in);
    mat(b, OOM_ROLE_ADAPTER, out, rank);
}

/* The block itself: once for each that is shared. */
static void zamba_shared(build *b, const zamba_block *z)
{
    uint64_t q = sat_mul(z->a.heads, z->a.head_dim), kv = sat_mul(z->a.kv_heads, z->a.head_dim);

    vec(b, OOM_ROLE_ATTN_NORM_2, z->a.hidden);
    mat(b, OOM_ROLE_ATTN_Q, q, z->a.hidden);
    mat(b, OOM_ROLE_ATTN_K, kv, z->a.hidden);
    mat(b, OOM_ROLE_ATTN_V, kv, z->a.hidden);
    mat(b, OOM_ROLE_ATTN_O, z->hidden, q);
    vec(b, OOM_ROLE_FFN_NORM, z->hidden);
    mlp(b, z->hidden, z->width, MLP_FUSED, false);
}

/* What a layer adds where it uses a block. */
static void zamba_use(build *b, const zamba_block *z)
{
    uint64_t q = sat_mul(z->a.heads, z->a.head_dim);

    for (int i = 0; i < 3 && z->attention_adapter; i++)
        low_rank(b, q, z->a.hidden, z->rank);
    if (z->mlp_adapter)
        low_rank(b, sat_mul(2, z->width), z->hidden, z->rank);
    mat(b, OOM_ROLE_SHARED_OUT, z->hidden, z->hidden);
    attend_cache(b, &z->a, 0);
}

static void zamba2(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), n = depth(b), blocks = want(b, "num_mem_blocks", 1);
    uint64_t inner = sat_mul(want(b, "mamba_expand", 2), hidden), used = 0;
    zamba_block z = {
        .hidden = hidden, .width = want(b, "intermediate_size", sat_mul(4, hidden)),
        .rank = want(b, "adapter_rank", 128), .a = read_attention(b, hidden, 0),
        .attention_adapter = flag(b, "use_shared_attention_adapter", false),
        .mlp_adapter = flag(b, "use_shared_mlp_adapter", true),
    };
    mamba2 m = {
        .hidden = hidden, .inner = inner, .heads = want(b, "n_mamba_heads", inner / 64),
        .state = want(b, "mamba_d_state", 64), .groups = want(b, "mamba_ngroups", 1),
        .kernel = want(b, "mamba_d_conv", 4), .conv_bias = flag(b, "use_conv_bias", true),
        .proj_bias = flag(b, "add_bias_linear", false), .norm = true,
        .state_bytes_each = state_bytes(b, 4),
    };

    z.a.hidden = want(b, "attention_hidden_size", sat_mul(2, hidden));
    z.a.head_dim = want(b, "attention_head_dim", z.a.hidden / z.a.heads);
    b->m->shape.heads = (uint32_t)z.a.heads;
    b->m->shape.kv_heads = (uint32_t)z.a.kv_heads;
    b->m->shape.head_dim = b->m->shape.v_head_dim = (uint32_t)z.a.head_dim;
    require(b, "hybrid_layer_ids|layers_block_type", "the layers that use a shared block");
    embed(b, need(b, "vocab_size"), hidden, ties(b, true));
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        mamba2_mixer(b, &m);
        if (!listed(b, "hybrid_layer_ids", i)
            && !item_is(b, "layers_block_type", (size_t)i, "hybrid"))
            continue;
        if (used++ < blocks)
            zamba_shared(b, &z);
        zamba_use(b, &z);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

static void falcon_h1(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), width = need(b, "intermediate_size"), n = depth(b);
    attention a = read_attention(b, hidden, 0);
    mamba2 m = read_mamba2(b, hidden, flag(b, "mamba_rms_norm", false));

    embed(b, need(b, "vocab_size"), hidden, ties(b, false));
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);     /* attention and mixer side by side */
        attend(b, &a, 0);
        mamba2_mixer(b, &m);
        vec(b, OOM_ROLE_FFN_NORM, hidden);
        mlp(b, hidden, width, MLP_GATED, flag(b, "mlp_bias", false));
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

const family ssm_families[] = {
    { "mamba",            pure_mamba,       "mamba",         NULL },
    { "falcon_mamba",     pure_mamba,       "mamba",         NULL },
    { "mamba2",           pure_mamba2,      "mamba2",        NULL },
    { "jamba",            jamba,            "jamba",         NULL },
    { "granitemoehybrid", granitemoehybrid, "granitehybrid", NULL },
    { "bamba",            bamba,            NULL,            NULL },
    { "zamba2",           zamba2,           NULL,            NULL },
    { "falcon_h1",        falcon_h1,        "falcon-h1",     NULL },
    { NULL, NULL, NULL, NULL }
};
