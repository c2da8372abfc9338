/* llamacpp_recurrent.c: the op lists of layers that keep a state instead of a cache, in the order
 * in which llama.cpp 0.5.0 creates them (src/models/mamba-base.cpp, delta-net-base.cpp,
 * qwen3next.cpp, qwen35.cpp, lfm2.cpp). */
#include "llamacpp_pen.h"

static lc_t state_cache(const pen *b, uint64_t width)
{
    return lc_cache(b->g, LC_F32, lc_ne(width, b->s->sequences, 1, 1),
                    b->model->cache_home(b->model->ctx, b->layer));
}

/* The layer's state for the sequences of the step (build_rs); `read` NONE: copied out by row. */
static lc_t states(pen *b, lc_t cache, uint64_t width, lc_t read)
{
    uint64_t n = b->s->sequences;
    lc_t rows = lc_view(b->g, cache, lc_ne(width, n, 1, 1)), out = read, extra;

    lc_expand(b->g, lc_store(b->g, rows, &rows, 1));    /* a fresh state is cleared */
    if (read == LC_NONE)
        out = OP(b, LC_ROWS, lc_ne(width, n, 1, 1), rows, b->state_rows);
    lc_expand(b->g, out);
    extra = OP(b, LC_ROWS, lc_ne(width, 0, 1, 1), rows, b->no_rows);
    lc_expand(b->g, lc_store(b->g, cache, &extra, 1));
    return out;
}

static void state_inputs(pen *b)
{
    lc_t all;

    if (b->state_rows != LC_NONE)
        return;
    all = lc_input(b->g, LC_I32, lc_ne(b->s->sequences, 1, 1, 1));
    b->state_rows = lc_view(b->g, all, lc_ne(b->s->sequences, 1, 1, 1));
    b->no_rows = lc_view(b->g, all, lc_ne(0, 1, 1, 1));
}

/* The last inputs of the convolution before the new ones; what remains goes back to the state. */
static lc_t with_history(pen *b, lc_t cache, lc_t history, lc_t x, uint64_t width)
{
    uint64_t kernel = b->state->conv_kernel, n = b->s->sequences, t = b->s->tokens / n;
    lc_t turned = lc_view(b->g, x, lc_ne(t, width, n, 1)), both, tail;

    both = OP(b, LC_OP, lc_ne(kernel - 1 + t, width, n, 1),
              lc_view(b->g, history, lc_ne(kernel - 1, width, n, 1)), turned);
    tail = lc_slice(b->g, both, lc_ne(kernel - 1, width, n, 1));
    lc_expand(b->g, lc_store(b->g, cache, &tail, 1));
    return both;
}

