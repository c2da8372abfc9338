/* device.c: what people write after `device =` becomes a deployment: names of presets, sizes,
 * and several of them. The rules for what a record leaves out are the core's. */
#include "local.h"
#include "num.h"
#include "variant.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* ---- one record ---- */

static double real_of(const oom_value *record, const char *key)
{
    const oom_value *v = oom_value_get(record, key);

    return !v ? 0 : v->kind == OOM_INT ? (double)v->u.i : v->kind == OOM_REAL ? v->u.real : 0;
}

static const char *text_of(const oom_value *record, const char *key)
{
    const oom_value *v = oom_value_get(record, key);

    return v && v->kind == OOM_STRING ? v->u.text : NULL;
}

static oom_device_kind kind_of(const oom_value *record)
{
    const oom_value *unified = oom_value_get(record, "unified_memory");
    const char *kind = text_of(record, "kind");

    if (kind && strcmp(kind, "cpu") == 0)
        return OOM_DEVICE_CPU;
    if (kind && (strcmp(kind, "tpu") == 0 || strcmp(kind, "npu") == 0))
        return OOM_DEVICE_ACCELERATOR;
    return unified && unified->kind == OOM_BOOL && unified->u.truth ? OOM_DEVICE_UNIFIED
                                                                    : OOM_DEVICE_GPU;
}

/* Bytes of so many MiB; nothing where a record says what cannot be. */
static uint64_t mib_bytes(double mib) { return mib > 0 && mib < 1e12 ? (uint64_t)mib * MIB : 0; }

static uint64_t at_most(uint64_t bytes, uint64_t limit) { return bytes < limit ? bytes : limit; }

/* The whole record but for the memory of a processor, which is the machine's, not the record's. */
static void fill(const read_preset *p, uint64_t ram_bytes, oom_device *d)
{
    const oom_value *r = p->record;
    const char *name = text_of(r, "name"), *capability = text_of(r, "compute_capability");
    double mib = real_of(r, "memory_mib_reported"), label = real_of(r, "memory_gb_marketing");
    double count = real_of(r, "device_count"), most = real_of(r, "per_machine");
    double torch_gib = real_of(r, "torch_total_gib"), limit = real_of(r, "gpu_limit_mib_default");

    *d = (oom_device){ .kind = kind_of(r),
                       .dies = count > 1 && count < 1000 ? (uint32_t)count : 1 };
    snprintf(d->id, sizeof d->id, "%s", p->id);
    snprintf(d->name, sizeof d->name, "%s", name ? name : p->id);
    snprintf(d->vendor, sizeof d->vendor, "%s", p->vendor);
    d->memory_bytes = mib_bytes(mib > 0 ? mib : label * 1024);
    if (d->memory_bytes == 0)
        d->memory_bytes = ram_bytes;
    d->usable_known = true;
    if (torch_gib > 0 && torch_gib < 1e9)
        d->usable_bytes = (uint64_t)(torch_gib * (double)GIB + 0.5);
    else if (limit > 0)
        d->usable_bytes = mib_bytes(limit);             /* what macOS gives the GPU */
    else if (d->kind == OOM_DEVICE_CPU)
        d->usable_bytes = d->memory_bytes;
    else {
        uint64_t reserve = oom_device_reserve(p->vendor, capability, d->memory_bytes / d->dies);

        /* AMD reports 16 MiB less than its label: where the report is not known, so do we */
        if (mib == 0 && strcmp(d->vendor, "AMD") == 0)
            reserve = 16 * MIB;
        reserve = sat_mul(reserve, d->dies);
        d->usable_bytes = d->memory_bytes - at_most(reserve, d->memory_bytes);
        d->usable_known = false;
    }
    d->usable_bytes = at_most(d->usable_bytes, d->memory_bytes);
    d->context_bytes = oom_device_context(d->kind, p->vendor, capability);
    d->capability = oom_device_capability(capability);
    d->per_machine = most >= 1 && most <= OOM_MAX_DEVICES ? (uint32_t)most
                   : d->kind == OOM_DEVICE_UNIFIED ? 1 : 0;    /* the machine's memory is its own */
    d->bandwidth_bytes_per_s = real_of(r, "bandwidth_gbs") * 1e9;
    d->fp16_flops = real_of(r, "fp16_tflops_dense") * 1e12;
}

