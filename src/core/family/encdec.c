/* encdec.c: encoder-decoders: T5 and BART. Layers are numbered through, the encoder's first;
 * names tell the stacks apart ("enc.blk.0", "dec.blk.0"). Only the decoder keeps a cache: its own
 * keys and values, and those of the encoder's output. */
#include "family.h"

#include <string.h>

typedef struct {
    uint64_t hidden, vocab, encoder_layers, decoder_layers;
} stacks;

static void enter(build *b, const char *stack, uint64_t first)
{
    b->stack = stack;
    b->first = (int32_t)first;
    b->layer = -1;
}

static void shape(build *b, const stacks *x, uint64_t context)
{
    oom_shape *s = &b->m->shape;

    s->encoder_decoder = true;
    s->n_layers = (uint32_t)(x->encoder_layers + x->decoder_layers);
    s->context = context;
}

/* Attention to the encoder's output: matrices like the layer's own, a cache fixed by the prompt. */
static void cross(build *b, const attention *a)
{
    uint64_t width = sat_mul(a->heads, a->head_dim);
    oom_cache c = { .kind = OOM_CACHE_CROSS, .kv_heads = (uint32_t)a->heads,
                    .k_width = width, .v_width = width };

    mat_bias(b, OOM_ROLE_CROSS_Q, width, a->hidden, a->q_bias);
    mat_bias(b, OOM_ROLE_CROSS_K, width, a->hidden, a->kv_bias);
    mat_bias(b, OOM_ROLE_CROSS_V, width, a->hidden, a->kv_bias);
    mat_bias(b, OOM_ROLE_CROSS_O, a->hidden, width, a->o_bias);
    cache(b, &c);
}

/* ---- T5: norms before, one table of relative positions for each stack ---- */

typedef struct {
    stacks x;
    attention a;
    uint64_t width, buckets;
    mlp_kind mlp;
    bool table_everywhere;      /* UMT5: a table in every layer */
} t5_model;

static void t5_layer(build *b, const t5_model *t, bool decoder_side, bool first)
{
    vec(b, OOM_ROLE_ATTN_NORM, t->x.hidden);
    attend_weights(b, &t->a);
    if (decoder_side)
        attend_cache(b, &t->a, 0);
    if (first || t->table_everywhere)
        mat(b, OOM_ROLE_ATTN_REL_B, t->buckets, t->a.heads);
    if (decoder_side) {
        vec(b, OOM_ROLE_CROSS_NORM, t->x.hidden);
        cross(b, &t->a);
    }
    vec(b, OOM_ROLE_FFN_NORM, t->x.hidden);
    mlp(b, t->x.hidden, t->width, t->mlp, false);
}

static void t5_stack(build *b, const t5_model *t, bool decoder_side, uint64_t first,
                     uint64_t layers)
{
    enter(b, decoder_side ? "dec." : "enc.", first);
    for (uint64_t i = 0; i < layers; i++) {
        b->layer = (int32_t)(first + i);
        t5_layer(b, t, decoder_side, i == 0);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, t->x.hidden);
}

static void t5_like(build *b, const char *feed_forward, bool table_everywhere)
{
    uint64_t hidden = need(b, "d_model|hidden_size");
    uint64_t heads = need(b, "num_heads|num_attention_heads");
    uint64_t layers = need(b, "num_layers|num_hidden_layers");
    const char *proj = word(b, "feed_forward_proj", feed_forward);
    bool gated = strncmp(proj, "gated", 5) == 0;
    t5_model t = {
        .x = { .hidden = hidden, .vocab = need(b, "vocab_size"), .encoder_layers = layers,
               .decoder_layers = some(b, "num_decoder_layers", layers) },
        .a = { .hidden = hidden, .heads = heads, .head_dim = some(b, "d_kv", 64) },
        .width = need(b, "d_ff|intermediate_size"),
        .buckets = some(b, "relative_attention_num_buckets", 32),
        .mlp = gated ? MLP_GATED : MLP_PLAIN, .table_everywhere = table_everywhere,
    };

    shape(b, &t.x, want(b, "n_positions", 0));
    embed(b, t.x.vocab, hidden, flag(b, "tie_word_embeddings", true));
    t5_stack(b, &t, false, 0, layers);
    t5_stack(b, &t, true, layers, t.x.decoder_layers);
    enter(b, NULL, 0);
}

static void t5(build *b) { t5_like(b, "relu", false); }
static void mt5(build *b) { t5_like(b, "gated-gelu", false); }
static void umt5(build *b) { t5_like(b, "gated-gelu", true); }

/* ---- BART: biases everywhere, learned positions from 2 on, norms after (mBART: before, and one
 * more at the end of each stack) ---- */

typedef struct {
    uint64_t hidden, positions;
    bool norm_before;
} bart_model;

