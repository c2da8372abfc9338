/* transformers.h: measured runs of transformers (tests/truth/transformers.json) against what the
 * engine `transformers` says of them, table by table, each with its own counter. */
#ifndef ACCURACY_TRANSFORMERS_H
#define ACCURACY_TRANSFORMERS_H

#include "report.h"
#include "truth.h"

/* ANSWER: the counter was set back after the prompt, one token at a time is all it saw. REPEATED: a
 * benchmark that runs a prompt again and again while it holds what the run before returned, its cache and
 * logits (optimum-benchmark of 2023, where nothing is generated). */
typedef enum { ALLOCATED, REPEATED, WITH_CONTEXT, ANSWER } counter;

/* The tables that are runs of transformers with a counter that can be predicted. Version: of the
 * table, as major x 1000 + minor. */
static const struct {
    const char *set, *part;
    uint32_t version;
    oom_attention attention;
    counter counts;
} transformers_sets[] = {
    { "qwen_docs_qwen2_5", "Qwen2.5: allocated", 4046, OOM_ATTENTION_FLASH, ALLOCATED },
    { "qwen_docs_qwen2", "Qwen2: allocated", 4038, OOM_ATTENTION_FLASH, ALLOCATED },
    { "qwen_docs_qwen1_5", "Qwen1.5: allocated", 4038, OOM_ATTENTION_FLASH, ALLOCATED },
    { "qwen_docs_qwen3", "Qwen3: while answering", 4051, OOM_ATTENTION_FLASH, ANSWER },
    { "optimum_benchmark_llamas", "Llama-2-13B: allocated", 4035, OOM_ATTENTION_EAGER, ALLOCATED },
    { "optimum_benchmark_llamas_oct2023", "Llama-2-7B: allocated", 4034, OOM_ATTENTION_EAGER,
      REPEATED },
    { "optimum_gptq_bench", "Llama-2-13B: nvidia-smi", 4035, OOM_ATTENTION_EAGER, WITH_CONTEXT },
    { "premai", "premAI: nvidia-smi", 4038, OOM_ATTENTION_SDPA, WITH_CONTEXT },
};

/* A member of the run, else of its table. */
static inline const cJSON *member(const cJSON *table, const cJSON *run, const char *key)
{
    const cJSON *x = cJSON_GetObjectItem(run, key);

    return x ? x : cJSON_GetObjectItem(table, key);
}

static inline double member_number(const cJSON *table, const cJSON *run, const char *key)
{
    const cJSON *x = member(table, run, key);

    return cJSON_IsNumber(x) ? x->valuedouble : 0;
}

static inline const char *member_text(const cJSON *table, const cJSON *run, const char *key)
{
    const cJSON *x = member(table, run, key);

    return cJSON_IsString(x) ? x->valuestring : "";
}

static inline const char *quant_precision(const char *quant)
{
    static const struct { const char *says, *means; } names[] = {
        { "BF16", "bf16" }, { "FP16", "fp16" }, { "FP32", "fp32" },
        { "GPTQ-Int8", "gptq-8bit-128g" },
        { "GPTQ-INT8", "gptq-8bit-128g" }, { "GPTQ", "gptq-4bit-128g" }, { "AWQ", "awq" },
        { "bnb-nf4", "nf4" }, { "NF4", "nf4" }, { "bnb-4bit", "nf4" }, { "INT4 (bnb", "nf4" },
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncasecmp(quant, names[i].says, strlen(names[i].says)) == 0)
            return names[i].means;
    return NULL;
}

static inline double unit_bytes(const char *unit)
{
    return strncmp(unit, "GiB", 3) == 0 ? GIB_F : strncmp(unit, "MiB", 3) == 0 ? 1048576.0
         : strncmp(unit, "MB", 2) == 0 ? 1e6 : strncmp(unit, "GB as", 5) == 0 ? GIB_F : 1e9;
}

/* The name without what says how it was packed. */
static inline void unpacked(const char *name, char *text, size_t text_bytes)
{
    static const char *const packed[] = { "-GPTQ", "-AWQ", "-FP8" };

    snprintf(text, text_bytes, "%s", name);
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (strstr(text, packed[i]))
            *strstr(text, packed[i]) = '\0';
}

static inline const read_preset *run_preset(scene *s, const char *name)
{
    char text[128];

    unpacked(name, text, sizeof text);
    return read_model_preset(s->catalogue, text, NULL);
}

/* Sum over the devices of what the engine says of one run, by the table's counter; 0: refused. */
static inline double predict_run(oom_model *m, const char *precision, const char *engine,
                                 const oom_deployment *where, const oom_options *o,
                                 const oom_load *load, counter counts)
{
    oom_plan *p = malloc(oom_plan_bytes());
    oom_precision format;
    oom_parts x = { 0 };
    uint64_t available;
    double sum = 0;

    if (oom_precision_parse(precision, &format, NULL) == OOM_OK
        && oom_plan_make(p, m, &format, where, oom_engine_find(engine), o, NULL) == OOM_OK)
        for (uint32_t rank = 0; rank < oom_plan_ranks(p); rank++)
            if (oom_plan_rank(p, load, rank, &x, &available, NULL) == OOM_OK)
                sum += (double)(counts == WITH_CONTEXT ? x.total : x.total - x.overhead);
    if (sum > 0 && counts == REPEATED && load->seq == load->prompt)     /* of one device */
        sum += (double)x.kv + (double)(load->batch * load->prompt * m->shape.vocab_size * 4);
    free(p);
    return sum;
}

