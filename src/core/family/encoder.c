/* encoder.c: encoders that keep nothing between calls: BERT and its kin, ModernBERT. What stands
 * on top (pooler, masked-language head) is told by the architecture's name. */
#include "family.h"

#include <string.h>

/* Does the architecture's name hold `part`? "BertForMaskedLM" holds "MaskedLM". */
static bool made_for(build *b, const char *part)
{
    const oom_value *list = node(b, "architectures");

    return list && list->kind == OOM_LIST && list->u.list.n > 0 &&
           list->u.list.items[0].kind == OOM_STRING &&
           strstr(list->u.list.items[0].u.text, part) != NULL;
}

static attention self_attention(uint64_t hidden, uint64_t heads)
{
    return (attention){ .hidden = hidden, .heads = heads, .head_dim = hidden / heads,
                        .q_bias = true, .kv_bias = true, .o_bias = true };
}

/* Dense layer, norm, and a bias for each word of the tied decoder. */
static void mask_head(build *b, uint64_t hidden, uint64_t vocab)
{
    mat_bias(b, OOM_ROLE_POOLER, hidden, hidden, true);
    norm(b, OOM_ROLE_POOLER_NORM, NORM_LAYER, hidden);
    bias(b, OOM_ROLE_OUTPUT, vocab);
}

/* Token types (0: none) and the layers; norms stand after the blocks. */
static void post_norm_layers(build *b, const attention *a, uint64_t types, uint64_t width,
                             mlp_kind kind, bool mlp_bias)
{
    if (types)
        mat(b, OOM_ROLE_TYPE_EMBED, types, a->hidden);
    norm(b, OOM_ROLE_EMBED_NORM, NORM_LAYER, a->hidden);
    for (uint32_t i = 0; i < b->m->shape.n_layers; i++) {
        b->layer = (int32_t)i;
        attend_weights(b, a);
        norm(b, OOM_ROLE_ATTN_POST_NORM, NORM_LAYER, a->hidden);
        mlp(b, a->hidden, width, kind, mlp_bias);
        norm(b, OOM_ROLE_FFN_POST_NORM, NORM_LAYER, a->hidden);
    }
    b->layer = -1;
}

/* types 0: no token types. */
static void bert_stack(build *b, uint64_t types, bool pooler)
{
    uint64_t hidden = need(b, "hidden_size|dim"), vocab = need(b, "vocab_size");
    uint64_t layers = need(b, "num_hidden_layers|n_layers");
    uint64_t heads = need(b, "num_attention_heads|n_heads");
    uint64_t width = need(b, "intermediate_size|hidden_dim");
    uint64_t positions = some(b, "max_position_embeddings", 512);
    attention a = self_attention(hidden, heads);
    oom_shape *s = &b->m->shape;

    if (hidden % heads)
        refuse(b, "hidden size %llu is not a multiple of %llu heads", (unsigned long long)hidden,
               (unsigned long long)heads);
    s->encoder_only = true;
    s->n_layers = (uint32_t)layers;
    s->context = positions;
    embed(b, vocab, hidden, true);
    mat(b, OOM_ROLE_POS_EMBED, positions, hidden);
    post_norm_layers(b, &a, types, width, MLP_PLAIN, true);
    if (made_for(b, "MaskedLM"))
        mask_head(b, hidden, vocab);
    else if (pooler)
        mat_bias(b, OOM_ROLE_POOLER, hidden, hidden, true);
}

static void bert(build *b) { bert_stack(b, want(b, "type_vocab_size", 2), true); }

static void distilbert(build *b) { bert_stack(b, 0, false); }

/* MPNet: BERT without token types, with one table of relative positions. */
static void mpnet(build *b)
{
    bert_stack(b, 0, true);
    mat(b, OOM_ROLE_ATTN_REL_B, some(b, "relative_attention_num_buckets", 32),
        need(b, "num_attention_heads"));
}

/* Nomic's BERT (nomic-ai/nomic-bert-2048): rotary positions, gated MLPs, biases on norms
 * only. */
static void nomic_bert(build *b)
{
    uint64_t hidden = need(b, "n_embd|hidden_size"), vocab = need(b, "vocab_size");
    uint64_t layers = need(b, "n_layer|num_hidden_layers"), types = want(b, "type_vocab_size", 2);
    uint64_t heads = need(b, "n_head|num_attention_heads");
    uint64_t width = some(b, "n_inner|intermediate_size", sat_mul(4, hidden));
    bool biased = flag(b, "qkv_proj_bias", false);
    bool mlp_bias = flag(b, "mlp_fc1_bias", false);
    attention a = self_attention(hidden, heads);
    oom_shape *s = &b->m->shape;

    a.fused = true;
    a.q_bias = a.o_bias = biased;
    s->encoder_only = true;
    s->n_layers = (uint32_t)layers;
    s->context = want(b, "n_positions|max_position_embeddings", 2048);
    embed(b, vocab, hidden, true);
    post_norm_layers(b, &a, types, width, MLP_GATED, mlp_bias);
}

/* The first layer's attention norm is the embedding's. No biases unless stated, gate and up in
 * one matrix. */
static void modernbert(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), vocab = need(b, "vocab_size");
    uint64_t layers = need(b, "num_hidden_layers"), width = need(b, "intermediate_size");
    uint64_t heads = need(b, "num_attention_heads");
    bool biased = flag(b, "attention_bias", false), mlp_bias = flag(b, "mlp_bias", false);
    norm_kind kind = flag(b, "norm_bias", false) ? NORM_LAYER : NORM_LAYER_NO_BIAS;
    attention a = { .hidden = hidden, .heads = heads, .head_dim = hidden / heads, .fused = true,
                    .q_bias = biased, .o_bias = biased };
    oom_shape *s = &b->m->shape;

    if (hidden % heads)
        refuse(b, "hidden size %llu is not a multiple of %llu heads", (unsigned long long)hidden,
               (unsigned long long)heads);
    s->encoder_only = true;
    s->n_layers = (uint32_t)layers;
    s->context = some(b, "max_position_embeddings", 8192);
    embed(b, vocab, hidden, true);
    norm(b, OOM_ROLE_EMBED_NORM, kind, hidden);
    norm(b, OOM_ROLE_OUTPUT_NORM, kind, hidden);
    for (uint64_t i = 0; i < layers; i++) {
        b->layer = (int32_t)i;
        if (i > 0)
            norm(b, OOM_ROLE_ATTN_NORM, kind, hidden);
        attend_weights(b, &a);
        norm(b, OOM_ROLE_FFN_NORM, kind, hidden);
        mlp(b, hidden, width, MLP_FUSED, mlp_bias);
    }
    b->layer = -1;
    if (made_for(b, "MaskedLM")) {
        mat(b, OOM_ROLE_POOLER, hidden, hidden);
        norm(b, OOM_ROLE_POOLER_NORM, kind, hidden);
        if (flag(b, "decoder_bias", true))
            bias(b, OOM_ROLE_OUTPUT, vocab);
    }
}

const family encoder_families[] = {
    { "bert",        bert,       "bert",        NULL },
    { "roberta",     bert,       "bert",        NULL },
    { "xlm-roberta", bert,       "bert",        NULL },
    { "camembert",   bert,       "bert",        NULL },
    { "distilbert",  distilbert, "bert",        NULL },
    { "mpnet",       mpnet,      "bert",        NULL },
    { "nomic_bert",  nomic_bert, "nomic-bert",  NULL },
    { "modernbert",  modernbert, "modern-bert", NULL },
    { NULL, NULL, NULL, NULL }
};
