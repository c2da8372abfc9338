/* vllm.h: what vLLM logged at 143 start-ups (tests/truth/vllm.json) against what the engine `vllm`
 * says of the same settings. */
#ifndef ACCURACY_VLLM_H
#define ACCURACY_VLLM_H

#include "report.h"
#include "truth.h"

static inline void cut_at(char *text, const char *mark)
{
    char *at = strcasestr(text, mark);

    if (at)
        *at = '\0';
}

/* The model a name stands for: as it is, else without its owner and what says how it was packed. */
static inline const read_preset *row_preset(scene *s, const char *name)
{
    static const char *const packed[] = { "-FP8", "-GPTQ", "-AWQ", "-NVFP4", "-GGUF", " NVFP4",
                                          " FP8", " AutoRound", "-Text-NVFP4", "-PrismaQuant", "-1M",
                                          "-quantized" };
    static const struct { const char *says, *means; } odd[] = {
        { "Llama-3.1-Swallow-8B-Instruct", "llama-3.1-8b" },
        { "Mistral-Small 24B", "mistral-small-3.1-24b" },
        { "Nemotron-3-Super-120B", "nemotron-3-super-120b" },
        { "DeepSeek-V3-0324", "deepseek-v3" },
        { "Ministral-3-14B-2512", "ministral-3-14b" },
    };
    char text[128];
    const read_preset *p;

    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        if (strstr(name, odd[i].says))
            return read_model_preset(s->catalogue, odd[i].means, NULL);
    snprintf(text, sizeof text, "%s", name);
    cut_at(text, " (");
    p = read_model_preset(s->catalogue, text, NULL);
    if (p)
        return p;
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        cut_at(text, packed[i]);
    p = read_model_preset(s->catalogue, text, NULL);
    if (!p && strchr(text, '/'))
        p = read_model_preset(s->catalogue, strchr(text, '/') + 1, NULL);
    return p;
}

/* The very release where the catalogue knows its name, whose context may be its own, else the
 * preset. */
static inline oom_model *row_model(scene *s, const char *name, const read_preset *preset)
{
    oom_model *m = NULL;
    char text[128];

    snprintf(text, sizeof text, "%s", name);
    cut_at(text, " (");
    if (read_model_preset(s->catalogue, text, NULL) != preset
        || read_model(s->catalogue, text, &oom_libc_alloc, &m, NULL) != OOM_OK)
        assert_int_equal(read_preset_model(preset, &oom_libc_alloc, &m, NULL), OOM_OK);
    return m;
}

/* The precision a log speaks of; NULL where a checkpoint keeps a mixture of its own. */
static inline const char *row_precision(const cJSON *row, const char *preset)
{
    const char *q = row_text(row, "quantization"), *name = row_text(row, "model");

    if (strncmp(preset, "gpt-oss", 7) == 0 || strncmp(preset, "kimi-k2-thinking", 16) == 0)
        return "stored";
    if (*q == '\0')
        return strstr(name, "NVFP4") || strstr(name, "AWQ") ? NULL
             : strcmp(row_text(row, "dtype"), "float32") == 0 ? "fp32" : "bf16";
    if (strncmp(q, "fp8 (runtime", 12) == 0)
        return "fp8-tensor";
    if (strncmp(q, "compressed-tensors FP8", 22) == 0)
        return "fp8-channel";
    if (strncmp(q, "gptq", 4) == 0)
        return "gptq-4bit-128g";
    if (strncmp(q, "awq", 3) == 0)
        return "awq";
    if (strcmp(q, "fp8") == 0)          /* checkpoints of Qwen, DeepSeek and GLM */
        return "fp8-block";
    if (strstr(q, "W8A8"))
        return "w8a8";
    if (strncmp(q, "bitsandbytes", 12) == 0)
        return "nf4";
    if (strncmp(q, "gguf Q8_0", 9) == 0)
        return "q8_0";
    if (strncmp(q, "gguf Q4_K_M", 11) == 0)
        return "q4_k_m";
    return NULL;
}

/* Minor of 0.x. V0 ended as an option of later releases: its rules are those of 0.7, which began
 * with 0.6.5 on 2024-12-17. A log that names no version has the last release before its date. */
