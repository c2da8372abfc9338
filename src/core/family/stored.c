/* stored.c: the precision a release is stored in, under the name that people give to
 * `precision`. From quantization_config where there is one, else from torch_dtype. */
#include "family.h"
#include "hybrid.h"

#include <stdio.h>
#include <string.h>

/* A number above 0; anything else, as the -1 and null that stand for no groups, is `otherwise`. */
static uint64_t positive(build *b, const char *keys, uint64_t otherwise)
{
    const oom_value *v = node(b, keys);

    return v && v->kind == OOM_INT && v->u.i > 0 ? (uint64_t)v->u.i : otherwise;
}

/* "gptq-4bit-128g", "gptq-4bit" where a group is a whole row, "int4-experts-32g" for bits 0. */
static const char *grouped(build *b, const char *method, uint64_t bits, uint64_t group)
{
    char name[32];
    const char *copy;

    if (group && !bits)
        snprintf(name, sizeof name, "%s-%ug", method, (unsigned)group);
    else if (group)
        snprintf(name, sizeof name, "%s-%ubit-%ug", method, (unsigned)bits, (unsigned)group);
    else
        snprintf(name, sizeof name, "%s-%ubit", method, (unsigned)bits);
    copy = oom_arena_text(b->m->arena, name, strlen(name), b->err);
    if (!copy)
        b->status = OOM_NOMEM;
    return copy;
}

/* Attention is left alone in every layer: by a pattern (Kimi-K2: only the experts are quantised) or
 * layer by layer. */
static bool keeps_attention(build *b)
{
    const oom_value *list = node(b, "ignore|exclude_modules|modules_to_not_convert|"
                                    "quantization.exclude_modules");
    const oom_value *q = b->cfg;
    uint64_t layers, found = 0;

    b->cfg = b->whole;
    layers = want(b, "num_hidden_layers|text_config.num_hidden_layers", 1);
    b->cfg = q;
    for (size_t i = 0; list && list->kind == OOM_LIST && i < list->u.list.n; i++) {
        const oom_value *item = &list->u.list.items[i];
        const char *at = item->kind == OOM_STRING ? strstr(item->u.text, "self_attn") : NULL;
        const char *star = at ? strchr(item->u.text, '*') : NULL;

        if (star && star < at)
            return true;
        found += at != NULL;
    }
    return found >= layers;
}

/* compressed-tensors: the first group of layers speaks for the release. */
static const char *compressed(build *b)
{
    const char *type = word(b, "config_groups.group_0.weights.type|weights.type", "int");
    const char *strategy = word(b, "config_groups.group_0.weights.strategy|weights.strategy",
                                "channel");
    uint64_t bits = want(b, "config_groups.group_0.weights.num_bits|weights.num_bits", 8);
    uint64_t group = positive(b, "config_groups.group_0.weights.group_size|weights.group_size", 0);

    if (is(type, "float") && bits == 4)
        return group == 32 ? "mxfp4" : "nvfp4";
    if (is(type, "float"))
        return is(strategy, "block") ? "fp8-block" : is(strategy, "tensor") ? "fp8-tensor"
                                                                            : "fp8-channel";
    if (bits == 4 && group && keeps_attention(b))
        return grouped(b, "int4-experts", 0, group);
    return bits == 8 && !group ? "w8a8" : grouped(b, "gptq", bits, group);
}

static const char *quantised(build *b, const char *experts)
{
    static const struct { const char *method, *name; } plain[] = {
        { "mxfp4", "mxfp4" }, { "awq", "awq" }, { "hqq", "hqq" }, { "FP8", "fp8-tensor" },
    };
    const char *method = word(b, "quant_method|quant_algo|quantization.quant_algo", "");
    uint64_t group = positive(b, "group_size|q_group_size", 0);
    uint64_t bits = positive(b, "bits|w_bit", 4);

    if (is(method, "modelopt"))
        method = word(b, "quant_algo|quantization.quant_algo", "FP8");
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (is(method, plain[i].method))
            return plain[i].name;
    if (is(method, "fbgemm_fp8"))
        return keeps_attention(b) ? "fp8-mlp" : "fp8-channel";
    if (is(method, "NVFP4"))
        return keeps_attention(b) ? "nvfp4-mlp" : "nvfp4";
    if (is(method, "fp8") && is(experts, "fp4"))        /* DeepSeek-V4 */
        return "fp4-experts-fp8";
    if (is(method, "fp8"))
        return has(b, "weight_block_size") ? "fp8-block" : "fp8-tensor";
    if (is(method, "auto-round") && strstr(word(b, "packing_format", ""), "awq"))
        return "awq";
    if (is(method, "gptq") || is(method, "auto-round"))
        return grouped(b, "gptq", bits, group);
    if (is(method, "bitsandbytes") && flag(b, "load_in_8bit|_load_in_8bit", false))
        return "bnb-int8";
    if (is(method, "bitsandbytes"))
        return flag(b, "bnb_4bit_use_double_quant", false) ? "nf4-dq" : "nf4";
    if (is(method, "compressed-tensors"))
        return compressed(b);
    if (!*method && has(b, "bits|w_bit"))       /* MLX: {"group_size": 64, "bits": 4} alone */
        return grouped(b, "mlx", bits, group);
    return NULL;
}

const char *stored_precision(build *b)
{
    static const struct { const char *torch, *ours; } types[] = {
        { "bfloat16", "bf16" }, { "float16", "fp16" }, { "float32", "fp32" }, { "half", "fp16" },
        { "bf16", "bf16" }, { "fp16", "fp16" }, { "fp32", "fp32" }, { "float8_e4m3fn", "fp8" }
    };
    const char *keys = "quantization_config|compression_config|quantization|"
                       "text_config.quantization_config";
    const char *type, *experts, *found;
    const oom_value *q;

    b->cfg = b->whole;
    b->defaults = NULL;
    q = node(b, keys);
    type = word(b, "torch_dtype|dtype|text_config.torch_dtype|text_config.dtype", "");
    experts = word(b, "expert_dtype|text_config.expert_dtype", "");
    if (q) {
        b->cfg = q;
        const char *method = word(b, "quant_method", "");

        found = quantised(b, experts);
        b->cfg = b->whole;
        if (found || *method)
            return found;                   /* NULL: a method that is not known here */
    }
    if (strncmp(type, "torch.", 6) == 0)
        type += 6;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (is(type, types[i].torch))
            return types[i].ours;
    return NULL;
}
