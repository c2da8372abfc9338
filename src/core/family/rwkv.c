/* rwkv.c: RWKV 4 to 7: no attention. A layer mixes over time (a recurrence) and over channels,
 * each with the previous token's input at hand; the state is small and fixed.
 * Sources: transformers, models/rwkv; RWKV-5 "Eagle", modeling_rwkv5.py. */
#include "family.h"
#include "hybrid.h"

/* Two previous inputs (time and channel mixing) as a convolution of three taps, and the
 * recurrence, which is kept in fp32. */
static void rwkv_state(build *b, uint64_t hidden, uint64_t elements, uint64_t heads)
{
    cache(b, &(oom_cache){ .kind = OOM_CACHE_STATE, .conv_width = hidden, .conv_kernel = 3,
                           .state_elements = elements, .state_bytes_each = 4,
                           .state_heads = (uint32_t)heads });
}

static void channel_mix(build *b, uint64_t hidden, uint64_t width)
{
    vec(b, OOM_ROLE_CHANNEL_MIX, 2 * hidden);           /* mixes of key and receptance */
    mat(b, OOM_ROLE_CHANNEL_MIX_KEY, width, hidden);
    mat(b, OOM_ROLE_CHANNEL_MIX_RECEPT, hidden, hidden);
    mat(b, OOM_ROLE_CHANNEL_MIX_VALUE, hidden, width);
}

static void time_mix(build *b, uint64_t hidden, uint64_t inner, bool gate)
{
    mat(b, OOM_ROLE_TIME_MIX_KEY, inner, hidden);
    mat(b, OOM_ROLE_TIME_MIX_VALUE, inner, hidden);
    mat(b, OOM_ROLE_TIME_MIX_RECEPT, inner, hidden);
    if (gate)
        mat(b, OOM_ROLE_TIME_MIX_GATE, inner, hidden);
    mat(b, OOM_ROLE_TIME_MIX_OUT, hidden, inner);
}

static void rwkv(build *b, int version)
{
    uint64_t hidden = need(b, "hidden_size"), n = depth(b);
    uint64_t inner = want(b, "attention_hidden_size", hidden);
    uint64_t head = version == 5 ? some(b, "head_size", 64) : 1;
    /* RWKV-5: 3.5 h, down to a multiple of 32. */
    uint64_t width = want(b, "intermediate_size",
                          version == 5 ? 7 * hidden / 2 / 32 * 32 : 4 * hidden);

    /* RWKV-5 files say tie_word_embeddings, their weights hold a head of their own. */
    embed(b, need(b, "vocab_size"), hidden,
          version == 4 && ties(b, false));
    norm(b, OOM_ROLE_EMBED_NORM, NORM_LAYER, hidden);
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        norm(b, OOM_ROLE_ATTN_NORM, NORM_LAYER, hidden);
        /* mixes of key, value, receptance (and gate), then decay and bonus */
        vec(b, OOM_ROLE_TIME_MIX, (version == 5 ? 4 : 3) * hidden);
        vec(b, OOM_ROLE_TIME_MIX, 2 * inner);
        time_mix(b, hidden, inner, version == 5);
        if (version == 5)
            norm(b, OOM_ROLE_TIME_MIX_NORM, NORM_LAYER, inner);
        norm(b, OOM_ROLE_FFN_NORM, NORM_LAYER, hidden);
        channel_mix(b, hidden, width);
        rwkv_state(b, hidden, version == 5 ? sat_mul(inner, head) : 3 * inner, inner / head);
    }
    b->layer = -1;
    norm(b, OOM_ROLE_OUTPUT_NORM, NORM_LAYER, hidden);
    b->m->shape.context = 0;                            /* context_length is what it trained on */
}

static void rwkv4(build *b) { rwkv(b, 4); }
static void rwkv5(build *b) { rwkv(b, 5); }

/* ---- RWKV-6: mixes and decay depend on the token, through low ranks ---- */

