#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_memory memory = { 0 };
    oom_alloc a = { fuzz_resize, &memory };
    oom_model *m = oom_model_new(&a, NULL);
    oom_error err = { 0 };
    oom_status status = read_config(m, "config.json", data, n, &err);

    fuzz_check(status, &err);
    if (status == OOM_OK)
        fuzz_model(m, n);
    oom_model_free(m);
    if (memory.held_bytes)
        abort();
    return 0;
}
