/* vllm_images.c: what the profile run of V0 holds while images pass the tower of Llama 3.2 Vision.
 * Its runner for models with an encoder makes an image for every sequence of max_num_seqs
 * (worker/enc_dec_model_runner.py: profile_run), large enough to fill all tiles (dummy_image of
 * models/mllama.py), and runs the tower over all of them at once. Read off mllama.py of 0.6.4, line
 * by line: what is named there lives until its function returns. */
#include "vllm.h"

/* One image, in elements of the tower. */
typedef struct {
    uint64_t pixels;            /* fp32 values: tiles x 3 x side x side */
    uint64_t patches;           /* rows before the class token is added */
    uint64_t rows;              /* rows with it: what the text's layers look at */
    uint64_t padded;            /* rows with each tile's padded to a multiple of 8 */
    uint64_t width, ffn;
    uint64_t kept;              /* inner layers whose output is joined to the last one's */
} tower;

/* Absent keys: the defaults of MllamaVisionConfig. */
static uint64_t key(const oom_model *m, const char *name, uint64_t absent)
{
    const oom_value *v = m->config ? oom_value_get(m->config, "vision_config") : NULL;

    v = v ? oom_value_get(v, name) : NULL;
    return v && v->kind == OOM_INT && v->u.i > 0 ? (uint64_t)v->u.i : absent;
}

static tower tower_of(const oom_model *m)
{
    uint64_t side = key(m, "image_size", 448), tiles = key(m, "max_num_tiles", 4);
    uint64_t n = side / key(m, "patch_size", 14);
    tower t = { .width = key(m, "hidden_size", 1280), .ffn = key(m, "intermediate_size", 5120) };

    n = sat_mul(n, n);
    t.pixels = sat_mul(sat_mul(tiles, 3), sat_mul(side, side));
    t.patches = sat_mul(tiles, n);
    t.rows = sat_mul(tiles, n + 1);
    t.padded = sat_mul(tiles, pad_up(n + 1, 8));
    t.kept = max_u64(key(m, "vision_output_dim", 7680) / t.width, 1) - 1;
    return t;
}

/* The images as the processor made them, and gathered in one batch, both fp32. */
static uint64_t pixel_bytes(const tower *t, uint64_t images)
{
    return sat_mul(sat_mul(2, images), sat_mul(t->pixels, 4));
}

/* Inside the feed-forward of a gated layer, the last to run: the pixels, the patches' embeddings,
 * the mask of all rows against all rows, the kept layers' outputs and their stacked copy, five more
 * of the stream's size (what the first layers gave, with the tiles' places, a layer's input, its
 * residual and its norm) and the wide product before and after the activation. */
uint64_t vllm_tower_peak(const oom_plan *p, uint64_t images, const oom_listener *l)
{
    const tower t = tower_of(p->model);
    uint64_t e = sat_mul(images, p->element_bytes);
    uint64_t pixels = pixel_bytes(&t, images);
    uint64_t patches = sat_mul(e, sat_mul(t.patches, t.width));
    uint64_t mask = sat_mul(e, sat_mul(t.padded, t.padded));
    uint64_t stream = sat_mul(e, sat_mul(t.padded, t.width));
    uint64_t wide = sat_mul(e, sat_mul(t.padded, div_up(t.ffn, p->options.tp)));
    uint64_t all = sat_add(sat_add(pixels, patches), sat_add(mask, sat_mul(2, wide)));

    all = sat_add(all, sat_mul(2 * t.kept + 5, stream));
    if (l)
        plan_tell(l, "activations", OOM_RULE, all, "images x (8 x pixels + bytes x (patches x "
                  "width + rows x rows + rows x ((2 x kept layers + 5) x width + 2 x inner)))",
                  "V0 profiles an image for each sequence: enc_dec_model_runner.py, mllama.py",
                  "%llu images of %llu pixels, %llu patches, %llu rows, width %llu, inner %llu, "
                  "%llu layers kept",
                  (ull)images, (ull)t.pixels, (ull)t.patches, (ull)t.padded, (ull)t.width,
                  (ull)t.ffn, (ull)t.kept);
    return all;
}

/* What is left of the images while the text's layers run: the pixels, and their states at the
 * text's width. */
uint64_t vllm_seen_states(const oom_plan *p, uint64_t images, const oom_listener *l)
{
    const tower t = tower_of(p->model);
    uint64_t pixels = pixel_bytes(&t, images);
    uint64_t states = sat_mul(sat_mul(images, t.rows),
                              sat_mul(p->model->shape.hidden_size, p->element_bytes));

    if (l)
        plan_tell(l, "activations", OOM_RULE, sat_add(pixels, states),
                  "images x (8 x pixels + rows x hidden x bytes)",
                  "V0 profiles an image for each sequence: enc_dec_model_runner.py, mllama.py",
                  "%llu images of %llu pixels, %llu rows of %llu", (ull)images, (ull)t.pixels,
                  (ull)t.rows, (ull)p->model->shape.hidden_size);
    return sat_add(pixels, states);
}
