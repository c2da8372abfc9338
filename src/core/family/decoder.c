/* decoder.c: the decoder that most families are a variation of. like_llama() reads the keys
 * nearly all of them have; a family changes what differs and calls decode(). What does not fit
 * in these fields is not forced into them: such a family appends its layers itself. */
#include "family.h"

decoder like_llama(build *b)
{
    uint64_t hidden = need(b, "hidden_size|n_embd|n_embed|d_model|dim");
    uint64_t heads = need(b, "num_attention_heads|n_head|num_heads|n_heads");
    uint64_t head_dim = some(b, "head_dim|kv_channels|attention_head_dim", 0);
    oom_shape *s = &b->m->shape;
    decoder d = {
        .layers = need(b, "num_hidden_layers|n_layer|num_layers|n_layers"),
        .hidden = hidden,
        .vocab = need(b, "vocab_size|padded_vocab_size"),
        .a = { .hidden = hidden, .heads = heads,
               .kv_heads = some(b, "num_key_value_heads|num_kv_heads|n_head_kv|"
                                   "multi_query_group_num", heads) },
        .norms = ATTN_BEFORE | FFN_BEFORE,
        .mlp = MLP_GATED,
        .full_every = 0,
        .moe_every = 1,
        .tied = ties(b, false),
    };

    if (head_dim == 0 && hidden % heads != 0)
        refuse(b, "hidden size %llu is not a multiple of %llu heads, and there is no \"head_dim\"",
               (unsigned long long)hidden, (unsigned long long)heads);
    d.a.head_dim = head_dim ? head_dim : hidden / heads;
    d.a.q_bias = d.a.kv_bias = d.a.o_bias = flag(b, "attention_bias", false);
    d.mlp_bias = flag(b, "mlp_bias", false);
    s->n_layers = (uint32_t)d.layers;
    s->context = want(b, "max_position_embeddings|n_positions|max_seq_len|seq_length|n_ctx|"
                         "max_sequence_length|model_max_length", 0);
    return d;
}

uint64_t sliding_window(build *b, uint64_t otherwise)
{
    return is_null(b, "sliding_window") ? 0 : want(b, "sliding_window", otherwise);
}

/* An empty list stands for an absent one (Llama 4 writes "no_rope_layers": []). */
static bool has_list(build *b, const char *key)
{
    const oom_value *v = key ? node(b, key) : NULL;

    return v && (v->kind != OOM_LIST || v->u.list.n > 0);
}

/* Window of layer i, 0 for full attention. A window that the context never fills is none. */
uint64_t window_at(build *b, const decoder *d, uint64_t i)
{
    uint64_t context = b->m->shape.context;

    if (d->window == 0 || (context && d->window >= context))
        return 0;
    if (has(b, "layer_types"))
        return item_is(b, "layer_types", i, "full_attention") ? 0 : d->window;
    if (has_list(b, d->window_list))
        return item(b, d->window_list, i, 1) ? d->window : 0;
    if (i < d->first_windowed || (d->full_every && (i + 1) % d->full_every == 0))
        return 0;
    return d->window;
}

static bool moe_at(build *b, const decoder *d, uint64_t i)
{
    if (d->x.experts == 0)
        return false;
    if (has_list(b, d->moe_list))
        return item(b, d->moe_list, i, 1) != 0;
    if (has_list(b, d->sparse_list))
        return listed(b, d->sparse_list, i);
    if (d->dense_list && listed(b, d->dense_list, i))
        return false;
    return i >= d->first_moe && (i + 1) % d->moe_every == 0;
}

static void norm_if(build *b, const decoder *d, unsigned where, oom_role role)
{
    if (d->norms & where)
        norm(b, role, d->norm, d->hidden);
}

void decode_layer(build *b, const decoder *all, uint64_t i)
{
    decoder mine = *all;
    const decoder *d = &mine;

    if (mine.vary)
        mine.vary(b, &mine, i);
    norm_if(b, d, ATTN_BEFORE, OOM_ROLE_ATTN_NORM);
    norm_if(b, d, SECOND_BEFORE, OOM_ROLE_ATTN_NORM_2);
    attend(b, &d->a, window_at(b, d, i));
    norm_if(b, d, ATTN_AFTER, OOM_ROLE_ATTN_POST_NORM);
    norm_if(b, d, FFN_BEFORE, OOM_ROLE_FFN_NORM);
    if (moe_at(b, d, i))
        mixture(b, &d->x);
    else
        mlp(b, d->hidden, d->width, d->mlp, d->mlp_bias);
    if (d->act)
        vec(b, OOM_ROLE_FFN_ACT, d->act);
    norm_if(b, d, FFN_AFTER, OOM_ROLE_FFN_POST_NORM);
}

static void mtp_layer(build *b, const decoder *d, uint64_t i)
{
    b->part = OOM_PART_MTP;
    mtp_extras(b, d->hidden);
    if (d->mtp_own_vocab) {
        mat(b, OOM_ROLE_MTP_EMBED, d->vocab, d->hidden);
        mat(b, OOM_ROLE_MTP_HEAD, d->vocab, d->hidden);
    }
    decode_layer(b, d, i);
    b->part = OOM_PART_TEXT;
}

void decode(build *b, const decoder *given)
{
    decoder all = *given;
    const decoder *d = &all;

    if (all.width == 0 && all.x.experts == 0)
        all.width = need(b, "intermediate_size");
    b->m->shape.n_mtp_layers = (uint32_t)d->mtp;
    embed(b, d->vocab, d->embed_width ? d->embed_width : d->hidden, d->tied);
    b->m->shape.hidden_size = d->hidden;
    if (d->head_bias)
        bias(b, OOM_ROLE_OUTPUT, d->vocab);
    if (d->positions)
        mat(b, OOM_ROLE_POS_EMBED, d->positions, d->hidden);
    if (d->embed_norm)
        norm(b, OOM_ROLE_EMBED_NORM, d->norm, d->hidden);
    if (!d->no_final_norm)
        norm(b, OOM_ROLE_OUTPUT_NORM, d->norm, d->hidden);
    for (uint64_t i = 0; i < d->layers + d->mtp; i++) {
        b->layer = (int32_t)i;
        if (i < d->layers)
            decode_layer(b, d, i);
        else
            mtp_layer(b, d, i);
    }
    b->layer = -1;
}
