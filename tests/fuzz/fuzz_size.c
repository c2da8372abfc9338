#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const names[] = { "llama-3.1-8b", "rtx-4090", "2x h100-sxm", "m3 max 36gb" };
    const char *best[3];
    char *s = malloc(n + 1), quoted[128];
    uint64_t v = 0;
    oom_error err = { 0 };
    oom_status status;

    if (!s)
        abort();
    memcpy(s, data, n);
    s[n] = '\0';
    status = oom_text_bytes(s, &v, &err);
    fuzz_check(status, &err);
    if (status == OOM_OK && v > OOM_MAX_BYTES)
        abort();
    fuzz_check(oom_text_count(s, &v, &err), &err);
    if (!oom_text_same(s, s) || strlen(oom_text_quote(s, n, quoted, sizeof quoted)) >= sizeof quoted)
        abort();
    if (oom_text_nearest(s, names, 4, best, 3) > 3)
        abort();
    read_quote_path(s, quoted, sizeof quoted);
    if (strchr(quoted, '\n'))
        abort();
    free(s);
    return 0;
}
