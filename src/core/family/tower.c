/* tower.c: vision towers, from the vision_config they are described by to tensors. Each function
 * reads b->cfg as that vision_config and ends with the projector to the text model's width.
 *
 * Sources: transformers, modeling_clip.py, modeling_siglip.py, modeling_pixtral.py,
 * modeling_mllama.py, modeling_llama4.py, modeling_qwen2_vl.py, _qwen2_5_vl.py, _qwen3_vl.py,
 * modeling_gemma4.py; Kimi-K2.5, modeling_kimi_k25.py. */
#include "hybrid.h"
#include "tower.h"

/* ---- pieces ---- */

/* A convolution over patches: 3 colours x `frames` x patch x patch values to `hidden`. */
static void patches(build *b, uint64_t hidden, uint64_t patch, uint64_t frames, bool with_bias)
{
    uint64_t values = sat_mul(3 * frames, sat_mul(patch, patch));

    mat_bias(b, OOM_ROLE_PATCH_EMBED, hidden, values, with_bias);
}

static void places(build *b, uint64_t n, uint64_t hidden) { mat(b, OOM_ROLE_TOWER_POS, n, hidden); }

void project(build *b, uint64_t out, uint64_t in, bool with_bias)
{
    mat_bias(b, OOM_ROLE_PROJECTOR, out, in, with_bias);
}

void tower_norm(build *b, norm_kind kind, uint64_t n)
{
    norm(b, OOM_ROLE_TOWER_NORM, kind, n);
}

void tower_layers(build *b, const tower *t)
{
    for (uint64_t i = 0; i < t->layers; i++) {
        b->layer = (int32_t)i;
        for (uint64_t k = 0; k < t->norms; k++)
            tower_norm(b, t->norm, t->hidden);
        for (int k = 0; k < 4; k++)                     /* q, k, v, o */
            mat_bias(b, OOM_ROLE_TOWER, t->hidden, t->hidden,
                     k == 3 ? t->attn_bias || t->o_bias : t->attn_bias && !(k == 1 && t->k_bare));
        for (int k = 0; k < 2 && t->qk_norm; k++)
            tower_norm(b, NORM_RMS, t->qk_norm);
        for (int k = 0; k < (t->gated ? 2 : 1); k++)
            mat_bias(b, OOM_ROLE_TOWER, t->width, t->hidden, t->mlp_bias);
        mat_bias(b, OOM_ROLE_TOWER, t->hidden, t->width, t->mlp_bias);
        for (uint64_t k = 0; k < t->scales; k++)
            vec(b, OOM_ROLE_TOWER, t->hidden);
        if (t->gates)
            vec(b, OOM_ROLE_TOWER, t->gates);
    }
    b->layer = -1;
}

tower read_tower(build *b, const char *layers)
{
    tower t = {
        .layers = need(b, layers), .hidden = need(b, "hidden_size"),
        .width = need(b, "intermediate_size"),
        .attn_bias = true, .mlp_bias = true, .norm = NORM_LAYER, .norms = 2,
    };

    return t;
}

/* A size that some configurations give as [height, width]. */
static uint64_t side_of(build *b, const char *key, uint64_t otherwise)
{
    const oom_value *v = node(b, key);

    if (v && v->kind == OOM_LIST && v->u.list.n && v->u.list.items[0].kind == OOM_INT
        && v->u.list.items[0].u.i > 0)
        return (uint64_t)v->u.list.items[0].u.i;
    return otherwise ? want(b, key, otherwise) : need(b, key);
}

/* Patches along one side, squared. */
static uint64_t grid(build *b, uint64_t image, uint64_t patch)
{
    uint64_t side = image / patch;

    if (!side)
        refuse(b, "\"image_size\" is smaller than \"patch_size\"");
    return sat_mul(side, side);
}

/* ---- towers with their projectors; `out` is the text model's hidden size ---- */

/* CLIP. The file holds all layers though LLaVA does not use the last. */
static uint64_t clip(build *b)
{
    tower t = read_tower(b, "num_hidden_layers");
    uint64_t patch = need(b, "patch_size"), n = grid(b, need(b, "image_size"), patch);

    vec(b, OOM_ROLE_TOWER, t.hidden);                   /* class */
    patches(b, t.hidden, patch, 1, false);
    places(b, n + 1, t.hidden);
    tower_norm(b, NORM_LAYER, t.hidden);
    tower_layers(b, &t);
    tower_norm(b, NORM_LAYER, t.hidden);
    return t.hidden;
}

