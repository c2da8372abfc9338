/* llamacpp_attention.c: the operations of attention in the order in which llama.cpp 0.5.0 creates
 * them (src/llama-graph.cpp: build_qkv, build_attn, build_attn_mha; deepseek2.cpp). */
#include "llamacpp_pen.h"

lc_t lc_positions(pen *b)
{
    if (b->positions == LC_NONE)
        b->positions = lc_input(
            b->g, LC_I32, lc_ne(b->s->tokens * (b->quirks & FOUR_POSITIONS ? 4 : 1), 1, 1, 1));
    return b->positions;
}

/* Frequency factors, one copy where the layer's weights are. */
static lc_t rope_factors(pen *b)
{
    const oom_tensor *o = look(b, OOM_ROLE_ATTN_O, OOM_WEIGHT);
    int8_t home;

    if (!b->factor_bytes || !o)
        return LC_NONE;
    home = b->model->home(b->model->ctx, o);
    if (b->factors[home] == LC_NONE)
        b->factors[home]
            = lc_weight(b->g, lc_ne(b->factor_bytes / 4, 1, 1, 1), b->factor_bytes, home);
    return b->factors[home];
}

lc_t lc_rope(pen *b, lc_t x)
{
    lc_shape ne = shape(b, x);

    return OP(b, LC_ROPE, ne, x, lc_positions(b), rope_factors(b));
}

static bool rotates(const pen *b)
{
    if (b->quirks & NO_ROPE)
        return false;
    if ((b->quirks & ROPE_WINDOW) && b->has_windows)
        return b->windowed;
    return !(b->quirks & ROPE_3_OF_4) || (b->layer + 1) % 4 != 0;
}

enum { GGML_F32 = 0, GGML_F16 = 1 };

static bool quantised(const oom_format *f) { return f->block > 1; }

/* A quantised cache is turned by a Hadamard matrix where the head divides by 64: the largest
 * power of two for K, 64 for V (llama-kv-cache.cpp: build_input_k_rot, build_input_v_rot). */
static lc_t turn_input(const pen *b, const oom_format *f, uint64_t dim0, bool widest)
{
    uint64_t n = 64;

    if (!quantised(f) || dim0 % 64 != 0)
        return LC_NONE;
    while (widest && dim0 % (2 * n) == 0)
        n *= 2;
    return lc_input(b->g, LC_F32, lc_ne(n, n, 1, 1));
}

static cache_inputs *inputs(pen *b, const head_shape *h)
{
    cache_inputs *in = &b->in[b->windowed];
    const lc_step *s = b->s;
    uint64_t cells = b->windowed ? s->window_cells : s->cells;

    if (in->mask != LC_NONE)
        return in;
    in->k_rows = lc_input(b->g, LC_I64, lc_ne(s->tokens, 1, 1, 1));
    in->v_rows
        = lc_input(b->g, LC_I64, lc_ne(s->flash ? s->tokens : s->tokens * b->v_width_max, 1, 1, 1));
    in->mask = lc_input(b->g, s->flash ? LC_F16 : LC_F32,
                        lc_ne(cells, s->tokens / s->streams, 1, s->streams));
    in->k_turn = turn_input(b, s->kv_k, h->k_dim, true);
    in->v_turn = turn_input(b, s->kv_v, h->v_dim, false);
    return in;
}

static lc_t turn(const pen *b, lc_t matrix, lc_t x, bool contiguous)
{
    lc_shape ne = shape(b, x), rows;
    uint64_t n = shape(b, matrix).n[0];
    lc_t y;

    rows = lc_ne(n, lc_count(&ne) / n, 1, 1);
    y = contiguous ? lc_view(b->g, x, rows) : OP(b, LC_OP, rows, x);
    return lc_view(b->g, matmul(b, matrix, y), ne);
}

/* Rows of one layer's cache on all streams, read head by head; a copy of them on a device is
 * padded as a tensor whose rows are heads. */
