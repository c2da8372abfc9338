/* The llama.cpp engine against its own accounting: tests/truth/llamacpp_context.csv has what a dry
 * run of 0.5.0-dev prints for each buffer. Weights, caches and states must be equal to the
 * byte; compute buffers are counted, and no bound below may get worse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scene.h"

/* ---- the measured rows ----------------------------------------------------------------------- */

typedef struct {
    char model[64], recipe[32], backend[8], type_k[16], type_v[16], buffer[16];
    unsigned long long n_ctx, n_seq, n_batch, n_ubatch, tensor_bytes;
    unsigned flash, swa_full, unified, outputs, gpus;
    int gpu_layers;                     /* -1 on the CPU */
    int kv_offload, op_offload;         /* -1: the row does not say */
    unsigned long long weights, context, compute;
} row;

static bool read_row(FILE *f, row *r)
{
    char line[512], layers[16];

    if (!fgets(line, sizeof line, f))
        return false;
    for (char *c = line; c[0]; c++)     /* an empty field is one that sscanf can read */
        if (c[0] == ',' && c[1] == ',') {
            memmove(c + 2, c + 1, strlen(c + 1) + 1);
            c[1] = '-';
        }
    r->kv_offload = r->op_offload = -1;
    assert_in_range(
        sscanf(line,
               "%63[^,],%31[^,],%7[^,],%llu,%llu,%llu,%llu,%u,%15[^,],%15[^,],%u,%u,%u,"
               "%15[^,],%u,%llu,%15[^,],%llu,%llu,%llu,%d,%d",
               r->model, r->recipe, r->backend, &r->n_ctx, &r->n_seq, &r->n_batch, &r->n_ubatch,
               &r->flash, r->type_k, r->type_v, &r->swa_full, &r->unified, &r->outputs, layers,
               &r->gpus, &r->tensor_bytes, r->buffer, &r->weights, &r->context, &r->compute,
               &r->kv_offload, &r->op_offload),
        20, 22);
    r->gpu_layers = layers[0] == '-' ? -1 : atoi(layers);
    return true;
}

static bool same_setting(const row *a, const row *b)
{
    return strcmp(a->model, b->model) == 0 && strcmp(a->backend, b->backend) == 0
        && strcmp(a->type_k, b->type_k) == 0 && strcmp(a->type_v, b->type_v) == 0
        && a->n_ctx == b->n_ctx && a->n_seq == b->n_seq && a->n_batch == b->n_batch
        && a->n_ubatch == b->n_ubatch && a->flash == b->flash && a->swa_full == b->swa_full
        && a->unified == b->unified && a->outputs == b->outputs && a->gpus == b->gpus
        && a->gpu_layers == b->gpu_layers && a->kv_offload == b->kv_offload
        && a->op_offload == b->op_offload;
}

/* One start of the engine: a row for every buffer, the host's summed up. */
typedef struct {
    row first, device[4], host;
    unsigned n_devices;
    bool no_kv_offload, no_op_offload;
} record;

static void add_row(record *x, const row *r)
{
    if (strncmp(r->buffer, "CUDA", 4) == 0 && r->buffer[4] != '_') {
        x->device[r->buffer[4] - '0'] = *r;
        x->n_devices++;
        return;
    }
    x->host.weights += r->weights;
    x->host.context += r->context;
    x->host.compute += r->compute;
}

static bool begins_record(const record *x, const row *r)
{
    bool known = false;

    if (!same_setting(&x->first, r))
        return true;
    for (unsigned d = 0; d < x->n_devices; d++)
        known = known || strcmp(x->device[d].buffer, r->buffer) == 0;
    return known || strcmp(x->first.buffer, r->buffer) == 0;
}

/* ---- what the engine here says --------------------------------------------------------------- */

static scene *stage;

static int setup(void **state)
{
    (void)state;
    stage = scene_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scene_free(stage);
    return 0;
}