/* SigLIP's pooling head: attention from one learned query, a norm, an MLP. */
static void siglip_head(build *b, const tower *t)
{
    vec(b, OOM_ROLE_TOWER, t->hidden);
    for (int k = 0; k < 4; k++)
        mat_bias(b, OOM_ROLE_TOWER, t->hidden, t->hidden, true);
    tower_norm(b, NORM_LAYER, t->hidden);
    mat_bias(b, OOM_ROLE_TOWER, t->width, t->hidden, true);
    mat_bias(b, OOM_ROLE_TOWER, t->hidden, t->width, true);
}

/* No wrapper uses the head, some files hold it: transformers makes one unless vision_use_head is
 * false. Short copies of configurations leave that out, so it is `head` that decides then. */
static uint64_t siglip(build *b, bool head)
{
    tower t = read_tower(b, "num_hidden_layers");
    uint64_t patch = need(b, "patch_size");

    patches(b, t.hidden, patch, 1, true);
    places(b, grid(b, need(b, "image_size"), patch), t.hidden);
    tower_layers(b, &t);
    tower_norm(b, NORM_LAYER, t.hidden);
    if (flag(b, "vision_use_head", head))
        siglip_head(b, &t);
    return t.hidden;
}

/* LLaVA: two matrices, from one layer's output or several side by side. */
static void llava_projector(build *b, uint64_t out, uint64_t in, const tower_options *o)
{
    project(b, out, sat_mul(in, o->feature_layers), true);
    project(b, out, out, true);
    if (o->newline)
        vec(b, OOM_ROLE_PROJECTOR, out);
}

void tower_clip(build *b, uint64_t out, const tower_options *o)
{
    llava_projector(b, out, clip(b), o);
}

void tower_siglip_llava(build *b, uint64_t out, const tower_options *o)
{
    llava_projector(b, out, siglip(b, true), o);
}

/* Phi-3 Vision: patches merged 2 x 2, two matrices, two learned separators. */
void tower_phi3(build *b, uint64_t out, const tower_options *o)
{
    uint64_t merged = sat_mul(4, clip(b));

    (void)o;
    project(b, out, merged, true);
    project(b, out, out, true);
    vec(b, OOM_ROLE_PROJECTOR, merged);
    vec(b, OOM_ROLE_PROJECTOR, merged);
}

/* Gemma 3: a norm, one matrix. */
void tower_gemma3(build *b, uint64_t out, const tower_options *o)
{
    uint64_t hidden = siglip(b, false);

    (void)o;
    tower_norm(b, NORM_RMS, hidden);
    project(b, out, hidden, false);
}

void tower_paligemma(build *b, uint64_t out, const tower_options *o)
{
    (void)o;
    project(b, out, siglip(b, false), true);
}

/* Idefics 3 and SmolVLM: scale_factor^2 patches side by side, one matrix. */
void tower_idefics3(build *b, uint64_t out, const tower_options *o)
{
    uint64_t hidden = siglip(b, false), merge = o->merge > 1 ? o->merge : 2;

    project(b, out, sat_mul(sat_mul(merge, merge), hidden), false);
}

/* LFM2-VL: SigLIP 2 with its places for num_patches patches (stretched to any image), a norm over
 * 2 x 2 patches, two matrices. */
void tower_lfm2(build *b, uint64_t out, const tower_options *o)
{
    tower t = read_tower(b, "num_hidden_layers");
    uint64_t merged = sat_mul(4, t.hidden), width = o->projector_width ? o->projector_width : 2560;

    patches(b, t.hidden, need(b, "patch_size"), 1, true);
    places(b, want(b, "num_patches", 256), t.hidden);
    tower_layers(b, &t);
    tower_norm(b, NORM_LAYER, t.hidden);
    tower_norm(b, NORM_LAYER, merged);
    project(b, width, merged, true);
    project(b, out, width, true);
}

/* MiniCPM-V: SigLIP, then one layer of attention from learned queries to the patches. */
void tower_minicpmv(build *b, uint64_t out, const tower_options *o)
{
    uint64_t hidden = siglip(b, false);

    mat(b, OOM_ROLE_PROJECTOR, o->queries, out);
    project(b, out, hidden, false);
    for (int k = 0; k < 4; k++)                         /* q, k, v, o */
        project(b, out, out, true);
    for (int k = 0; k < 3; k++)                         /* of queries, of patches, after */
        tower_norm(b, NORM_LAYER, out);
    project(b, out, out, false);
}

