/* variant.c: what a word after a device's name changes: a MIG slice of it ("h100-sxm mig 1g.10gb"),
 * the limit of an older macOS ("m3-max-36gb older"), what Windows or a desktop keeps
 * ("rtx-4090 windows"). */
#include "variant.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* ---- slices ---- */

/* What `nvidia-smi mig -lgip` prints as Memory, in eighths of a GiB. H100: Scaleway's and other
 * guides; GH200, B200, GB200, RTX PRO 6000: NVIDIA/mig-parted 139 and 187, gpu-operator 1303,
 * container-engine-accelerators 564; A100-40: 4864 MiB by GPU feature discovery; A100-80: torch's
 * total of a 3g.40gb. */
static const struct { const char *id; unsigned gb, eighths; } measured[] = {
    { "a100-pcie-40gb", 5, 38 }, { "a100-sxm-40gb", 5, 38 },
    { "a100-pcie-80gb", 40, 314 }, { "a100-sxm-80gb", 40, 314 },
    { "h100-sxm", 10, 78 }, { "h100-sxm", 20, 157 }, { "h100-sxm", 40, 315 },
    { "h100-sxm", 80, 633 },
    { "h100-pcie", 10, 78 }, { "h100-pcie", 20, 157 }, { "h100-pcie", 40, 315 },
    { "h100-pcie", 80, 633 },
    { "gh200-144gb", 18, 140 }, { "gh200-144gb", 36, 282 },
    { "b200", 23, 164 }, { "b200", 45, 354 }, { "gb200", 24, 160 }, { "gb200", 47, 364 },
    { "rtx-pro-6000-blackwell-server", 24, 189 },
};

/* NVIDIA's MIG user guide, "Supported GPUs": compute slices of a whole device. */
static const struct { const char *prefix; unsigned compute; } sliced[] = {
    { "a30", 4 }, { "a100-", 7 }, { "h100-", 7 }, { "h200-", 7 }, { "h800", 7 }, { "h20", 7 },
    { "gh200", 7 }, { "b200", 7 }, { "b300", 7 }, { "gb200", 7 }, { "gb300", 7 },
    { "rtx-pro-6000-blackwell", 4 },
};

static unsigned compute_slices(const char *id)
{
    for (size_t i = 0; i < sizeof sliced / sizeof *sliced; i++)
        if (strncmp(id, sliced[i].prefix, strlen(sliced[i].prefix)) == 0)
            return sliced[i].compute;
    return 0;
}

/* "3g.40gb", "1g.10gb+me": compute slices and gigabytes. */
static bool parse_profile(const char *word, unsigned *compute, unsigned *gb)
{
    int end = 0;

    /* NOLINTNEXTLINE(cert-err34-c): one digit and three fit */
    if (sscanf(word, "%1ug.%3ugb%n", compute, gb, &end) != 2 || end == 0)
        return false;
    return *compute > 0 && *gb > 0 && (word[end] == '\0' || strcmp(word + end, "+me") == 0);
}

/* Slices of memory are eighths, named by gigabytes that are rounded: the nearest of 1, 2, 4, 8. */
static unsigned memory_slices(const oom_device *d, unsigned gb)
{
    for (unsigned n = 1; n <= 8; n *= 2) {
        double exact = (double)d->memory_bytes / (double)GIB * n / 8;

        if (gb > exact * 0.93 && gb < exact * 1.07)
            return n;
    }
    return 0;
}

static oom_status slice(const char *word, unsigned compute, unsigned gb, oom_device *d,
                        oom_error *err)
{
    unsigned all = compute_slices(d->id), eighths = memory_slices(d, gb);
    uint64_t bytes = d->usable_bytes / 8 * eighths;
    char id[96];
    bool known = false;

    if (all == 0)
        return oom_fail(err, OOM_BADVALUE, "%s has no MIG slices", d->id);
    if (eighths == 0 || compute > all)
        return oom_fail(err, OOM_BADVALUE,
                        "%s has no MIG slice %s; its memory is cut in 1, 2, 4 or 8 "
                        "eighths", d->id, word);
    for (size_t i = 0; i < sizeof measured / sizeof *measured; i++)
        if (strcmp(measured[i].id, d->id) == 0 && measured[i].gb == gb) {
            bytes = GIB / 8 * measured[i].eighths;
            known = true;
        }
    d->memory_bytes = d->usable_bytes = bytes;
    d->usable_known = known;
    d->bandwidth_bytes_per_s = d->bandwidth_bytes_per_s * eighths / 8;
    d->fp16_flops = d->fp16_flops * compute / all;
    snprintf(id, sizeof id, "%.40s %ug.%ugb", d->id, compute, gb);
    snprintf(d->id, sizeof d->id, "%.63s", id);
    return OOM_OK;
}

/* ---- systems ---- */

/* recommendedMaxWorkingSetSize before macOS 15.x, in llama.cpp's logs: two thirds of the memory up
 * to 32 GB, three quarters from 36. */
static oom_status older_macos(oom_device *d, oom_error *err)
{
    if (strcasecmp(d->vendor, "Apple") != 0)
        return oom_fail(err, OOM_BADVALUE, "%s: \"older\" is a limit of macOS, on Apple's devices",
                        d->id);
    d->usable_bytes = d->memory_bytes <= 32 * GIB ? d->memory_bytes / 3 * 2
        : d->memory_bytes / 4 * 3;
    return OOM_OK;
}

/* Reports from Windows 10 and 11: 0.6 GiB of 11, 1 of 24, 2 of 12, 3.2 of 22 withheld; the larger
 * of 1 GiB and 8 % covers most. There the reported total is all a process can ask for. */
static oom_status windows(oom_device *d, oom_error *err)
{
    uint64_t kept = d->memory_bytes / 100 * 8;

    (void)err;
    kept = kept > GIB ? kept : GIB;
    d->usable_bytes = d->memory_bytes > kept ? d->memory_bytes - kept : 0;
    d->usable_known = false;
    return OOM_OK;
}

/* Xorg alone takes 0.2 to 0.6 GiB; a browser on KDE and Wayland has taken 1.6. */
static oom_status desktop(oom_device *d, oom_error *err)
{
    uint64_t kept = GIB * 6 / 10;

    (void)err;
    d->usable_bytes = d->usable_bytes > kept ? d->usable_bytes - kept : 0;
    d->usable_known = false;
    return OOM_OK;
}

oom_status read_variant(const char *word, oom_device *d, oom_error *err)
{
    static const struct { const char *word; oom_status (*apply)(oom_device *d, oom_error *err);
        } systems[] = {
        { "older", older_macos }, { "windows", windows }, { "desktop", desktop },
    };
    char id[sizeof d->id];
    unsigned compute, gb;

    if (parse_profile(word, &compute, &gb))
        return slice(word, compute, gb, d, err);
    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++)
        if (strcasecmp(word, systems[i].word) == 0) {
            oom_status status = systems[i].apply(d, err);

            snprintf(id, sizeof id, "%.48s %s", d->id, systems[i].word);
            if (status == OOM_OK)
                memcpy(d->id, id, sizeof id);
            return status;
        }
    return OOM_NOTFOUND;
}
