/* gemma_n.c: Gemma 3n and Gemma 4: windows with a full layer now and then, layers at the end that
 * read an earlier layer's cache, and (3n, E2B, E4B) a table of small embeddings for every layer
 * and token. Gemma 3n adds AltUp (several copies of the hidden state) and LAuReL (a low-rank
 * bypass); Gemma 4 26B-A4B has a dense MLP and experts side by side.
 *
 * Sources: transformers, models/gemma3n and gemma4. */
#include "family.h"
#include "hybrid.h"

/* One layer's attention; `shared`: K and V come from an earlier layer, so nothing is kept. */
typedef struct { bool full, shared; } where;

/* layer_types where the file has them, else every `period`-th layer and the last is full. */
static where layer_at(build *b, uint64_t i, uint64_t n, uint64_t n_shared, uint64_t period)
{
    where w = { .full = (i + 1) % period == 0 || i + 1 == n, .shared = i + n_shared >= n };

    if (has(b, "layer_types"))
        w.full = item_is(b, "layer_types", (size_t)i, "full_attention");
    return w;
}

/* Layers at the end that keep nothing; one before them must. */
static uint64_t sharing(build *b, uint64_t n, uint64_t usual)
{
    uint64_t shared = want(b, "num_kv_shared_layers", usual);

    if (shared >= n)
        refuse(b, "\"num_kv_shared_layers\" is %llu, expected less than the %llu layers",
               (unsigned long long)shared, (unsigned long long)n);
    return shared;
}

/* Embeddings of every layer in one table, and their projection from the token's embedding. */
static void per_layer_tables(build *b, uint64_t hidden, uint64_t n, uint64_t vocab, uint64_t dim)
{
    mat(b, OOM_ROLE_PL_EMBED, vocab, sat_mul(n, dim));
    mat(b, OOM_ROLE_PL_MODEL_PROJ, sat_mul(n, dim), hidden);
    vec(b, OOM_ROLE_PL_PROJ_NORM, dim);
}

static void per_layer_input(build *b, uint64_t hidden, uint64_t dim)
{
    mat(b, OOM_ROLE_PL_GATE, dim, hidden);
    mat(b, OOM_ROLE_PL_PROJ, hidden, dim);
    vec(b, OOM_ROLE_PL_POST_NORM, hidden);
}

/* ---- Gemma 3n ---- */

static void altup(build *b, uint64_t hidden, uint64_t copies)
{
    vec(b, OOM_ROLE_ALTUP_SCALE, hidden);
    mat(b, OOM_ROLE_ALTUP_CORRECT, copies, copies);
    mat(b, OOM_ROLE_ALTUP_PREDICT, sat_mul(copies, copies), copies);
    mat(b, OOM_ROLE_ALTUP_ROUTER, copies, hidden);
    vec(b, OOM_ROLE_ALTUP_ROUTER_NORM, hidden);
}

static void laurel(build *b, uint64_t hidden, uint64_t rank)
{
    mat(b, OOM_ROLE_LAUREL_L, rank, hidden);
    mat(b, OOM_ROLE_LAUREL_R, hidden, rank);
    vec(b, OOM_ROLE_LAUREL_NORM, hidden);
}

