/* recipe_hf.c: the quantised checkpoints of tools other than llama.cpp, one row of a table per
 * format: codes, scales and zeros of a matrix, counted as the format lays them out. It also says
 * which tensors such a tool leaves at 16 bits. Metadata of a few bytes a file holds (format
 * markers, quantisation maps) is not counted. */
#include "recipe.h"

#include <stdio.h>
#include <string.h>

/* ---- what a tensor is to these tools -------------------------------------------------------- */

typedef enum { KEPT, LINEAR, EXPERTS, EMBEDDING, HEAD, GATE } kind;

/* Linear layers are quantised; norms, biases, convolutions, recurrence parameters, position tables
 * and the small projections of AltUp, LAuReL and indexers are not, nor are vision and audio towers
 * (each tool's modules_to_not_convert and defaults). */
static kind kind_of(const oom_tensor *t)
{
    if (t->suffix != OOM_WEIGHT || t->n_dims < 2 || t->part == OOM_PART_VISION
        || t->part == OOM_PART_AUDIO)
        return KEPT;
    switch (t->role) {
    case OOM_ROLE_EMBED: case OOM_ROLE_MTP_EMBED: case OOM_ROLE_PL_EMBED:
        return EMBEDDING;
    case OOM_ROLE_OUTPUT: case OOM_ROLE_MTP_HEAD:
        return HEAD;
    case OOM_ROLE_ROUTER: case OOM_ROLE_SHEXP_ROUTER:
        return GATE;
    case OOM_ROLE_EXP_GATE: case OOM_ROLE_EXP_UP: case OOM_ROLE_EXP_DOWN: case OOM_ROLE_EXP_GATE_UP:
        return EXPERTS;
    case OOM_ROLE_ATTN_Q: case OOM_ROLE_ATTN_K: case OOM_ROLE_ATTN_V: case OOM_ROLE_ATTN_QKV:
    case OOM_ROLE_ATTN_O: case OOM_ROLE_ATTN_GATE: case OOM_ROLE_ATTN_Q_A: case OOM_ROLE_ATTN_Q_B:
    case OOM_ROLE_ATTN_KV_A: case OOM_ROLE_ATTN_KV_B: case OOM_ROLE_ATTN_K_B:
    case OOM_ROLE_ATTN_V_B: case OOM_ROLE_ATTN_O_A: case OOM_ROLE_ATTN_O_B:
    case OOM_ROLE_INDEXER_Q_B: case OOM_ROLE_INDEXER_K:
    case OOM_ROLE_CROSS_Q: case OOM_ROLE_CROSS_K: case OOM_ROLE_CROSS_V: case OOM_ROLE_CROSS_O:
    case OOM_ROLE_FFN_GATE: case OOM_ROLE_FFN_UP: case OOM_ROLE_FFN_DOWN:
    case OOM_ROLE_EXP_LATENT_IN: case OOM_ROLE_EXP_LATENT_OUT:
    case OOM_ROLE_SHEXP_GATE: case OOM_ROLE_SHEXP_UP: case OOM_ROLE_SHEXP_DOWN:
    case OOM_ROLE_SSM_IN: case OOM_ROLE_SSM_X: case OOM_ROLE_SSM_DT: case OOM_ROLE_SSM_OUT:
    case OOM_ROLE_SHORTCONV_IN: case OOM_ROLE_SHORTCONV_OUT:
    case OOM_ROLE_TIME_MIX_KEY: case OOM_ROLE_TIME_MIX_VALUE: case OOM_ROLE_TIME_MIX_RECEPT:
    case OOM_ROLE_TIME_MIX_GATE: case OOM_ROLE_TIME_MIX_OUT: case OOM_ROLE_CHANNEL_MIX_KEY:
    case OOM_ROLE_CHANNEL_MIX_VALUE: case OOM_ROLE_CHANNEL_MIX_RECEPT:
        return LINEAR;
    default:
        return KEPT;
    }
}

/* ---- bytes of one matrix -------------------------------------------------------------------- */

/* `bits`-wide codes of n elements, packed without gaps into words of `word` bytes. */
static uint64_t packed(uint64_t n, uint64_t bits, uint64_t word)
{
    return sat_mul(div_up(sat_mul(n, bits), 8 * word), word);
}

