/* vision.c: models that see or hear: a text model of any family (text_config) with towers and
 * projectors before it. The towers' tensors are counted and shown apart. */
#include "family.h"
#include "hybrid.h"
#include "tower.h"

/* A tower as its configuration says it, b->cfg at that configuration. */
static void at(build *b, const oom_value *cfg, const class_default *defaults, oom_part part,
               tower_fn *make, const tower_options *o)
{
    const oom_value *saved = b->cfg;
    const class_default *saved_defaults = b->defaults;

    if (!cfg)
        return;
    b->cfg = cfg;
    b->defaults = defaults;
    b->part = part;
    b->layer = -1;
    b->stack = part == OOM_PART_AUDIO ? "a." : "v.";    /* "v.blk.3.tower.weight" */
    make(b, b->m->shape.hidden_size, o);
    b->stack = NULL;
    b->part = OOM_PART_TEXT;
    b->cfg = saved;
    b->defaults = saved_defaults;
}

/* ---- what transformers assumes of a vision_config's absent keys ---- */

static const class_default clip_class[] = {
    { "hidden_size", 768 }, { "intermediate_size", 3072 }, { "num_hidden_layers", 12 },
    { "image_size", 224 }, { "patch_size", 32 }, { NULL, 0 }
};
static const class_default siglip_class[] = {
    { "hidden_size", 768 }, { "intermediate_size", 3072 }, { "num_hidden_layers", 12 },
    { "image_size", 224 }, { "patch_size", 16 }, { NULL, 0 }
};
static const class_default pixtral_class[] = {
    { "hidden_size", 1024 }, { "intermediate_size", 4096 }, { "num_hidden_layers", 24 },
    { "image_size", 1024 }, { "patch_size", 16 }, { NULL, 0 }
};
static const class_default idefics_class[] = {
    { "hidden_size", 1152 }, { "intermediate_size", 3072 }, { "num_hidden_layers", 12 },
    { "image_size", 224 }, { "patch_size", 32 }, { NULL, 0 }
};
static const class_default internvit_class[] = {
    { "hidden_size", 1024 }, { "intermediate_size", 4096 }, { "num_hidden_layers", 24 },
    { "image_size", 448 }, { "patch_size", 14 }, { NULL, 0 }
};
static const class_default qwen2_5_class[] = {
    { "depth", 32 }, { "hidden_size", 1280 }, { "intermediate_size", 3420 }, { NULL, 0 }
};
static const class_default qwen3_class[] = {
    { "depth", 27 }, { "hidden_size", 1152 }, { "intermediate_size", 4304 }, { NULL, 0 }
};
static const class_default moon_class[] = {
    { "hidden_size", 1152 }, { "intermediate_size", 4304 }, { "num_hidden_layers", 27 },
    { NULL, 0 }
};

/* ---- wrappers ---- */

static const oom_value *text_of(build *b)
{
    const oom_value *text = node(b, "text_config|llm_config|language_config");

    return text ? text : b->cfg;
}

/* The text model, then the tower where the configuration describes one. A text_config without
 * model_type is `text`'s. */
static void wrap(build *b, const char *text, tower_fn *make, const class_default *defaults)
{
    const oom_value *layers = node(b, "vision_feature_layer");
    tower_options o = {
        .feature_layers = layers && layers->kind == OOM_LIST ? layers->u.list.n : 1,
        .merge = want(b, "spatial_merge_size|scale_factor", 1),
        .projector_bias = flag(b, "multimodal_projector_bias", true),
        .newline = is(b->m->family, "llava_next") || is(b->m->family, "llava_onevision"),
        .projector_width = want(b, "alignment_intermediate_size|projector_hidden_size", 0),
        .queries = want(b, "query_num", 64),
    };

    build_text(b, text_of(b), text);
    at(b, node(b, "vision_config"), defaults, OOM_PART_VISION, make, &o);
}

/* LLaVA takes any tower; Pixtral-12B is one of these. */
static void llava(build *b)
{
    const char *kind = word(b, "vision_config.model_type", "clip_vision_model");

    if (is(kind, "pixtral"))
        wrap(b, "llama", tower_pixtral, pixtral_class);
    else if (is(kind, "siglip_vision_model"))
        wrap(b, "llama", tower_siglip_llava, siglip_class);
    else
        wrap(b, "llama", tower_clip, clip_class);
}

