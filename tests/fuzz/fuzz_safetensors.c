#include "fuzz.h"

/* The header's JSON, alone or behind a configuration and an empty line; the eight bytes of length
 * and the data are put around it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum { DATA_BYTES = 1 << 16 };
    const uint8_t *split = memmem(data, n, "\n\n", 2);
    size_t config_bytes = split ? (size_t)(split - data) : 0, header = n - config_bytes;
    fuzz_memory memory = { 0 };
    oom_alloc a = { fuzz_resize, &memory };
    oom_model *m = oom_model_new(&a, NULL);
    const oom_value *config = NULL;
    oom_error err = { 0 };
    uint8_t *file;
    read_part part = { "x.safetensors", NULL, 0 };
    oom_status status;

    if (split) {
        header -= 2;
        if (read_json(m->arena, "config.json", (const char *)data, config_bytes, &config, NULL)
            != OOM_OK)
            config = NULL;
    }
    file = calloc(1, header + 8 + DATA_BYTES);
    if (!file)
        abort();
    for (size_t i = 0; i < 8; i++)
        file[i] = (uint8_t)((uint64_t)header >> (8 * i));
    memcpy(file + 8, data + n - header, header);
    part.bytes = file;
    part.n = header + 8 + DATA_BYTES;
    status = read_checkpoint(m, &part, 1, NULL, config, &err);
    fuzz_check(status, &err);
    if (status == OOM_OK)
        fuzz_model(m, n);
    free(file);
    oom_model_free(m);
    if (memory.held_bytes)
        abort();
    return 0;
}
