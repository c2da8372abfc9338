/* torch.h: what engines that run on torch share: memory that its allocator and its matrix library
 * take beside the tensors asked for. */
#ifndef TORCH_H
#define TORCH_H

#include "plan.h"

/* What the caching allocator counts as allocated for a tensor beyond its bytes. */
uint64_t torch_slack(uint64_t bytes);
/* Of a tensor's `bytes` on one rank those of its numbers, where scales and zeros are tensors of
 * their own. `whole`: its bytes on all ranks. */
uint64_t torch_codes(const oom_tensor *t, uint64_t whole, uint64_t bytes);
/* Scratch of the matrix library (cuBLAS, hipBLASLt); d NULL: of a large GPU. */
uint64_t torch_library_bytes(const oom_device *d);
bool torch_large_device(const oom_device *d);

#endif