static uint64_t groups(const oom_precision *p, uint64_t in)
{
    return p->group ? div_up(in, p->group) : 1;
}

static uint64_t sum3(uint64_t a, uint64_t b, uint64_t c) { return sat_add(sat_add(a, b), c); }

/* AutoAWQ 0.2, modules/linear/gemm.py: qweight int32 [in, out/8], qzeros int32 [groups, out/8],
 * scales fp16 [groups, out]. */
static uint64_t awq(const oom_precision *p, uint64_t out, uint64_t in)
{
    uint64_t row = packed(out, 4, 4), n = groups(p, in);

    return sum3(sat_mul(in, row), sat_mul(n, row), sat_mul(sat_mul(n, out), 2));
}

/* AutoGPTQ 0.7 / GPTQModel, qlinear: qweight int32 [in*bits/32, out], qzeros int32
 * [groups, out*bits/32], scales fp16 [groups, out], g_idx int32 [in]. */
static uint64_t gptq(const oom_precision *p, uint64_t out, uint64_t in)
{
    uint64_t bits = (uint64_t)p->bits, n = groups(p, in);
    uint64_t codes = sat_mul(packed(in, bits, 4), out);
    uint64_t zeros = sat_mul(n, packed(out, bits, 4));

    return sat_add(sum3(codes, zeros, sat_mul(sat_mul(n, out), 2)), sat_mul(in, 4));
}

/* compressed-tensors pack-quantized (symmetric): weight_packed int32 [out, in*bits/32],
 * weight_scale 16-bit [out, groups], weight_shape 2 x int64. */
static uint64_t packed_groups(const oom_precision *p, uint64_t out, uint64_t in)
{
    return sum3(sat_mul(out, packed(in, (uint64_t)p->bits, 4)),
                sat_mul(sat_mul(out, groups(p, in)), 2), 16);
}

/* bitsandbytes 0.4x, functional.py: quantize_4bit: two codes a byte and an fp32 absmax for every
 * 64 elements of the flattened matrix (QLoRA, section 3). */
static uint64_t nf4(const oom_precision *p, uint64_t out, uint64_t in)
{
    uint64_t n = sat_mul(out, in);

    (void)p;
    return sat_add(packed(n, 4, 1), sat_mul(div_up(n, 64), 4));
}

/* The same with compress_statistics: absmax in a byte, an fp32 for every 256 of them, and one
 * fp32 offset. */
static uint64_t nf4_dq(const oom_precision *p, uint64_t out, uint64_t in)
{
    uint64_t n = sat_mul(out, in), blocks = div_up(n, 64);

    (void)p;
    return sat_add(sum3(packed(n, 4, 1), blocks, sat_mul(div_up(blocks, 256), 4)), 4);
}

/* bitsandbytes nn.Linear8bitLt: int8 and SCB, an fp32 a row. vLLM's per-channel w8a8 and fp8
 * (compressed_tensors_w8a8_int8.py, _fp8.py) hold the same: a byte each and an fp32 a row. */
static uint64_t byte_rows(const oom_precision *p, uint64_t out, uint64_t in)
{
    (void)p;
    return sat_add(sat_mul(out, in), sat_mul(out, 4));
}

/* A byte each, and two fp32 a matrix: weight_scale and the static input_scale (Mistral's fp8
 * releases count two a matrix: 476 = 34 layers x 7 matrices x 2 in Ministral-3-8B). */
static uint64_t fp8_tensor(const oom_precision *p, uint64_t out, uint64_t in)
{
    (void)p;
    return sat_add(sat_mul(out, in), 8);
}

/* DeepSeek-V3, README_WEIGHTS.md: a byte each and weight_scale_inv, an fp32 per 128 x 128 block. */
static uint64_t fp8_block(const oom_precision *p, uint64_t out, uint64_t in)
{
    (void)p;
    return sat_add(sat_mul(out, in), sat_mul(sat_mul(div_up(out, 128), div_up(in, 128)), 4));
}

/* OCP Microscaling Formats 1.0: 32 codes of 4 bits and a shared 8-bit exponent, along a row. */
static uint64_t mxfp4(const oom_precision *p, uint64_t out, uint64_t in)
{
    (void)p;
    return sat_mul(out, sat_mul(div_up(in, 32), 17));
}

