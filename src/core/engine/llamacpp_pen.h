/* llamacpp_pen.h: what the op lists are written with: the layer at hand, its tensors by role, and
 * the few operations everything is made of. Private to llamacpp_layers.c and its neighbours for
 * attention, recurrent layers and Gemma 3n. */
#ifndef LLAMACPP_PEN_H
#define LLAMACPP_PEN_H

#include "llamacpp_layers.h"

#include <string.h>

#define LC_SPARSE_LAYERS 10     /* gemma3n.cpp: n_layer_sparsity */

/* What no tensor shows. */
enum {
    NO_ROPE = 1 << 0,           /* no position encoding in the layers */
    ROPE_WINDOW = 1 << 1,       /* only windowed layers rotate */
    ROPE_3_OF_4 = 1 << 2,       /* every fourth layer does not */
    TEMPERATURE = 1 << 3,       /* layers that do not rotate scale their queries instead */
    FOUR_POSITIONS = 1 << 4,    /* multi-axis rotation: four positions a token */
    LAYER_NORM = 1 << 5,        /* mean and variance although there is no bias */
    RMS_BIAS = 1 << 6,          /* RMS although there is a bias */
    NORM_FIRST = 1 << 7,        /* the layer's norm is expanded at once */
    EMBED_FIRST = 1 << 8,       /* the embedding is scaled before anything reads it */
    /* the order of an addition decides which of the two is overwritten */
    RESIDUAL_FIRST = 1 << 9,    /* residual + attention */
    FFN_RESIDUAL_FIRST = 1 << 10,   /* residual + feed forward */
    ATTN_OUT_LAST = 1 << 11,    /* parallel block: (ffn + residual) + attention, */
    ATTN_OUT_FIRST = 1 << 12,   /* or (attention + ffn) + residual */
    /* rows of logits are picked in the last layer, or after the last norm, or just before it; in
     * the last two cases all rows stay for the draft head (t_h_nextn) */
    ROWS_AFTER_NORM = 1 << 13,
    ROWS_BEFORE_NORM = 1 << 14,
    PLAIN_ROUTER = 1 << 15,     /* router weights are not normalised */
    SCALED_ROUTER = 1 << 16,    /* they are scaled after that */
    NORM_IF_BIASED = 1 << 17,   /* both only with a bias on the choice (DeepSeek V3, not V2) */
    WEIGH_INPUT = 1 << 18,      /* experts see the weighted input (Llama 4) */
    SCALED_EXPERTS = 1 << 19,   /* each expert's result has a scale of its own */
    VALUE_NORM = 1 << 20,       /* values are normed without a weight */
    BARE_NORMS = 1 << 21,       /* so is everything else: no norm has one (OLMo) */
    PARALLEL = 1 << 22          /* attention and feed forward side by side, a norm for each */
};

typedef struct {                        /* inputs of one cache: full or windowed */
    lc_t k_rows, v_rows, mask, k_turn, v_turn;
} cache_inputs;

typedef struct {
    lc_graph *g;
    const lc_model *model;
    const oom_model *m;
    const lc_step *s;
    uint32_t quirks;
    bool has_windows;
    uint64_t v_width_max;               /* widest V of any layer */
    int32_t layer, last;
    uint32_t at[OOM_ROLE_COUNT][3];     /* tensors of the layer at hand, by role and suffix */
    const oom_cache *cache, *state;
    bool windowed, borrows;             /* borrows: attends to an earlier layer's cache */
    lc_t positions, temperature, rows, state_rows, no_rows;
    cache_inputs in[2];
    uint64_t factor_bytes;
    uint64_t altup_streams;
    lc_t layer_inputs;
    lc_t factors[LC_MAX_DEVICES + 1];
} pen;

#define OP(b, op, ne, ...) \
    lc_result((b)->g, op, LC_F32, ne, (const lc_t[]){ __VA_ARGS__ }, \
              sizeof((const lc_t[]){ __VA_ARGS__ }) / sizeof(lc_t))

static inline lc_shape shape(const pen *b, lc_t t)
{
    return b->g->failed || t >= b->g->n ? lc_ne(1, 1, 1, 1) : b->g->t[t].ne;
}

/* The tensors of a layer; of the outside of layers, which the file has first, with NULL. */
static inline void open_layer(pen *b, const lc_block *k)
{
    uint32_t end = k ? k->first + k->n : (uint32_t)b->m->n_tensors;

    b->layer = k ? (int32_t)k->layer : -1;
    memset(b->at, 0xff, sizeof b->at);
    for (uint32_t i = k ? k->first : 0; i < end && b->m->tensors[i].layer == b->layer; i++)
        if (b->m->tensors[i].part == OOM_PART_TEXT)
            b->at[b->m->tensors[i].role][b->m->tensors[i].suffix] = i;
}

static inline const oom_tensor *look(const pen *b, oom_role role, oom_suffix suffix)
{
    uint32_t i = b->at[role][suffix];

    return i == UINT32_MAX ? NULL : &b->m->tensors[i];
}