static uint64_t cache_bytes(const lc_step *s, const oom_format *f, uint64_t head, uint64_t heads,
                            uint64_t rows)
{
    uint64_t bytes = sat_mul(sat_mul(head * heads / f->block, f->block_bytes), rows);

    return s->pads ? sat_add(bytes, lc_row_tail(f, head)) : bytes;
}

/* MLA's V begins each row of K: from its first element to its last lie all rows but the end of the
 * last. */
static uint64_t latent_bytes(const lc_step *s, const head_shape *h, uint64_t rows)
{
    const oom_format *f = s->kv_k;
    uint64_t all = sat_mul(h->k_dim / f->block * f->block_bytes, rows);

    if (all != SAT_TOOLARGE)
        all -= (h->k_dim - h->v_dim) / f->block * f->block_bytes;
    return s->pads ? sat_add(all, lc_row_tail(f, h->v_dim)) : all;
}

/* Flash attention converts a cache that is not fp16: room for one layer's K or V beside the
 * result (CUDA back end: ggml_cuda_flash_attn_ext_get_alloc_size). */
static uint64_t conversion(const oom_format *f, uint64_t elements)
{
    return f->ggml_id == GGML_F16 || f->ggml_id == GGML_F32 ? 0 : sat_mul(2, elements);
}

/* One in fp32 is cast by an operation of its own. */
static lc_t cast_fp32(const pen *b, const oom_format *f, lc_t x)
{
    return f->ggml_id == GGML_F32 ? lc_result(b->g, LC_OP, LC_F16, shape(b, x), &x, 1) : x;
}

static lc_t kv_cache(const pen *b)
{
    return lc_cache(b->g, LC_OTHER, lc_ne(1, 1, 1, 1),
                    b->model->cache_home(b->model->ctx, b->cache->layer));
}

/* From queries to the heads side by side (build_attn_mha). up: MLA's expansion of the latent. */
static lc_t attend(pen *b, lc_t q, lc_t k_cache, lc_t v_cache, const head_shape *h, lc_t up)
{
    const lc_step *s = b->s;
    const cache_inputs *in = &b->in[b->windowed];
    uint64_t cells = b->windowed ? s->window_cells : s->cells, t = s->tokens / s->streams;
    uint64_t k_width = h->k_dim * h->kv_heads, v_width = h->v_dim * h->kv_heads;
    uint64_t rows = sat_mul(cells, s->streams);
    const oom_format *v_type = up == LC_NONE ? s->kv_v : s->kv_k;
    lc_t sinks = bare(b, OOM_ROLE_ATTN_SINKS), cur, k, v;
    lc_shape out;

    q = lc_view(b->g, lc_view(b->g, q, lc_ne(h->k_dim, h->heads, t, s->streams)),
                lc_ne(h->k_dim, t, h->heads, s->streams));
    k = lc_view_bytes(b->g, k_cache, lc_ne(h->k_dim, cells, h->kv_heads, s->streams),
                      cache_bytes(s, s->kv_k, h->k_dim, h->kv_heads, rows));
    v = lc_view_bytes(b->g, v_cache, lc_ne(h->v_dim, cells, h->kv_heads, s->streams),
                      up == LC_NONE ? cache_bytes(s, s->kv_v, h->v_dim, h->kv_heads, rows)
                                    : latent_bytes(s, h, rows));
    if (s->flash) {
        uint64_t of_k = conversion(s->kv_k, sat_mul(k_width, rows));
        uint64_t both = sat_add(of_k, conversion(v_type, sat_mul(v_width, rows)));

        k = cast_fp32(b, s->kv_k, k);
        v = cast_fp32(b, v_type, v);
        cur = OP(b, LC_FLASH, lc_ne(h->v_dim, h->heads, t, s->streams), q, k, v, in->mask, sinks);
        /* MLA's V lies in K and is converted with it, unless both are copies */
        lc_scratch(b->g, cur, up == LC_NONE ? both : of_k, both);
        if (up != LC_NONE) {
            cur = lc_view(b->g, cur, lc_ne(h->v_dim, t, h->heads, s->streams));
            cur = matmul(b, up, cur);
            cur = same(b, LC_OP, lc_view(b->g, cur, shape(b, cur)), LC_NONE);
        }
        out = shape(b, cur);
        cur = lc_view(b->g, cur, lc_ne(lc_count(&out) / s->tokens, s->tokens, 1, 1));
    } else {
        lc_t scores = OP(b, LC_MATMUL, lc_ne(cells, t, h->heads, s->streams), k, q);

        scores = OP(b, LC_INPLACE, shape(b, scores), scores, in->mask, sinks);
        if (up != LC_NONE)              /* MLA's values are rows of K: turned first */
            v = lc_result(b->g, LC_OP, LC_F16, lc_ne(cells, h->v_dim, h->kv_heads, s->streams), &v,
                          1);
        cur = OP(b, LC_MATMUL, lc_ne(h->v_dim, t, h->heads, s->streams), v, scores);
        if (up != LC_NONE)
            cur = matmul(b, up, cur);
        out = shape(b, cur);
        cur = OP(b, LC_OP, lc_ne(out.n[0] * h->heads, s->tokens, 1, 1), lc_view(b->g, cur, out));
    }
    lc_expand(b->g, cur);
    return cur;
}

