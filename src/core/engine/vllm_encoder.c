/* vllm_encoder.c: what V1's profile run keeps of images while the text's layers run
 * (v1/worker/gpu_model_runner.py: profile_run): pixels as they were handed to the tower and the
 * embeddings it made of them, of as many images of the largest size as the encoder may take in one
 * step (multimodal/encoder_budget.py). How large that is each model's processor says; those are
 * known here of whose starts there are logs, which it meets within 1 %. What the tower itself takes
 * meanwhile is counted for Qwen's, where it is more than all else. */
#include "vllm.h"

#include <string.h>

/* Of the largest image: embeddings, and values of its pixels; how many make a film, if it can. */
typedef struct { uint64_t tokens, pixels, film; } largest;

static uint64_t number(const oom_value *map, const char *name, uint64_t absent)
{
    const oom_value *v = map ? oom_value_get(map, name) : NULL;

    return v && v->kind == OOM_INT && v->u.i > 0 && v->u.i < 1 << 16 ? (uint64_t)v->u.i : absent;
}

static uint64_t squared(uint64_t n) { return n * n; }

/* Three colours of `n` squares. */
static uint64_t squares(uint64_t n, uint64_t side) { return n * 3 * squared(side); }

/* A picture scaled to one side: SigLIP's in Gemma 3, whose patches are pooled to a fixed number,
 * CLIP's in LLaVA, and Pixtral's, which fills its side with patches and merges them. */
static largest gemma3_image(const oom_value *c, const oom_value *v)
{
    return (largest){ number(c, "mm_tokens_per_image", 256),
                      squares(1, number(v, "image_size", 896)), 0 };
}

static largest llava_image(const oom_value *c, const oom_value *v)
{
    uint64_t side = number(v, "image_size", 336);

    (void)c;
    return (largest){ squared(side / number(v, "patch_size", 14)), squares(1, side), 0 };
}

static largest mistral3_image(const oom_value *c, const oom_value *v)
{
    uint64_t side = number(v, "image_size", 1540);
    uint64_t merged = number(v, "patch_size", 14) * number(c, "spatial_merge_size", 2);

    return (largest){ squared(side / merged), squares(1, side), 0 };
}

/* LLaVA-NeXT: the whole picture beside tiles of 2 x 2, with an embedding to end each line, unless
 * the configuration has more pin points (processing of models/llava_next.py). */
static largest llava_next_image(const oom_value *c, const oom_value *v)
{
    const oom_value *points = c ? oom_value_get(c, "image_grid_pinpoints") : NULL;
    uint64_t side = number(v, "image_size", 336), n = side / number(v, "patch_size", 14);
    uint64_t rows = 2, columns = 2;

    for (size_t i = 0; points && points->kind == OOM_LIST && i < points->u.list.n; i++) {
        const oom_value *p = &points->u.list.items[i];
        uint64_t high, wide;

        if (p->kind != OOM_LIST || p->u.list.n != 2 || p->u.list.items[0].kind != OOM_INT
            || p->u.list.items[1].kind != OOM_INT)
            continue;
        high = (uint64_t)p->u.list.items[0].u.i / side;
        wide = (uint64_t)p->u.list.items[1].u.i / side;
        if (high < 256 && wide < 256 && high * (n * wide + 1) > rows * (n * columns + 1))
            rows = high, columns = wide;
    }
    return (largest){ squared(n) + n * rows * (n * columns + 1),
                      squares(1 + rows * columns, side), 0 };
}

/* Sixteen tiles and the whole, of every four patches one (models/mllama4.py). */
static largest llama4_image(const oom_value *c, const oom_value *v)
{
    uint64_t side = number(v, "image_size", 336);

    (void)c;
    return (largest){ 17 * squared(side / number(v, "patch_size", 14)) / 4, squares(17, side), 0 };
}

/* As many pixels as the processor takes at most, 12,845,056 or 16,384 x 28 x 28, each image a film
 * of two frames; films have up to fourteen, as many as the length has room for (models/qwen2_vl.py:
 * get_num_frames_with_most_features). */
static largest qwen2_image(const oom_value *c, const oom_value *v)
{
    uint64_t merged = number(v, "patch_size", 14) * number(v, "spatial_merge_size", 2);

    (void)c;
    return (largest){ 16384, 16384 * squares(number(v, "temporal_patch_size", 2), merged), 7 };
}

/* At most 4096 patches, four to an embedding (models/kimi_vl.py). */
static largest kimi_image(const oom_value *c, const oom_value *v)
{
    (void)c;
    return (largest){ 1024, squares(4096, number(v, "patch_size", 14)), 0 };
}