static void mllama(build *b)        { wrap(b, "mllama_text_model", tower_mllama, NULL); }
static void llama4(build *b)        { wrap(b, "llama4_text", tower_llama4, NULL); }
static void mistral3(build *b)      { wrap(b, "mistral", tower_pixtral, pixtral_class); }
static void gemma3(build *b)        { wrap(b, "gemma3_text", tower_gemma3, siglip_class); }
static void paligemma(build *b)     { wrap(b, "gemma", tower_paligemma, siglip_class); }
static void idefics3(build *b)      { wrap(b, "llama", tower_idefics3, idefics_class); }
static void internvl(build *b)      { wrap(b, "qwen2", tower_internvl, internvit_class); }
static void lfm2_vl(build *b)       { wrap(b, "lfm2", tower_lfm2, siglip_class); }
static void aya_vision(build *b)    { wrap(b, "cohere2", tower_aya, siglip_class); }
static void qwen2_vl(build *b)      { wrap(b, "qwen2", tower_qwen2, NULL); }
static void qwen2_5_vl(build *b)    { wrap(b, "qwen2", tower_qwen2_5, qwen2_5_class); }
static void qwen3_vl(build *b)      { wrap(b, "qwen3", tower_qwen3, qwen3_class); }
static void qwen3_vl_moe(build *b)  { wrap(b, "qwen3_moe", tower_qwen3, qwen3_class); }
static void qwen3_5(build *b)       { wrap(b, "qwen3_5_text", tower_qwen3, qwen3_class); }
static void qwen3_5_moe(build *b)   { wrap(b, "qwen3_5_moe_text", tower_qwen3, qwen3_class); }
static void glm4v(build *b)         { wrap(b, "glm4", tower_glm4v, NULL); }
static void glm4v_moe(build *b)     { wrap(b, "glm4_moe", tower_glm4v, NULL); }
static void kimi_vl(build *b)       { wrap(b, "deepseek_v3", tower_moon, moon_class); }
static void kimi_k25(build *b)      { wrap(b, "kimi_k2", tower_moon, NULL); }
static void kimi_k3(build *b)       { wrap(b, "kimi_linear", tower_moon, NULL); }
static void muse_glimmer(build *b)  { wrap(b, "muse_glimmer_text", tower_muse, NULL); }

/* Phi-3 Vision's configuration keeps the tower's name alone: CLIP ViT-L/14 at 336 pixels. */
static void phi3_v(build *b)
{
    static const class_default clip_l[] = {
        { "hidden_size", 1024 }, { "intermediate_size", 4096 }, { "num_hidden_layers", 24 },
        { "image_size", 336 }, { "patch_size", 14 }, { NULL, 0 }
    };
    static const oom_value nothing = { .kind = OOM_MAP };
    tower_options o = { .merge = 2 };

    build_text(b, b->cfg, "phi3");
    at(b, &nothing, clip_l, OOM_PART_VISION, tower_phi3, &o);
}

/* MiniCPM-V names its text model by a version. */
static void minicpmv(build *b)
{
    static const struct { double version; const char *text; } texts[] = {
        { 2.0, "minicpm" }, { 2.5, "llama" }, { 2.6, "qwen2" }, { 4.0, "llama" }, { 4.5, "qwen3" },
    };
    double version = real(b, "version", 2.6);
    const char *text = NULL;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (version > texts[i].version - 0.01 && version < texts[i].version + 0.01)
            text = texts[i].text;
    if (!text)
        refuse(b, "\"version\" is %g, expected a MiniCPM-V of 2, 2.5, 2.6, 4 or 4.5", version);
    else
        wrap(b, text, tower_minicpmv, siglip_class);
}

/* ---- seeing and hearing ---- */

static void gemma3n(build *b)
{
    tower_options o = { .vocab = 128 };

    wrap(b, "gemma3n_text", tower_mobilenet, NULL);
    at(b, node(b, "audio_config"), NULL, OOM_PART_AUDIO, tower_usm3n, &o);
}

/* Gemma 4: the 12B has no towers, pixels and sound go straight through a matrix. All models with
 * per-layer embeddings hear; short copies of their configurations leave the audio tower out,
 * which is the same in all of them. */
static void gemma4(build *b)
{
    static const oom_value nothing = { .kind = OOM_MAP };
    bool unified = is(word(b, "vision_config.model_type", ""), "gemma4_unified_vision");
    bool hears = want(b, "text_config.hidden_size_per_layer_input", 0) > 0;
    const oom_value *audio = node(b, "audio_config");
    tower_options o = { 0 };

    wrap(b, "gemma4_text", unified ? tower_gemma4_unified : tower_gemma4, NULL);
    if (!audio && hears && node(b, "vision_config")) {
        b->m->note = "audio tower of Gemma 4 assumed: the configuration leaves it out";
        audio = &nothing;
    }
    at(b, audio, NULL, OOM_PART_AUDIO, unified ? tower_wave : tower_usm4, &o);
}

/* A Whisper encoder before a text model. */
static void hear(build *b, const char *text, tower_fn *make)
{
    tower_options o = { 0 };

    build_text(b, text_of(b), text);
    at(b, node(b, "audio_config"), NULL, OOM_PART_AUDIO, make, &o);
}

static void qwen2_audio(build *b)   { hear(b, "qwen2", tower_whisper_qwen); }
static void voxtral(build *b)       { hear(b, "llama", tower_whisper_voxtral); }

/* ---- Llama 3.2: text layers that look at the image ---- */