/* Headers without a preset: the public configuration, as far as it matters. */
static const struct { const char *name, *spec; } by_config[] = {
    { "phi-4-14b", "phi-4" },
    { "phi-3-mini-4k", "phi-3-mini" },
    { "jamba-v0.1-52b", "jamba-v0.1" },
    { "mamba-codestral-7b",
      "{\"model_type\":\"mamba2\",\"vocab_size\":32768,\"hidden_size\":4096,"
      "\"num_hidden_layers\":64,\"state_size\":128,\"expand\":2,\"num_heads\":128,"
      "\"head_dim\":64,\"n_groups\":8,\"conv_kernel\":4,\"use_bias\":false,"
      "\"use_conv_bias\":true,\"tie_word_embeddings\":false}" },
    { "lfm2-8b-a1b",
      "{\"model_type\":\"lfm2_moe\",\"vocab_size\":65536,\"hidden_size\":2048,"
      "\"num_hidden_layers\":24,\"intermediate_size\":7168,\"moe_intermediate_size\":1792,"
      "\"num_experts\":32,\"num_experts_per_tok\":4,\"num_dense_layers\":2,"
      "\"num_attention_heads\":32,\"num_key_value_heads\":8,\"conv_L_cache\":3,"
      "\"use_expert_bias\":true,\"tie_embedding\":true,\"layer_types\":[\"conv\",\"conv\","
      "\"full_attention\",\"conv\",\"conv\",\"conv\",\"full_attention\",\"conv\",\"conv\","
      "\"conv\",\"full_attention\",\"conv\",\"conv\",\"conv\",\"full_attention\",\"conv\","
      "\"conv\",\"conv\",\"full_attention\",\"conv\",\"conv\",\"full_attention\",\"conv\","
      "\"conv\"]}" },
    { "nemotron-h-8b",
      "{\"model_type\":\"nemotron_h\",\"vocab_size\":131072,\"hidden_size\":4096,"
      "\"num_hidden_layers\":52,\"intermediate_size\":21504,\"num_attention_heads\":32,"
      "\"num_key_value_heads\":8,\"head_dim\":128,\"attention_head_dim\":128,"
      "\"ssm_state_size\":128,\"mamba_num_heads\":128,\"mamba_head_dim\":64,\"n_groups\":8,"
      "\"conv_kernel\":4,\"expand\":2,\"tie_word_embeddings\":false,"
      "\"hybrid_override_pattern\":\"M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-\"}" },
};

static oom_model *model_of(const char *name)
{
    for (size_t i = 0; i < sizeof by_config / sizeof *by_config; i++)
        if (strcmp(by_config[i].name, name) == 0)
            return scene_model(stage, by_config[i].spec);
    return scene_model(stage, name);
}

#define CARD ((uint64_t)1 << 42)        /* larger than anything asked of it */

/* Where a row does not say: a fully loaded model whose cache lies in main memory was told so, and
 * of two equal partial starts the second had op_offload off. */
static void fill_in(record *x, const record *before, const oom_model *m)
{
    bool gpu = strcmp(x->first.backend, "cuda") == 0;
    bool whole = x->first.gpu_layers > (int)m->shape.n_layers;

    if (x->first.kv_offload >= 0)
        return;
    x->no_kv_offload = gpu && whole && x->host.context;
    x->no_op_offload = x->first.gpu_layers >= 0 && before->first.gpu_layers < 99
        && same_setting(&before->first, &x->first);
}

static void plan_record(const record *x, oom_model *m, oom_plan *p)
{
    bool gpu = strcmp(x->first.backend, "cuda") == 0;
    oom_deployment where = { .n = gpu ? x->first.gpus : 1, .n_groups = 1 };
    oom_options o = { .gpu_layers = x->first.gpu_layers,
                      .chunk = x->first.n_ubatch,
                      .n_batch = x->first.n_batch,
                      .unified = x->first.unified ? OOM_YES : OOM_NO,
                      .swa_full = x->first.swa_full ? OOM_YES : OOM_NO,
                      .attention = x->first.flash ? OOM_ATTENTION_FLASH : OOM_ATTENTION_EAGER,
                      .outputs = x->first.outputs ? OOM_OUTPUTS_LAST : OOM_OUTPUTS_ALL,
                      .kv_k = oom_format_find(x->first.type_k),
                      .kv_v = oom_format_find(x->first.type_v),
                      .op_offload = x->no_op_offload ? OOM_NO : OOM_YES,
                      .kv_offload = x->no_kv_offload ? OOM_NO : OOM_YES };
    oom_error err = { OOM_OK, "" };
    oom_precision precision;
    char recipe[48];

    snprintf(recipe, sizeof recipe, "gguf:%s", x->first.recipe);
    assert_int_equal(oom_precision_parse(recipe, &precision, &err), OOM_OK);
    where.group[0].count = where.n;
    where.group[0].device = (oom_device){ .kind = gpu ? OOM_DEVICE_GPU : OOM_DEVICE_CPU,
                                          .memory_bytes = CARD, .usable_bytes = CARD };
    if (oom_plan_make(p, m, &precision, &where, oom_engine_find("llama.cpp"), &o, &err) != OOM_OK)
        fail_msg("%s: %s", x->first.model, err.msg);
}

/* ---- the comparison -------------------------------------------------------------------------- */

typedef struct { unsigned n, exact, within_5; double worst_of_total, errors[16384]; } tally;
typedef struct { unsigned records, wrong; tally device, cpu, host; } report;

static void count(tally *t, uint64_t ours, uint64_t theirs, uint64_t total)
{
    double error = ours > theirs ? (double)(ours - theirs) : (double)(theirs - ours);
    double share = total ? error / (double)total : 0;

    t->exact += ours == theirs;
    t->within_5 += error <= 0.05 * (double)theirs;
    t->worst_of_total = share > t->worst_of_total ? share : t->worst_of_total;
    if (t->n < sizeof t->errors / sizeof *t->errors)
        t->errors[t->n] = theirs ? error / (double)theirs : error > 0;
    t->n++;
}