static inline uint32_t row_version(const cJSON *row)
{
    static const struct { const char *from; uint32_t minor; } releases[] = {
        { "2025-03-18", 8 }, { "2025-05-27", 9 }, { "2025-07-24", 10 }, { "2025-10-02", 11 },
        { "2025-12-03", 12 }, { "2025-12-18", 13 }, { "2026-01", 14 }, { "2026-02", 15 },
        { "2026-03", 17 }, { "2026-04", 19 }, { "2026-05", 20 },
    };
    const char *zero = strstr(row_text(row, "engine_version"), "0."), *date = row_text(row, "date");
    uint32_t minor = zero ? (uint32_t)strtoul(zero + 2, NULL, 10) : 0;

    for (size_t i = 0; !zero && i < sizeof releases / sizeof *releases; i++)
        if (*date == '2' && strcmp(date, releases[i].from) >= 0)
            minor = releases[i].minor;
    if (strcmp(row_text(row, "engine_gen"), "V0") == 0)
        return *date == '2' && strcmp(date, "2024-12-17") < 0 ? 6 : 7;
    return minor;
}

static inline oom_options row_options(const cJSON *row)
{
    const char *flags = row_text(row, "other_flags"), *kv = row_text(row, "kv_cache_dtype");
    uint64_t block = (uint64_t)row_number(row, "block_size");
    oom_options o = { .gpu_layers = -1, .version = row_version(row) };

    o.tp = (uint32_t)row_number(row, "tensor_parallel");
    o.tp = o.tp ? o.tp : 1;
    o.pp = (uint32_t)row_number(row, "pipeline_parallel");
    o.pp = o.pp ? o.pp : 1;
    o.ep = row_is(row, "expert_parallel") ? o.tp : 1;
    o.chunk = (uint64_t)row_number(row, "max_num_batched_tokens");
    o.max_seqs = (uint64_t)row_number(row, "max_num_seqs");
    o.utilization = row_number(row, "gpu_memory_utilization");
    o.eager = row_is(row, "enforce_eager") ? OOM_YES : OOM_DEFAULT;
    o.block_size = block <= 128 ? block : 0;    /* longer ones follow from the model */
    if (strncmp(kv, "fp8", 3) == 0)
        o.kv_k = o.kv_v = oom_format_find("fp8");
    if (strstr(flags, "prefix") && !strstr(flags, "prefix caching off")
        && !strstr(flags, "prefix caching disabled"))
        o.prefix_caching = OOM_YES;
    return o;
}

/* The device of a log: the one it names (a virtual one, "A40-48Q", is a part of a real one), else
 * one of the size it prints. */
static inline bool row_device(scene *s, const cJSON *row, uint32_t n, oom_deployment *where)
{
    char name[80], spec[96];
    double total = row_number(row, "gpu_total_gib");

    snprintf(name, sizeof name, "%s", row_text(row, "gpu"));
    cut_at(name, " (");
    cut_at(name, " class");
    cut_at(name, "-48Q");
    snprintf(spec, sizeof spec, "%ux %s", n, name);
    if (*name && read_deployment(s->catalogue, spec, where, NULL) == OOM_OK)
        return true;
    snprintf(spec, sizeof spec, "%ux %.0fKiB", n, total * 1048576);
    return total > 0 && read_deployment(s->catalogue, spec, where, NULL) == OOM_OK;
}

static inline void set_usable(oom_deployment *where, double bytes)
{
    for (uint32_t g = 0; g < where->n_groups; g++)
        where->group[g].device.usable_bytes = (uint64_t)bytes;
}

static inline oom_status row_capacity(oom_model *m, const char *precision,
                                      const oom_deployment *where, const oom_options *o,
                                      uint64_t seq, oom_capacity *out,
                                      oom_parts *first, oom_error *err)
{
    oom_plan *p = malloc(oom_plan_bytes());
    oom_load load = { 1, seq, 0 };
    uint64_t available;
    oom_precision format;
    oom_status st = oom_precision_parse(precision, &format, err);

    if (st == OOM_OK)
        st = oom_plan_make(p, m, &format, where, oom_engine_find("vllm"), o, err);
    if (st == OOM_OK)
        st = oom_plan_capacity(p, &load, out, err);
    if (st == OOM_OK)
        st = oom_plan_rank(p, &load, 0, first, &available, err);
    free(p);
    return st;
}