lc_t lc_attend(pen *b, qkv x, const head_shape *h, bool project_out)
{
    const lc_step *s = b->s;
    const cache_inputs *in = inputs(b, h);
    lc_t k_cache = kv_cache(b);
    lc_t v_cache = kv_cache(b), cur;

    if (in->k_turn != LC_NONE) {
        x.q = turn(b, in->k_turn, x.q, !x.qk_strided);
        if (x.k != LC_NONE)
            x.k = turn(b, in->k_turn, x.k, !x.qk_strided);
    }
    if (in->v_turn != LC_NONE && x.v != LC_NONE) {
        x.v = turn(b, in->v_turn, x.v, !x.v_strided);
        x.v_strided = false;
    }
    lc_expand(b->g, x.q);
    lc_expand(b->g, b->has_windows ? x.k : x.v);
    lc_expand(b->g, b->has_windows ? x.v : x.k);
    if (x.k != LC_NONE) {
        lc_t k = flat(b, x.k), v;

        lc_expand(b->g, lc_store(b->g, k_cache, (const lc_t[]){ k, in->k_rows }, 2));
        if (x.v_strided && !s->flash)
            v = OP(b, LC_OP, lc_ne(h->v_dim * h->kv_heads, s->tokens, 1, 1), x.v);
        else
            v = flat(b, x.v);
        if (!s->flash && h->v_dim * h->kv_heads < b->v_width_max) /* padded to the widest layer */
            v = OP(b, LC_OP, lc_ne(b->v_width_max, s->tokens, 1, 1), v);
        lc_expand(b->g, lc_store(b->g, v_cache, (const lc_t[]){ v, in->v_rows }, 2));
    }
    cur = attend(b, x.q, k_cache, v_cache, h, LC_NONE);
    if (in->v_turn != LC_NONE)
        cur = turn(b, in->v_turn, cur, true);
    return project_out ? project(b, OOM_ROLE_ATTN_O, cur) : cur;
}

head_shape lc_heads(const pen *b)
{
    head_shape h = { .kv_heads = max_u64(b->cache->kv_heads, 1) };

    h.k_dim = max_u64(b->cache->k_width / h.kv_heads, 1);
    h.v_dim = max_u64(b->cache->v_width / h.kv_heads, 1);
    h.heads = max_u64(dim_of(b, OOM_ROLE_ATTN_O, 0) / h.v_dim, 1);
    return h;
}

