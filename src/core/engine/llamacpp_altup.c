/* llamacpp_altup.c: Gemma 3n (llama.cpp 0.5.0, src/models/gemma3n.cpp): four copies of the
 * residual stream (AltUp), a low-rank side branch (LAuReL), embeddings for every layer. */
#include "llamacpp_pen.h"

static uint64_t streams(const pen *b) { return b->altup_streams; }

static lc_shape stack(const pen *b, lc_t x, uint64_t n)     /* n streams over each other */
{
    return lc_ne(shape(b, x).n[0], b->s->tokens, n, 1);
}

static lc_t magnitude(const pen *b, lc_t x)
{
    lc_shape ne = shape(b, x);
    lc_t squares = rms(b, x);

    ne.n[0] = 1;
    return rms(b, OP(b, LC_OP, ne, squares));
}

static lc_t rescaled(const pen *b, lc_t x, lc_t target)
{
    lc_t own = magnitude(b, x);

    return add(b, add(b, x, target), own);
}

static lc_t router(pen *b, lc_t x)
{
    return rms(b, matmul(b, weight(b, OOM_ROLE_ALTUP_ROUTER),
                         rms(b, norm(b, OOM_ROLE_ALTUP_ROUTER_NORM, x))));
}

static lc_t first(const pen *b, lc_t x) { return lc_view(b->g, x, stack(b, x, 1)); }

void lc_layer_inputs(pen *b, lc_t x)
{
    uint64_t t = b->s->tokens, all = dim_of(b, OOM_ROLE_PL_EMBED, 0);
    uint64_t width = dim_of(b, OOM_ROLE_PL_PROJ_NORM, 0);
    lc_shape by_layer = lc_ne(width, all / width, t, 1);
    lc_t ids = lc_input(b->g, LC_I32, lc_ne(t, 1, 1, 1)), looked_up, projected;

    looked_up = OP(b, LC_ROWS, lc_ne(all, t, 1, 1), weight(b, OOM_ROLE_PL_EMBED), ids);
    looked_up = rms(b, lc_view(b->g, looked_up, by_layer));
    lc_expand(b->g, looked_up);
    projected = rms(b, matmul(b, weight(b, OOM_ROLE_PL_MODEL_PROJ), x));
    projected = norm(b, OOM_ROLE_PL_PROJ_NORM, lc_view(b->g, projected, by_layer));
    projected = rms(b, add(b, projected, looked_up));
    b->layer_inputs = OP(b, LC_OP, lc_ne(width, t, all / width, 1),
                         lc_view(b->g, projected, lc_ne(width, t, all / width, 1)));
}

static lc_t gated_input(pen *b, lc_t x)
{
    lc_t input = lc_view(b->g, b->layer_inputs,
                         lc_ne(shape(b, b->layer_inputs).n[0], b->s->tokens, 1, 1));
    lc_t gate = rms(b, matmul(b, weight(b, OOM_ROLE_PL_GATE), x));

    gate = matmul(b, weight(b, OOM_ROLE_PL_PROJ), add(b, gate, input));
    return norm(b, OOM_ROLE_PL_POST_NORM, gate);
}

lc_t lc_with_layer_input(pen *b, lc_t x) { return add(b, x, gated_input(b, x)); }

lc_t lc_altup_open(pen *b, lc_t x)
{
    lc_t target, others;

    b->altup_streams = dim_of(b, OOM_ROLE_ALTUP_PROJ, 2) + 1;
    lc_layer_inputs(b, x);
    target = magnitude(b, x);
    others = OP(b, LC_OP, stack(b, x, streams(b) - 1), x);
    others = OP(b, LC_MATMUL, stack(b, x, streams(b) - 1), weight(b, OOM_ROLE_ALTUP_PROJ), others);
    return OP(b, LC_OP, stack(b, x, streams(b)), x, rescaled(b, others, target));
}

static lc_t predict(pen *b, lc_t x)
{
    uint64_t n = streams(b), t = b->s->tokens, e = shape(b, x).n[0];
    lc_t mixing = matmul(b, weight(b, OOM_ROLE_ALTUP_PREDICT), router(b, first(b, x)));
    lc_t turned = OP(b, LC_OP, lc_ne(n, e, t, 1), lc_view(b->g, x, lc_ne(n, e, t, 1)));
    lc_t y = OP(b, LC_MATMUL, lc_ne(e, n, t, 1), turned, lc_view(b->g, mixing, lc_ne(n, n, t, 1)));

    y = OP(b, LC_OP, lc_ne(e, t, n, 1), lc_view(b->g, y, lc_ne(e, t, n, 1)));
    return add(b, y, x);
}