/* Qwen's tower at its widest: the pixels, and of every patch thirteen rows of the tower's width, of
 * which ranks share those of attention: stream and norm; queries, keys and values, joined, turned
 * by their places and apart. One log: Qwen2.5-VL-7B on an A100, a film of 114,688 embeddings, where
 * a budget of 1.2 GiB left -14.28 for the pool: 15.24 GiB, by this 15.23. */
static uint64_t tower_bytes(const oom_plan *p, const largest *image)
{
    const oom_value *v = oom_value_get(p->model->config, "vision_config");
    uint64_t width = number(v, "embed_dim", number(v, "hidden_size", 1280));
    uint64_t merged = squared(number(v, "spatial_merge_size", 2));
    uint64_t rows = sat_mul(sat_mul(image->tokens, merged), width);

    return sat_mul(p->element_bytes, sat_add(image->pixels,
                                             sat_add(2 * rows, div_up(11 * rows, p->options.tp))));
}

void vllm_encoder_prepare(const oom_plan *p, vllm_own *own)
{
    static const struct { const char *family; largest (*image)(const oom_value *,
                                                               const oom_value *); } known[] = {
        { "gemma3", gemma3_image }, { "llava", llava_image }, { "llava_next", llava_next_image },
        { "mistral3", mistral3_image }, { "llama4", llama4_image }, { "qwen2_vl", qwen2_image },
        { "qwen2_5_vl", qwen2_image }, { "kimi_vl", kimi_image },
    };
    const oom_value *c = p->model->config;

    for (size_t i = 0; own->sees && own->version >= VLLM_V1 && p->model->family && c
         && i < sizeof known / sizeof *known; i++)
        if (strcmp(p->model->family, known[i].family) == 0) {
            largest image = known[i].image(c, oom_value_get(c, "vision_config"));

            own->image_tokens = image.tokens;
            own->film = max_u64(image.film, 1);
            own->image_peak = image.film ? tower_bytes(p, &image) : 0;
            own->image_bytes = sat_mul(p->element_bytes,
                                       sat_add(image.pixels, sat_mul(image.tokens,
                                                                     p->model->shape.hidden_size)));
        }
}

/* Images of the largest film that the length has room for. */
static uint64_t film_of(const vllm_own *own, const vllm_step *s)
{
    return max_u64(min_u64(s->seq / own->image_tokens, own->film), 1);
}

uint64_t vllm_encoder_peak(const oom_plan *p, const plan_class *c, const vllm_step *s,
                           const oom_listener *l)
{
    const vllm_own *own = vllm_of(p);
    uint64_t film = own->image_peak && !c->stage ? film_of(own, s) : 0;
    uint64_t bytes = sat_mul(film, own->image_peak);

    if (l && bytes)
        plan_tell(l, "activations", OOM_FITTED, bytes, "images x (pixels and 13 rows of a patch)",
                  "vLLM: profile_run; the tower over the longest film, one log within 1 %",
                  "%llu x %llu B, %llu tokens each", (ull)film, (ull)own->image_peak,
                  (ull)own->image_tokens);
    return bytes;
}

uint64_t vllm_seen_images(const oom_plan *p, const plan_class *c, const vllm_step *s,
                          const oom_listener *l)
{
    const vllm_own *own = vllm_of(p);
    uint64_t rows = sat_mul(sat_mul(s->tokens, p->model->shape.hidden_size), p->element_bytes);
    uint64_t film = own->image_tokens ? film_of(own, s) : 0;
    uint64_t images = film ? film * max_u64(s->tokens / (film * own->image_tokens), 1) : 0;
    uint64_t bytes = !own->sees || c->stage ? 0
                   : images ? sat_mul(images, own->image_bytes) : sat_mul(2, rows);

    if (l && bytes && images)
        plan_tell(l, "activations", OOM_RULE, bytes, "images x (embeddings and pixels)",
                  "vLLM: profile_run, encoder_budget.py; the largest, as many as a step takes",
                  "%llu x %llu B, %llu tokens each", (ull)images, (ull)own->image_bytes,
                  (ull)own->image_tokens);
    else if (l && bytes)
        plan_tell(l, "activations", OOM_FITTED, bytes, "2 x step tokens x hidden x bytes",
                  "embeddings of the images profiled; the largest image of this model is not known",
                  "2 x %llu x %llu x %llu B", (ull)s->tokens, (ull)p->model->shape.hidden_size,
                  (ull)p->element_bytes);
    return bytes;
}