/* Mamba 1 and 2 (src/models/mamba-base.cpp). */
lc_t lc_mamba(pen *b, lc_t x)
{
    const oom_tensor *w_x = look(b, OOM_ROLE_SSM_X, OOM_WEIGHT);
    uint64_t n = b->s->sequences, t = b->s->tokens / n, inner = dim_of(b, OOM_ROLE_SSM_OUT, 0);
    uint64_t conv = b->state->conv_width, heads = max_u64(b->state->state_heads, 1);
    uint64_t width = b->state->conv_width * (b->state->conv_kernel - 1);
    lc_t r = state_cache(b, b->state->conv_width * (b->state->conv_kernel - 1));
    lc_t cache = state_cache(b, b->state->state_elements);
    lc_t history, xz, z, dt, bc, scan, y, tail, conv_x;
    lc_shape inner3 = lc_ne(inner, t, n, 1);
    lc_shape projected = lc_ne(dim_of(b, OOM_ROLE_SSM_IN, 1), t, n, 1);

    state_inputs(b);
    history = states(b, r, width, LC_NONE);
    if (w_x)                            /* Mamba 1 parts the sequences before, Mamba 2 after it */
        x = lc_view(b->g, x, lc_ne(shape(b, x).n[0], t, n, 1));
    xz = lc_view(b->g, matmul(b, weight(b, OOM_ROLE_SSM_IN), x), projected);
    conv_x = with_history(b, r, history, lc_slice(b->g, xz, lc_ne(conv, t, n, 1)), conv);
    x = OP(b, LC_OP, lc_ne(conv, t, n, 1), conv_x, weight(b, OOM_ROLE_SSM_CONV));
    x = rms(b, with_bias(b, OOM_ROLE_SSM_CONV, x));     /* silu */
    if (w_x) {
        uint64_t rank = dim_of(b, OOM_ROLE_SSM_DT, 0), state = (dim(w_x, 1) - rank) / 2;
        lc_t db = matmul(b, weight(b, OOM_ROLE_SSM_X), x), c;

        dt = lc_slice(b->g, db, lc_ne(rank, t, n, 1));
        bc = lc_slice(b->g, db, lc_ne(state, 1, t, n));
        c = lc_slice(b->g, db, lc_ne(state, 1, t, n));
        if (has(b, OOM_ROLE_SSM_DT_NORM)) {
            dt = norm(b, OOM_ROLE_SSM_DT_NORM, dt);
            bc = norm(b, OOM_ROLE_SSM_B_NORM, bc);
            c = norm(b, OOM_ROLE_SSM_C_NORM, c);
        } else {
            dt = same(b, LC_OP, dt, LC_NONE);
        }
        dt = project(b, OOM_ROLE_SSM_DT, dt);
        scan = OP(b, LC_OP, lc_ne(inner * t * n + b->state->state_elements * n, 1, 1, 1),
                  lc_view(b->g, cache, lc_ne(state, 1, inner, n)),
                  lc_view(b->g, x, lc_ne(1, inner, t, n)), dt, bare(b, OOM_ROLE_SSM_A), bc, c,
                  b->state_rows);
        y = x;
    } else {
        lc_shape by_head = lc_ne(inner / heads, heads, t, n);
        lc_t values = lc_slice(b->g, x, by_head);
        lc_shape group = lc_ne((conv - inner) / 2, 1, t, n);

        dt = OP(b, LC_OP, lc_ne(heads, t, n, 1), lc_slice(b->g, xz, lc_ne(heads, t, n, 1)));
        dt = with_bias(b, OOM_ROLE_SSM_DT, dt);
        scan = OP(b, LC_OP, lc_ne(inner * t * n + b->state->state_elements * n, 1, 1, 1),
                  lc_view(b->g, cache, lc_ne(b->state->state_elements, 1, 1, n)), values, dt,
                  bare(b, OOM_ROLE_SSM_A), lc_slice(b->g, x, group), lc_slice(b->g, x, group),
                  b->state_rows);
        y = values;
        inner3 = by_head;
    }
    states(b, cache, b->state->state_elements, scan);
    tail = lc_view(b->g, scan, lc_ne(b->state->state_elements, n, 1, 1));
    lc_expand(b->g, lc_store(b->g, cache, &tail, 1));
    y = add(b, lc_view(b->g, scan, inner3), same(b, LC_INPLACE, y, bare(b, OOM_ROLE_SSM_D)));
    z = OP(b, LC_OP, inner3, lc_slice(b->g, xz, inner3));
    y = gated(b, z, y);
    if (has(b, OOM_ROLE_SSM_NORM)) {
        const oom_tensor *g = look(b, OOM_ROLE_SSM_NORM, OOM_WEIGHT);

        y = norm(b, OOM_ROLE_SSM_NORM, lc_view(b->g, y, lc_ne(dim(g, 0), dim(g, 1), t, n)));
    }
    if (!w_x)
        y = lc_view(b->g, y, lc_ne(inner, t * n, 1, 1));
    y = project(b, OOM_ROLE_SSM_OUT, y);
    return w_x ? lc_view(b->g, y, lc_ne(shape(b, y).n[0], t * n, 1, 1)) : y;
}