void device_from_local(const read_preset *p, const local_device *said, oom_device *out)
{
    const char *capability = *said->capability ? said->capability : NULL;
    oom_device d = { .kind = said->kind, .dies = 1 };

    if (p)
        fill(p, said->memory_bytes, &d);
    else
        snprintf(d.id, sizeof d.id, "%.63s", said->name);
    snprintf(d.name, sizeof d.name, "%s", said->name);
    snprintf(d.vendor, sizeof d.vendor, "%s", said->vendor);
    /* a preset's measured total is of a device with the preset's memory */
    if (said->usable_bytes) {
        d.usable_bytes = at_most(said->usable_bytes, said->memory_bytes);
        d.usable_known = true;
    } else if (!p || d.memory_bytes != said->memory_bytes) {
        uint64_t reserve = oom_device_reserve(said->vendor, capability, said->memory_bytes);

        d.usable_bytes = said->memory_bytes - at_most(reserve, said->memory_bytes);
        d.usable_known = false;
    }
    d.memory_bytes = said->memory_bytes;
    d.free_bytes = said->free_bytes;
    if (!p)
        d.context_bytes = oom_device_context(said->kind, said->vendor, capability);
    if (capability)
        d.capability = oom_device_capability(capability);
    *out = d;
}

static bool same(const oom_device *a, const oom_device *b)
{
    return strcmp(a->id, b->id) == 0 && a->memory_bytes == b->memory_bytes
           && a->usable_bytes == b->usable_bytes;
}

oom_status device_add(oom_deployment *out, const oom_device *d, uint32_t count, oom_error *err)
{
    oom_device *last = out->n_groups ? &out->group[out->n_groups - 1].device : NULL;

    if (out->n + count > OOM_MAX_DEVICES)
        return oom_fail(err, OOM_BADVALUE, "expected 1 to %d devices", OOM_MAX_DEVICES);
    if (last && same(last, d)) {
        last->free_bytes = at_most(last->free_bytes, d->free_bytes);
    } else {
        if (out->n_groups == sizeof out->group / sizeof *out->group)
            return oom_fail(err, OOM_BADVALUE, "expected at most %zu runs of equal devices",
                            sizeof out->group / sizeof *out->group);
        out->group[out->n_groups++].device = *d;
    }
    out->group[out->n_groups - 1].count += count;
    out->n += count;
    return OOM_OK;
}

oom_device read_device_record(const read_preset *p)
{
    oom_device d;

    fill(p, 0, &d);
    return d;
}

/* ---- what people write ---- */

/* Bytes alone: a device of that size, of which everything can be used. A bare number gets a unit,
 * so that its name is none. */
static void sized(uint64_t bytes, const char *text, oom_device *d)
{
    char number[32];

    if (!text[strspn(text, "0123456789")]) {
        uint64_t unit = bytes % GIB == 0 ? GIB : bytes % MIB == 0 ? MIB : 1;

        snprintf(number, sizeof number, "%llu%s", (unsigned long long)(bytes / unit),
                 unit == GIB ? "GiB" : unit == MIB ? "MiB" : "B");
        text = number;
    }
    *d = (oom_device){ .kind = OOM_DEVICE_GPU, .memory_bytes = bytes, .usable_bytes = bytes,
                       .usable_known = true, .dies = 1,
                       .context_bytes = oom_device_context(OOM_DEVICE_GPU, NULL, NULL) };
    snprintf(d->id, sizeof d->id, "%s", text);
    snprintf(d->name, sizeof d->name, "%s", text);
}

/* A number and nothing but the letters of a unit: meant as a size, right or wrong. */
static bool like_size(const char *s)
{
    if (!isdigit((unsigned char)*s) && *s != '.')
        return false;
    s += strspn(s, "0123456789.");
    if ((*s == 'e' || *s == 'E') && isdigit((unsigned char)s[1]))
        s += 1 + strspn(s + 1, "0123456789");
    s += strspn(s, " ");
    return s[strspn(s, "kKmMgGtTpPiIbB")] == '\0';
}