/* NVFP4 (TensorRT Model Optimizer): 16 codes of 4 bits and an fp8 scale, and an fp32 a matrix. */
static uint64_t nvfp4(const oom_precision *p, uint64_t out, uint64_t in)
{
    (void)p;
    return sat_add(sat_mul(out, sat_mul(div_up(in, 16), 9)), 4);
}

/* HQQ 0.2, core/quantize.py: codes packed over the whole matrix, scale and zero fp16 a group. */
static uint64_t hqq(const oom_precision *p, uint64_t out, uint64_t in)
{
    uint64_t n = sat_mul(out, in);

    return sat_add(packed(n, (uint64_t)p->bits, 1), sat_mul(div_up(n, p->group), 4));
}

/* ExLlamaV2: the name's bits are the average over everything a linear layer stores. */
static uint64_t exl2(const oom_precision *p, uint64_t out, uint64_t in)
{
    double bytes = (double)sat_mul(out, in) * p->bits / 8;

    return bytes < 9e18 ? (uint64_t)bytes + (bytes > (double)(uint64_t)bytes) : SAT_TOOLARGE;
}

/* MLX, mlx.core.quantize: codes in uint32 words along a row, scale and bias of 16 bits a group.
 * Rows that the group does not divide stay as they are (mlx_lm utils.py: quantize_model). */
static uint64_t mlx(const oom_precision *p, uint64_t out, uint64_t in)
{
    if (in % p->group != 0)
        return sat_mul(sat_mul(out, in), 2);
    return sat_mul(out, sat_add(packed(in, (uint64_t)p->bits, 4), sat_mul(in / p->group, 4)));
}

/* ---- the table ------------------------------------------------------------------------------ */

typedef uint64_t matrix_bytes(const oom_precision *p, uint64_t out, uint64_t in);

typedef struct {
    const char *name, *meaning;
    matrix_bytes *bytes;
    const char *widths;         /* bits that "-4bit" may say, the default first; NULL: none */
    uint32_t group;             /* elements that share a scale, unless "-64g" says so; 0: none */
    bool bits_keep_group;       /* "mlx-4bit" leaves the group; "gptq-4bit" says there is none */
    bool experts_only;          /* in a mixture of experts nothing else is quantised, */
    matrix_bytes *elsewhere;    /* but for what this says of it */
    bool mlp_only;              /* attention and recurrence stay at 16 bits */
    bool ends_kept;             /* the first layer and the last too */
    uint8_t head_bits;          /* output head at that many bits; 0: left at 16 */
    bool everything;            /* embedding, head and routers too */
} recipe;