/* Aya Vision: a norm over 2 x 2 patches, a gated MLP of alignment_intermediate_size. */
void tower_aya(build *b, uint64_t out, const tower_options *o)
{
    uint64_t merged = sat_mul(4, siglip(b, false));
    uint64_t width = o->projector_width ? o->projector_width : 36864;

    if (is(b->m->family, "aya_vision"))
        tower_norm(b, NORM_LAYER, merged);
    project(b, width, merged, true);
    project(b, out, width / 2, true);
}

/* Mistral 3: Pixtral (no biases, RMS norms, places by rotation), merging of neighbouring
 * patches, two matrices. */
void tower_pixtral(build *b, uint64_t out, const tower_options *o)
{
    tower t = read_tower(b, "num_hidden_layers");

    t.attn_bias = t.mlp_bias = false;
    t.gated = true;
    t.norm = NORM_RMS;
    patches(b, t.hidden, need(b, "patch_size"), 1, false);
    tower_norm(b, NORM_RMS, t.hidden);
    tower_layers(b, &t);
    if (o->merge > 1) {                                 /* LLaVA's Pixtral merges nothing */
        tower_norm(b, NORM_RMS, t.hidden);
        project(b, t.hidden, sat_mul(sat_mul(o->merge, o->merge), t.hidden), false);
    }
    project(b, out, t.hidden, o->projector_bias);
    project(b, out, out, o->projector_bias);
}

/* Llama 4: CLIP without conv, a pixel-shuffle MLP, one matrix. */
void tower_llama4(build *b, uint64_t out, const tower_options *o)
{
    tower t = read_tower(b, "num_hidden_layers");
    uint64_t patch = need(b, "patch_size"), n = grid(b, need(b, "image_size"), patch);
    uint64_t in = need(b, "projector_input_dim"), mid = need(b, "projector_output_dim");

    (void)o;
    patches(b, t.hidden, patch, 1, false);
    vec(b, OOM_ROLE_TOWER, t.hidden);
    places(b, n + 1, t.hidden);
    tower_norm(b, NORM_LAYER, t.hidden);
    tower_layers(b, &t);
    tower_norm(b, NORM_LAYER, t.hidden);
    project(b, in, t.width, false);
    project(b, mid, in, false);
    project(b, out, need(b, "vision_output_dim"), false);
}

/* Llama 3.2: layers seen by each tile, then gated layers over all tiles; places of tiles for
 * every aspect ratio (8 and "none"); one matrix from the last and five inner layers. */
void tower_mllama(build *b, uint64_t out, const tower_options *o)
{
    enum { RATIOS = 9 };
    tower t = read_tower(b, "num_hidden_layers"), over_tiles = t;
    uint64_t patch = need(b, "patch_size"), n = grid(b, need(b, "image_size"), patch) + 1;
    uint64_t tiles = want(b, "max_num_tiles", 4);

    (void)o;
    t.attn_bias = over_tiles.attn_bias = false;
    over_tiles.layers = want(b, "num_global_layers", 8);
    over_tiles.gates = 2;
    patches(b, t.hidden, patch, 1, false);
    vec(b, OOM_ROLE_TOWER, t.hidden);
    places(b, n, t.hidden);
    vec(b, OOM_ROLE_TOWER, 1);                          /* gate of the places */
    places(b, RATIOS, sat_mul(sat_mul(tiles, n), t.hidden));
    for (int k = 0; k < 2; k++) {                       /* before and after the layers */
        places(b, RATIOS, sat_mul(tiles, t.hidden));
        vec(b, OOM_ROLE_TOWER, 1);
        tower_norm(b, NORM_LAYER, t.hidden);
    }
    tower_layers(b, &t);
    tower_layers(b, &over_tiles);
    project(b, out, need(b, "vision_output_dim"), true);
}

/* InternVL: InternViT with layer scales, patches merged 2 x 2 behind a norm, two matrices. The
 * 6B tower has RMS norms and norms of q and k. */
