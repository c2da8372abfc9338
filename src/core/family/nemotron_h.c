/* nemotron_h.c: Nemotron-H and Nemotron 3: each layer is one thing, a Mamba-2 mixer, an attention,
 * an MLP or a mixture, as a letter of a pattern says. Source: transformers, models/nemotron_h. */
#include "family.h"
#include "hybrid.h"

#include <string.h>

typedef struct {
    uint64_t hidden, width;
    attention attention;
    mamba2 mixer;
    moe mixture;                /* read when the first layer asks for it */
    bool mlp_bias;
} nemotron;

/* 'M', '*', '-' or 'E', from the pattern string or the list of words; 0 for any other word. */
static char block_at(build *b, const char *pattern, uint64_t i)
{
    static const struct { const char *word; char letter; } words[] = {
        { "mamba", 'M' }, { "attention", '*' }, { "mlp", '-' }, { "moe", 'E' },
    };

    if (pattern)
        return pattern[i];
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        if (item_is(b, "layers_block_type", (size_t)i, words[w].word))
            return words[w].letter;
    return 0;
}

/* Nemotron's experts are plain (squared ReLU) and, with moe_latent_size, work at that width.
 * The router's correction bias is a buffer, as fp32, that no published total counts. */
static moe read_mixture(build *b, uint64_t hidden)
{
    moe x = {
        .hidden = hidden, .kind = MLP_PLAIN, .latent = want(b, "moe_latent_size", 0),
        .experts = need(b, "n_routed_experts"), .used = need(b, "num_experts_per_tok"),
        .width = need(b, "moe_intermediate_size"),
        .shared_width = sat_mul(want(b, "n_shared_experts", 0),
                                want(b, "moe_shared_expert_intermediate_size", 0)),
    };
    return x;
}

static void nemotron_layer(build *b, nemotron *d, char kind)
{
    vec(b, OOM_ROLE_ATTN_NORM, d->hidden);
    switch (kind) {
    case 'M': mamba2_mixer(b, &d->mixer); break;
    case '*': attend(b, &d->attention, 0); break;
    case '-': mlp(b, d->hidden, d->width, MLP_PLAIN, d->mlp_bias); break;
    case 'E':
        if (!d->mixture.experts)
            d->mixture = read_mixture(b, d->hidden);
        mixture(b, &d->mixture);
        break;
    default:
        refuse(b, "layer %d is of no known kind, expected M, *, - or E (mamba, attention, mlp, "
                  "moe)", b->layer);
    }
}

/* An MTP layer is a short pattern of its own between the frame that all families have. "*E" where
 * the configuration is silent: so Ultra's 549.3 B become the 560.5 B that tables give it. */
static void nemotron_mtp(build *b, nemotron *d, uint64_t n)
{
    const char *pattern = word(b, "mtp_hybrid_override_pattern", "*E");
    uint64_t n_mtp = mtp_depth(b, "num_nextn_predict_layers", 0);

    b->part = OOM_PART_MTP;
    for (uint64_t i = 0; i < n_mtp; i++) {
        b->layer = (int32_t)(n + i);
        mtp_extras(b, d->hidden);
        for (const char *p = pattern; *p; p++)
            nemotron_layer(b, d, *p);
    }
    b->part = OOM_PART_TEXT;
}

static void nemotron_h(build *b)
{
    const char *pattern = word(b, "hybrid_override_pattern", NULL);
    const oom_value *list = node(b, "layers_block_type");
    uint64_t hidden = need(b, "hidden_size"), most = 10000;
    uint64_t n = pattern ? strlen(pattern) : list && list->kind == OOM_LIST ? list->u.list.n : 0;
    uint64_t heads = need(b, "mamba_num_heads"), head_dim = need(b, "mamba_head_dim");
    nemotron d = {
        .hidden = hidden, .width = want(b, "intermediate_size", 0),
        .mlp_bias = flag(b, "mlp_bias", false),
        .attention = read_attention(b, hidden, want(b, "head_dim|attention_head_dim", 128)),
        .mixer = {
            .hidden = hidden, .inner = sat_mul(heads, head_dim), .heads = heads,
            .state = need(b, "ssm_state_size"), .groups = want(b, "n_groups", 8),
            .kernel = want(b, "conv_kernel", 4), .norm = true,
            .conv_bias = flag(b, "use_conv_bias", true),
            .proj_bias = flag(b, "mamba_proj_bias", false),
            .state_bytes_each = state_bytes(b, 4),
        },
    };

    if (!n || n > most)
        refuse(b, "\"hybrid_override_pattern\" or \"layers_block_type\" names %llu layers, "
                  "expected a letter or a word for each of 1 to %llu", (unsigned long long)n,
               (unsigned long long)most);
    b->m->shape.n_layers = (uint32_t)n;
    b->m->shape.context = want(b, "max_position_embeddings", 0);
    embed(b, need(b, "vocab_size"), hidden, ties(b, false));
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        nemotron_layer(b, &d, block_at(b, pattern, i));
    }
    nemotron_mtp(b, &d, n);
    if (d.mixture.experts)
        b->m->ggml_arch = "nemotron_h_moe";
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

const family nemotron_families[] = {
    { "nemotron_h", nemotron_h, "nemotron_h", NULL },
    { NULL, NULL, NULL, NULL }
};