/* A head norm spans one head, or all of them before they are told apart. */
static bool norm_spans_all(const pen *b, const head_shape *h)
{
    const oom_tensor *t = look(b, OOM_ROLE_ATTN_Q_NORM, OOM_WEIGHT);

    return t && t->n_dims == 1 && dim(t, 0) != h->k_dim;
}

static lc_t by_heads(const pen *b, lc_t x, uint64_t dim0, uint64_t n)
{
    return lc_view(b->g, x, lc_ne(dim0, n, b->s->tokens, 1));
}

/* Queries, keys and values of one layer, normed and rotated (build_qkv and what follows it). */
static qkv make_qkv(pen *b, lc_t x, const head_shape *h)
{
    uint64_t q_width = h->heads * h->k_dim, k_width = h->kv_heads * h->k_dim;
    uint64_t v_width = h->kv_heads * h->v_dim, t = b->s->tokens;
    bool whole = norm_spans_all(b, h);
    qkv r = { .v_strided = has(b, OOM_ROLE_ATTN_QKV) && !whole };

    if (has(b, OOM_ROLE_ATTN_QKV)) {
        lc_t all = project(b, OOM_ROLE_ATTN_QKV, x);

        r.q = lc_slice(b->g, all, lc_ne(q_width, t, 1, 1));
        r.k = lc_slice(b->g, all, lc_ne(k_width, t, 1, 1));
        r.v = lc_slice(b->g, all, lc_ne(v_width, t, 1, 1));
        if (whole) {
            r.q = same(b, LC_OP, r.q, LC_NONE);
            r.k = same(b, LC_OP, r.k, LC_NONE);
            r.v = same(b, LC_OP, r.v, LC_NONE);
        }
    } else {
        r.q = project(b, OOM_ROLE_ATTN_Q, x);
        if (b->borrows) {
            r.q = by_heads(b, r.q, h->k_dim, h->heads);
            if (has(b, OOM_ROLE_ATTN_Q_NORM))
                r.q = norm(b, OOM_ROLE_ATTN_Q_NORM, r.q);
            return (qkv){ .q = lc_rope(b, r.q), .k = LC_NONE, .v = LC_NONE };
        }
        r.k = project(b, OOM_ROLE_ATTN_K, x);
        r.v = has(b, OOM_ROLE_ATTN_V) ? project(b, OOM_ROLE_ATTN_V, x) : r.k;
    }
    if (whole) {
        r.q = norm(b, OOM_ROLE_ATTN_Q_NORM, r.q);
        r.k = norm(b, OOM_ROLE_ATTN_K_NORM, r.k);
    }
    r.q = by_heads(b, r.q, h->k_dim, h->heads);
    r.k = by_heads(b, r.k, h->k_dim, h->kv_heads);
    r.v = by_heads(b, r.v, h->v_dim, h->kv_heads);
    if (!whole && has(b, OOM_ROLE_ATTN_Q_NORM)) {
        r.q = norm(b, OOM_ROLE_ATTN_Q_NORM, r.q);
        r.k = norm(b, OOM_ROLE_ATTN_K_NORM, r.k);
    }
    if (b->quirks & VALUE_NORM)
        r.v = rms(b, r.v);
    if (rotates(b)) {
        r.q = lc_rope(b, r.q);
        r.k = lc_rope(b, r.k);
    } else if (!has(b, OOM_ROLE_ATTN_Q_NORM)) {     /* nothing made them whole yet */
        r.qk_strided = r.v_strided;
    }
    if (!rotates(b) && b->quirks & TEMPERATURE) {
        if (b->temperature == LC_NONE)
            b->temperature = lc_input(b->g, LC_F32, lc_ne(1, 1, t, 1));
        r.q = add(b, r.q, b->temperature);
    }
    return r;
}

