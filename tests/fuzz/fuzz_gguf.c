#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_memory memory = { 0 };
    oom_alloc a = { fuzz_resize, &memory };
    oom_model *m = oom_model_new(&a, NULL);
    oom_error err = { 0 };
    size_t header = n;
    /* room behind the header for the data it speaks of */
    uint8_t *file = calloc(1, n + 8192);
    oom_status status;

    if (!file)
        abort();
    memcpy(file, data, header);
    status = read_gguf(m, "x.gguf", file, n + 8192, &err);
    fuzz_check(status, &err);
    if (status == OOM_OK) {
        fuzz_model(m, n);
        read_gguf(m, "mmproj.gguf", file, n + 8192, &err);
    }
    free(file);
    oom_model_free(m);
    if (memory.held_bytes)
        abort();
    return 0;
}
