/* hybrid.c: the blocks that several latent, recurrent and hybrid families share. It knows no
 * model by name. */
#include "hybrid.h"

#include <string.h>

bool is(const char *a, const char *text) { return strcmp(a, text) == 0; }

uint64_t depth(build *b)
{
    uint64_t n = need(b, "num_hidden_layers|n_layer");

    b->m->shape.n_layers = (uint32_t)n;
    b->m->shape.context = want(b, "max_position_embeddings", 0);
    return n;
}

uint64_t mtp_depth(build *b, const char *keys, uint64_t otherwise)
{
    uint64_t n = want(b, keys, otherwise);

    if (n > 64)                 /* no release has more than seven */
        refuse(b, "\"%s\" is %llu, expected at most 64", keys, (unsigned long long)n);
    b->m->shape.n_mtp_layers = (uint32_t)n;
    return n;
}

void require(build *b, const char *keys, const char *expected)
{
    if (!has(b, keys))
        refuse(b, "\"%.*s\" is missing, expected %s", (int)strcspn(keys, "|"), keys, expected);
}

/* Configurations say it under two names (Qwen3.5, Nemotron-H); vLLM follows both. */
uint32_t state_bytes(build *b, uint32_t otherwise)
{
    const char *type = word(b, "mamba_ssm_dtype|mamba_ssm_cache_dtype", NULL);

    if (!type)
        return otherwise;
    return is(type, "float32") || is(type, "torch.float32") ? 4 : 2;
}

uint64_t want_number(build *b, const char *keys, uint64_t otherwise)
{
    const oom_value *v = node(b, keys);

    if (v && v->kind == OOM_STRING && is(v->u.text, "auto"))
        return otherwise;
    return want(b, keys, otherwise);
}

attention read_attention(build *b, uint64_t hidden, uint64_t head_dim)
{
    attention a = { .hidden = hidden, .heads = need(b, "num_attention_heads") };

    a.kv_heads = want(b, "num_key_value_heads", a.heads);
    a.head_dim = head_dim ? head_dim : want(b, "head_dim", hidden / a.heads);
    a.q_bias = a.kv_bias = a.o_bias = flag(b, "attention_bias", false);
    return a;
}