static oom_status parse_size(const char *s, oom_device *d, oom_error *err)
{
    uint64_t bytes;
    oom_status status = oom_text_bytes(s, &bytes, err);

    if (status != OOM_OK)
        return status;
    if (bytes < MIB)
        return oom_fail(err, OOM_BADVALUE, "a device of %llu bytes? a size needs its unit: 24GiB",
                        (unsigned long long)bytes);
    sized(bytes, s, d);
    return OOM_OK;
}

/* "cpu-ddr5-6000-2ch 64GiB": a processor and how much memory it has; "rtx-4090 24GB": a device
 * and its label. OOM_NOTFOUND: is neither. */
static oom_status parse_with_size(read_catalogue *c, const char *s, oom_device *d, oom_error *err)
{
    const char *size = strrchr(s, ' ');
    const read_preset *p;
    uint64_t ram_bytes;
    char name[128];

    if (!size || (size_t)(size - s) >= sizeof name || !like_size(size + 1))
        return OOM_NOTFOUND;
    memcpy(name, s, (size_t)(size - s));
    name[size - s] = '\0';
    p = read_device_preset(c, name, NULL);
    if (!p)
        return OOM_NOTFOUND;
    if (kind_of(p->record) != OOM_DEVICE_CPU) {
        double label = real_of(p->record, "memory_gb_marketing");

        if (label <= 0 || strtod(size + 1, NULL) < label || strtod(size + 1, NULL) > label)
            return OOM_NOTFOUND;
        fill(p, 0, d);
        return OOM_OK;
    }
    if (oom_text_bytes(size + 1, &ram_bytes, err) != OOM_OK)
        return OOM_BADVALUE;
    fill(p, ram_bytes, d);
    return OOM_OK;
}

static oom_status parse_device(read_catalogue *c, const char *s, oom_device *d, oom_error *err);

/* "h100-sxm mig 1g.10gb", "rtx-4090 windows": a device and a
 * word about it. OOM_NOTFOUND: is none. */
static oom_status parse_variant(read_catalogue *c, const char *s, oom_device *d, oom_error *err)
{
    const char *word = strrchr(s, ' ');
    oom_device device = { 0 };
    size_t len = word ? (size_t)(word - s) : 0;
    char name[128];

    if (len == 0 || len >= sizeof name || read_variant(word + 1, &device, NULL) == OOM_NOTFOUND)
        return OOM_NOTFOUND;
    memcpy(name, s, len);
    name[len] = '\0';
    if (len > 4 && strcasecmp(name + len - 4, " mig") == 0)
        name[len - 4] = '\0';
    if (parse_device(c, name, &device, err) != OOM_OK)
        return OOM_BADVALUE;
    if (read_variant(word + 1, &device, err) != OOM_OK)
        return OOM_BADVALUE;
    *d = device;
    return OOM_OK;
}

/* One device: a preset's name, a size, a processor with its memory, or one of these and a word. */
static oom_status parse_device(read_catalogue *c, const char *s, oom_device *d, oom_error *err)
{
    oom_error why = { 0 };
    const read_preset *p = read_device_preset(c, s, &why);
    oom_status status;

    if (p) {
        *d = read_device_record(p);
        if (d->memory_bytes == 0)
            return oom_fail(err, OOM_BADVALUE, "%s: how much memory? say \"%s 64GiB\"",
                            p->id, p->id);
        return OOM_OK;
    }
    if (why.status == OOM_NOTFOUND) {
        if (like_size(s))
            return parse_size(s, d, err);
        status = parse_with_size(c, s, d, err);
        if (status == OOM_NOTFOUND)
            status = parse_variant(c, s, d, err);
        if (status != OOM_NOTFOUND)
            return status;
    }
    return oom_fail(err, why.status, "%s", why.msg);
}

