/* generic.h: totals measured under other engines against what the default engine says: it stands
 * for all of them and must not promise what does not fit. Compared are weights, cache and
 * activations; the context of the runtime, which these totals do not hold, is left out. */
#ifndef ACCURACY_GENERIC_H
#define ACCURACY_GENERIC_H

#include "transformers.h"

/* One line of llamacpp_context.csv: a device's buffers of a start of llama.cpp. */
typedef struct {
    char model[64], recipe[32], backend[8], k[16], v[16], layers[16], buffer[16];
    unsigned long long n_ctx, n_seq, n_batch, n_ubatch, tensors, weights, cache, compute;
    unsigned flash, swa_full, unified, outputs, gpus;
} context_row;

static inline bool context_line(FILE *f, context_row *r)
{
    char line[512];

    if (!fgets(line, sizeof line, f))
        return false;
    for (char *c = line; *c; c++)       /* an empty field is one that sscanf can read */
        if (c[0] == ',' && c[1] == ',') {
            memmove(c + 2, c + 1, strlen(c + 1) + 1);
            c[1] = '-';
        }
    return sscanf(line, "%63[^,],%31[^,],%7[^,],%llu,%llu,%llu,%llu,%u,%15[^,],%15[^,],%u,%u,%u,"
                  "%15[^,],%u,%llu,%15[^,],%llu,%llu,%llu", r->model, r->recipe, r->backend,
                  &r->n_ctx, &r->n_seq, &r->n_batch, &r->n_ubatch, &r->flash, r->k, r->v,
                  &r->swa_full, &r->unified, &r->outputs, r->layers, &r->gpus, &r->tensors, r->buffer, &r->weights, &r->cache,
                  &r->compute) == 20;
}

static inline oom_model *context_model(scene *s, const char *name)
{
    static const struct { const char *name, *preset; } renamed[] = {
        { "phi-4-14b", "phi-4" },
        { "phi-3-mini-4k", "phi-3-mini" },
        { "jamba-v0.1-52b", "jamba-v0.1" },
    };
    const read_preset *preset;
    oom_model *m = NULL;

    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
        if (strcmp(name, renamed[i].name) == 0)
            name = renamed[i].preset;
    preset = read_model_preset(s->catalogue, name, NULL);
    if (preset)
        assert_int_equal(read_preset_model(preset, &oom_libc_alloc, &m, NULL), OOM_OK);
    return m;
}

/* The row's own settings: recipe, cache types, step, logits of every token where it computed them.
 * `plain`: nothing but model, recipe, cache types, sequences and length, and a device of which the
 * context is counted: what one who knows no more would ask. */
/* Each row of one device that holds every layer, of models with a preset. */
static inline void each_context(scene *s, report *r,
                                void (*compare)(report *r, oom_model *m, const context_row *x))
{
    FILE *f = fopen("tests/truth/llamacpp_context.csv", "r");
    context_row x;
    oom_model *m = NULL;
    char known[64] = "", header[512];

    if (!f || !fgets(header, sizeof header, f))
        fail_msg("tests/truth/llamacpp_context.csv: cannot be read");
    while (context_line(f, &x)) {
        if (strcmp(x.backend, "cuda") != 0 || strcmp(x.layers, "99") != 0 || x.gpus != 1
            || strcmp(x.buffer, "CUDA0") != 0)
            continue;
        if (strcmp(known, x.model) != 0) {
            oom_model_free(m);
            m = context_model(s, x.model);
            snprintf(known, sizeof known, "%s", x.model);
        }
        if (m)
            compare(r, m, &x);
    }
    oom_model_free(m);
    fclose(f);
}

static inline void compare_total(report *r, oom_model *m, const context_row *x, bool plain)
{
    oom_options o = { .gpu_layers = -1, .kv_k = oom_format_find(x->k),
                      .kv_v = oom_format_find(x->v) };
    oom_load load = { x->n_seq, x->n_ctx / x->n_seq, 0 };
    oom_plan *p = malloc(oom_plan_bytes());
    oom_precision format;
    oom_memory out;
    char text[56];

    snprintf(text, sizeof text, "gguf:%s", x->recipe);
    assert_int_equal(oom_precision_parse(text, &format, NULL), OOM_OK);
    o.attention = x->flash ? OOM_ATTENTION_FLASH : OOM_ATTENTION_EAGER;
    o.swa_full = x->swa_full ? OOM_YES : OOM_DEFAULT;
    o.unified = x->unified ? OOM_YES : OOM_DEFAULT;
    if (!plain) {
        o.chunk = x->n_ubatch;
        o.outputs = x->outputs ? OOM_OUTPUTS_LAST : OOM_OUTPUTS_ALL;
    }
    snprintf(text, sizeof text, "%.24s %llux%llu ub %llu %s", x->model, x->n_seq,
             x->n_ctx / x->n_seq, x->n_ubatch, x->k);
    if (oom_plan_make(p, m, &format, NULL, oom_engine_find("generic"), &o, NULL) == OOM_OK
        && oom_plan_memory(p, &load, &out, NULL, NULL) == OOM_OK)
        report_add(r, "generic",
                   plain ? "llama.cpp: step and logits not told" : "llama.cpp's totals", text,
                   (double)out.device.total / GIB_F,
                   (double)(x->weights + x->cache + x->compute) / GIB_F);
    free(p);
}

static const report_bound generic_bounds[] = {
    { "generic", "llama.cpp's totals", 4500, -1, -1, -1, 0.10, 0.05 },
    { "generic", "Qwen2.5: allocated", 64, -1, -1, -1, 0.10, 0.05 },
};

static inline void compare_context(report *r, oom_model *m, const context_row *x)
{
    compare_total(r, m, x, false);
    compare_total(r, m, x, true);
}

static inline void accuracy_generic(scene *s, report *r)
{
    cJSON *tables = truth_json("tests/truth/transformers.json");
    const cJSON *table, *run;

    each_context(s, r, compare_context);
    cJSON_ArrayForEach(table, tables)
        if (strcmp(member_text(table, table, "set"), transformers_sets[0].set) == 0)
            cJSON_ArrayForEach(run, cJSON_GetObjectItem(table, "runs"))
                compare_run(s, r, "generic", transformers_sets[0].part, 0, table, run);
    cJSON_Delete(tables);
    report_note(r, "generic: of one device with every layer on it; llama.cpp's totals are its "
                "three buffers there, told the row's micro-batch and which logits it computed; "
                "Qwen2.5's are told that the prompt is one step. The runtime's context is in neither.");
}

#endif
