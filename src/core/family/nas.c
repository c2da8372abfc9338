/* nas.c: decoders found by architecture search, where every layer is as its entry in a list says:
 * NVIDIA's Nemotron Super and Ultra, and Deci's models before them. */
#include "family.h"

/* The MLP's width: 2/3 of the multiple, rounded up to 256 (_ffn_mult_to_intermediate_size in
 * DeciLM's modelling file). */
static uint64_t nas_width(double mult, uint64_t hidden)
{
    double width = 2.0 * mult * (double)hidden / 3.0;

    return width < 4294967295.0 ? pad_up((uint64_t)width, 256) : SAT_TOOLARGE;
}

/* One entry of block_configs: attention, a matrix in its place, or nothing; the same for the MLP.
 * What is removed loses its norm too. */
static void nas_layer(build *b, const decoder *d, const oom_value *block)
{
    build at = *b;
    attention a = d->a;
    uint64_t group;
    double mult;

    at.cfg = block;
    at.defaults = NULL;
    if (!flag(&at, "attention.no_op", false)) {
        norm(&at, OOM_ROLE_ATTN_NORM, d->norm, d->hidden);
        if (flag(&at, "attention.replace_with_linear", false)) {
            mat(&at, OOM_ROLE_ATTN_O, d->hidden, d->hidden);
        } else {
            group = need(&at, "attention.n_heads_in_group");
            a.kv_heads = a.heads / group;
            if (a.kv_heads == 0)
                refuse(&at, "\"n_heads_in_group\" is %llu, more than the %llu attention heads",
                       (unsigned long long)group, (unsigned long long)a.heads);
            attend(&at, &a, want(&at, "attention.window_length", 0));
        }
    }
    if (!flag(&at, "ffn.no_op", false)) {
        norm(&at, OOM_ROLE_FFN_NORM, d->norm, d->hidden);
        if (flag(&at, "ffn.replace_with_linear", false)) {
            mat(&at, OOM_ROLE_FFN_DOWN, d->hidden, d->hidden);
        } else {
            mult = real(&at, "ffn.ffn_mult", 0);
            if (!(mult > 0))
                refuse(&at, "\"ffn_mult\" must be a number above 0");
            else
                mlp(&at, d->hidden, nas_width(mult, d->hidden), d->mlp, d->mlp_bias);
        }
    }
    b->status = at.status;
}

static void nemotron_nas(build *b)
{
    decoder d = like_llama(b);
    const oom_value *blocks = node(b, "block_configs");

    if (!blocks || blocks->kind != OOM_LIST || blocks->u.list.n != d.layers) {
        refuse(b, "\"block_configs\" must be a list with one entry for each of %llu layers",
               (unsigned long long)d.layers);
        return;
    }
    embed(b, d.vocab, d.hidden, d.tied);
    norm(b, OOM_ROLE_OUTPUT_NORM, d.norm, d.hidden);
    for (uint64_t i = 0; i < d.layers; i++) {
        b->layer = (int32_t)i;
        nas_layer(b, &d, &blocks->u.list.items[i]);
    }
    b->layer = -1;
}

/* DeciLM-7B: only the key heads differ. */
static void deci_layer(build *b, decoder *mine, uint64_t i)
{
    mine->a.kv_heads = item(b, "num_key_value_heads_per_layer", i, mine->a.kv_heads);
    if (mine->a.kv_heads == 0)
        refuse(b, "\"num_key_value_heads_per_layer\" holds 0, expected at least 1");
}

static void deci(build *b)
{
    decoder d = like_llama(b);

    d.vary = deci_layer;
    decode(b, &d);
}

const family nas_families[] = {
    { "deci", deci, "deci", NULL },
    { "nemotron-nas", nemotron_nas, "deci", NULL },
    { NULL, NULL, NULL, NULL }
};