lc_t lc_attention(pen *b, lc_t x)
{
    head_shape h = lc_heads(b);
    lc_t all, gate, cur;
    qkv r = { LC_NONE, LC_NONE, LC_NONE, false, false };

    if (dim_of(b, OOM_ROLE_ATTN_Q, 1) != 2 * h.heads * h.k_dim)
        return lc_attend(b, make_qkv(b, x, &h), &h, true);
    /* Queries and an output gate from one matrix (Qwen3-Next, Qwen3.5). */
    all = project(b, OOM_ROLE_ATTN_Q, x);
    r.q = norm(b, OOM_ROLE_ATTN_Q_NORM, by_heads(b, all, h.k_dim, h.heads));
    r.k = norm(b, OOM_ROLE_ATTN_K_NORM,
               by_heads(b, project(b, OOM_ROLE_ATTN_K, x), h.k_dim, h.kv_heads));
    r.v = by_heads(b, project(b, OOM_ROLE_ATTN_V, x), h.v_dim, h.kv_heads);
    r.q = lc_rope(b, r.q);
    r.k = lc_rope(b, r.k);
    cur = lc_attend(b, r, &h, false);
    gate = OP(b, LC_OP, shape(b, cur), by_heads(b, all, h.k_dim, h.heads));
    gate = rms(b, gate);                /* its sigmoid */
    return project(b, OOM_ROLE_ATTN_O, add(b, cur, gate));
}

/* Multi-head latent attention with the query absorbed (src/models/deepseek2.cpp). */
lc_t lc_latent_attention(pen *b, lc_t x)
{
    uint64_t t = b->s->tokens, n = dim_of(b, OOM_ROLE_ATTN_K_B, 2);
    uint64_t nope = dim_of(b, OOM_ROLE_ATTN_K_B, 0), rank = dim_of(b, OOM_ROLE_ATTN_K_B, 1);
    uint64_t width = b->cache->k_width;
    uint64_t rope_dim = width > rank ? width - rank : 1;
    head_shape h = { .heads = n, .kv_heads = 1, .k_dim = width, .v_dim = rank };
    lc_t q, q_nope, q_rope, kv, k_rope, latent, k, k_cache;
    const cache_inputs *in;

    if (has(b, OOM_ROLE_ATTN_Q_A))
        q = project(b, OOM_ROLE_ATTN_Q_B,
                    norm(b, OOM_ROLE_ATTN_Q_A_NORM, project(b, OOM_ROLE_ATTN_Q_A, x)));
    else
        q = project(b, OOM_ROLE_ATTN_Q, x);
    q = lc_view(b->g, q, lc_ne(nope + rope_dim, n, t, 1));
    kv = project(b, OOM_ROLE_ATTN_KV_A, x);
    k_rope = lc_rope(b, lc_slice(b->g, kv, lc_ne(rope_dim, 1, t, 1)));
    latent = norm(b, OOM_ROLE_ATTN_KV_A_NORM, lc_slice(b->g, kv, lc_ne(rank, t, 1, 1)));
    q_rope = lc_rope(b, lc_view(b->g, q, lc_ne(rope_dim, n, t, 1)));
    q_nope = lc_view(b->g, lc_view(b->g, q, lc_ne(nope, n, t, 1)), lc_ne(nope, t, n, 1));
    q_nope = lc_view(b->g, matmul(b, weight(b, OOM_ROLE_ATTN_K_B), q_nope), lc_ne(rank, n, t, 1));
    q = OP(b, LC_OP, lc_ne(width, n, t, 1), q_nope, q_rope);
    latent = lc_view(b->g, latent, lc_ne(rank, 1, t, 1));
    k = OP(b, LC_OP, lc_ne(width, 1, t, 1), latent, k_rope);
    in = inputs(b, &h);
    k_cache = kv_cache(b);
    lc_expand(b->g, q);
    lc_expand(b->g, latent);
    lc_expand(b->g, k);
    lc_expand(b->g, lc_store(b->g, k_cache, (const lc_t[]){ flat(b, k), in->k_rows }, 2));
    return project(b, OOM_ROLE_ATTN_O,
                   attend(b, q, k_cache, k_cache, &h, weight(b, OOM_ROLE_ATTN_V_B)));
}
