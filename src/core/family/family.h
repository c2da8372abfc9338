/* family.h: what a family is written with. A family is one function that reads a configuration
 * and appends tensors and caches, layer by layer, with the building blocks below.
 *
 * Both the configuration reader and the builder keep the first error and turn every later call
 * into a no-op, so a family reads like a table: no checks between the lines, one at the end. */
#ifndef OOM_FAMILY_H
#define OOM_FAMILY_H

#include "../num.h"
#include "../oom.h"

/* What the configuration class of transformers assumes for a key that is absent. Sizes without
 * which there is no model (`need`) are taken from it in a nested text_config only: transformers
 * leaves out of those what equals the default, but writes them in full at the top. */
typedef struct { const char *key; uint64_t value; } class_default;

typedef struct {
    oom_model *m;
    const oom_value *cfg;       /* the level keys are looked up in: the whole, or text_config */
    const oom_value *whole;
    const class_default *defaults;  /* of the family being built; ends with a NULL key */
    oom_error *err;
    oom_status status;          /* first failure; OOM_OK so far */
    int32_t layer;              /* where tensors go: -1 outside the layers */
    oom_part part;
    const char *stack;          /* "enc.", "dec.": names start so, layers count from `first` */
    int32_t first;
} build;

/* ---- reading the configuration (config.c). Keys may be given as alternatives, the first found
 * wins ("n_embd|hidden_size"), and as paths ("attn_config.kv_n_heads"). null is absent. ---- */

uint64_t need(build *b, const char *keys);                  /* a whole number >= 1, or an error */
uint64_t some(build *b, const char *keys, uint64_t otherwise);   /* absent: otherwise; else >= 1 */
uint64_t want(build *b, const char *keys, uint64_t otherwise);   /* absent: otherwise; else >= 0 */
bool flag(build *b, const char *keys, bool otherwise);
const char *word(build *b, const char *keys, const char *otherwise);
double real(build *b, const char *keys, double otherwise);
const oom_value *node(build *b, const char *keys);          /* NULL: absent */
bool has(build *b, const char *keys);
/* tie_word_embeddings, which a wrapper may say in place of its text_config. */
bool ties(build *b, bool otherwise);
/* Element i of a list with one entry a layer; a scalar serves for every i. A list of another
 * length is refused. */
