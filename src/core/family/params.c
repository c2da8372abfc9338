/* params.c: a model known by its size, {params=7e9}, and perhaps by the shape of its cache,
 * {params=7e9, hidden_size=4096, num_hidden_layers=32}. What is assumed is said in the note. */
#include "family.h"

/* One row, so that any format packs it without waste. */
static void lump(build *b, uint64_t params)
{
    if (params)
        mat(b, OOM_ROLE_PARAMS, 1, params);
}

/* Weights in equal shares on the layers, what is over (with embedding and head, where the
 * vocabulary is given) outside them. Attention, where nothing else is said, with as many key and
 * value heads as query heads: the cache is then `hidden_size` wide. */
static void from_shape(build *b, uint64_t params)
{
    uint64_t hidden = need(b, "hidden_size|n_embd|d_model");
    uint64_t layers = need(b, "num_hidden_layers|n_layer|num_layers");
    uint64_t heads = some(b, "num_attention_heads|n_head", 0);
    uint64_t kv = some(b, "num_key_value_heads", heads), dim = some(b, "head_dim", 0);
    uint64_t vocab = some(b, "vocab_size", 0), share;
    bool tied = flag(b, "tie_word_embeddings", false);
    uint64_t outside = sat_mul(sat_mul(vocab, hidden), tied ? 1 : 2);
    oom_shape *s = &b->m->shape;

    if (!heads && !kv)
        b->m->note = "multi-head attention assumed: keys and values as wide as hidden_size";
    if (!heads && dim)
        heads = hidden / dim;
    else if (!heads)
        heads = hidden % 128 == 0 ? hidden / 128 : 1;      /* the usual head size; only the
                                                              product counts for the cache */
    if (!kv)
        kv = heads;
    if (!dim && heads && hidden % heads == 0)
        dim = hidden / heads;
    if (!dim || !heads || heads % kv)
        refuse(b, "num_attention_heads %llu, num_key_value_heads %llu and hidden_size %llu do not "
               "divide evenly", (unsigned long long)heads, (unsigned long long)kv,
               (unsigned long long)hidden);
    if (outside > params)
        refuse(b, "params %llu is less than embedding and head of vocab_size x hidden_size",
               (unsigned long long)params);
    if (b->status != OOM_OK)
        return;
    *s = (oom_shape){ .n_layers = (uint32_t)layers, .heads = (uint32_t)heads,
                      .kv_heads = (uint32_t)kv, .head_dim = (uint32_t)dim,
                      .v_head_dim = (uint32_t)dim };
    s->context = some(b, "max_position_embeddings", 0);
    if (vocab)
        embed(b, vocab, hidden, tied);
    s->hidden_size = hidden;
    s->intermediate_size = some(b, "intermediate_size", sat_mul(4, hidden));
    share = (params - outside) / layers;
    lump(b, params - outside - share * layers);
    for (uint64_t i = 0; i < layers; i++) {
        b->layer = (int32_t)i;
        lump(b, share);
        attend_cache(b, &(attention){ .hidden = hidden, .heads = heads, .kv_heads = kv,
                                      .head_dim = dim }, 0);
    }
    b->layer = -1;
}

/* A count of parameters: a whole number, also 7e9 or 6.5e9. */
static uint64_t params_of(build *b, const oom_value *v)
{
    if (v->kind == OOM_INT && v->u.i > 0)
        return (uint64_t)v->u.i;
    if (v->kind == OOM_REAL && v->u.real >= 1 && v->u.real < 9e15
        && v->u.real == (double)(uint64_t)v->u.real)
        return (uint64_t)v->u.real;
    refuse(b, "\"params\" must be a whole number of parameters above 0, such as 7e9");
    return 0;
}

void build_params(build *b)
{
    uint64_t params = params_of(b, node(b, "params"));
    bool hidden = has(b, "hidden_size|n_embd|d_model");
    bool layers = has(b, "num_hidden_layers|n_layer|num_layers");

    if (hidden != layers)
        refuse(b, "params with \"%s\" but without \"%s\": give both for the cache, or neither",
               hidden ? "hidden_size" : "num_hidden_layers",
               hidden ? "num_hidden_layers" : "hidden_size");
    if (hidden && layers) {
        from_shape(b, params);
        return;
    }
    lump(b, params);
    b->m->shape_unknown = true;
    b->m->note = "weights only: give hidden_size and num_hidden_layers for the cache";
}

