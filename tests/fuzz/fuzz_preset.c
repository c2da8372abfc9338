#include "fuzz.h"

/* The first line is what a user wrote, the rest is a preset file of models and of devices. */
typedef struct { const char *text; size_t n; } preset_file;

static bool one_file(void *ctx, const char *folder, size_t i, const char **name, const char **text,
                     size_t *n)
{
    const preset_file *f = ctx;

    (void)folder;
    *name = "x.json";
    *text = f->text;
    *n = f->n;
    return i == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *line = memchr(data, '\n', n);
    size_t spec_bytes = line ? (size_t)(line - data) : n;
    preset_file f = { line ? (const char *)line + 1 : "", line ? n - spec_bytes - 1 : 0 };
    read_source source = { one_file, &f };
    fuzz_memory memory = { 0 };
    oom_alloc a = { fuzz_resize, &memory };
    read_catalogue *c = read_catalogue_new(&source, &a, NULL);
    char *spec = malloc(spec_bytes + 1);
    oom_deployment d = { 0 };
    const read_preset *p;
    oom_model *m = NULL;
    oom_error err = { 0 };
    oom_status status;

    if (!spec)
        abort();
    memcpy(spec, data, spec_bytes);
    spec[spec_bytes] = '\0';
    if (!strstr(spec, "local")) {       /* the machine is no input */
        status = read_deployment(c, spec, &d, &err);
        fuzz_check(status, &err);
        if (status == OOM_OK && (d.n < 1 || d.n > OOM_MAX_DEVICES || d.n_groups > 8))
            abort();
    }
    p = read_model_preset(c, spec, &err);
    if (p && read_preset_model(p, &a, &m, &err) == OOM_OK)
        fuzz_model(m, n);
    oom_model_free(m);
    read_catalogue_free(c);
    free(spec);
    if (memory.held_bytes)
        abort();
    return 0;
}