void tower_internvl(build *b, uint64_t out, const tower_options *o)
{
    tower t = read_tower(b, "num_hidden_layers");
    uint64_t patch = side_of(b, "patch_size", 0);
    uint64_t n = grid(b, side_of(b, "image_size", 0), patch) + 1;
    uint64_t merged = sat_mul(4, t.hidden);

    (void)o;
    t.attn_bias = flag(b, "qkv_bias|attention_bias", true);
    t.o_bias = true;
    t.scales = 2;
    if (is(word(b, "norm_type", "layer_norm"), "rms_norm"))
        t.norm = NORM_RMS;
    if (flag(b, "qk_normalization|use_qk_norm", false))
        t.qk_norm = t.hidden;
    vec(b, OOM_ROLE_TOWER, t.hidden);
    patches(b, t.hidden, patch, 1, true);
    places(b, n, t.hidden);
    tower_layers(b, &t);
    tower_norm(b, NORM_LAYER, merged);
    project(b, out, merged, true);
    project(b, out, out, true);
}

/* GLM-4V: blocks without biases whose MLP is as wide as the text model, a 2 x 2 convolution,
 * and a gated MLP as the way in. */
void tower_glm4v(build *b, uint64_t out, const tower_options *o)
{
    uint64_t patch = some(b, "patch_size", 14), width = want(b, "intermediate_size", 13696);
    tower t = { .layers = want(b, "depth", 24), .hidden = want(b, "hidden_size", 1536),
                .gated = true, .norm = NORM_RMS, .norms = 2 };

    (void)o;
    out = want(b, "out_hidden_size", out);
    t.width = out;
    patches(b, t.hidden, patch, want(b, "temporal_patch_size", 2), true);
    tower_norm(b, NORM_RMS, t.hidden);
    places(b, grid(b, want(b, "image_size", 336), patch), t.hidden);
    tower_layers(b, &t);
    tower_norm(b, NORM_RMS, t.hidden);
    project(b, out, sat_mul(4, t.hidden), true);
    project(b, out, out, false);
    tower_norm(b, NORM_LAYER, out);
    project(b, width, out, false);
    project(b, width, out, false);
    project(b, out, width, false);
}

/* Qwen: a merger of spatial_merge_size^2 patches is a norm and two matrices. */
static void merger(build *b, uint64_t out, uint64_t hidden, uint64_t merge, norm_kind kind,
                   uint64_t normed)
{
    uint64_t merged = sat_mul(sat_mul(merge, merge), hidden);

    tower_norm(b, kind, normed ? normed : merged);
    project(b, merged, merged, true);
    project(b, out, merged, true);
}

void tower_qwen2(build *b, uint64_t out, const tower_options *o)
{
    tower t = {
        .layers = want(b, "depth", 32), .hidden = want(b, "embed_dim", 1280),
        .attn_bias = true, .mlp_bias = true, .norm = NORM_LAYER, .norms = 2,
    };

    (void)o;
    t.width = (uint64_t)(real(b, "mlp_ratio", 4) * (double)t.hidden);
    patches(b, t.hidden, want(b, "patch_size", 14), want(b, "temporal_patch_size", 2), false);
    tower_layers(b, &t);
    merger(b, out, t.hidden, want(b, "spatial_merge_size", 2), NORM_LAYER, t.hidden);
}

void tower_qwen2_5(build *b, uint64_t out, const tower_options *o)
{
    tower t = read_tower(b, "depth");

    (void)o;
    t.gated = true;
    t.norm = NORM_RMS;
    patches(b, t.hidden, want(b, "patch_size", 14), want(b, "temporal_patch_size", 2), false);
    tower_layers(b, &t);
    merger(b, want(b, "out_hidden_size", out), t.hidden, want(b, "spatial_merge_size", 2),
           NORM_RMS, t.hidden);
}

/* Qwen3-VL and Qwen3.5: learned places; one more merger for each inner layer that feeds the
 * text model ("deepstack"), normalised after merging. */
void tower_qwen3(build *b, uint64_t out, const tower_options *o)
{
    tower t = read_tower(b, "depth");
    uint64_t merge = want(b, "spatial_merge_size", 2);
    const oom_value *deep = node(b, "deepstack_visual_indexes");

    (void)o;
    out = want(b, "out_hidden_size", out);
    patches(b, t.hidden, want(b, "patch_size", 16), want(b, "temporal_patch_size", 2), true);
    places(b, want(b, "num_position_embeddings", 2304), t.hidden);
    tower_layers(b, &t);
    merger(b, out, t.hidden, merge, NORM_LAYER, t.hidden);
    for (size_t i = 0; deep && deep->kind == OOM_LIST && i < deep->u.list.n; i++)
        merger(b, out, t.hidden, merge, NORM_LAYER, 0);
}