static lc_t correct(pen *b, lc_t predictions, lc_t activated)
{
    uint64_t n = streams(b), t = b->s->tokens;
    lc_t modalities = router(b, activated), mixing, innovation;

    innovation = add(b, activated, first(b, predictions));
    mixing = rms(b, matmul(b, weight(b, OOM_ROLE_ALTUP_CORRECT), modalities));
    mixing = OP(b, LC_OP, lc_ne(1, t, n, 1), lc_view(b->g, mixing, lc_ne(t, n, 1, 1)));
    innovation = OP(b, LC_OP, stack(b, activated, n), innovation);
    return add(b, add(b, innovation, mixing), predictions);
}

/* Only the strongest activations pass (gaussian_topk). */
static lc_t sparse(const pen *b, lc_t x)
{
    lc_shape one = shape(b, x);
    lc_t mean, deviation;

    one.n[0] = 1;
    mean = OP(b, LC_OP, one, x);
    deviation = OP(b, LC_OP, one, rms(b, add(b, x, mean)));
    deviation = rms(b, rms(b, deviation));
    return rms(b, add(b, x, add(b, mean, rms(b, deviation))));
}

static lc_t queries_alone(pen *b, lc_t x, const head_shape *h)
{
    lc_t q
        = lc_view(b->g, project(b, OOM_ROLE_ATTN_Q, x), lc_ne(h->k_dim, h->heads, b->s->tokens, 1));

    return lc_rope(b, norm(b, OOM_ROLE_ATTN_Q_NORM, q));
}

static lc_t attention(pen *b, lc_t x)
{
    head_shape h = lc_heads(b);
    qkv r = { .k = LC_NONE, .v = LC_NONE };
    lc_shape kv = lc_ne(h.k_dim, h.kv_heads, b->s->tokens, 1);

    r.q = queries_alone(b, x, &h);
    if (!b->borrows) {
        r.k = norm(b, OOM_ROLE_ATTN_K_NORM, lc_view(b->g, project(b, OOM_ROLE_ATTN_K, x), kv));
        r.v = rms(b, lc_view(b->g, project(b, OOM_ROLE_ATTN_V, x), kv));
        r.k = lc_rope(b, r.k);
    }
    return lc_attend(b, r, &h, true);
}

static lc_t feed_forward(pen *b, lc_t x)
{
    lc_t up = project(b, OOM_ROLE_FFN_UP, x), gate = project(b, OOM_ROLE_FFN_GATE, x);

    if (b->layer < LC_SPARSE_LAYERS)
        gate = sparse(b, gate);
    return project(b, OOM_ROLE_FFN_DOWN, add(b, up, rms(b, gate)));
}

lc_t lc_altup_layer(pen *b, lc_t x)
{
    uint64_t n = streams(b), e = shape(b, x).n[0], t = b->s->tokens;
    lc_t predictions = predict(b, x), active = first(b, predictions), cur, side, gate, rest,
         corrected;

    cur = norm(b, OOM_ROLE_ATTN_NORM, active);
    side = matmul(b, weight(b, OOM_ROLE_LAUREL_R), matmul(b, weight(b, OOM_ROLE_LAUREL_L), cur));
    side = add(b, norm(b, OOM_ROLE_LAUREL_NORM, side), cur);
    cur = norm(b, OOM_ROLE_ATTN_POST_NORM, attention(b, cur));
    cur = rms(b, add(b, add(b, cur, active), side));
    rest = feed_forward(b, norm(b, OOM_ROLE_FFN_NORM, cur));
    cur = add(b, norm(b, OOM_ROLE_FFN_POST_NORM, rest), cur);
    corrected = correct(b, predictions, cur);
    gate = gated_input(b, add(b, first(b, corrected), weight(b, OOM_ROLE_ALTUP_SCALE)));
    rest = add(b, lc_view(b->g, corrected, lc_ne(e, t, n - 1, 1)), gate);
    return OP(b, LC_OP, lc_ne(e, t, n, 1), first(b, corrected), rest);
}

lc_t lc_altup_close(pen *b, lc_t x)
{
    uint64_t n = streams(b);
    lc_shape ne = stack(b, x, n - 1);
    lc_t target = magnitude(b, first(b, x)), others, sum;

    others = OP(b, LC_MATMUL, ne, weight(b, OOM_ROLE_ALTUP_UNEMBD), lc_view(b->g, x, ne));
    others = rescaled(b, others, target);
    sum = first(b, x);
    for (uint64_t i = 0; i + 1 < n; i++)
        sum = add(b, sum, first(b, others));
    return rms(b, sum);
}