static const recipe recipes[] = {
    { .name = "awq", .bytes = awq, .widths = "4", .group = 128, .bits_keep_group = true,
      .meaning = "4.16 bits in the layers: groups of 128 with zeros" },
    { .name = "gptq-4bit-128g", .bytes = gptq, .widths = "4238", .group = 128,
      .meaning = "4.16 bits in the layers; 2, 3, 8 bits, 32g, 64g too" },
    { .name = "bnb-int8", .bytes = byte_rows,
      .meaning = "8 bits in the layers: LLM.int8, a scale a row" },
    { .name = "nf4", .bytes = nf4,
      .meaning = "4.5 bits in the layers: bitsandbytes, blocks of 64" },
    { .name = "nf4-dq", .bytes = nf4_dq,
      .meaning = "4.13 bits in the layers: double quantisation" },
    { .name = "fp8-tensor", .bytes = fp8_tensor,
      .meaning = "8 bits in the layers: a scale a matrix" },
    { .name = "fp8-channel", .bytes = byte_rows,
      .meaning = "8 bits in the layers: a scale a row" },
    { .name = "fp8-mlp", .bytes = byte_rows, .mlp_only = true, .ends_kept = true,
      .meaning = "8 bits in all MLPs but the first and last: as Llama-3.1-405B-FP8" },
    { .name = "fp8-block", .bytes = fp8_block,
      .meaning = "8.002 bits in the layers: a scale per 128 x 128" },
    { .name = "w8a8", .bytes = byte_rows,
      .meaning = "8 bits in the layers: int8, a scale a row" },
    { .name = "w4a16", .bytes = packed_groups, .widths = "4", .group = 128, .bits_keep_group = true,
      .meaning = "4.125 bits in the layers: compressed-tensors, groups of 128" },
    { .name = "w8a16", .bytes = packed_groups, .widths = "8", .bits_keep_group = true,
      .meaning = "8 bits in the layers: compressed-tensors, a scale a row" },
    { .name = "mxfp4", .bytes = mxfp4, .experts_only = true,
      .meaning = "4.25 bits in the layers; in a mixture only the experts" },
    { .name = "int4-experts-32g", .bytes = packed_groups, .widths = "4", .group = 32,
      .bits_keep_group = true, .experts_only = true,
      .meaning = "4.5 bits in the experts, the rest 16: as Kimi-K2's releases" },
    { .name = "fp4-experts-fp8", .bytes = mxfp4, .experts_only = true, .elsewhere = fp8_block,
      .meaning = "4.25 bits in the experts, the rest fp8-block: as DeepSeek-V4" },
    { .name = "nvfp4", .bytes = nvfp4,
      .meaning = "4.5 bits in the layers: blocks of 16, fp8 scales" },
    { .name = "nvfp4-mlp", .bytes = nvfp4, .mlp_only = true,
      .meaning = "4.5 bits in the MLPs, attention 16: as NVIDIA's Gemma-4-31B-IT-NVFP4" },
    { .name = "hqq-4bit-64g", .bytes = hqq, .widths = "412358", .group = 64,
      .bits_keep_group = true,
      .meaning = "4.5 bits in the layers; 1 to 8 bits, 32g, 128g too" },
    { .name = "exl2-4.0", .bytes = exl2, .head_bits = 6,
      .meaning = "4 bits in the layers, head at 6; any number of bits" },
    { .name = "mlx-4bit-64g", .bytes = mlx, .widths = "423568", .group = 64,
      .bits_keep_group = true, .everything = true,
      .meaning = "4.5 bits, embedding and head too; 2 to 8 bits, 32g, 128g" },
};

#define N_RECIPES (sizeof recipes / sizeof *recipes)

size_t hf_recipe_count(void) { return N_RECIPES; }

const char *hf_recipe_at(size_t i, const char **meaning)
{
    if (meaning)
        *meaning = recipes[i].meaning;
    return recipes[i].name;
}

/* ---- names: "gptq", "gptq-4bit", "gptq-3bit-64g", "exl2-4.25" ------------------------------- */

/* Reads digits of a whole number up to 9999; NULL when there are none. */
static const char *digits(const char *s, uint32_t *n)
{
    const char *start = s;

    for (*n = 0; *s >= '0' && *s <= '9' && s - start < 4; s++)
        *n = *n * 10 + (uint32_t)(*s - '0');
    return s == start ? NULL : s;
}

static bool parse_bits_and_group(const recipe *r, const char *rest, oom_precision *p)
{
    uint32_t bits = (uint32_t)(r->widths[0] - '0'), group = r->group, n;
    bool said_bits = false, said_group = false;

    while (*rest == '-') {
        const char *unit = digits(rest + 1, &n);

        if (unit && strncmp(unit, "bit", 3) == 0 && !said_bits && !said_group) {
            if (n > 9 || !strchr(r->widths, '0' + (int)n))
                return false;
            bits = n;
            said_bits = true;
            rest = unit + 3;
        } else if (unit && *unit == 'g' && !said_group) {
            if (n != 32 && n != 64 && n != 128)
                return false;
            group = n;
            said_group = true;
            rest = unit + 1;
        } else {
            return false;
        }
    }
    if (*rest)
        return false;
    if (said_bits && !said_group && !r->bits_keep_group)
        group = 0;
    p->bits = bits;
    p->group = group;
    return true;
}

static bool parse_average(const char *rest, oom_precision *p)
{
    uint32_t whole, fraction = 0, scale_by = 1;
    const char *s = *rest == '-' ? digits(rest + 1, &whole) : NULL;

    if (!s)
        return false;
    if (*s == '.') {
        const char *from = s + 1;

        s = digits(from, &fraction);
        if (!s)
            return false;
        for (; from < s; from++)
            scale_by *= 10;
    }
    p->bits = whole + (double)fraction / scale_by;
    return *s == '\0' && p->bits >= 1 && p->bits <= 16;
}