/* "2x h100-sxm": the count, 1 when there is none; *s moves behind it. */
static oom_status parse_count(const char **s, uint32_t *count, oom_error *err)
{
    const char *p = *s;
    uint64_t n = 0;

    *count = 1;
    if (!isdigit((unsigned char)*p))
        return OOM_OK;
    for (; isdigit((unsigned char)*p); p++)
        n = n > OOM_MAX_DEVICES ? n : n * 10 + (uint64_t)(*p - '0');
    p += strspn(p, " ");
    if (*p == 'x' || *p == 'X' || *p == '*')
        p++;
    else if (strncmp(p, "\xc3\x97", 2) == 0)        /* × */
        p += 2;
    else
        return OOM_OK;
    if (n < 1 || n > OOM_MAX_DEVICES)
        return oom_fail(err, OOM_BADVALUE, "expected 1 to %d devices", OOM_MAX_DEVICES);
    *count = (uint32_t)n;
    *s = p + strspn(p, " ");
    return OOM_OK;
}

static oom_status parse_group(read_catalogue *c, const char *s, oom_deployment *out, oom_error *err)
{
    uint32_t count = 1;
    oom_device device;
    oom_status status = OOM_OK;

    if (!read_device_preset(c, s, NULL))        /* "7900xtx" is no 7900 devices */
        status = parse_count(&s, &count, err);
    if (status != OOM_OK || (status = parse_device(c, s, &device, err)) != OOM_OK)
        return status;
    return device_add(out, &device, count, err);
}

/* Adds what logs taught of each device. */
static oom_status finish(read_catalogue *c, oom_deployment *d, oom_deployment *out, oom_error *err)
{
    for (uint32_t i = 0; i < d->n_groups; i++) {
        oom_status status = read_learned(c, &d->group[i].device, err);

        if (status != OOM_OK)
            return status;
    }
    *out = *d;
    return OOM_OK;
}

/* Where the next device is added: not the "+me" of "1g.10gb+me", a slice with a media engine. */
static const char *next_plus(const char *s)
{
    const char *plus = strchr(s, '+');

    while (plus && strncmp(plus, "+me", 3) == 0 && !isalnum((unsigned char)plus[3]))
        plus = strchr(plus + 1, '+');
    return plus;
}

oom_status read_deployment(read_catalogue *c, const char *spec, oom_deployment *out, oom_error *err)
{
    oom_deployment d = { 0 };
    oom_error why = { 0 };
    char part[160], quoted[128];
    oom_status status;

    oom_text_quote(spec, strlen(spec), quoted, sizeof quoted);
    if (spec[strspn(spec, " \t")] == '\0')
        return oom_fail(err, OOM_BADVALUE,
                        "no device named; expected \"rtx-4090\", \"2x h100-sxm\" "
                        "or a size such as 24GiB");
    if (oom_text_same(spec, "local") || oom_text_same(spec, "cpu")) {
        status = read_catalogue_sealed(c)
               ? oom_fail(err, OOM_IO, "%s: no device is asked in the sandbox", quoted)
               : read_local(c, &local_system, oom_text_same(spec, "local"), &d, err);
        return status == OOM_OK ? finish(c, &d, out, err) : status;
    }
    for (const char *s = spec, *plus;; s = plus + 1) {
        size_t len;

        s += strspn(s, " \t");
        plus = next_plus(s);
        len = plus ? (size_t)(plus - s) : strlen(s);
        while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
            len--;
        if (len == 0 || len >= sizeof part)
            return oom_fail(err, OOM_BADVALUE, "\"%s\": expected a device %s", quoted,
                            len ? "name shorter than that" : "on both sides of +");
        memcpy(part, s, len);
        part[len] = '\0';
        status = parse_group(c, part, &d, &why);
        /* a name may have a plus in it: "AMD Ryzen AI Max+ 395 128GB" */
        if (status == OOM_NOTFOUND && plus && s == spec && strlen(spec) < sizeof part) {
            d = (oom_deployment){ 0 };
            if (parse_group(c, spec, &d, NULL) == OOM_OK)
                break;
        }
        if (status != OOM_OK)
            return oom_fail(err, status, "%s", why.msg);
        if (!plus)
            break;
    }
    return finish(c, &d, out, err);
}