static inline bool has(const pen *b, oom_role role) { return look(b, role, OOM_WEIGHT) != NULL; }

/* Dimension of a weight in ggml's order: 0 is the row. */
static inline uint64_t dim(const oom_tensor *t, uint32_t i)
{
    return i < t->n_dims ? max_u64(t->dims[t->n_dims - 1 - i], 1) : 1;
}

/* The same of a tensor of the layer. One that is missing has 1, and the graph fails where it is
 * read. */
static inline uint64_t dim_of(const pen *b, oom_role role, uint32_t i)
{
    const oom_tensor *t = look(b, role, OOM_WEIGHT);

    return t ? dim(t, i) : 1;
}

static inline lc_t tensor(const pen *b, oom_role role, oom_suffix suffix)
{
    const oom_tensor *t = look(b, role, suffix);
    uint32_t i = b->at[role][suffix];

    if (!t)
        return LC_NONE;
    return lc_weight(b->g, lc_ne(dim(t, 0), dim(t, 1), dim(t, 2), 1),
                     b->model->device_bytes ? b->model->device_bytes[i] : 0,
                     b->model->home(b->model->ctx, t));
}

static inline lc_t weight(const pen *b, oom_role role) { return tensor(b, role, OOM_WEIGHT); }

/* ssm_a and the like may or may not carry the suffix. */
static inline lc_t bare(const pen *b, oom_role role)
{
    lc_t t = tensor(b, role, OOM_BARE);

    return t == LC_NONE ? weight(b, role) : t;
}

static inline lc_t same(const pen *b, lc_op op, lc_t x, lc_t y)
{
    return OP(b, op, shape(b, x), x, y);
}
static inline lc_t add(const pen *b, lc_t x, lc_t y) { return same(b, LC_INPLACE, x, y); }

static inline lc_t matmul(const pen *b, lc_t w, lc_t x)
{
    lc_shape ne = shape(b, x);

    b->g->failed = b->g->failed || w == LC_NONE;    /* a tensor that must be there is not */
    ne.n[0] = shape(b, w).n[1];
    return OP(b, LC_MATMUL, ne, w, x);
}

static inline lc_t with_bias(const pen *b, oom_role role, lc_t x)
{
    lc_t bias = tensor(b, role, OOM_BIAS);

    return bias == LC_NONE ? x : add(b, x, bias);
}

static inline lc_t project(const pen *b, oom_role role, lc_t x)
{
    return with_bias(b, role, matmul(b, weight(b, role), x));
}

static inline lc_t norm(const pen *b, oom_role role, lc_t x)
{
    bool mean = (b->quirks & LAYER_NORM)
             || (look(b, role, OOM_BIAS) && !(b->quirks & RMS_BIAS));
    lc_t w = weight(b, role), y = same(b, mean ? LC_OP : LC_INPLACE, x, LC_NONE);

    if (w != LC_NONE)
        y = add(b, y, w);
    return with_bias(b, role, y);
}

static inline lc_t rms(const pen *b, lc_t x) { return same(b, LC_INPLACE, x, LC_NONE); }

static inline lc_t flat(const pen *b, lc_t x)          /* heads side by side */
{
    lc_shape ne = shape(b, x);

    return lc_view(b->g, x, lc_ne(ne.n[0] * ne.n[1], ne.n[2], 1, 1));
}

static inline lc_t gated(const pen *b, lc_t gate, lc_t up) /* silu(gate) x up in one operation */
{
    return same(b, LC_OP, gate, up);
}

/* Between queries, keys and values and the heads side by side. */
typedef struct { uint64_t heads, kv_heads, k_dim, v_dim; } head_shape;
typedef struct { lc_t q, k, v; bool v_strided, qk_strided; } qkv;

/* llamacpp_attention.c. lc_attend stores K and V, attends, and projects (build_attn); k NONE:
 * another layer's cache serves. */
lc_t lc_attention(pen *b, lc_t x);
lc_t lc_latent_attention(pen *b, lc_t x);
lc_t lc_attend(pen *b, qkv x, const head_shape *h, bool project_out);
head_shape lc_heads(const pen *b);
lc_t lc_rope(pen *b, lc_t x);
lc_t lc_positions(pen *b);
/* llamacpp_recurrent.c */
lc_t lc_mamba(pen *b, lc_t x);
lc_t lc_delta_net(pen *b, lc_t x);
lc_t lc_short_conv(pen *b, lc_t x);
/* llamacpp_altup.c: embeddings for every layer (Gemma 3n, Gemma 4), before the layers and in one;
 * Gemma 3n's four streams: before, in, and after the layers */
void lc_layer_inputs(pen *b, lc_t x);
lc_t lc_with_layer_input(pen *b, lc_t x);
lc_t lc_altup_open(pen *b, lc_t x);
lc_t lc_altup_layer(pen *b, lc_t x);
lc_t lc_altup_close(pen *b, lc_t x);

#endif
