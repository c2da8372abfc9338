/* audio.c: towers that turn sound into tokens: Whisper's encoder as Qwen2-Audio and Voxtral have
 * it, and the conformer ("USM") of Gemma 3n and Gemma 4.
 *
 * Sources: transformers, modeling_qwen2_audio.py, modeling_voxtral.py, modeling_gemma3n.py,
 * modeling_gemma4.py. */
#include "tower.h"

/* ---- Whisper's encoder ---- */

static uint64_t whisper(build *b)
{
    tower t = {
        .layers = want(b, "encoder_layers|num_hidden_layers", 32),
        .hidden = want(b, "d_model|hidden_size", 1280),
        .width = want(b, "encoder_ffn_dim|intermediate_size", 5120),
        .attn_bias = true, .mlp_bias = true, .k_bare = true, .norm = NORM_LAYER, .norms = 2,
    };

    mat_bias(b, OOM_ROLE_PATCH_EMBED, t.hidden, sat_mul(3, want(b, "num_mel_bins", 128)), true);
    mat_bias(b, OOM_ROLE_PATCH_EMBED, t.hidden, sat_mul(3, t.hidden), true);
    mat(b, OOM_ROLE_TOWER_POS, want(b, "max_source_positions", 1500), t.hidden);
    tower_layers(b, &t);
    tower_norm(b, NORM_LAYER, t.hidden);
    return t.hidden;
}

void tower_whisper_qwen(build *b, uint64_t out, const tower_options *o)
{
    (void)o;
    project(b, out, whisper(b), true);
}

/* Four frames side by side (the encoder's intermediate size), two matrices. */
void tower_whisper_voxtral(build *b, uint64_t out, const tower_options *o)
{
    uint64_t hidden = whisper(b);

    (void)o;
    project(b, out, want(b, "intermediate_size", sat_mul(4, hidden)), false);
    project(b, out, out, false);
}

/* ---- the conformer of Gemma ---- */

static void half_step(build *b, uint64_t hidden)
{
    tower_norm(b, NORM_RMS, hidden);
    mat(b, OOM_ROLE_TOWER, sat_mul(4, hidden), hidden);
    mat(b, OOM_ROLE_TOWER, hidden, sat_mul(4, hidden));
    tower_norm(b, NORM_RMS, hidden);
}

/* Half a feed-forward, attention with relative places, a short convolution, the other half. */
static void conformer(build *b, uint64_t hidden, uint64_t heads, uint64_t kernel)
{
    half_step(b, hidden);
    tower_norm(b, NORM_RMS, hidden);
    for (int i = 0; i < 5; i++)                         /* q, k, v, o, relative places */
        mat(b, OOM_ROLE_TOWER, hidden, hidden);
    vec(b, OOM_ROLE_TOWER, hidden / heads);             /* a scale for each dimension */
    tower_norm(b, NORM_RMS, hidden);
    tower_norm(b, NORM_RMS, hidden);
    mat(b, OOM_ROLE_TOWER, sat_mul(2, hidden), hidden);
    mat(b, OOM_ROLE_TOWER, hidden, kernel);
    tower_norm(b, NORM_RMS, hidden);
    mat(b, OOM_ROLE_TOWER, hidden, hidden);
    half_step(b, hidden);
    tower_norm(b, NORM_RMS, hidden);
}

/* Two 3 x 3 convolutions of stride 2 over 128 mel bins, one matrix; then the layers. */
static uint64_t usm(build *b, uint64_t default_hidden)
{
    enum { MEL_BINS = 128, FIRST = 128, SECOND = 32 };
    uint64_t hidden = want(b, "hidden_size", default_hidden);
    uint64_t layers = want(b, "conf_num_hidden_layers|num_hidden_layers", 12);
    uint64_t heads = some(b, "conf_num_attention_heads|num_attention_heads", 8);
    uint64_t kernel = want(b, "conf_conv_kernel_size|conv_kernel_size", 5);

    mat(b, OOM_ROLE_PATCH_EMBED, FIRST, 9);
    tower_norm(b, NORM_RMS, FIRST);
    mat(b, OOM_ROLE_PATCH_EMBED, SECOND, UINT64_C(9) * FIRST);
    tower_norm(b, NORM_RMS, SECOND);
    mat(b, OOM_ROLE_PATCH_EMBED, hidden, (uint64_t)SECOND * MEL_BINS / 4);
    for (uint64_t i = 0; i < layers; i++) {
        b->layer = (int32_t)i;
        conformer(b, hidden, heads, kernel);
    }
    b->layer = -1;
    return hidden;
}

/* Gemma 3n: an embedder with entries of its own and two norms. */
void tower_usm3n(build *b, uint64_t out, const tower_options *o)
{
    uint64_t hidden = usm(b, 1536);

    mat(b, OOM_ROLE_TOWER_POS, want(b, "vocab_size", o->vocab), hidden);
    tower_norm(b, NORM_RMS, hidden);
    tower_norm(b, NORM_RMS, hidden);
    project(b, out, hidden, false);
}

/* Gemma 4: an output matrix of its own, then one into the text model. */
void tower_usm4(build *b, uint64_t out, const tower_options *o)
{
    uint64_t hidden = usm(b, 1024), mid = want(b, "output_proj_dims", 1536);

    (void)o;
    project(b, mid, hidden, true);
    project(b, out, mid, false);
}

/* Gemma 4 12B: 40 ms of the wave itself, 640 samples, through one matrix. */
void tower_wave(build *b, uint64_t out, const tower_options *o)
{
    (void)o;
    project(b, out, want(b, "output_proj_dims|audio_embed_dim", 640), false);
}