/* `engine` is transformers, or one that is told to take the whole prompt in a step as it does. */
static inline void compare_run(scene *s, report *r, const char *engine, const char *part,
                               size_t set, const cJSON *table, const cJSON *run)
{
    const char *model = member_text(table, run, "hf_id"), *quant = member_text(table, run, "quant");
    double peak = member_number(table, run, "peak_memory"), prompt, fresh, predicted;
    double gpus = member_number(table, run, "gpus");
    const read_preset *preset = run_preset(s, model);
    oom_options o = { .gpu_layers = -1, .version = transformers_sets[set].version,
                      .attention = transformers_sets[set].attention };
    const char *precision = quant_precision(quant), *attention = member_text(table, run, "attn");
    oom_deployment where;
    oom_model *m = NULL;
    oom_load load;
    char spec[32], id[56], name[128];

    if (oom_engine_check_version(oom_engine_find(engine), o.version, NULL) != OOM_OK)
        o.version = 0;                  /* an engine without versions */
    if (peak <= 0 || !preset || !precision
        || strncmp(member_text(table, run, "engine"), "transformers", 12) != 0
        || strcasestr(member_text(table, run, "outcome"), "oom"))
        return;
    if (*attention)
        o.attention = strstr(attention, "flash") ? OOM_ATTENTION_FLASH
                    : strstr(attention, "sdpa") ? OOM_ATTENTION_SDPA
                    : strstr(attention, "eager") ? OOM_ATTENTION_EAGER : o.attention;
    /* AutoAWQ loaded Qwen3's, with the attention that is its default */
    if (transformers_sets[set].counts == ANSWER && strncmp(quant, "AWQ", 3) == 0)
        o.attention = OOM_ATTENTION_SDPA;
    prompt = member_number(table, run, "prompt_tokens");
    fresh = member_number(table, run, "new_tokens");
    load.batch = (uint64_t)fmax(member_number(table, run, "batch"), 1);
    load.prompt = (uint64_t)fmax(prompt, 1);
    load.seq = load.prompt + (uint64_t)fresh;
    snprintf(id, sizeof id, "%.4s %.20s %.9s b%u %u+%u", member_text(table, run, "id"), preset->id,
             quant, (unsigned)load.batch, (unsigned)load.prompt, (unsigned)fresh);
    if (transformers_sets[set].counts == ANSWER)
        load.prompt = 1;
    o.pp = (uint32_t)fmax(gpus, 1);
    if (strcmp(engine, "transformers") != 0)
        o.chunk = load.batch * load.prompt;
    snprintf(spec, sizeof spec, "%ux %s", (unsigned)fmax(gpus, 1),
             strstr(member_text(table, run, "gpu"), "H20") ? "h20" : "a100-sxm-80gb");
    assert_int_equal(read_deployment(s->catalogue, spec, &where, NULL), OOM_OK);
    unpacked(model, name, sizeof name);     /* the very variant: its context is its own */
    assert_int_equal(read_model(s->catalogue, name, &oom_libc_alloc, &m, NULL), OOM_OK);
    predicted = predict_run(m, precision, engine, &where, &o, &load, transformers_sets[set].counts);
    if (predicted > 0)
        report_add(r, engine, part, id, predicted / GIB_F,
                   peak * unit_bytes(member_text(table, run, "unit")) / GIB_F);
    oom_model_free(m);
}

static const report_bound transformers_bounds[] = {
    { "transformers", "Qwen2.5: allocated", 64, 0.005, 0.02, 0.015, 0, 0.03 },
    { "transformers", "Qwen2: allocated", 32, 0.006, 0.06, 0.025, 0, 0 },
    { "transformers", "Qwen1.5: allocated", 32, 0.001, 0.05, 0.015, 0, 0 },
    { "transformers", "Qwen3: while answering", 36, 0.001, 0.005, 0.002, 0, 0 },
    { "transformers", "Llama-2-13B: allocated", 36, 0.0001, 0.0002, 0.0001, 0, 0 },
    { "transformers", "Llama-2-7B: allocated", 20, 0.0005, 0.001, 0.0005, 0, 0 },
    { "transformers", "Llama-2-13B: nvidia-smi", 10, 0.025, 0.03, 0.02, 0, 0 },
};

static inline void accuracy_transformers(scene *s, report *r)
{
    cJSON *tables = truth_json("tests/truth/transformers.json");
    const cJSON *table, *run;

    for (size_t i = 0; i < sizeof transformers_sets / sizeof *transformers_sets; i++)
        cJSON_ArrayForEach(table, tables) {
            if (strcmp(member_text(table, table, "set"), transformers_sets[i].set) != 0)
                continue;
            cJSON_ArrayForEach(run, cJSON_GetObjectItem(table, "runs"))
                compare_run(s, r, "transformers", transformers_sets[i].part, i, table, run);
        }
    report_note(r, "transformers: only the Qwen2.5 table is a true peak of a version without the "
                "prompt's logits; Qwen3's counter saw the answer alone, nvidia-smi the "
                "context and torch's cached blocks too; of Llama-2-7B what the run before returned "
                "is added where nothing is generated.");
    cJSON_Delete(tables);
}

#endif