static void bart_stack(build *b, const bart_model *m, bool decoder_side, uint64_t first,
                       uint64_t layers)
{
    uint64_t heads = need(b, decoder_side ? "decoder_attention_heads" : "encoder_attention_heads");
    uint64_t width = need(b, decoder_side ? "decoder_ffn_dim" : "encoder_ffn_dim");
    attention a = { .hidden = m->hidden, .heads = heads, .head_dim = m->hidden / heads,
                    .q_bias = true, .kv_bias = true, .o_bias = true };
    oom_role attn_norm = m->norm_before ? OOM_ROLE_ATTN_NORM : OOM_ROLE_ATTN_POST_NORM;
    oom_role ffn_norm = m->norm_before ? OOM_ROLE_FFN_NORM : OOM_ROLE_FFN_POST_NORM;

    if (m->hidden % heads)
        refuse(b, "d_model %llu is not a multiple of %llu heads", (unsigned long long)m->hidden,
               (unsigned long long)heads);
    enter(b, decoder_side ? "dec." : "enc.", first);
    mat(b, OOM_ROLE_POS_EMBED, sat_add(m->positions, 2), m->hidden);
    norm(b, OOM_ROLE_EMBED_NORM, NORM_LAYER, m->hidden);
    for (uint64_t i = 0; i < layers; i++) {
        b->layer = (int32_t)(first + i);
        attend_weights(b, &a);
        norm(b, attn_norm, NORM_LAYER, m->hidden);
        if (decoder_side) {
            attend_cache(b, &a, 0);
            cross(b, &a);
            norm(b, OOM_ROLE_CROSS_NORM, NORM_LAYER, m->hidden);
        }
        mlp(b, m->hidden, width, MLP_PLAIN, true);
        norm(b, ffn_norm, NORM_LAYER, m->hidden);
    }
    b->layer = -1;
    if (m->norm_before)
        norm(b, OOM_ROLE_OUTPUT_NORM, NORM_LAYER, m->hidden);
}

static void bart_like(build *b, bool norm_before)
{
    stacks x = { .hidden = need(b, "d_model|hidden_size"), .vocab = need(b, "vocab_size"),
                 .encoder_layers = need(b, "encoder_layers|num_hidden_layers"),
                 .decoder_layers = need(b, "decoder_layers|num_hidden_layers") };
    bart_model m = { .hidden = x.hidden, .positions = some(b, "max_position_embeddings", 1024),
                     .norm_before = norm_before };

    shape(b, &x, m.positions);
    embed(b, x.vocab, x.hidden, flag(b, "tie_word_embeddings", true));
    bart_stack(b, &m, false, 0, x.encoder_layers);
    bart_stack(b, &m, true, x.encoder_layers, x.decoder_layers);
    enter(b, NULL, 0);
}

static void bart(build *b) { bart_like(b, false); }
static void mbart(build *b) { bart_like(b, true); }

/* ---- Whisper: sound in, 30 seconds at a time; k alone has no bias ---- */

static void whisper_layer(build *b, const attention *a, uint64_t width, uint64_t frames)
{
    uint64_t d = a->hidden;

    norm(b, OOM_ROLE_ATTN_NORM, NORM_LAYER, d);
    attend_weights(b, a);
    bias(b, OOM_ROLE_ATTN_V, d);
    if (frames) {
        attend_cache(b, a, 0);
        norm(b, OOM_ROLE_CROSS_NORM, NORM_LAYER, d);
        mat_bias(b, OOM_ROLE_CROSS_Q, d, d, true);
        mat(b, OOM_ROLE_CROSS_K, d, d);
        mat_bias(b, OOM_ROLE_CROSS_V, d, d, true);
        mat_bias(b, OOM_ROLE_CROSS_O, d, d, true);
        cache(b, &(oom_cache){ .kind = OOM_CACHE_CROSS, .kv_heads = (uint32_t)a->heads,
                               .k_width = d, .v_width = d, .window = frames });
    }
    norm(b, OOM_ROLE_FFN_NORM, NORM_LAYER, d);
    mlp(b, d, width, MLP_PLAIN, true);
}

static void whisper_stack(build *b, const char *name, const attention *a, uint64_t positions,
                          uint64_t first, uint64_t layers, uint64_t width, uint64_t frames)
{
    enter(b, name, first);
    mat(b, OOM_ROLE_POS_EMBED, positions, a->hidden);
    for (uint64_t i = 0; i < layers; i++) {
        b->layer = (int32_t)(first + i);
        whisper_layer(b, a, width, frames);
    }
    b->layer = -1;
    norm(b, OOM_ROLE_OUTPUT_NORM, NORM_LAYER, a->hidden);
}

static void whisper(build *b)
{
    stacks x = { .hidden = need(b, "d_model"), .vocab = need(b, "vocab_size"),
                 .encoder_layers = need(b, "encoder_layers"),
                 .decoder_layers = need(b, "decoder_layers") };
    uint64_t frames = want(b, "max_source_positions", 1500);
    uint64_t positions = want(b, "max_target_positions", 448);
    attention a = { .hidden = x.hidden, .heads = need(b, "encoder_attention_heads"),
                    .q_bias = true, .o_bias = true };

    a.head_dim = x.hidden / a.heads;
    shape(b, &x, positions);
    embed(b, x.vocab, x.hidden, true);
    enter(b, "enc.", 0);
    mat_bias(b, OOM_ROLE_PATCH_EMBED, x.hidden, sat_mul(3, want(b, "num_mel_bins", 80)), true);
    mat_bias(b, OOM_ROLE_PATCH_EMBED, x.hidden, sat_mul(3, x.hidden), true);
    whisper_stack(b, "enc.", &a, frames, 0, x.encoder_layers, need(b, "encoder_ffn_dim"), 0);
    whisper_stack(b, "dec.", &a, positions, x.encoder_layers, x.decoder_layers,
                  need(b, "decoder_ffn_dim"), frames);
    enter(b, NULL, 0);
}

static const class_default untied_class[] = { { "tie_word_embeddings", 0 }, { NULL, 0 } };

const family encdec_families[] = {
    { "t5",    t5,    "t5", NULL },
    { "mt5",   mt5,   "t5", untied_class },
    { "umt5",  umt5,  "t5", untied_class },
    { "bart",  bart,  NULL, NULL },
    { "mbart", mbart, NULL, NULL },
    { "whisper", whisper, NULL, NULL },
    { NULL, NULL, NULL, NULL }
};