/* Gemma 4: RMS norms before and after each block, q and k norms, a table of places for rows and
 * one for columns, one matrix. "standardize": a mean and a scale after the last layer. */
void tower_gemma4(build *b, uint64_t out, const tower_options *o)
{
    tower t = read_tower(b, "num_hidden_layers");

    (void)o;
    t.attn_bias = t.mlp_bias = false;
    t.gated = true;
    t.norm = NORM_RMS;
    t.norms = 4;
    t.qk_norm = need(b, "head_dim");
    patches(b, t.hidden, need(b, "patch_size"), 1, false);
    places(b, sat_mul(2, want(b, "position_embedding_size", 10240)), t.hidden);
    tower_layers(b, &t);
    if (flag(b, "standardize", false))
        tower_norm(b, NORM_LAYER, t.hidden);
    project(b, out, t.hidden, false);
}

/* Gemma 4 12B: no tower. 48 x 48 pixels become a token by one matrix, with norms and places. */
void tower_gemma4_unified(build *b, uint64_t out, const tower_options *o)
{
    uint64_t side = want(b, "model_patch_size", 48), mm = want(b, "mm_embed_dim", out);
    uint64_t values = sat_mul(3, sat_mul(side, side));

    (void)o;
    tower_norm(b, NORM_LAYER, values);
    mat_bias(b, OOM_ROLE_PATCH_EMBED, mm, values, true);
    tower_norm(b, NORM_LAYER, mm);
    places(b, sat_mul(2, want(b, "mm_posemb_size", 1120)), mm);
    tower_norm(b, NORM_LAYER, mm);
    project(b, out, mm, false);
}

/* Gemma 3n: MobileNet-V5 300M, of one size only (what both published totals leave for it), and an
 * embedder: entries of its own, two norms, one matrix. */
void tower_mobilenet(build *b, uint64_t out, const tower_options *o)
{
    uint64_t hidden = want(b, "hidden_size", 2048);

    (void)o;
    vec(b, OOM_ROLE_TOWER, 294126912);
    places(b, want(b, "vocab_size", 128), hidden);
    tower_norm(b, NORM_RMS, hidden);
    tower_norm(b, NORM_RMS, hidden);
    project(b, out, hidden, false);
}

/* Kimi: MoonViT, merging of 2 x 2 patches, two matrices. K3's tower is not published to the
 * unit; the sum lies 0.002 % from the index of its files. */
void tower_moon(build *b, uint64_t out, const tower_options *o)
{
    tower t = {
        .layers = need(b, "vt_num_hidden_layers|num_hidden_layers"),
        .hidden = need(b, "vt_hidden_size|hidden_size"),
        .width = need(b, "vt_intermediate_size|intermediate_size"),
        .attn_bias = true, .mlp_bias = true, .norm = NORM_LAYER, .norms = 2,
    };
    uint64_t mm = want(b, "mm_hidden_size", t.hidden), merged = sat_mul(4, mm);

    (void)o;
    patches(b, t.hidden, want(b, "patch_size", 14), 1, true);
    places(b, sat_mul(want(b, "init_pos_emb_height", 64), want(b, "init_pos_emb_width", 64)),
           t.hidden);
    tower_layers(b, &t);
    tower_norm(b, NORM_LAYER, t.hidden);
    tower_norm(b, NORM_LAYER, mm);
    project(b, merged, merged, true);
    project(b, out, merged, true);
}

/* Muse Glimmer: Llama 4's way into the text model, without a class token. Its code was not read:
 * these shapes are the ones whose sum is the published total to the unit. */
void tower_muse(build *b, uint64_t out, const tower_options *o)
{
    tower t = read_tower(b, "num_hidden_layers");
    uint64_t patch = need(b, "patch_size"), mid = want(b, "projector_output_dim", 4096);

    (void)o;
    patches(b, t.hidden, patch, want(b, "temporal_patch_size", 1), false);
    places(b, grid(b, want(b, "image_size", 448), patch), t.hidden);
    tower_norm(b, NORM_LAYER, t.hidden);
    tower_layers(b, &t);
    tower_norm(b, NORM_LAYER, t.hidden);
    project(b, mid, sat_mul(4, t.hidden), false);
    project(b, mid, mid, false);
    project(b, out, mid, false);
}