/* Of one image: its patches and a class token, for every tile. */
static uint64_t mllama_image_tokens(build *b)
{
    const oom_value *text = b->cfg;
    uint64_t patch, side, tiles;

    b->cfg = b->whole;
    patch = some(b, "vision_config.patch_size", 14);
    side = want(b, "vision_config.image_size", 560) / patch;
    tiles = want(b, "vision_config.max_num_tiles", 4);
    b->cfg = text;
    return sat_mul(tiles, sat_add(sat_mul(side, side), 1));
}

/* One layer in five is attention over the image's tokens in place of the text's, gated; the
 * embedding has eight rows for image markers that the head has not. */
static void mllama_text(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), vocab = need(b, "vocab_size"), n = depth(b);
    uint64_t width = need(b, "intermediate_size"), tokens = mllama_image_tokens(b);
    attention a = read_attention(b, hidden, 0);

    embed(b, vocab, hidden, ties(b, false));
    mat(b, OOM_ROLE_TYPE_EMBED, 8, hidden);
    for (uint64_t i = 0; i < n; i++) {
        bool looks = has(b, "cross_attention_layers") ? listed(b, "cross_attention_layers", i)
                                                      : i % 5 == 3;

        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        if (looks) {
            uint64_t kv = sat_mul(a.kv_heads, a.head_dim), q = sat_mul(a.heads, a.head_dim);

            mat(b, OOM_ROLE_CROSS_Q, q, hidden);
            mat(b, OOM_ROLE_CROSS_K, kv, hidden);
            mat(b, OOM_ROLE_CROSS_V, kv, hidden);
            mat(b, OOM_ROLE_CROSS_O, hidden, q);
            vec(b, OOM_ROLE_ATTN_Q_NORM, a.head_dim);
            vec(b, OOM_ROLE_ATTN_K_NORM, a.head_dim);
            vec(b, OOM_ROLE_CROSS_GATE, 1);             /* of attention, and of the MLP */
            vec(b, OOM_ROLE_CROSS_GATE, 1);
            cache(b, &(oom_cache){ .kind = OOM_CACHE_CROSS, .kv_heads = (uint32_t)a.kv_heads,
                                   .k_width = kv, .v_width = kv, .window = tokens });
        } else {
            attend(b, &a, 0);
        }
        vec(b, OOM_ROLE_FFN_NORM, hidden);
        mlp(b, hidden, width, MLP_GATED, false);
    }
    b->layer = -1;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* A wrapper's name in llama.cpp is its text model's. */
const family vision_families[] = {
    { "llava",             llava,        NULL, NULL },
    { "llava_next",        llava,        NULL, NULL },
    { "llava_onevision",   llava,        NULL, NULL },
    { "mllama",            mllama,       NULL, NULL },
    { "mllama_text_model", mllama_text,  NULL, NULL },
    { "llama4",            llama4,       NULL, NULL },
    { "mistral3",          mistral3,     NULL, NULL },
    { "gemma3",            gemma3,       NULL, NULL },
    { "gemma3n",           gemma3n,      NULL, NULL },
    { "gemma4",            gemma4,       NULL, NULL },
    { "gemma4_unified",    gemma4,       NULL, NULL },
    { "paligemma",         paligemma,    NULL, NULL },
    { "idefics3",          idefics3,     NULL, NULL },
    { "smolvlm",           idefics3,     NULL, NULL },
    { "internvl_chat",     internvl,     NULL, NULL },
    { "internvl",          internvl,     NULL, NULL },
    { "lfm2_vl",           lfm2_vl,      NULL, NULL },
    { "minicpmv",          minicpmv,     NULL, NULL },
    { "aya_vision",        aya_vision,   NULL, NULL },
    { "cohere2_vision",    aya_vision,   NULL, NULL },
    { "phi3_v",            phi3_v,       NULL, NULL },
    { "qwen2_vl",          qwen2_vl,     NULL, NULL },
    { "qwen2_5_vl",        qwen2_5_vl,   NULL, NULL },
    { "qwen3_vl",          qwen3_vl,     NULL, NULL },
    { "qwen3_vl_moe",      qwen3_vl_moe, NULL, NULL },
    { "qwen3_5",           qwen3_5,      NULL, NULL },
    { "qwen3_5_moe",       qwen3_5_moe,  NULL, NULL },
    { "qwen2_audio",       qwen2_audio,  NULL, NULL },
    { "voxtral",           voxtral,      NULL, NULL },
    { "glm4v",             glm4v,        NULL, NULL },
    { "glm4v_moe",         glm4v_moe,    NULL, NULL },
    { "kimi_vl",           kimi_vl,      NULL, NULL },
    { "kimi_k25",          kimi_k25,     NULL, NULL },
    { "kimi_k3",           kimi_k3,      NULL, NULL },
    { "muse_glimmer",      muse_glimmer, NULL, NULL },
    { NULL, NULL, NULL, NULL }
};