/* As on the machine of the log: the memory it has, and what others had taken of it before the
 * start, where the log tells (until 0.6.4; a runtime's context is the engine's own). */
static inline void set_machine(oom_deployment *where, oom_options *o, const cJSON *row)
{
    double total = row_number(row, "gpu_total_gib"), used = row_number(row, "initial_memory_gib");
    double taken = used > 0 ? (used - row_number(row, "weights_gib")) * GIB_F
                              - (double)where->group[0].device.context_bytes : 0;

    if (total > 0)
        set_usable(where, total * GIB_F);
    o->reserve = taken > 0 ? (uint64_t)taken : 0;
}

static inline void compare_parts(report *r, const cJSON *row, const char *id, const oom_parts *c,
                                 bool known)
{
    double weights = row_number(row, "weights_gib"), peak = row_number(row, "activation_peak_gib");
    double other = row_number(row, "non_torch_gib");

    if (weights > 0 && known && !strstr(row_text(row, "other_flags"), "lora"))
        report_add(r, "vllm", "weights", id, (double)c->weights / GIB_F, weights);
    if (peak > 0)
        report_add(r, "vllm", "activation peak", id, (double)c->activations / GIB_F, peak);
    if (other > 0 && row_version(row) < 20)
        report_add(r, "vllm", "non-torch", id, (double)c->overhead / GIB_F, other);
}

static inline void compare_pool(scene *s, report *r, const cJSON *row, const char *id, oom_model *m,
                                const char *precision, bool known)
{
    double kv = row_number(row, "kv_cache_memory_gib"), total = row_number(row, "gpu_total_gib");
    double weights = row_number(row, "weights_gib"), peak = row_number(row, "activation_peak_gib");
    double graphs = row_number(row, "cuda_graph_gib"), tokens = row_number(row, "kv_tokens");
    double expected = row_number(row, "expected_bytes_per_token"), share, logged;
    const char *strength = row_text(row, "check_strength");
    oom_options o = row_options(row);
    uint64_t seq = (uint64_t)row_number(row, "max_model_len");
    oom_deployment where;
    oom_capacity c;
    oom_parts first;                    /* rank 0, whose lines a log shows first */
    oom_error err;

    seq = seq ? seq : 8192;
    if (!row_device(s, row, o.tp * o.pp, &where)) {
        char spec[32];                  /* nothing is known of the device: what does not need it */

        snprintf(spec, sizeof spec, "%ux 79GiB", o.tp * o.pp);
        assert_int_equal(read_deployment(s->catalogue, spec, &where, NULL), OOM_OK);
        total = -1;
    }
    if (row_capacity(m, precision, &where, &o, seq, &c, &first, &err) != OOM_OK) {
        print_message("%s: %s\n", id, err.msg);
        return;
    }
    compare_parts(r, row, id, &first, known);
    share = o.utilization = o.utilization > 0 ? o.utilization : 0.9;
    /* everything predicted, the device's memory too where its name is known; where the log has
     * the share and, which V0's peak depends on, the length */
    if (kv > 0 && total >= 0 && known && row_number(row, "gpu_memory_utilization") > 0
        && row_number(row, "max_model_len") > 0
        && !strstr(row_text(row, "other_flags"), "kv_cache_memory")) {
        oom_deployment machine = where;
        oom_options told = o;

        report_add(r, "vllm", "pool, all predicted", id, (double)c.kv_bytes / GIB_F, kv);
        set_machine(&machine, &told, row);
        if (row_capacity(m, precision, &machine, &told, seq, &c, &first, &err) == OOM_OK)
            report_add(r, "vllm", "pool, all predicted but the machine's memory", id,
                       (double)c.kv_bytes / GIB_F, kv);
    }
    /* with what was logged put in: total, weights, peak, non-torch and, where they count, graphs */
    if (kv > 0 && total > 0 && weights > 0 && peak > 0
        && row_number(row, "gpu_memory_utilization") > 0) {
        double rest = share * total - weights - peak - row_number(row, "non_torch_gib");

        rest -= o.version >= 20 ? graphs : 0;
        report_add(r, "vllm", "pool, logged parts put in", id, rest, kv);
    }
    /* the pool made as large as the log's: blocks, tokens, requests */
    if (kv <= 0 || strncmp(strength, "independent", 11) != 0)
        return;
    logged = kv * GIB_F;
    set_usable(&where, ((double)(c.weights + c.activations + c.overhead) + logged) / share + 1);
    if (row_capacity(m, precision, &where, &o, seq, &c, &first, &err) != OOM_OK)
        return;
    if (tokens > 0)
        report_add(r, "vllm", "tokens of the logged pool", id, (double)c.kv_tokens, tokens);
    if (row_number(row, "max_concurrency") > 0 && row_number(row, "max_model_len") > 0)
        report_add(r, "vllm", "requests of the logged pool", id, c.max_concurrency,
                   row_number(row, "max_concurrency"));
    set_usable(&where, 1e15);           /* so large that rounding to blocks does not show */
    /* of hybrids the log's figure depends on the length: there the tokens above are compared */
    if (expected > 0 && !strcasestr(row_text(row, "notes"), "hybrid") && expected == floor(expected)
        && row_capacity(m, precision, &where, &o, seq, &c, &first, &err) == OOM_OK)
        report_add(r, "vllm", "bytes per token", id,
                   floor((double)c.kv_bytes / (double)c.kv_tokens + 0.5), expected);
}