/* Weights, caches and states: to the byte. */
static void must_equal(report *r, const record *x, const char *what, uint64_t ours, uint64_t theirs)
{
    if (ours == theirs)
        return;
    r->wrong++;
    print_message("%s %s ctx %llu: %s %llu, engine %llu\n", x->first.model, x->first.backend,
                  x->first.n_ctx, what, (unsigned long long)ours, (unsigned long long)theirs);
}

static void compare(report *r, const record *x, oom_model *m, oom_plan *p)
{
    bool gpu = strcmp(x->first.backend, "cuda") == 0;
    oom_load load = { .batch = x->first.n_seq, .seq = x->first.n_ctx / x->first.n_seq };
    uint64_t output = 4 * m->gguf->shape.vocab_size * x->first.n_seq, available;
    oom_memory all;
    oom_parts d;

    assert_int_equal(oom_plan_memory(p, &load, &all, NULL, NULL), OOM_OK);
    r->records++;
    for (unsigned i = 0; gpu && i < x->n_devices; i++) {
        const row *e = &x->device[i];

        assert_int_equal(oom_plan_rank(p, &load, i, &d, &available, NULL), OOM_OK);
        must_equal(r, x, "device weights", d.weights, e->weights);
        must_equal(r, x, "device cache", d.kv + d.state, e->context);
        count(&r->device, d.activations, e->compute, e->weights + e->context + e->compute);
    }
    if (!gpu)
        all.host = all.device;          /* one memory */
    must_equal(r, x, "host weights", all.host.weights, x->host.weights);
    must_equal(r, x, "host cache", all.host.kv + all.host.state, x->host.context);
    count(gpu ? &r->host : &r->cpu, all.host.activations - output, x->host.compute,
          x->host.weights + x->host.context + x->host.compute);
}

static int upwards(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile(tally *t, double share)
{
    qsort(t->errors, t->n, sizeof *t->errors, upwards);
    return t->errors[(unsigned)(share * (t->n - 1))];
}

static void tell(const char *name, tally *t)
{
    print_message(
        "%-7s %5u buffers, %5u exact, %5u within 5 %%, 90th percentile %.2f %%, worst %.2f %% of "
        "the total\n",
        name, t->n, t->exact, t->within_5, 100 * percentile(t, 0.9), 100 * t->worst_of_total);
}

static report *compare_all(const char *path)
{
    FILE *f = fopen(path, "r");
    report *r = calloc(1, sizeof *r);
    oom_plan *p = malloc(oom_plan_bytes());
    oom_model *m = NULL;
    record x = { 0 }, before;
    char header[512], name[64] = "";
    row next;
    bool more;

    assert_non_null(f);
    assert_non_null(r);
    assert_non_null(fgets(header, sizeof header, f));
    more = read_row(f, &next);
    while (more) {
        before = x;
        x = (record){ .first = next, .no_kv_offload = next.kv_offload == 0,
                      .no_op_offload = next.op_offload == 0 };
        add_row(&x, &next);
        while ((more = read_row(f, &next)) && !begins_record(&x, &next))
            add_row(&x, &next);
        if (!m || strcmp(name, x.first.model) != 0) {
            oom_model_free(m);
            m = model_of(x.first.model);
            snprintf(name, sizeof name, "%s", x.first.model);
        }
        fill_in(&x, &before, m);
        plan_record(&x, m, p);
        compare(r, &x, m, p);
    }
    fclose(f);
    oom_model_free(m);
    free(p);
    print_message("%u starts\n", r->records);
    if (r->device.n)
        tell("device", &r->device);
    if (r->cpu.n)
        tell("CPU", &r->cpu);
    tell("host", &r->host);
    assert_int_equal(r->wrong, 0);
    return r;
}

static void every_measured_start_is_counted_as_the_engine_counts_it(void **state)
{
    report *r = compare_all("tests/truth/llamacpp_context.csv");

    (void)state;
    assert_true(r->records >= 7488);
    assert_true(percentile(&r->device, 0.5) <= 0.01);
    assert_true(percentile(&r->device, 0.9) <= 0.05);
    assert_true(r->device.worst_of_total <= 0.04);
    assert_true(r->device.n - r->device.exact <= 4);
    assert_int_equal(r->cpu.exact, r->cpu.n);
    assert_int_equal(r->host.exact, r->host.n);
    free(r);
}

static void settings_drawn_by_lot_are_counted_as_the_engine_counts_them(void **state)
{
    report *r = compare_all("tests/truth/llamacpp_odd.csv");

    (void)state;
    assert_true(r->records >= 639);
    assert_true(percentile(&r->device, 0.9) == 0);
    assert_true(r->device.worst_of_total <= 0.01);
    assert_true(r->device.n - r->device.exact <= 9);
    assert_int_equal(r->device.within_5, r->device.n);
    assert_int_equal(r->host.exact, r->host.n);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_measured_start_is_counted_as_the_engine_counts_it),
        cmocka_unit_test(settings_drawn_by_lot_are_counted_as_the_engine_counts_them),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