/* What comes before the numbers of a recipe's name: "gptq" of "gptq-4bit-128g". */
static size_t stem_length(const char *name)
{
    const char *dash = name;

    while ((dash = strchr(dash, '-')) != NULL) {
        if (dash[1] >= '0' && dash[1] <= '9')
            return (size_t)(dash - name);
        dash++;
    }
    return strlen(name);
}

bool hf_recipe_parse(const char *name, oom_precision *p)
{
    for (uint32_t i = 0; i < N_RECIPES; i++) {
        const recipe *r = &recipes[i];
        bool numbers = r->widths || r->bytes == exl2;
        size_t stem = stem_length(r->name);
        oom_precision found = { .kind = OOM_PRECISION_RECIPE, .recipe = i, .group = r->group };

        if (strncmp(name, r->name, stem) != 0 || (!numbers && name[stem]))
            continue;
        if (r->bytes == exl2 ? !parse_average(name + stem, &found)
                             : r->widths && !parse_bits_and_group(r, name + stem, &found))
            continue;
        snprintf(found.name, sizeof found.name, "%s", name);
        *p = found;
        return true;
    }
    return false;
}

/* ---- weighing ------------------------------------------------------------------------------- */

static bool of_mlp(oom_role role)
{
    return role == OOM_ROLE_FFN_GATE || role == OOM_ROLE_FFN_UP || role == OOM_ROLE_FFN_DOWN
           || role == OOM_ROLE_SHEXP_GATE || role == OOM_ROLE_SHEXP_UP
           || role == OOM_ROLE_SHEXP_DOWN;
}

/* Whether a recipe leaves a linear layer out by where it stands: "The Llama 3 Herd of Models",
 * 6.2, quantises no attention, nor the first and the last layer. */
static bool left_out(const recipe *r, const oom_model *m, const oom_tensor *t)
{
    return (r->mlp_only && !of_mlp(t->role))
           || (r->ends_kept && (t->layer == 0 || t->layer + 1 == (int32_t)m->shape.n_layers));
}

static uint64_t tensor_bytes(const recipe *r, const oom_precision *p, const oom_model *m,
                             const oom_tensor *t)
{
    bool mixture = m->shape.experts > 1;
    kind k = kind_of(t);
    uint64_t out = t->n_dims >= 2 ? t->dims[t->n_dims - 2] : 1, in = tensor_row(t), n = 1;
    /* the router's correction bias decides near ties and stays fp32 (transformers,
     * modeling_deepseek_v3.py: _keep_in_fp32_modules_strict; DeepSeek-V3's release) */
    uint64_t whole = sat_mul(t->params, t->role == OOM_ROLE_ROUTER_BIAS ? 4 : 2);

    for (uint32_t i = 0; i + 2 < t->n_dims; i++)
        n = sat_mul(n, t->dims[i]);
    switch (k) {
    case KEPT:
        return whole;
    case LINEAR:
        if (left_out(r, m, t))
            return whole;
        if (!r->experts_only || !mixture)
            return sat_mul(n, r->bytes(p, out, in));
        return r->elsewhere ? sat_mul(n, r->elsewhere(p, out, in)) : whole;
    case EXPERTS:
        return sat_mul(n, r->bytes(p, out, in));
    case HEAD:
        if (r->head_bits)
            return packed(sat_mul(out, in), r->head_bits, 1);
        break;
    case EMBEDDING: case GATE:
        break;
    }
    return r->everything ? sat_mul(n, r->bytes(p, out, in)) : whole;
}

oom_status hf_recipe_weigh(const oom_precision *p, scale *s, oom_error *err)
{
    const oom_model *m = s->inventory;
    const recipe *r = &recipes[p->recipe];

    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == OOM_ROLE_PARAMS)
            return oom_fail(err, OOM_BADVALUE,
                            "%s: a count of parameters does not say which of them %s quantises; "
                            "fp8, int8 and int4 are pure widths", m->id, p->name);
    for (size_t i = 0; i < m->n_tensors; i++)
        scale_put(s, i, tensor_bytes(r, p, m, &m->tensors[i]));
    return OOM_OK;
}