uint64_t item(build *b, const char *keys, size_t i, uint64_t otherwise);
bool item_is(build *b, const char *keys, size_t i, const char *text);
/* Written, as null: where that means something other than absent. */
bool is_null(build *b, const char *key);
/* Is the number i in the list? */
bool listed(build *b, const char *keys, uint64_t i);
void refuse(build *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- appending (blocks.c) ---- */

void vec(build *b, oom_role role, uint64_t n);                          /* norm weight: n */
void vec_bare(build *b, oom_role role, uint64_t n);                     /* no suffix: ssm_a */
void bias(build *b, oom_role role, uint64_t n);
void mat(build *b, oom_role role, uint64_t out, uint64_t in);           /* one matrix */
void mat_bias(build *b, oom_role role, uint64_t out, uint64_t in, bool with_bias);
void cube(build *b, oom_role role, uint64_t n, uint64_t out, uint64_t in);  /* n stacked matrices */
void cube_bias(build *b, oom_role role, uint64_t n, uint64_t out);      /* their biases */
/* A cache of this layer (layer filled in). Layers of the MTP part keep none: ordinary inference
 * does not run them. */
void cache(build *b, const oom_cache *c);

/* ---- building blocks (blocks.c) ---- */

typedef enum { NORM_RMS, NORM_LAYER, NORM_LAYER_NO_BIAS, NORM_FREE } norm_kind; /* FREE: none */
void norm(build *b, oom_role role, norm_kind kind, uint64_t n);

typedef enum { QK_NONE, QK_HEAD, QK_FULL } qk_norm;  /* as many weights as a head / all heads */

typedef struct {
    uint64_t hidden, heads;
    uint64_t kv_heads;          /* 0: heads */
    uint64_t head_dim;
    uint64_t v_head_dim;        /* 0: head_dim */
    bool q_bias, kv_bias, o_bias;
    bool fused;                 /* one attn_qkv tensor in the checkpoint */
    bool no_v;                  /* values are the keys: no v matrix */
    bool output_gate;           /* q is twice as high: the other half gates the output */
    bool sinks;                 /* a learned logit per head */
    bool chunked;               /* the window is a chunk */
    qk_norm qk;
    norm_kind qk_kind;
} attention;
/* q, k, v, o and a full cache; window > 0 makes it a window (or chunk) cache. */
void attend(build *b, const attention *a, uint64_t window);
/* The matrices alone, and the cache alone. */
void attend_weights(build *b, const attention *given);
void attend_cache(build *b, const attention *given, uint64_t window);

typedef enum { MLP_PLAIN, MLP_GATED, MLP_FUSED } mlp_kind;  /* FUSED: gate and up in one */
void mlp(build *b, uint64_t hidden, uint64_t width, mlp_kind kind, bool with_bias);

typedef struct {
    uint64_t hidden, experts, used, width;
    uint64_t shared_width;      /* 0: none */
    uint64_t latent;            /* what the experts read and write; 0: hidden */
    bool latent_norm;           /* a norm on the way in */
    uint64_t empty_experts;     /* that the router may choose and that do nothing */
    mlp_kind kind;
    bool router_bias;           /* the correction bias of the choice (e_score_correction_bias) */
    bool gate_bias;             /* a bias of the router's matrix */
    bool expert_bias;           /* biases in every expert */
    bool shared_gate;           /* a scalar gate on the shared expert */
} moe;
void mixture(build *b, const moe *x);

/* Embedding, head unless tied, `width` wide, and what oom_shape says of them. */
void embed(build *b, uint64_t vocab, uint64_t width, bool tied);

/* What a multi-token-prediction layer has beside a complete layer of the model: projection and
 * three norms. Call with part MTP and the layer set. */
void mtp_extras(build *b, uint64_t hidden);

/* ---- the decoder that most families are a variation of (decoder.c) ---- */

enum {                          /* where the norms stand */
    ATTN_BEFORE = 1, FFN_BEFORE = 2, ATTN_AFTER = 4, FFN_AFTER = 8,
    SECOND_BEFORE = 16          /* attn_norm_2: the MLP's own norm in a parallel block */
};

typedef struct decoder {
    uint64_t layers, hidden, vocab;
    attention a;
    norm_kind norm;
    unsigned norms;
    uint64_t width;             /* of the dense MLP; 0: "intermediate_size" */
    mlp_kind mlp;
    bool mlp_bias;
    bool tied, head_bias;
    bool embed_norm, no_final_norm;
    uint64_t act;               /* learned numbers of the activation */
    uint64_t positions;         /* learned positions; 0: none */
    uint64_t embed_width;       /* of narrow embeddings; 0: hidden */
    /* windows: layer_types in the configuration wins over this */
    uint64_t window;            /* tokens; 0: full attention everywhere */
    uint64_t full_every;        /* each n-th layer sees everything; 0: none does */
    uint64_t first_windowed;    /* layers before it see everything */
    const char *window_list;    /* a key with 1 for a windowed and 0 for a full layer */
    /* mixture of experts */
    moe x;                      /* x.experts 0: dense throughout */
    uint64_t first_moe, moe_every;
    const char *moe_list;       /* a key with 0 or 1 for each layer; wins where present */
    const char *dense_list;     /* a key that lists the dense layers */
    const char *sparse_list;    /* a key that lists the mixtures; wins where present */
    uint64_t mtp;               /* MTP layers, built like the last layer */
    bool mtp_own_vocab;         /* each with its copy of embedding and head */
    /* Where layers differ: changes `mine`, this layer's own copy, and may append. */
    void (*vary)(build *b, struct decoder *mine, uint64_t i);
} decoder;

/* The keys that nearly every decoder has, under all their names, as llama reads them. */
decoder like_llama(build *b);
void decode(build *b, const decoder *given);        /* everything */
void decode_layer(build *b, const decoder *all, uint64_t i);  /* one layer; b->layer is set */
uint64_t window_at(build *b, const decoder *d, uint64_t i);     /* 0: full */
uint64_t sliding_window(build *b, uint64_t otherwise);          /* null: none; absent: otherwise */

/* ---- the families: rows, a table for each file, joined in family.c ---- */

typedef void family_fn(build *b);
typedef struct {
    const char *model_type;     /* Hugging Face's; NULL ends a table */
    family_fn *build;
    const char *ggml_arch;      /* llama.cpp's name; NULL: not there */
    const class_default *defaults;  /* NULL: none */
} family;

extern const family dense_families[], nas_families[], classic_families[], moe_families[],
    encoder_families[], encdec_families[], mla_families[], v4_families[], delta_families[],
    ssm_families[], nemotron_families[], linear_families[], lfm2_families[], rwkv_families[],
    gemma_n_families[], vision_families[];

/* {params=…}: params.c. What the release is stored in, NULL where it does not say: stored.c. */
void build_params(build *b);
const char *stored_precision(build *b);

const family *family_find(const char *model_type);
/* Builds the text model described by `cfg` (a text_config) with the family its model_type names,
 * or `otherwise` where it names none, or "X_text" within X. b->cfg is as before afterwards. */
void build_text(build *b, const oom_value *cfg, const char *otherwise);

#endif