/* modeling_rwkv6.py: TIME_MIX_EXTRA_DIM, TIME_DECAY_EXTRA_DIM, twice as large from h = 4096 on. */
static void rwkv6(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), n = depth(b);
    uint64_t inner = want(b, "attention_hidden_size", hidden), head = some(b, "head_size", 64);
    uint64_t width = want(b, "intermediate_size", 7 * hidden / 2 / 32 * 32);
    uint64_t mix = hidden >= 4096 ? 64 : 32, decay = 2 * mix;

    embed(b, need(b, "vocab_size"), hidden, false);     /* as RWKV-5: a head of its own */
    norm(b, OOM_ROLE_EMBED_NORM, NORM_LAYER, hidden);
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        norm(b, OOM_ROLE_ATTN_NORM, NORM_LAYER, hidden);
        vec(b, OOM_ROLE_TIME_MIX, 6 * hidden);          /* of x, w, k, v, r, g */
        mat(b, OOM_ROLE_TIME_MIX, 5 * mix, hidden);
        cube(b, OOM_ROLE_TIME_MIX, 5, hidden, mix);
        vec(b, OOM_ROLE_TIME_MIX, 2 * inner);           /* decay and bonus */
        mat(b, OOM_ROLE_TIME_MIX, decay, hidden);
        mat(b, OOM_ROLE_TIME_MIX, inner, decay);
        time_mix(b, hidden, inner, true);
        norm(b, OOM_ROLE_TIME_MIX_NORM, NORM_LAYER, inner);
        norm(b, OOM_ROLE_FFN_NORM, NORM_LAYER, hidden);
        channel_mix(b, hidden, width);
        rwkv_state(b, hidden, sat_mul(inner, head), inner / head);
    }
    b->layer = -1;
    norm(b, OOM_ROLE_OUTPUT_NORM, NORM_LAYER, hidden);
    b->m->shape.context = 0;
}

/* ---- RWKV-7: a delta rule; decay, learning rate, value mix and gate through low ranks ---- */

static void through(build *b, uint64_t out, uint64_t rank, uint64_t in, bool with_bias)
{
    mat(b, OOM_ROLE_TIME_MIX, rank, in);
    mat(b, OOM_ROLE_TIME_MIX, out, rank);
    if (with_bias)
        vec(b, OOM_ROLE_TIME_MIX, out);
}

static void rwkv7(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), n = depth(b), head = some(b, "head_dim", 64);
    uint64_t width = want(b, "intermediate_size", 4 * hidden);
    uint64_t decay = need(b, "decay_low_rank_dim"), rate = need(b, "a_low_rank_dim");
    uint64_t value = need(b, "v_low_rank_dim"), gate = need(b, "gate_low_rank_dim");

    embed(b, need(b, "vocab_size"), hidden, ties(b, false));
    norm(b, OOM_ROLE_EMBED_NORM, NORM_LAYER, hidden);
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        norm(b, OOM_ROLE_ATTN_NORM, NORM_LAYER, hidden);
        vec(b, OOM_ROLE_TIME_MIX, 6 * hidden);          /* mixes */
        vec(b, OOM_ROLE_TIME_MIX, 3 * hidden);          /* k_k, k_a, r_k */
        through(b, hidden, decay, hidden, true);
        through(b, hidden, rate, hidden, true);
        if (i > 0)
            through(b, hidden, value, hidden, true);    /* of the first layer's values */
        through(b, hidden, gate, hidden, false);
        time_mix(b, hidden, hidden, false);
        norm(b, OOM_ROLE_TIME_MIX_NORM, NORM_LAYER, hidden);
        norm(b, OOM_ROLE_FFN_NORM, NORM_LAYER, hidden);
        vec(b, OOM_ROLE_CHANNEL_MIX, hidden);
        mat(b, OOM_ROLE_CHANNEL_MIX_KEY, width, hidden);
        mat(b, OOM_ROLE_CHANNEL_MIX_VALUE, hidden, width);
        rwkv_state(b, hidden, sat_mul(hidden, head), hidden / head);
    }
    b->layer = -1;
    norm(b, OOM_ROLE_OUTPUT_NORM, NORM_LAYER, hidden);
    b->m->shape.context = 0;
}

/* llama.cpp begins with RWKV-6. */
const family rwkv_families[] = {
    { "rwkv",  rwkv4, NULL,    NULL },
    { "rwkv5", rwkv5, NULL,    NULL },
    { "rwkv6", rwkv6, "rwkv6", NULL },
    { "rwkv7", rwkv7, "rwkv7", NULL },
    { NULL, NULL, NULL, NULL }
};
