/* engine.c: the rule sets there are. A new engine is a file under engine/ and a row here. */
#include "plan.h"

#include <string.h>
#include <strings.h>

static const oom_engine *const engines[] = {
    &oom_engine_generic,
    &oom_engine_ideal,
    &oom_engine_transformers,
    &oom_engine_vllm,
    &oom_engine_llamacpp,
};

_Static_assert(sizeof engines / sizeof *engines <= OOM_MAX_ENGINES, "a device learns of each");

const oom_engine *oom_engine_at(size_t i)
{
    return i < sizeof engines / sizeof *engines ? engines[i] : NULL;
}

const oom_engine *oom_engine_find(const char *name)
{
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        if (strcasecmp(engines[i]->name, name) == 0)
            return engines[i];
    return NULL;
}

const char *oom_engine_name(const oom_engine *e) { return e->name; }
const char *oom_engine_summary(const oom_engine *e) { return e->summary; }

void oom_engine_precision(const oom_engine *e, oom_precision *p)
{
    if (!e->ggml_files || p->kind != OOM_PRECISION_WIDTH)
        return;
    if (strcmp(p->name, "fp16") == 0)
        oom_precision_parse("gguf:f16", p, NULL);
    else if (strcmp(p->name, "bf16") == 0)
        oom_precision_parse("gguf:bf16", p, NULL);
    else if (strcmp(p->name, "fp32") == 0)
        oom_precision_parse("gguf:f32", p, NULL);
}

oom_status oom_engine_check_version(const oom_engine *e, uint32_t version, oom_error *err)
{
    if (version == 0 || (e->versions && version <= e->newest))
        return OOM_OK;
    if (!e->versions)
        return oom_fail(err, OOM_BADVALUE, "%s@%u.%u: its rules are of one version, leave it out",
                        e->name, version / 1000, version % 1000);
    return oom_fail(err, OOM_BADVALUE, "%s@%u.%u: known are %s", e->name, version / 1000,
                    version % 1000, e->versions);
}
