/* bind_names.c: the names that Tab offers inside quotes, each with a few words about it, taken from
 * the records as they are: no model is built, no Lua is run. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bind.h"

/* Names that options have in llama.cpp, vLLM and transformers, and in people's mouths. */
const char *bind_option_meant(const char *elsewhere)
{
    static const char *const names[][2] = {
        { "context", "seq" }, { "context_length", "seq" }, { "ctx", "seq" }, { "ctx_size", "seq" },
        { "n_ctx", "seq" }, { "max_model_len", "seq" }, { "max_seq_len", "seq" },
        { "seq_len", "seq" }, { "batch_size", "batch" }, { "n_parallel", "batch" },
        { "dtype", "precision" }, { "quantization", "precision" },
        { "kv_cache", "kv" }, { "kv_cache_dtype", "kv" }, { "cache_type_k", "kv" },
        { "cache_type_v", "kv" }, { "gpu", "device" }, { "ngl", "gpu_layers" },
        { "n_ubatch", "chunk" }, { "ubatch_size", "chunk" }, { "max_num_batched_tokens", "chunk" },
        { "flash_attn", "flash" }, { "enforce_eager", "eager" },
        { "enable_prefix_caching", "prefix_caching" },
        { "gpu_memory_utilization", "utilization" }, { "tensor_parallel_size", "tp" },
        { "pipeline_parallel_size", "pp" }, { "data_parallel_size", "dp" },
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], elsewhere) == 0)
            return names[i][1];
    return NULL;
}

static const char *text_of(const oom_value *map, const char *key)
{
    const oom_value *v = oom_value_get(map, key);

    return v && v->kind == OOM_STRING ? v->u.text : "";
}

/* The first of `keys` that is a whole number, in a configuration or in its part for text. */
static int64_t number_of(const oom_value *config, const char *const *keys)
{
    const oom_value *text = config ? oom_value_get(config, "text_config") : NULL;

    for (; config && *keys; keys++) {
        const oom_value *v = oom_value_get(config, *keys);

        if (!v && text && text->kind == OOM_MAP)
            v = oom_value_get(text, *keys);
        if (v && v->kind == OOM_INT && v->u.i > 0)
            return v->u.i;
    }
    return 0;
}

/* "8.03B  128Ki  gqa": parameters, context and attention, as far as the record says. */
static void describe_model(const oom_value *record, char *buf, size_t buf_bytes)
{
    static const char *const context_keys[] = { "max_position_embeddings", "n_positions",
        "max_seq_len",
                                                "seq_length", "model_max_length", NULL };
    static const char *const latent_keys[] = { "kv_lora_rank", NULL };
    static const char *const head_keys[] = { "num_attention_heads", "n_head", "n_heads", NULL };
    static const char *const kv_keys[] = { "num_key_value_heads", "num_kv_heads", NULL };
    const oom_value *config = oom_value_get(record, "config");
    int64_t context = number_of(config, context_keys), heads = number_of(config, head_keys);
    int64_t kv_heads = number_of(config, kv_keys);
    const char *attention = number_of(config, latent_keys) ? "mla"
                          : heads == 0 ? ""
                          : kv_heads == 0 || kv_heads == heads ? "mha" : kv_heads == 1 ? "mqa"
                              : "gqa";
    bool ki = context >= 1024 && context % 1024 == 0;

    snprintf(buf, buf_bytes, "%-6s  ", text_of(record, "params_stated"));
    if (context)
        snprintf(buf + strlen(buf), buf_bytes - strlen(buf), "%6" PRId64 "%s  ",
                 ki ? context / 1024 : context, ki ? "Ki" : "  ");
    snprintf(buf + strlen(buf), buf_bytes - strlen(buf), "%s", attention);
    for (size_t n = strlen(buf); n > 0 && buf[n - 1] == ' '; n--)
        buf[n - 1] = 0;
}

void bind_names(read_catalogue *catalogue, const char *kind,
                bool (*each)(void *ctx, const char *name, const char *description), void *ctx)
{
    static const char *const kv[] = { "auto", "fp32", "fp16", "bf16", "fp8", "int8", "q8_0", "q5_1",
                                      "q5_0", "q4_1", "q4_0", "iq4_nl", NULL };
    static const char *const words[][4] = {
        { "outputs", "last", "all", NULL }, { "units", "GiB", "GB", NULL },
        { "charset", "unicode", "ascii", NULL }, { "attention", "flash", "sdpa", "eager" } };
    const read_preset *list;
    const char *name, *meaning;
    oom_error err;
    size_t n = 0;

    if (strcmp(kind, "model") == 0)
        n = read_models(catalogue, &list, &err);
    else if (strcmp(kind, "device") == 0)
        n = read_devices(catalogue, &list, &err);
    for (size_t i = 0; i < n; i++) {
        char about[96];

        if (strcmp(kind, "model") == 0)
            describe_model(list[i].record, about, sizeof about);
        else
            snprintf(about, sizeof about, "%s", text_of(list[i].record, "name"));
        if (!each(ctx, list[i].id, about))
            return;
    }
    if (strcmp(kind, "precision") == 0 || strcmp(kind, "format") == 0)
        for (size_t i = 0; (name = oom_precision_at(i, &meaning)); i++)
            if (!each(ctx, name, meaning))
                return;
    if (strcmp(kind, "kv") == 0)
        for (size_t i = 0; kv[i]; i++)
            if (!each(ctx, kv[i], NULL))
                return;
    if (strcmp(kind, "engine") == 0)
        for (size_t i = 0; oom_engine_at(i); i++)
            if (!each(ctx, oom_engine_name(oom_engine_at(i)), oom_engine_summary(oom_engine_at(i))))
                return;
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        for (size_t i = 1; strcmp(kind, words[w][0]) == 0 && i < 4 && words[w][i]; i++)
            if (!each(ctx, words[w][i], NULL))
                return;
}