/* Gated delta net (src/models/qwen3next.cpp, qwen35.cpp, delta-net-base.cpp). */
lc_t lc_delta_net(pen *b, lc_t x)
{
    uint64_t n = b->s->sequences, t = b->s->tokens / n, head = dim_of(b, OOM_ROLE_SSM_NORM, 0);
    uint64_t inner = dim_of(b, OOM_ROLE_SSM_OUT, 0), v_heads = inner / head;
    uint64_t conv = b->state->conv_width, kernel = b->state->conv_kernel;
    uint64_t k_heads = max_u64((conv - inner) / 2 / head, 1);
    lc_t r = state_cache(b, b->state->conv_width * (b->state->conv_kernel - 1));
    lc_t cache = state_cache(b, b->state->state_elements);
    lc_t mixed, z, beta, gate, history, both, state, q, k, v, out, y, tail;
    lc_shape heads4 = lc_ne(head, v_heads, t, n), each = lc_ne(1, v_heads, t, n);

    state_inputs(b);
    mixed = lc_view(b->g, project(b, OOM_ROLE_ATTN_QKV, x), lc_ne(conv, t, n, 1));
    z = project(b, OOM_ROLE_ATTN_GATE, x);
    if (has(b, OOM_ROLE_SSM_BA)) {
        lc_t ba = lc_view(b->g, matmul(b, weight(b, OOM_ROLE_SSM_BA), x),
                          lc_ne(2 * v_heads / k_heads, k_heads, t, n));
        lc_shape half = lc_ne(v_heads / k_heads, k_heads, t, n);

        beta = rms(b, OP(b, LC_OP, half, lc_view(b->g, ba, half)));
        gate = OP(b, LC_OP, lc_ne(v_heads, t, n, 1), lc_view(b->g, ba, half));
    } else {
        beta = rms(b, lc_view(b->g, matmul(b, weight(b, OOM_ROLE_SSM_BETA), x), each));
        gate = lc_view(b->g, matmul(b, weight(b, OOM_ROLE_SSM_ALPHA), x), lc_ne(v_heads, t, n, 1));
    }
    gate = with_bias(b, OOM_ROLE_SSM_DT, gate);
    gate = add(b, rms(b, gate), bare(b, OOM_ROLE_SSM_A));
    beta = lc_view(b->g, beta, each);
    gate = lc_view(b->g, gate, each);
    history = states(b, r, conv * (kernel - 1), LC_NONE);
    both = with_history(b, r, history, mixed, conv);
    state = states(b, cache, b->state->state_elements, LC_NONE);
    mixed = rms(b, OP(b, LC_OP, lc_ne(conv, t, n, 1), both, weight(b, OOM_ROLE_SSM_CONV)));
    q = rms(b, rms(b, lc_slice(b->g, mixed, lc_ne(head, k_heads, t, n))));
    k = rms(b, rms(b, lc_slice(b->g, mixed, lc_ne(head, k_heads, t, n))));
    v = lc_slice(b->g, mixed, heads4);
    if (has(b, OOM_ROLE_SSM_BA) && k_heads != v_heads) {
        lc_shape many = lc_ne(head, v_heads / k_heads, k_heads, t * n);

        q = lc_view(b->g, OP(b, LC_OP, many, lc_view(b->g, q, lc_ne(head, 1, k_heads, t * n))),
                    heads4);
        k = lc_view(b->g, OP(b, LC_OP, many, lc_view(b->g, k, lc_ne(head, 1, k_heads, t * n))),
                    heads4);
    }
    out = OP(b, LC_OP, lc_ne(inner, t * n + head * n, 1, 1), q, k, v, gate, beta,
             lc_view(b->g, state, lc_ne(head, head, v_heads, n)));
    tail = lc_view(b->g, out, lc_ne(head, head, v_heads, n));
    lc_expand(b->g, lc_store(b->g, cache, &tail, 1));
    y = norm(b, OOM_ROLE_SSM_NORM, lc_view(b->g, out, heads4));
    y = add(b, y, rms(b, lc_view(b->g, z, heads4)));
    y = project(b, OOM_ROLE_SSM_OUT, lc_view(b->g, y, lc_ne(inner, t, n, 1)));
    return lc_view(b->g, y, lc_ne(shape(b, y).n[0], t * n, 1, 1));
}

/* Gated short convolution (src/models/lfm2.cpp). */
lc_t lc_short_conv(pen *b, lc_t x)
{
    uint64_t n = b->s->sequences, t = b->s->tokens / n, e = shape(b, x).n[0];
    lc_shape third = lc_ne(e, t, n, 1);
    lc_t r = state_cache(b, b->state->conv_width * (b->state->conv_kernel - 1)), all, history, bx,
         y;

    state_inputs(b);
    all = project(b, OOM_ROLE_SHORTCONV_IN, lc_view(b->g, x, third));
    bx = same(b, LC_INPLACE, lc_slice(b->g, all, third), lc_slice(b->g, all, third));
    history = states(b, r, e * (b->state->conv_kernel - 1), LC_NONE);
    bx = with_history(b, r, history, bx, e);
    y = OP(b, LC_OP, third, bx, weight(b, OOM_ROLE_SHORTCONV_CONV));
    y = add(b, lc_slice(b->g, all, third), y);
    y = project(b, OOM_ROLE_SHORTCONV_OUT, y);
    return lc_view(b->g, y, lc_ne(e, t * n, 1, 1));
}

