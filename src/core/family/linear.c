/* linear.c: hybrids of linear recurrences that are neither Mamba nor delta nets: RecurrentGemma's
 * gated linear unit ("RG-LRU", one number a channel) and MiniMax-Text-01's lightning attention
 * (one matrix key x value a head).
 *
 * Sources: transformers, models/recurrent_gemma and minimax; MiniMax-Text-01, modeling files. */
#include "family.h"
#include "hybrid.h"

/* ---- RecurrentGemma ---- */

typedef struct { uint64_t hidden, width, heads, kernel; } lru;

/* Two branches of the layer's input; one goes through a short convolution and the recurrence,
 * whose two gates are block-diagonal: a square matrix for each head. */
static void lru_block(build *b, const lru *r)
{
    uint64_t block = r->width / r->heads;

    mat_bias(b, OOM_ROLE_LRU_X, r->width, r->hidden, true);
    mat_bias(b, OOM_ROLE_LRU_Y, r->width, r->hidden, true);
    mat_bias(b, OOM_ROLE_SSM_CONV, r->width, r->kernel, true);
    vec(b, OOM_ROLE_LRU_A, r->width);
    for (int gate = 0; gate < 2; gate++) {
        cube(b, OOM_ROLE_LRU_GATE, r->heads, block, block);
        cube_bias(b, OOM_ROLE_LRU_GATE, r->heads, block);
    }
    mat_bias(b, OOM_ROLE_LRU_OUT, r->hidden, r->width, true);
    cache(b, &(oom_cache){
        .kind = OOM_CACHE_STATE, .conv_width = r->width, .conv_kernel = (uint32_t)r->kernel,
        .state_elements = r->width, .state_bytes_each = 4, .state_heads = (uint32_t)r->heads,
    });
}

/* block_types repeats over the layers: recurrent, recurrent, attention. */
static bool attends(build *b, uint64_t i)
{
    const oom_value *types = node(b, "block_types|_block_types");
    const oom_value *type;

    if (!types || types->kind != OOM_LIST || !types->u.list.n)
        return i % 3 == 2;
    type = &types->u.list.items[i % types->u.list.n];
    return type->kind == OOM_STRING && is(type->u.text, "attention");
}

static void recurrent_gemma(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), n = depth(b);
    uint64_t width = need(b, "intermediate_size") / 2;      /* counts gate and up together */
    uint64_t window = want(b, "attention_window_size", 2048);
    attention a = read_attention(b, hidden, 0);
    lru r = { .hidden = hidden, .width = want(b, "lru_width", hidden), .heads = a.heads,
              .kernel = want(b, "conv1d_width", 4) };

    if (!has(b, "num_key_value_heads"))
        a.kv_heads = 1;
    a.o_bias = true;
    embed(b, need(b, "vocab_size"), hidden, ties(b, true));
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        if (attends(b, i))
            attend(b, &a, window);
        else
            lru_block(b, &r);
        vec(b, OOM_ROLE_FFN_NORM, hidden);
        mlp(b, hidden, width, MLP_GATED, true);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* ---- MiniMax-Text-01 and M1 ---- */

/* q, k, v in one matrix, a gate and a norm on the output; fp32 state. */
static void lightning(build *b, const attention *a)
{
    uint64_t p = sat_mul(a->heads, a->head_dim);

    mat(b, OOM_ROLE_ATTN_QKV, sat_mul(3, p), a->hidden);
    mat(b, OOM_ROLE_ATTN_GATE, p, a->hidden);
    vec(b, OOM_ROLE_SSM_NORM, p);
    mat(b, OOM_ROLE_SSM_OUT, a->hidden, p);
    cache(b, &(oom_cache){ .kind = OOM_CACHE_STATE, .state_elements = sat_mul(p, a->head_dim),
                           .state_bytes_each = 4, .state_heads = (uint32_t)a->heads });
}

static void minimax(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), n = depth(b);
    attention a = read_attention(b, hidden, 0);
    moe x = {
        .hidden = hidden, .kind = MLP_GATED, .width = need(b, "intermediate_size"),
        .experts = need(b, "num_local_experts"), .used = want(b, "num_experts_per_tok", 2),
    };

    require(b, "attn_type_list|layer_types", "1 for each layer with full attention, else 0");
    embed(b, need(b, "vocab_size"), hidden, ties(b, false));
    for (uint64_t i = 0; i < n; i++) {
        bool full = has(b, "layer_types") ? item_is(b, "layer_types", (size_t)i, "full_attention")
                                          : item(b, "attn_type_list", (size_t)i, 0) != 0;

        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        if (full)
            attend(b, &a, 0);
        else
            lightning(b, &a);
        vec(b, OOM_ROLE_FFN_NORM, hidden);
        mixture(b, &x);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

const family linear_families[] = {
    { "recurrent_gemma", recurrent_gemma, NULL, NULL },
    { "minimax",         minimax,         NULL, NULL },
    { "minimax_text_01", minimax,         NULL, NULL },
    { "minimax_m1",      minimax,         NULL, NULL },
    { NULL, NULL, NULL, NULL }
};
