/* llamacpp.h: the device's buffers of llama.cpp's own dry runs (tests/truth/llamacpp_context.csv)
 * with every layer on one device. tests/unit/test_llamacpp.c holds the bounds, and compares main
 * memory, partial off-load and several devices, too. */
#ifndef ACCURACY_LLAMACPP_H
#define ACCURACY_LLAMACPP_H

#include "generic.h"

static inline void compare_buffers(report *r, oom_model *m, const context_row *x)
{
    oom_options o = { .gpu_layers = 99, .chunk = x->n_ubatch, .n_batch = x->n_batch,
                      .unified = x->unified ? OOM_YES : OOM_NO,
                      .swa_full = x->swa_full ? OOM_YES : OOM_NO,
                      .attention = x->flash ? OOM_ATTENTION_FLASH : OOM_ATTENTION_EAGER,
                      .outputs = x->outputs ? OOM_OUTPUTS_LAST : OOM_OUTPUTS_ALL,
                      .kv_k = oom_format_find(x->k), .kv_v = oom_format_find(x->v),
                      .kv_offload = x->cache ? OOM_YES : OOM_NO };
    oom_deployment where = { .n = 1, .n_groups = 1 };
    oom_load load = { x->n_seq, x->n_ctx / x->n_seq, 0 };
    oom_plan *p = malloc(oom_plan_bytes());
    oom_precision format;
    oom_memory out;
    oom_error err;
    char text[56];

    where.group[0].count = 1;
    where.group[0].device = (oom_device){ .kind = OOM_DEVICE_GPU, .memory_bytes = (uint64_t)1 << 42,
                                          .usable_bytes = (uint64_t)1 << 42 };
    snprintf(text, sizeof text, "gguf:%s", x->recipe);
    assert_int_equal(oom_precision_parse(text, &format, NULL), OOM_OK);
    if (oom_plan_make(p, m, &format, &where, oom_engine_find("llama.cpp"), &o, &err) != OOM_OK
        || oom_plan_memory(p, &load, &out, NULL, &err) != OOM_OK)
        fail_msg("%s: %s", x->model, err.msg);
    snprintf(text, sizeof text, "%.24s %llux%llu ub %llu %s", x->model, x->n_seq,
             x->n_ctx / x->n_seq, x->n_ubatch, x->k);
    report_add(r, "llama.cpp", "weights on the device", text, (double)out.device.weights / GIB_F,
               (double)x->weights / GIB_F);
    if (x->cache)
        report_add(r, "llama.cpp", "cache and state on the device", text,
                   (double)(out.device.kv + out.device.state) / GIB_F, (double)x->cache / GIB_F);
    report_add(r, "llama.cpp", "compute buffer of the device", text,
               (double)out.device.activations / GIB_F, (double)x->compute / GIB_F);
    free(p);
}

static inline void accuracy_llamacpp(scene *s, report *r)
{
    each_context(s, r, compare_buffers);
    report_note(r, "llama.cpp: of one device with every layer on it, models with a preset; its "
                "other buffers, partial off-load and several devices are compared by "
                "tests/unit/test_llamacpp.c.");
}

#endif