static void gemma3n_text(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), vocab = need(b, "vocab_size"), n = depth(b);
    uint64_t copies = want(b, "altup_num_inputs", 4), rank = want(b, "laurel_rank", 64);
    uint64_t dim = want(b, "hidden_size_per_layer_input", 256);
    uint64_t n_shared = sharing(b, n, 15);
    uint64_t window = want(b, "sliding_window", 512);
    attention a = read_attention(b, hidden, want(b, "head_dim", 256));

    a.qk = QK_HEAD;                     /* v is normalised too, without a weight */
    embed(b, vocab, hidden, true);
    per_layer_tables(b, hidden, n, want(b, "vocab_size_per_layer_input", 262144), dim);
    if (copies > 1) {
        cube(b, OOM_ROLE_ALTUP_PROJ, copies - 1, hidden, hidden);
        cube(b, OOM_ROLE_ALTUP_UNEMBD, copies - 1, hidden, hidden);
    }
    for (uint64_t i = 0; i < n; i++) {
        where w = layer_at(b, i, n, n_shared, 5);

        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        attend_weights(b, &a);          /* sharing layers hold k and v all the same, unused */
        if (!w.shared)
            attend_cache(b, &a, w.full ? 0 : window);
        vec(b, OOM_ROLE_ATTN_POST_NORM, hidden);
        vec(b, OOM_ROLE_FFN_NORM, hidden);
        mlp(b, hidden, item(b, "intermediate_size", (size_t)i, 16384), MLP_GATED, false);
        vec(b, OOM_ROLE_FFN_POST_NORM, hidden);
        altup(b, hidden, copies);
        laurel(b, hidden, rank);
        per_layer_input(b, hidden, dim);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* ---- Gemma 4 ---- */

/* Experts beside the dense MLP: three more norms, a router with a scale for its input and one
 * for each expert. */
static void gemma4_experts(build *b, const moe *x)
{
    vec(b, OOM_ROLE_FFN_NORM_2, x->hidden);
    vec(b, OOM_ROLE_FFN_POST_NORM_1, x->hidden);
    vec(b, OOM_ROLE_FFN_POST_NORM_2, x->hidden);
    vec(b, OOM_ROLE_ROUTER_SCALE, x->hidden);
    vec(b, OOM_ROLE_EXP_SCALE, x->experts);
    mixture(b, x);
}

static void gemma4_text(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), vocab = need(b, "vocab_size"), n = depth(b);
    uint64_t width = need(b, "intermediate_size"), window = want(b, "sliding_window", 512);
    uint64_t dim = want(b, "hidden_size_per_layer_input", 256);
    uint64_t n_shared = sharing(b, n, 0);
    bool wide = flag(b, "use_double_wide_mlp", false);
    attention local = read_attention(b, hidden, want(b, "head_dim", 256)), global = local;
    moe x = { .hidden = hidden, .kind = MLP_FUSED };

    local.qk = global.qk = QK_HEAD;
    global.head_dim = want(b, "global_head_dim", 512);
    if (flag(b, "attention_k_eq_v", false)) {
        global.no_v = true;             /* the matrix; the cache keeps V, which has no rotation */
        global.kv_heads = want(b, "num_global_key_value_heads", local.kv_heads);
    }
    if (flag(b, "enable_moe_block", false)) {
        x.experts = need(b, "num_experts");
        x.used = need(b, "top_k_experts");
        x.width = need(b, "moe_intermediate_size");
    }
    embed(b, vocab, hidden, ties(b, true));
    if (dim)
        per_layer_tables(b, hidden, n, want(b, "vocab_size_per_layer_input", 262144), dim);
    for (uint64_t i = 0; i < n; i++) {
        where w = layer_at(b, i, n, n_shared, 6);
        const attention *a = w.full ? &global : &local;

        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        attend_weights(b, a);           /* k and v of sharing layers are in the files, unused */
        if (!w.shared)
            attend_cache(b, a, w.full ? 0 : window);
        vec(b, OOM_ROLE_ATTN_POST_NORM, hidden);
        vec(b, OOM_ROLE_FFN_NORM, hidden);
        mlp(b, hidden, sat_mul(width, wide && w.shared ? 2 : 1), MLP_GATED, false);
        vec(b, OOM_ROLE_FFN_POST_NORM, hidden);
        if (x.experts)
            gemma4_experts(b, &x);
        if (dim)
            per_layer_input(b, hidden, dim);
        vec(b, OOM_ROLE_LAYER_SCALE, 1);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* transformers, configuration_gemma3n.py: what a text_config may leave out */
static const class_default like_gemma3n[] = {
    { "hidden_size", 2048 }, { "num_hidden_layers", 35 }, { "num_attention_heads", 8 },
    { "num_key_value_heads", 2 }, { "intermediate_size", 16384 }, { "vocab_size", 262400 },
    { "max_position_embeddings", 32768 }, { NULL, 0 }
};

const family gemma_n_families[] = {
    { "gemma3n_text", gemma3n_text, "gemma3n", like_gemma3n },
    { "gemma4_text",  gemma4_text,  "gemma4",  NULL },
    { NULL, NULL, NULL, NULL }
};