/* What may not get worse; -1 where the worst row says more than a bound would. */
static const report_bound vllm_bounds[] = {
    { "vllm", "weights", 56, 0.0005, 0.01, 0.009, 0, 0 },
    { "vllm", "bytes per token", 34, 0, 0, 0, 0, 0 },
    { "vllm", "tokens of the logged pool", 32, 0.0002, 0.0005, 0.0005, 0, 0 },
    { "vllm", "requests of the logged pool", 34, 0.0005, 0.005, 0.003, 0, 0 },
    { "vllm", "pool, logged parts put in", 25, 0.0005, 0.005, 0.002, 0, 0 },
    { "vllm", "pool, all predicted", 29, 0.003, 0.04, 0.065, 0, 0 },
    { "vllm", "pool, all predicted but the machine's memory", 29, 0.001, 0.015, 0.01, 0, 0 },
    { "vllm", "activation peak", 35, 0.01, -1, -1, 0, 0 },
    { "vllm", "non-torch", 30, 0.01, -1, -1, 0, 0 },
};

static inline void accuracy_vllm(scene *s, report *r)
{
    cJSON *rows = truth_json("tests/truth/vllm.json");
    const cJSON *row;
    unsigned all = 0, drafts = 0, strangers = 0;
    char note[256], missing[128] = "";

    cJSON_ArrayForEach(row, rows) {
        const char *flags = row_text(row, "other_flags");
        const read_preset *preset = row_preset(s, row_text(row, "model"));
        const char *precision;
        oom_model *m;
        char id[56];

        all++;
        if (strcasestr(flags, "mtp") || strcasestr(flags, "specul") || strcasestr(flags, "draft")
            || strstr(flags, "decode_context") || strstr(flags, "video of")) {
            drafts++;
            continue;
        }
        if (!preset || strstr(row_text(row, "engine_version"), "custom")) {
            strangers++;
            snprintf(missing + strlen(missing), sizeof missing - strlen(missing), " %s",
                     row_text(row, "id"));
            continue;
        }
        m = row_model(s, row_text(row, "model"), preset);
        precision = row_precision(row, preset->id);
        snprintf(id, sizeof id, "%s %.36s", row_text(row, "id"), preset->id);
        compare_pool(s, r, row, id, m, precision ? precision : "bf16", precision != NULL);
        oom_model_free(m);
    }
    snprintf(note, sizeof note, "vllm: %u start-ups; %u with draft layers, split contexts or a video "
             "in the profile run, which oomph has no option for, and %u of models without a preset or of changed engines "
             "are set aside (%s )", all,
             drafts, strangers, missing);
    report_note(r, note);
    cJSON_Delete(rows);
}

#endif
